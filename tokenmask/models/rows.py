"""Rows: the rows of codes begin where the codebooks of their tokenizer put them.

Arrow: MaskedModel + codebooks --**start_rows**--> the same model, whose rows of like codes are alike.
Does not know: tokenizers, training, what codes mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from tokenmask.models.masked_model import MaskedModel

_LEAST_NUMBERS = 4  # fewer span too little: codes along a line can't be told apart by a product


@torch.no_grad()
def start_rows(model: MaskedModel, codebooks: Mapping[str, Sequence[Tensor | None]], *, seed: int = 0) -> None:
    """Rewrites rows of the embedding table, and of heads with a table of their own, in place.

    A level's rows become its centred codebook, turned by a random rotation into the width of the model and scaled to
    the size that the rows had. Levels of one group are turned alike, since their vectors add up. With random rows a
    model must see each pair of codes to learn that they go together; here it has to see like ones. Worth it where data
    are few: electrodes that measure the same wave hold codes that are near, seldom equal.

    Args:
        model: changed.
        codebooks: stream name -> for each level float [C, d], or None, which leaves the rows as they are. So do
            codebooks that span fewer than 4 dimensions.
        seed: of the rotations.

    Raises:
        ValueError: a codebook with another number of codes than the layout says.
    """
    layout = model.layout
    state = model.state_dict()
    tables = [state[name] for name in model.layout_rows().ids if state[name].dim() == 2]
    generator = torch.Generator().manual_seed(seed)
    for stream, books in codebooks.items():
        for group in layout.streams[stream].level_groups:
            turns: dict[tuple[int, int], Tensor] = {}
            for level in group:
                book, own = books[level], layout.range(stream, level)
                if book is None:
                    continue
                if book.shape[0] != own.size:
                    raise ValueError(
                        f"level {level} of {stream!r} has {own.size} codes, got a codebook of {book.shape[0]}; "
                        "take the tokenizer of the layout"
                    )
                vectors = book.detach().cpu().double()
                vectors = vectors - vectors.mean(0)
                if int((vectors.std(0, correction=0) > 0).sum()) < _LEAST_NUMBERS:
                    continue
                for table in tables:
                    turn = (vectors.shape[1], table.shape[1])
                    if turn not in turns:
                        turns[turn] = _rotation(*turn, generator)
                    turned = vectors @ turns[turn]
                    rows = table[own.offset : own.offset + own.size]
                    rows.copy_(turned * (rows.double().square().mean() / turned.square().mean()).sqrt())


def _rotation(size: int, width: int, generator: torch.Generator) -> Tensor:
    """float64 [size, width] with orthonormal rows, or, where there are more rows than columns, columns."""
    drawn = torch.randn(max(size, width), min(size, width), generator=generator, dtype=torch.float64)
    orthonormal: Tensor = torch.linalg.qr(drawn)[0]
    return orthonormal.T if size <= width else orthonormal
