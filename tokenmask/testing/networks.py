"""Networks: a small layout and batch for the checks of backbones and heads, and who names which tensors.

Does not know: any class of ours that is checked.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, TypeVar

import torch
from torch import Tensor, nn

from tokenmask.batch import GIVEN, Batch, collate
from tokenmask.layout import Layout, Parallel
from tokenmask.masking import Queries
from tokenmask.models import layout_rows
from tokenmask.streams import StreamSpec, TokenStream
from tokenmask.testing.contract import require

TEXT = StreamSpec("text", (97,), ("index",))
SOUND = StreamSpec("audio", (64, 65, 33), ("time",), rate_hz=50.0)
LENGTHS = ((5, 20), (3, 9))
Module = TypeVar("Module", bound=nn.Module)


def layout(fuse: Literal["sum", "concat"] = "concat", **more: StreamSpec) -> Layout:
    """Text, and sound of three levels that are joined by ``fuse``; streams of ``more`` come first."""
    return Layout({**more, "text": TEXT, "sound": SOUND}, arrangements={"sound": Parallel(fuse)})


def batch_of(own: Layout, lengths: tuple[tuple[int, int], ...] = LENGTHS, multiple: int = 1) -> Batch:
    """One row for each (codes of text, places of sound); the text is given."""
    generator = torch.Generator().manual_seed(0)

    def stream(name: str, length: int) -> TokenStream:
        spec = own.streams[name]
        columns = [torch.randint(size, (length,), generator=generator) for size in spec.codebook_sizes]
        return TokenStream(spec, torch.stack(columns, 1).int())

    rows = [{"text": stream("text", words), "sound": stream("sound", places)} for words, places in lengths]
    return collate([own.pack(row, roles={"text": GIVEN}) for row in rows], multiple=multiple)


def asked(own: Layout, batch: Batch) -> tuple[Batch, Queries]:
    """The batch with every third position of the sound hidden, and its slots."""
    hidden = batch.to_fill & (torch.arange(batch.shape[1]) % 3 == 0)[None, :, None]
    slots = hidden.flatten().nonzero().squeeze(1)
    inputs = replace(batch, ids=torch.where(hidden, own.mask_of(batch.ids), batch.ids))
    return inputs, Queries(slots, own.head_of(batch.ids).flatten()[slots])


def moved(module: Module) -> Module:
    """With every parameter moved, so that layers which start at zero count too."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.05)
    return module


def close(one: Tensor, other: Tensor) -> bool:
    """Whether two results differ by rounding alone; what is not finite is equal to nothing."""
    size = max(1.0, float(other.detach().abs().max())) if other.numel() else 1.0
    return one.shape == other.shape and torch.allclose(one, other, rtol=1e-3, atol=1e-4 * size)


def check_rows(module: nn.Module, other: nn.Module, own: Layout, wider: Layout) -> None:
    """AssertionError unless ``layout_rows`` names what follows from the layout.

    Args:
        module: for the layout ``own``.
        other: the same for ``wider``, which has another stream besides.
    """
    rows, more, mine, theirs = layout_rows(module), layout_rows(other), module.state_dict(), other.state_dict()
    kinds = {
        "ids": (rows.ids, own.num_ids),
        "ranges": (rows.ranges, len(own.ranges)),
        "streams": (rows.streams, 1 + len(own.names)),
    }
    for kind, (names, count) in kinds.items():
        for name in names:
            require(name in mine, f"layout_rows names {name!r} among {kind}, but there is no such tensor")
            found = mine[name].shape[0]
            require(found == count, f"{name!r} is named among {kind}, so it must have {count} rows, got {found}")
    for name, stream in rows.own.items():
        there = name in mine and stream in own.streams
        require(there, f"layout_rows says that {name!r} is of {stream!r}, but there is no such tensor or stream")
    known = {*rows.ids, *rows.ranges, *rows.streams, *rows.own, *more.own}
    for name in sorted(set(mine) | set(theirs)):
        follows = name not in mine or name not in theirs or mine[name].shape != theirs[name].shape
        require(not follows or name in known, f"{name!r} follows from the layout, so layout_rows must name it")
