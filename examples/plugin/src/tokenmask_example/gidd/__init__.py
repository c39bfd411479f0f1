"""GIDD, arXiv:2503.04482: masks and random codes as noise, its bound, and a pick that revises codes."""

from tokenmask_example.gidd.objective import GiddBound
from tokenmask_example.gidd.pick import Ancestral
from tokenmask_example.gidd.process import Hybrid

__all__ = ["Ancestral", "GiddBound", "Hybrid"]
