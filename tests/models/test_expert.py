"""A causal model of transformers weighs what a masked one fills; the laws themselves stand in tests/exact."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

import tokenmask as tm
from tests.modalities.small_published import needs_transformers, untouched
from tests.models.test_wrapped import SHAPE, words
from tokenmask.run.expert import RunExpert
from tokenmask.sampling import AllOf, ForbidCodes, Particles
from tokenmask.scores import RasterScore

pytestmark = needs_transformers
MARKS = {"pad_token_id": 2, "bos_token_id": 0, "eos_token_id": 1, "vocab_size": 70}


def network(kind: str, scale: float) -> Any:
    import transformers

    config, model = {"masked": ("BertConfig", "BertForMaskedLM"), "causal": ("LlamaConfig", "LlamaForCausalLM")}[kind]
    made = untouched(lambda: getattr(transformers, model)(getattr(transformers, config)(**SHAPE, **MARKS))).eval()
    for parameter in made.parameters():
        draw = torch.Generator().manual_seed(parameter.numel())
        parameter.data.add_(scale * torch.randn(parameter.shape, generator=draw))
    return made


@pytest.fixture(scope="module")
def runs() -> tuple[tm.Run, tm.Run]:
    """(one that fills, one that judges)."""
    return tm.wrap(network("masked", 0.2), words()), tm.wrap(network("causal", 0.1), words())


def with_expert(run: tm.Run, expert: RunExpert, count: int) -> Any:
    own = run.recipe.sampler
    return replace(
        own, order=RasterScore(), constraint=AllOf((own.constraint, expert)), particles=Particles(count, ess=1.0)
    )


def test_says_how_probable_the_text_is(runs: tuple[tm.Run, tm.Run]) -> None:
    run, judge = runs
    expert = judge.expert(run, power=0.5)
    text = "the light in darkness"
    codes = run.tokenizers["text"].encode(tm.Text(text)).codes[:, 0].tolist()
    beginnings = [(), tuple(codes[:2]), tuple(codes), tuple(codes[:2])]
    wanted = [score.nats for score in judge.log_likelihood(["the light", text], stream="text")]
    said = expert.says(beginnings)
    assert said.tolist() == pytest.approx([0.0, wanted[0], wanted[1], wanted[0]], rel=1e-5)
    assert torch.equal(expert.says(beginnings), said)  # remembered


def test_a_masked_model_fills_what_the_causal_one_likes(runs: tuple[tm.Run, tm.Run]) -> None:
    run, judge = runs
    forbidden = ForbidCodes({"text": tuple(range(5))})  # marks, the one that ends a text too
    plain = replace(run.recipe.sampler, order=RasterScore(), constraint=forbidden)
    run = replace(run, recipe=replace(run.recipe, sampler=plain))
    options: dict[str, Any] = {"length": 6, "steps": 6, "num_samples": 12, "seed": 3}
    drafts = run.generate("text", **options)
    chosen = run.generate("text", **options, sampler=with_expert(run, judge.expert(run, power=2.0), 8))
    again = run.generate("text", **options, sampler=with_expert(run, judge.expert(run, power=2.0), 8))
    assert [one.text for one in chosen] == [one.text for one in again]
    scores = [
        sum(score.nats for score in judge.log_likelihood([one.text for one in some], stream="text"))
        for some in (drafts, chosen)
    ]
    assert scores[1] > scores[0] + 12  # a nat a text more at the least
    alone = run.generate("text", **options, sampler=with_expert(run, judge.expert(run, power=0.0), 1))
    assert len({one.text for one in alone}) > 6


def test_what_cannot_be_is_one_sentence(runs: tuple[tm.Run, tm.Run]) -> None:
    run, judge = runs
    with pytest.raises(
        ValueError, match=r"an expert must be causal, .* but BertForMaskedLM fills holes; wrap or convert a"
    ):
        run.expert(run)
    with pytest.raises(ValueError, match=r"stream must be one of text, got 'words'"):
        judge.expert(run, stream="words")
    with pytest.raises(ValueError, match=r"power"):
        judge.expert(run, power=float("nan"))
    shipped = tm.load()
    with pytest.raises(ValueError, match=r"an expert of Text reads streams of one level of it, got 'image' of Image"):
        judge.expert(shipped, stream="image")
    letters = tuple(run.tokenizers["text"].encode(tm.Text("b " * 200)).codes[:, 0].tolist())
    with pytest.raises(ValueError, match=r"able to read what is filled, but cannot \(a record may take at most 127"):
        judge.expert(run).says([letters])
    assert judge.expert(shipped).tokenizer is shipped.tokenizers["text"]  # another vocabulary
    with pytest.raises(ValueError, match=r"weighs particles, so Sampler\.particles must say how many"):
        replace(run.recipe.sampler, constraint=judge.expert(run))
