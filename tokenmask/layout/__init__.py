"""Layouts: the shared id space, and how the levels of a stream share positions."""

from tokenmask.layout.arrangement import Arrangement, Delay, Flatten, Parallel
from tokenmask.layout.layout import Layout
from tokenmask.layout.many import Cut, Places, positions_of
from tokenmask.layout.ranges import Range

__all__ = ["Arrangement", "Cut", "Delay", "Flatten", "Layout", "Parallel", "Places", "Range", "positions_of"]
