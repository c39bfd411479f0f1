"""Components of ours, at least one of each class, with the options that their checks need."""

from __future__ import annotations

from typing import Any

import torch

from tokenmask.evaluation.metrics import METRICS, NextWord
from tokenmask.layout import Delay, Flatten, Parallel
from tokenmask.masking import (
    Arccos,
    Conditioning,
    Corruption,
    Cosine,
    Exponential,
    FixedRate,
    GroupChain,
    LevelStages,
    Linear,
    Logarithmic,
    Masker,
    Polynomial,
    Power,
    ProcessRate,
)
from tokenmask.models import (
    BlockStyle,
    Causal,
    CodesOnly,
    Full,
    GivenFirst,
    GroupCausal,
    OwnFrame,
    RangeHeadsConfig,
    SpatialWindows,
    TransformerConfig,
    Window,
)
from tokenmask.objectives import MaskedCrossEntropy
from tokenmask.procedures import Plain
from tokenmask.sampling import (
    AllOf,
    AllowAll,
    AttentionContrast,
    Blocks,
    BlockSchedule,
    ByGroups,
    Categorical,
    CausalReuse,
    Chunks,
    ClassifierFree,
    ConfidenceAbove,
    ContextCorrupted,
    Differential,
    DrawnSchedule,
    Encloses,
    EntropyBelow,
    EntropyBounded,
    ExpectedSchedule,
    ForbidCodes,
    GroupCausalReuse,
    HideSinks,
    LogitNoise,
    MatchesPattern,
    MergeTokens,
    NeverRevoke,
    NoGuidance,
    NoReuse,
    Particles,
    PerLength,
    PrefixReuse,
    ProcessSchedule,
    PromptReuse,
    Rejection,
    Restricted,
    RevealAll,
    Reversal,
    RevokeDoubted,
    RevokeDrawn,
    RevokeLeastLikely,
    RevokeRandom,
    RevokeSpans,
    RevokeUnlikely,
    Sampler,
    SpacedSchedule,
    Stage,
    StaleReuse,
    StartsWith,
    Suppressed,
    Truncated,
    Twice,
    UniformSchedule,
    Zigzag,
)
from tokenmask.scores import (
    BinaryScore,
    Blockwise,
    ChunkScore,
    ConfidenceScore,
    DilatedScore,
    EntropyScore,
    GumbelScore,
    HaltonScore,
    LogitScore,
    MarginScore,
    ProbabilityScore,
    QLDSScore,
    RandomScore,
    RasterScore,
    Rescored,
    SpacedScore,
    SpanScore,
    SpanUnion,
    SumScore,
    TubeScore,
    UntilScore,
)
from tokenmask.training import AdamW, Packing

LLAMA = BlockStyle(norm_eps=1e-5, query_key_norm=False, biases=("qkv",), places="order")
BERT = BlockStyle("layer", 1e-12, True, False, 0, 80, "gelu", ("qkv", "out", "ffn"), "table")
BEFORE = BlockStyle(reads_before=True)
WIDE = BlockStyle(query_key_norm=False, head_size=48, ffn_size=100, biases=("out", "ffn"))


def class_weights(layout) -> dict[str, Any]:
    """Of the text alone, rising with the code."""
    size = layout.range("text").size
    return {"class_weights": {layout.head("text"): torch.arange(1.0, size + 1)}}


OURS: list[Any] = [
    *(Linear(), Cosine(), Power(), Power(0.5), Polynomial(), Arccos(), Exponential(), Logarithmic(), Logarithmic(4)),
    *(ProcessRate(), ProcessRate(Linear(), per="batch"), ProcessRate(rounding="bernoulli"), FixedRate(0.3)),
    ProcessRate(Power(3.0), 0.2, 0.7, rounding="floor", minimum=0),
    *(RandomScore(), SpanScore(), RasterScore(3), HaltonScore(), QLDSScore()),
    *(ConfidenceScore(), ConfidenceScore(4.5), MarginScore(), EntropyScore()),
    *(SumScore((RandomScore(), RasterScore()), (1.0, 0.1)), SumScore((MarginScore(), SpanScore(2)), (1.0, 2.0))),
    *(SpanUnion(), SpanUnion(1), TubeScore(), ChunkScore(), ChunkScore(2, "prod"), ConfidenceScore(2.0, grid="ends")),
    *(Blockwise(), Blockwise(ConfidenceScore(), 2), Rescored(), Rescored(ConfidenceScore(1.0), "main", 0.0)),
    *(Corruption(), Corruption(noise=0.5), Corruption(0.8, 0.1, 0.1), Corruption(0.0, 1.0, 0.0)),
    *(DilatedScore(), DilatedScore(9, 3), BinaryScore(8), HaltonScore(True), LogitScore(), GumbelScore(0.5, None)),
    *(UntilScore(ConfidenceScore(1.0), 2), SpacedScore(MarginScore(), 3, 8), SpacedScore(RasterScore()), GumbelScore()),
    AttentionContrast(((0, 1), (2,)), blur=1.0),
    SumScore((LogitScore(), UntilScore(AttentionContrast(((0,),), (0, 1), blur=0.0), 1)), (1.0, 3.0)),
    *(LevelStages(), LevelStages((1.0, 3.0)), LevelStages(only=1), LevelStages(whole_from=1)),
    *(GroupChain(), GroupChain(1.0, (QLDSScore(),), Linear(), (2, 3))),
    *(Masker(), Masker(FixedRate(0.5), HaltonScore(), Corruption(0.8, 0.1, 0.1)), Masker(chain=GroupChain(0.5))),
    *(Masker(strategy=SpanUnion()), Masker(strategy=TubeScore()), Masker(corruption=Corruption(noise=0.5))),
    *(Masker(ProcessRate(rounding="bernoulli")), Masker(stages=LevelStages(whole_from=1))),
    *(Conditioning(), Conditioning(0.5, 0.5, {"text": 0.1}), Conditioning(0.0, 1.0)),
    Conditioning(odds={"image": 1.0, "text": 0.0, "motion": 2.0}),
    *(Packing(), Packing(16), Packing(64, 4, {"audio": 3}), Packing(10, 1)),
    *(Parallel(), Parallel("concat"), Flatten(), Delay()),
    *(SpatialWindows(2, 2), SpatialWindows(1, 3, (2,)), OwnFrame(), OwnFrame((1,)), OwnFrame(alone=True)),
    *(Full(), CodesOnly(), Causal(), GroupCausal(), GivenFirst(), Window(2), Window(1, (0, 1), 1)),
    *(TransformerConfig(64, 2, 2), TransformerConfig(64, 2, 2, adaln=True)),
    *(TransformerConfig(64, 2, 2, time_input=True, absolute=False), TransformerConfig(64, 2, 2, shifted=True)),
    *(TransformerConfig(64, 2, 2, absolute=False, style=style) for style in (LLAMA, BERT, WIDE, BEFORE)),
    *(RangeHeadsConfig(), RangeHeadsConfig(tied=False), RangeHeadsConfig(transform=True)),
    RangeHeadsConfig(transform=True, norm="layer", norm_eps=1e-12),
    *(AdamW(), AdamW(muon=True), AdamW(0.0, 0.5, 0.9)),
    *(MaskedCrossEntropy(scope=scope) for scope in ("predicted", "hidden", "valid", "all")),
    *(MaskedCrossEntropy(reduction=how) for how in ("per_slot", "per_row", "per_row_slot", "per_sample_mean", "bits")),
    *(MaskedCrossEntropy(weight="inverse_t"), MaskedCrossEntropy(weight="elbo", label_smoothing=0.1)),
    (MaskedCrossEntropy(weight="class"), {"extra": class_weights}),
    Plain(),
    (Plain({"text": (2.0,) + (1.0,) * 10}), {"objective": MaskedCrossEntropy(weight="class")}),
    *(
        ProcessSchedule(),
        ProcessSchedule(grid="ends"),
        ProcessSchedule(Logarithmic(), "ceil"),
        ProcessSchedule(grid="first"),
    ),
    *(
        UniformSchedule(),
        UniformSchedule(1),
        UniformSchedule(3),
        Chunks(),
        Chunks(UniformSchedule(), 4),
        Blocks(),
        Blocks(block=5),
    ),
    *(Blocks(UniformSchedule(2), 7), PerLength(), PerLength(UniformSchedule(), 16), Twice(), Twice(UniformSchedule())),
    *(Categorical(3.0, 0.0, least=0.01), LogitNoise(), LogitNoise(Categorical(0.7), 1.0, "constant")),
    *(Differential(), Differential(Categorical(0.5), (0.2, 0.6), store="modified")),
    *(ConfidenceAbove(0.6), DrawnSchedule(), DrawnSchedule(Cosine()), EntropyBelow(0.7), EntropyBounded(0.4)),
    *(ByGroups(), ByGroups(RasterScore(3)), BlockSchedule(EntropyBelow(), 3)),
    SpacedSchedule(ConfidenceAbove(0.3), SpacedScore(ConfidenceScore(), 2, 4)),
    *(Categorical(), Categorical(0.0), Categorical(3.0, 0.1, grid="after"), Categorical(0.7, None, 5, 0.9, 0.05)),
    *(Categorical(1.0, 0.6, law="sqrt"), Categorical(1.0, 0.8, grid="ends", law="inverse")),
    *(Restricted(), Restricted(0.7, 1.5), Rejection(), Rejection(0.8, 3, 9), Rejection(proper=False)),
    *(Reversal(), Reversal(Categorical(0.7), Cosine(), "cap", 0.2, end=1e-3), Reversal(rule="conf", last="best")),
    *(Reversal(rule="loop", eta=0.1), Reversal(rule="rescale", eta=0.5, last="best")),
    *(Truncated(), Truncated(Categorical(0.5, top_k=3, min_p=0.01)), Suppressed(), Suppressed(codes={"text": (10, 1)})),
    *(ExpectedSchedule(), ExpectedSchedule(Cosine(), 0.0), ProbabilityScore()),
    *(NoGuidance(), ClassifierFree(), ClassifierFree(10.0, 1.0, "cosine"), ClassifierFree(2.0, weights=(0.5, 1.0))),
    *(ClassifierFree(1.0, 4.0, "power_cosine", power=2.0), ClassifierFree(1.5, conditions="hidden")),
    *(ContextCorrupted(), ContextCorrupted(1.0, 1.5)),
    *(AllowAll(), ForbidCodes({"text": (10, 1)})),
    AllOf((ForbidCodes({"text": (10,)}), ForbidCodes({"audio": (0,)}))),
    *(
        StartsWith("", (*"abcdefghij", "")),
        Encloses("", "", (*"abcdefghij", "")),
        MatchesPattern("[a-j]*", (*"abcdefghij", "")),
    ),
    *(RevokeRandom(), RevokeRandom(0.5), Zigzag(), Zigzag(0.5)),
    *(NeverRevoke(), RevokeLeastLikely(0.5), RevokeDrawn(), RevokeDrawn(0.3, Linear()), RevokeUnlikely()),
    *(RevealAll(), RevokeDoubted(), RevokeDoubted("main", Linear(), 1.0), RevokeSpans(), RevokeSpans(2, Linear())),
    *(NoReuse(), PrefixReuse(), StaleReuse(), StaleReuse(1, 2, RasterScore(3), True, "open"), GroupCausalReuse()),
    CausalReuse(),
    *(MergeTokens(), MergeTokens(0.5, 3, 1, 2), MergeTokens(0.0)),
    *(HideSinks(), HideSinks(2, "last"), HideSinks(0), PromptReuse(((0, 1), (2,)), (3,)), PromptReuse(controls=True)),
    *(Sampler(2), Sampler(2, order=RandomScore(), reuse=GroupCausalReuse())),
    Sampler(2, pick=Restricted(), particles=Particles(3)),
    Sampler(2, stages=(Stage(3),), guidance=ClassifierFree(), revoke=RevokeDrawn()),
    *(*METRICS, NextWord(2)),
]


def component_and_options(one: Any) -> tuple[Any, dict[str, Any]]:
    """An entry of the list above, with its options."""
    return one if isinstance(one, tuple) else (one, {})
