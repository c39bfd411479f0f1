"""Packing: a record becomes a sequence that fits the model.

Arrow: Record --**Packing**--> Sequence, around Layout.pack. Does not know: how ids are assigned, masks, models.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from tokenmask.batch import Sequence
from tokenmask.layout import Layout
from tokenmask.ops import Purpose, uniform
from tokenmask.streams import StreamSpec, TokenStream


@dataclass(frozen=True)
class Packing:
    """Says how long the streams of a record may be.

    A stream with an end code (text) is followed by at least one end code and padded with it to a multiple of
    ``end_multiple``, so that a model learns where such a stream ends; LLaDA (arXiv:2502.09992, section 2.3) pads
    answers in the same way. One that is too long is cut to a window and then has no end code.

    Args:
        max_positions: most positions of a sequence, BOS included.
        end_multiple: see above.
    """

    max_positions: int = 128
    end_multiple: int = 8

    def __post_init__(self) -> None:
        if self.max_positions < 2 or self.end_multiple < 1:
            raise ValueError(f"Packing needs max_positions >= 2 and end_multiple >= 1, got {self}")

    def padded_length(self, spec: StreamSpec, length: int) -> int:
        """Places that ``length`` codes of a complete stream take with their end codes."""
        if spec.end_code is None:
            return length
        return (length // self.end_multiple + 1) * self.end_multiple

    def positions(self, layout: Layout, record: Mapping[str, TokenStream]) -> int:
        """Positions of the packed record, BOS included; what a reader sorts into length buckets."""
        total = 1
        for name, stream in record.items():
            places = self.padded_length(layout.streams[name], stream.codes.shape[:-1].numel())
            total += layout.arrangement(name).positions(places, stream.spec.num_levels)
        return min(total, self.max_positions)

    def __call__(
        self,
        layout: Layout,
        record: Mapping[str, TokenStream],
        *,
        seed: int = 0,
        sample_id: int = 0,
        roles: Mapping[str, int | Tensor] | None = None,
    ) -> Sequence:
        """Packs a record.

        Args:
            layout: of the model.
            record: stream name -> codes.
            seed, sample_id: key of the window of a stream that is too long.
            roles: as in :meth:`Layout.pack`.

        Raises:
            ValueError: the record does not fit and none of its streams can be cut.
        """
        streams, lengths = dict(record), {}
        cuttable = [name for name, stream in record.items() if stream.spec.end_code is not None]
        fixed = self.positions(layout, {name: record[name] for name in record if name not in cuttable})
        room = self.max_positions - fixed
        for name in cuttable:
            share = room // len(cuttable)
            length = streams[name].codes.shape[0]
            if length + 1 <= share:
                lengths[name] = min(self.padded_length(streams[name].spec, length), share)
            elif length > share > 0:
                streams[name] = _window(streams[name], share, seed, sample_id)
        sequence = layout.pack(streams, roles=roles, lengths=lengths)
        if len(sequence) > self.max_positions:
            raise ValueError(
                f"a record may take at most {self.max_positions} positions, got {len(sequence)} for "
                f"{', '.join(record)}; cut the media or raise packing.max_positions"
            )
        return sequence


def _window(stream: TokenStream, length: int, seed: int, sample_id: int) -> TokenStream:
    counter = torch.tensor([sample_id], dtype=torch.int64)
    draw = float(uniform(seed=seed, counters=counter, purpose=Purpose.crop))
    start = int(draw * (stream.codes.shape[0] - length + 1))
    return replace(stream, codes=stream.codes[start : start + length].contiguous(), labels={})
