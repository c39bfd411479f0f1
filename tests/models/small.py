"""Small layouts, batches and masked batches, drawn from a seed."""

from __future__ import annotations

from dataclasses import replace

import torch

from tokenmask.batch import FILL, GIVEN, Batch, collate
from tokenmask.layout import Layout
from tokenmask.masking.masked_batch import MaskedBatch, Queries, Targets
from tokenmask.streams import StreamSpec, TokenStream


def small_layout(levels: int = 1, **options) -> Layout:
    """A text stream, and an audio stream of 1 or 4 levels with sizes that are no round numbers."""
    sizes = {1: (130,), 4: (64, 65, 33, 32)}[levels]
    text = StreamSpec("text", (97,), ("index",))
    return Layout({"text": text, "audio": StreamSpec("audio", sizes, ("time",), rate_hz=50.0)}, **options)


def small_batch(
    layout: Layout, lengths=((5, 20), (3, 25)), *, seed: int = 0, multiple: int = 1, text_role=GIVEN
) -> Batch:
    """One row for each (text length, audio length)."""
    generator = torch.Generator().manual_seed(seed)

    def stream(name: str, length: int) -> TokenStream:
        spec = layout.streams[name]
        columns = [torch.randint(0, n, (length,), dtype=torch.int32, generator=generator) for n in spec.codebook_sizes]
        return TokenStream(spec, torch.stack(columns, 1))

    rows = [{"text": stream("text", text), "audio": stream("audio", audio)} for text, audio in lengths]
    return collate([layout.pack(row, roles={"text": text_role}) for row in rows], multiple=multiple)


def small_masked(layout: Layout, batch: Batch, *, share: float = 0.5, seed: int = 0, t=None) -> MaskedBatch:
    """Hides about a share of the FILL slots and asks for them."""
    generator = torch.Generator().manual_seed(seed)
    may = (batch.role == FILL) & batch.valid[:, :, None]
    hidden = (torch.rand(batch.shape, generator=generator) < share) & may
    return masked_at(layout, batch, hidden, t)


def masked_at(layout: Layout, batch: Batch, hidden: torch.Tensor, t=None) -> MaskedBatch:
    """Hides bool [B, L, K] of a batch and asks for it."""
    slots = hidden.flatten().nonzero().squeeze(1)
    heads = layout.head_of(batch.ids.flatten()[slots])
    codes = batch.ids.flatten()[slots].long() - layout.offsets()[heads]
    rows = batch.shape[0]
    return MaskedBatch(
        inputs=replace(batch, ids=torch.where(hidden, layout.mask_of(batch.ids), batch.ids)),
        queries=Queries(slots, heads),
        targets=Targets(torch.arange(len(slots)), codes, torch.ones(len(slots))),
        hidden=hidden,
        dropped=torch.zeros_like(hidden),
        group=None,
        t=torch.full((rows,), 0.5) if t is None else torch.tensor(t),
        row_of_sample=torch.arange(rows),
        clean=batch,
    )


def randomise(model: torch.nn.Module, seed: int = 0, size: float = 0.05) -> None:
    """Moves every parameter, so that layers which start at zero count too."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * size)
