"""Only: the rows of some streams move, and all else of a model stays, bit for bit.

Arrow: model, names of streams --**Still**--> gradients without what stays, weights as they were. Does not know:
optimisers, losses, why the others stay.
"""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor, nn

from tokenmask.models import MaskedModel


class Still:
    """Holds everything of a model but the rows of some streams.

    Tensors that belong to no stream want no gradient from now on. In those that hold a row for each id, range or
    stream, the other rows have a gradient of 0 and are written back after each step, since an optimiser may move rows
    without a gradient (weight decay).

    Args:
        model: changed in place; its weights are those to be kept.
        streams: whose rows move: of their codes, their ranges and the stream itself. A stream that shares the ranges
            of another moves these.

    Raises:
        ValueError: a stream that the model does not have.
    """

    def __init__(self, model: MaskedModel, streams: Collection[str]) -> None:
        layout, rows = model.layout, model.layout_rows()
        foreign = [name for name in streams if name not in layout.streams]
        if foreign:
            raise ValueError(
                f"training.only must name streams of the model ({', '.join(layout.names)}), got {', '.join(foreign)}; "
                "take it out"
            )
        own = {layout.shares.get(name, name) for name in streams}
        moving: dict[str, Tensor] = {}
        for name, parameter in model.named_parameters():
            count = parameter.shape[0] if parameter.dim() else 0
            mask = torch.zeros(count, dtype=torch.bool)
            if name in rows.own:
                mask[:] = rows.own[name] in streams
            for stream in own if name in (*rows.ids, *rows.ranges) else ():
                for level in range(layout.streams[stream].num_levels):
                    held = layout.range(stream, level)
                    if name in rows.ids:
                        mask[held.offset : held.offset + held.size + 1] = True  # its codes and MASK
                    else:
                        mask[layout.head(stream, level)] = True
            if name in rows.streams:
                mask[[1 + layout.index(stream) for stream in streams]] = True
            parameter.requires_grad_(bool(mask.any()))
            if bool(mask.any()):
                moving[name] = mask
        parameters = dict(model.named_parameters())
        self._kept: list[tuple[nn.Parameter, Tensor, Tensor]] = []
        for name, mask in moving.items():
            still = (~mask).nonzero().squeeze(1).to(parameters[name].device)
            self._kept.append((parameters[name], still, parameters[name].detach()[still].clone()))

    def before(self) -> None:
        """Once there are gradients, before anything is done with them."""
        for parameter, still, _ in self._kept:
            if parameter.grad is not None:
                parameter.grad[still] = 0

    @torch.no_grad()
    def after(self) -> None:
        """Once a step was taken."""
        for parameter, still, values in self._kept:
            parameter[still] = values
