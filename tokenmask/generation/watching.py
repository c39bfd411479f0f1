"""Filling, watched: what is decided after each step of a request.

Arrow: SamplerState --**Filling.of**--> TokenStream and what of it is decided. Does not know: media, samplers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from tokenmask.batch import Sequence
from tokenmask.generation.request import Request
from tokenmask.layout import Layout
from tokenmask.streams import TokenStream


@dataclass(frozen=True, eq=False)
class Filling:
    """A request after a step.

    Args:
        request: its number among all that are filled together, from 0; samples of one request follow each other.
        step: steps that are done, from 1; those of all windows, where a stream is longer than the model sees.
        steps: of all stages; the most, where a schedule decides in the step.
        stream: the target; a code that is not decided is a placeholder. Of a long stream that is edited by one window
            around the region, that window.
        decided: bool [*grid, K], True where a code is given or decided. One that is revoked turns False again.
    """

    request: int
    step: int
    steps: int
    stream: TokenStream
    decided: Tensor

    @classmethod
    def of(
        cls, layout: Layout, asked: Request, sequence: Sequence, ids: Tensor, is_open: Tensor, **counts: int
    ) -> Filling:
        """What stands after a step.

        Args:
            layout: of the model.
            asked, sequence: the request as it came and packed, with placeholders where something is to be filled.
            ids: of its row after the step, [positions or more, K or more].
            is_open: bool, of the same size.
            counts: request, step and steps.
        """
        size, depth = sequence.ids.shape
        is_open = is_open[:size, :depth].cpu()
        now = torch.where(is_open, sequence.ids, ids[:size, :depth].cpu())
        stream = layout.unpack(replace(sequence, ids=now))[asked.target]
        segment = next(one for one in sequence.segments if one.name == asked.target)
        levels = asked.canvas.spec.num_levels
        placed = is_open[segment.start : segment.start + segment.length, :levels].long()
        hidden = layout.arrangement(asked.target).restore(placed, levels).bool()
        decided = ~hidden.reshape(*segment.grid, levels)[tuple(slice(size) for size in stream.grid)]
        return cls(stream=stream, decided=decided, **counts)
