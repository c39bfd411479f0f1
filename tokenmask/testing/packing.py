"""Packing: a record becomes a sequence that fits, and what is too long is cut to a window.

Does not know: which packing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from tokenmask.batch import FILL, GIVEN, Sequence
from tokenmask.streams import TokenStream
from tokenmask.testing.alike import alike
from tokenmask.testing.anything import value_requirements
from tokenmask.testing.contract import Contract, refusal, require
from tokenmask.testing.world import LAYOUT, World, some_stream
from tokenmask.training import Packing

Record = Mapping[str, TokenStream]


def _records() -> list[Record]:
    """Short and long ones."""
    return [
        {"text": some_stream("text", 3, 1)},
        {"audio": some_stream("audio", 5, 2)},
        {"text": some_stream("text", 2, 3), "image": some_stream("image", 0, 3)},
        {"text": some_stream("text", 300, 4)},
        {"text": some_stream("text", 7, 5), "audio": some_stream("audio", 6, 5)},
        {"text": some_stream("text", 200, 6), "audio": some_stream("audio", 4, 6)},
    ]


def _packed(packing: Packing, record: Record, seed: int = 0, sample: int = 0) -> Sequence | None:
    """The sequence, or None for a record that is refused."""
    try:
        return packing(LAYOUT, record, seed=seed, sample_id=sample)
    except ValueError:
        return None


def _use(packing: Packing, world: World) -> list[Any]:
    found: list[Any] = []
    for own in _records():
        record = {name: replace(one, codes=world.lend("codes", one.codes)) for name, one in own.items()}
        found.append((_packed(packing, record, 1, 2), packing.positions(LAYOUT, record)))
    return found


def takes_what_fits(packing: Packing) -> None:
    """A record is refused only where the streams that cannot be cut leave no room for the others."""
    for record in _records():
        whole = sum(torch.Size(one.grid).numel() for one in record.values() if one.spec.end_code is None)
        least = 1 + whole + sum(one.spec.end_code is not None for one in record.values())
        if least <= packing.max_positions:
            taken = _packed(packing, record) is not None
            require(taken, f"must take a record that fits into {packing.max_positions} positions, but refused one")


def fits_the_model(packing: Packing) -> None:
    """No sequence is longer than ``max_positions``."""
    for record in _records():
        sequence, most = _packed(packing, record), packing.max_positions
        length = 0 if sequence is None else len(sequence)
        require(length <= most, f"a sequence must have at most {most} positions, got {length} for {', '.join(record)}")


def says_how_long_it_is(packing: Packing) -> None:
    """``positions`` is the length of the sequence where nothing is cut: readers sort by it."""
    for record in _records():
        sequence, said = _packed(packing, record), packing.positions(LAYOUT, record)
        if sequence is not None and _whole(sequence, record):
            got = f"got {said} for a sequence of {len(sequence)}"
            require(said == len(sequence), f"positions must be those of the packed record, {got}")


def gives_the_record_back(packing: Packing) -> None:
    """What was packed is what was given: whole, or a window of it."""
    for record in _records():
        sequence = _packed(packing, record)
        if sequence is None:
            continue
        back = LAYOUT.unpack(sequence)
        require(back.keys() == record.keys(), f"must keep the streams {', '.join(record)}, got {', '.join(back)}")
        for name, stream in record.items():
            piece = _is_piece(back[name].codes, stream.codes)
            require(piece, f"must keep the codes of {name!r} or a window of them, got others")


def _whole(sequence: Sequence, record: Record) -> bool:
    return all(alike(stream.codes, record[name].codes) for name, stream in LAYOUT.unpack(sequence).items())


def _is_piece(piece: torch.Tensor, codes: torch.Tensor) -> bool:
    length = piece.shape[0]
    starts = range(codes.shape[0] - length + 1)
    return piece.numel() > 0 and any(torch.equal(codes[start : start + length], piece) for start in starts)


def windows_follow_the_key(packing: Packing) -> None:
    """Of a stream that is too long another sample sees another window, drawn from its key."""
    long = {"text": some_stream("text", 2000, 7)}
    drawn = [LAYOUT.unpack(packing(LAYOUT, long, seed=seed, sample_id=sample))["text"].codes for seed, sample in _KEYS]
    if drawn[0].shape[0] == 2000:
        return
    by_seed = any(not alike(drawn[0], other) for other in drawn[1:5])
    by_sample = any(not alike(drawn[0], other) for other in drawn[5:])
    require(by_seed == by_sample, "must draw a window anew for another seed and for another sample, but not for both")


_KEYS = ((1, 1), (2, 1), (3, 1), (4, 1), (5, 1), (1, 2), (1, 3), (1, 4), (1, 5))


def keeps_roles(packing: Packing) -> None:
    """Roles arrive in the sequence."""
    record = _records()[0]
    for role in (GIVEN, FILL):
        sequence = packing(LAYOUT, record, roles={"text": role})
        here = sequence.role[sequence.stream == LAYOUT.index("text")]
        require(bool((here == role).all()), f"must give slots the role {role} that it is told, got another one")


def refuses_what_it_cannot_cut(packing: Packing) -> None:
    """A record that does not fit and cannot be cut is refused in a sentence."""
    picture = {"image": some_stream("image", 0, 1)}
    if packing.max_positions < 1 + 12:
        refusal(ValueError, lambda: packing(LAYOUT, picture), "a record that is too long")


PACKINGS = Contract(
    "packing",
    Packing,
    (
        takes_what_fits,
        fits_the_model,
        says_how_long_it_is,
        gives_the_record_back,
        windows_follow_the_key,
        keeps_roles,
        refuses_what_it_cannot_cut,
        *value_requirements(_use),
    ),
)


def check_packing(packing: Packing) -> list[str]:
    """Runs every check of a packing; see :meth:`Contract.check` for what it returns and raises.

    Its ``budgets`` may name the streams "text", "audio" and "image".
    """
    return PACKINGS.check(packing)
