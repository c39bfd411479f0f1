"""Reuse: what is kept of one step of a generation for the next; a policy a file."""

from tokenmask.sampling.reuse.causal import CausalReuse
from tokenmask.sampling.reuse.group_causal import GroupCausalReuse, known_positions
from tokenmask.sampling.reuse.merging import MergeTokens
from tokenmask.sampling.reuse.policy import Cache, NoReuse, Reuse, ReuseStep, Scored
from tokenmask.sampling.reuse.prefix import PrefixReuse
from tokenmask.sampling.reuse.prompt import PromptReuse
from tokenmask.sampling.reuse.sinks import HideSinks
from tokenmask.sampling.reuse.stale import StaleReuse

__all__ = [
    "Cache",
    "CausalReuse",
    "GroupCausalReuse",
    "HideSinks",
    "MergeTokens",
    "NoReuse",
    "PrefixReuse",
    "PromptReuse",
    "Reuse",
    "ReuseStep",
    "Scored",
    "StaleReuse",
    "known_positions",
]
