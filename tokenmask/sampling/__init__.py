"""Sampling: one decode loop and the values it is made of."""

from tokenmask.deprecation import moved_names
from tokenmask.sampling.asking import Asking
from tokenmask.sampling.automaton import Automaton, MatchesPattern, StartsWith
from tokenmask.sampling.by_hand import guided, sureness
from tokenmask.sampling.coding import code_lengths
from tokenmask.sampling.composed import Blocks, Chunks, PerLength, Twice
from tokenmask.sampling.constraint import AllOf, AllowAll, Constraint, ForbidCodes, Predicate
from tokenmask.sampling.context import RevokeContext, SlotContext, StepContext
from tokenmask.sampling.contrast import AttentionContrast
from tokenmask.sampling.deciding import (
    BlockSchedule,
    ByGroups,
    DrawnSchedule,
    EntropyBelow,
    EntropyBounded,
    SpacedSchedule,
)
from tokenmask.sampling.drift import Drift, drift
from tokenmask.sampling.enclosing import Encloses
from tokenmask.sampling.expert import Expert
from tokenmask.sampling.graphs import Captured
from tokenmask.sampling.guidance import ClassifierFree, ContextCorrupted, Guidance, NoGuidance
from tokenmask.sampling.particles import Particles
from tokenmask.sampling.pick import Categorical, Pick, PickContext
from tokenmask.sampling.plan import Stage
from tokenmask.sampling.predicted import Predicted
from tokenmask.sampling.remasking import RevealAll, RevokeDoubted, RevokeSpans
from tokenmask.sampling.reshaped import Differential, LogitNoise
from tokenmask.sampling.reuse import (
    CausalReuse,
    GroupCausalReuse,
    HideSinks,
    MergeTokens,
    NoReuse,
    PrefixReuse,
    PromptReuse,
    Reuse,
    StaleReuse,
)
from tokenmask.sampling.reversal import Reversal
from tokenmask.sampling.revoke import (
    NeverRevoke,
    Revoke,
    RevokeDrawn,
    RevokeLeastLikely,
    RevokeRandom,
    RevokeUnlikely,
    Zigzag,
)
from tokenmask.sampling.said import Suppressed, Truncated
from tokenmask.sampling.sampler import Sampler, Step
from tokenmask.sampling.schedule import (
    ConfidenceAbove,
    DecidingSchedule,
    ExpectedSchedule,
    ProcessSchedule,
    Schedule,
    UniformSchedule,
)
from tokenmask.sampling.state import SamplerState
from tokenmask.sampling.weighing import Rejection, Restricted

__all__ = [
    "AllOf",
    "AllowAll",
    "Asking",
    "AttentionContrast",
    "Automaton",
    "BlockSchedule",
    "Blocks",
    "ByGroups",
    "Captured",
    "Categorical",
    "CausalReuse",
    "Chunks",
    "ClassifierFree",
    "ConfidenceAbove",
    "Constraint",
    "ContextCorrupted",
    "DecidingSchedule",
    "Differential",
    "DrawnSchedule",
    "Drift",
    "Encloses",
    "EntropyBelow",
    "EntropyBounded",
    "ExpectedSchedule",
    "Expert",
    "ForbidCodes",
    "GroupCausalReuse",
    "Guidance",
    "HideSinks",
    "LogitNoise",
    "MatchesPattern",
    "MergeTokens",
    "NeverRevoke",
    "NoGuidance",
    "NoReuse",
    "Particles",
    "PerLength",
    "Pick",
    "PickContext",
    "Predicate",
    "Predicted",
    "PrefixReuse",
    "ProcessSchedule",
    "PromptReuse",
    "Rejection",
    "Restricted",
    "Reuse",
    "RevealAll",
    "Reversal",
    "Revoke",
    "RevokeContext",
    "RevokeDoubted",
    "RevokeDrawn",
    "RevokeLeastLikely",
    "RevokeRandom",
    "RevokeSpans",
    "RevokeUnlikely",
    "Sampler",
    "SamplerState",
    "Schedule",
    "SlotContext",
    "SpacedSchedule",
    "Stage",
    "StaleReuse",
    "StartsWith",
    "Step",
    "StepContext",
    "Suppressed",
    "Truncated",
    "Twice",
    "UniformSchedule",
    "Zigzag",
    "code_lengths",
    "drift",
    "guided",
    "sureness",
]

_SCORES = (
    "ConfidenceScore",
    "EntropyScore",
    "HaltonScore",
    "MarginScore",
    "Progress",
    "QLDSScore",
    "RandomScore",
    "RasterScore",
    "SpanScore",
    "SumScore",
)
__getattr__ = moved_names(__name__, dict.fromkeys(_SCORES, "tokenmask.scores"), since="0.2")
