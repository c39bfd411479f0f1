"""Sampling: one decode loop and the values it is made of."""

from tokenmask.masking.scores import HaltonScore, QLDSScore, RandomScore, RasterScore, SpanScore, SumScore
from tokenmask.models import GroupCausalReuse, NoReuse, PrefixReuse, Reuse, StaleReuse
from tokenmask.sampling.coding import code_lengths
from tokenmask.sampling.constraint import AllOf, AllowAll, Constraint, ForbidCodes
from tokenmask.sampling.drift import Drift, drift
from tokenmask.sampling.guidance import ClassifierFree, Guidance, NoGuidance
from tokenmask.sampling.order import ConfidenceScore, EntropyScore, MarginScore
from tokenmask.sampling.pick import Categorical
from tokenmask.sampling.revoke import NeverRevoke, Revoke, RevokeLeastLikely
from tokenmask.sampling.sampler import Sampler, Stage, Step
from tokenmask.sampling.schedule import ProcessSchedule, Schedule, UniformSchedule
from tokenmask.sampling.state import SamplerState

__all__ = [
    "AllOf",
    "AllowAll",
    "Categorical",
    "ClassifierFree",
    "ConfidenceScore",
    "Constraint",
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
    "PrefixReuse",
    "ProcessSchedule",
    "QLDSScore",
    "RandomScore",
    "RasterScore",
    "Reuse",
    "Revoke",
    "RevokeLeastLikely",
    "Sampler",
    "SamplerState",
    "Schedule",
    "SpanScore",
    "Stage",
    "StaleReuse",
    "Step",
    "SumScore",
    "UniformSchedule",
    "code_lengths",
    "drift",
]
