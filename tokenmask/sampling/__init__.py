"""Sampling: one decode loop and the values it is made of."""

from tokenmask.sampling.by_hand import guided, sureness
from tokenmask.sampling.coding import code_lengths
from tokenmask.sampling.constraint import AllOf, AllowAll, Constraint, ForbidCodes
from tokenmask.sampling.context import SlotContext, StepContext
from tokenmask.sampling.drift import Drift, drift
from tokenmask.sampling.guidance import ClassifierFree, Guidance, NoGuidance
from tokenmask.sampling.pick import Categorical, Pick, PickContext
from tokenmask.sampling.plan import Stage
from tokenmask.sampling.predicted import Predicted
from tokenmask.sampling.progress import Progress
from tokenmask.sampling.reuse import GroupCausalReuse, NoReuse, PrefixReuse, Reuse, StaleReuse
from tokenmask.sampling.revoke import NeverRevoke, Revoke, RevokeDrawn, RevokeLeastLikely
from tokenmask.sampling.sampler import Sampler, Step
from tokenmask.sampling.schedule import ConfidenceAbove, DecidingSchedule, ProcessSchedule, Schedule, UniformSchedule
from tokenmask.sampling.state import SamplerState
from tokenmask.scores import (
    ConfidenceScore,
    EntropyScore,
    HaltonScore,
    MarginScore,
    QLDSScore,
    RandomScore,
    RasterScore,
    SpanScore,
    SumScore,
)

__all__ = [
    "AllOf",
    "AllowAll",
    "Categorical",
    "ClassifierFree",
    "ConfidenceAbove",
    "ConfidenceScore",
    "Constraint",
    "DecidingSchedule",
    "Drift",
    "EntropyScore",
    "ForbidCodes",
    "GroupCausalReuse",
    "Guidance",
    "HaltonScore",
    "MarginScore",
    "NeverRevoke",
    "NoGuidance",
    "NoReuse",
    "Pick",
    "PickContext",
    "Predicted",
    "PrefixReuse",
    "ProcessSchedule",
    "Progress",
    "QLDSScore",
    "RandomScore",
    "RasterScore",
    "Reuse",
    "Revoke",
    "RevokeDrawn",
    "RevokeLeastLikely",
    "Sampler",
    "SamplerState",
    "Schedule",
    "SlotContext",
    "SpanScore",
    "Stage",
    "StaleReuse",
    "Step",
    "StepContext",
    "SumScore",
    "UniformSchedule",
    "code_lengths",
    "drift",
    "guided",
    "sureness",
]
