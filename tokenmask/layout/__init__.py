"""Layouts: the shared id space, and how the levels of a stream share positions."""

from tokenmask.layout.arrangement import Arrangement, Delay, Flatten, Parallel
from tokenmask.layout.layout import Layout
from tokenmask.layout.ranges import Range

__all__ = ["Arrangement", "Delay", "Flatten", "Layout", "Parallel", "Range"]
