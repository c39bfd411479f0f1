"""Arrangements: how the levels of a stream share positions, and come back.

Does not know: which arrangement.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from tokenmask.layout import Arrangement, Layout
from tokenmask.streams import StreamSpec, TokenStream
from tokenmask.testing.anything import value_requirements
from tokenmask.testing.contract import Contract, require
from tokenmask.testing.world import World


def _cases() -> Iterator[Tensor]:
    """Codes [G, K] that all differ; hundreds name the level."""
    for places, levels in ((0, 1), (0, 3), (1, 1), (1, 4), (2, 3), (7, 1), (7, 2), (5, 4)):
        yield (torch.arange(levels) * 100 + torch.arange(places)[:, None]).to(torch.int32)


def _use(arrangement: Arrangement, world: World) -> list[Any]:
    found: list[Any] = []
    for codes in _cases():
        placed, place = arrangement.place(world.lend("codes", codes))
        placed = world.lend("placed codes", placed)
        found.append((placed, place, arrangement.restore(placed, codes.shape[1]), arrangement.positions(*codes.shape)))
    return found


def comes_back_as_it_was(arrangement: Arrangement) -> None:
    """``restore`` is the inverse of ``place``, alone and in a layout."""
    for codes in _cases():
        back = arrangement.restore(arrangement.place(codes)[0], codes.shape[1])
        shape = f"{list(codes.shape)}"
        require(back.shape == codes.shape and torch.equal(back, codes), f"must restore codes {shape} that it placed")
    spec = StreamSpec("audio", (400, 400), ("time",), rate_hz=50.0)
    layout, codes = Layout({"x": spec}, {"x": arrangement}), next(c for c in _cases() if c.shape == (7, 2))
    record = {"x": TokenStream(spec, codes)}
    require(layout.unpack(layout.pack(record)) == record, "a layout must unpack the record that it packed with it")


def places_each_code_once(arrangement: Arrangement) -> None:
    """Each code has one slot, at its own level; absent slots are -1, and the dtype is kept."""
    for codes in _cases():
        placed, _ = arrangement.place(codes)
        if not codes.numel():
            continue
        require(placed.dtype == codes.dtype, f"must keep the dtype {codes.dtype}, got {placed.dtype}")
        present = placed >= 0
        once = torch.equal(placed[present].sort().values, codes.flatten().sort().values)
        require(once, f"must place each of the codes {list(codes.shape)} once, got {int(present.sum())} codes")
        level = torch.arange(placed.shape[1]).expand(placed.shape)
        own = torch.div(placed, 100, rounding_mode="floor") == level
        require(bool((own | ~present).all()), "must leave each code at its own level, but moved one to another")


def says_how_many_positions(arrangement: Arrangement) -> None:
    """``positions`` is the length of what is placed, and every position has a grid place."""
    for codes in _cases():
        placed, place = arrangement.place(codes)
        said = arrangement.positions(*codes.shape)
        got = f"got {said} for {placed.shape[0]} and {len(place)} places"
        require(said == placed.shape[0] == len(place), f"positions must be those of the placed codes, {got}")
        require(place.dtype == torch.int64 and not bool((place < 0).any()), "grid places must be int64 from 0 on")


ARRANGEMENTS = Contract(
    "arrangement",
    Arrangement,
    (comes_back_as_it_was, places_each_code_once, says_how_many_positions, *value_requirements(_use)),
)


def check_arrangement(arrangement: Arrangement) -> list[str]:
    """Runs every check of an arrangement; see :meth:`Contract.check` for what it returns and raises."""
    return ARRANGEMENTS.check(arrangement)
