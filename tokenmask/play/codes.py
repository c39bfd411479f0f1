"""Codes: tokens as an image, step by step.

Arrow: Filling --**frame**--> panels of codes --codes.js--> an image with a slider over the steps. Does not know: pages,
media, samplers.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tokenmask.generation import Filling
from tokenmask.report.embed import picture
from tokenmask.run import Run
from tokenmask.streams import TokenStream
from tokenmask.tokenizer import SpellsCodes

SCRIPT = Path(__file__).with_name("codes.js")
HIDDEN = -1  # stands for a code that is not decided
MOST_PANELS, MOST_FRAMES = 16, 24
_WRAPPED = 16  # codes of a row of words
_PAPER = 236  # of a part of a picture that is not decided


def panels(stream: TokenStream, decided: Tensor | None = None) -> list[dict[str, Any]]:
    """The codes as a few pictures, each with a name, the number of its columns and its codes row by row.

    Args:
        stream: of any axes. Time runs to the right; levels lie under each other where they are all that does.
        decided: bool [*grid, K], what is not is ``HIDDEN``; None for all.
    """
    codes = stream.codes if decided is None else stream.codes.masked_fill(~decided, HIDDEN)
    axes, depth = stream.spec.axes, stream.spec.num_levels
    if len(axes) == 1:
        if depth == 1:
            return [{"name": "", "columns": min(_WRAPPED, max(1, len(codes))), "codes": codes.flatten().tolist()}]
        return [{"name": "levels down, time across", "columns": len(codes), "codes": codes.T.flatten().tolist()}]
    what = "level"
    while codes.dim() > 3:  # films: a panel a step
        codes, what = codes.movedim(0, -2).flatten(-2), "panel"
    several = codes.shape[-1] > 1
    return [
        {
            "name": f"{what} {number}" if several else "",
            "columns": codes.shape[1],
            "codes": codes[..., number].flatten().tolist(),
        }
        for number in range(min(codes.shape[-1], MOST_PANELS))
    ]


def frame(run: Run, name: str, filling: Filling) -> dict[str, Any]:
    """A step: its codes and, of a picture, what is seen of it."""
    done = bool(filling.decided.all())
    return {
        "step": filling.step,
        "steps": filling.steps,
        "panels": panels(filling.stream, None if done else filling.decided),
        "seen": _seen(run, name, filling),
    }


def last(run: Run, name: str, stream: TokenStream) -> dict[str, Any]:
    """A stream of which all is decided, as the only step."""
    whole = Filling(0, 0, 0, stream, torch.ones_like(stream.codes, dtype=torch.bool))
    return frame(run, name, whole)


def value(run: Run, name: str, frames: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What codes.js draws: steps, and what codes of words stand for."""
    tokenizer, texts = run.tokenizers[name], dict[str, str]()
    if isinstance(tokenizer, SpellsCodes):
        every = list(tokenizer.code_texts)
        used = {code for one in frames for panel in one["panels"] for code in panel["codes"]} - {HIDDEN}
        texts = {str(code): every[code] for code in sorted(used) if code < len(every)}
    return {"frames": list(frames), "texts": texts}


def _seen(run: Run, name: str, filling: Filling) -> str:
    """A picture as HTML: what its codes give, and paper where none is decided; "" of other media."""
    if filling.stream.spec.axes != ("row", "column"):
        return ""
    media = run.tokenizers[name].decode(filling.stream)
    pixels = getattr(media, "pixels", None)
    if not isinstance(pixels, Tensor):
        return ""
    known = filling.decided.all(-1)
    size = pixels.shape[:2]
    rows, columns = (
        (torch.arange(n) * g).div(n, rounding_mode="floor") for n, g in zip(size, known.shape, strict=True)
    )
    shown = torch.where(known[rows][:, columns][..., None], pixels, torch.full_like(pixels, _PAPER))
    return picture(shown, f"{name} after step {filling.step}", role="seen")
