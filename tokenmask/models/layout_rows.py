"""LayoutRows: which tensors of a model hold a row for each id, range or stream of its layout.

Arrow: model --**layout_rows**--> names of tensors, for what moves weights from one layout to another. Does not know:
what is moved, or why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from torch import nn


@dataclass(frozen=True)
class LayoutRows:
    """Tensors that follow the layout, by their names in the state of a module; all others belong to no stream.

    Args:
        ids: a row for each id; where a row is one number, it is added to the logit of its code.
        ranges: a row for each range.
        streams: a row for control positions, then one for each stream.
        own: tensors that belong to one stream as a whole -> that stream.
    """

    ids: tuple[str, ...] = ()
    ranges: tuple[str, ...] = ()
    streams: tuple[str, ...] = ()
    own: Mapping[str, str] = field(default_factory=dict)

    def within(self, name: str) -> LayoutRows:
        """The same tensors, of a module that stands in another under ``name``; "" for the module itself."""
        dot = f"{name}." if name else ""
        ids, ranges, streams = (tuple(dot + own for own in kind) for kind in (self.ids, self.ranges, self.streams))
        return LayoutRows(ids, ranges, streams, {dot + own: stream for own, stream in self.own.items()})

    def __add__(self, other: LayoutRows) -> LayoutRows:
        return LayoutRows(
            self.ids + other.ids,
            self.ranges + other.ranges,
            self.streams + other.streams,
            {**self.own, **other.own},
        )


@runtime_checkable
class FollowsLayout(Protocol):
    """A module that itself holds tensors whose shape follows from the layout."""

    def layout_rows(self) -> LayoutRows:
        """Their names in its own state."""
        ...


def layout_rows(module: nn.Module) -> LayoutRows:
    """Those of a module and of everything in it, in the order of declaration."""
    found = LayoutRows()
    for name, part in module.named_modules():
        if isinstance(part, FollowsLayout):
            found += part.layout_rows().within(name)
    return found
