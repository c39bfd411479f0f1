"""Piece: the medium on the stage, drawn, opened or made anew in part, and how it came about.

Arrow: Run + Asked --**drawn**, **opened**, **remade**--> Piece. Does not know: pages.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tokenmask.generation import Filling, Region
from tokenmask.play import calls, limits
from tokenmask.play.controls import Asked
from tokenmask.report.views import Span, view_of
from tokenmask.run import Run
from tokenmask.streams import TokenStream

OnStep = Callable[[Filling], None]


@dataclass(frozen=True, eq=False)
class Piece:
    """A medium and its past.

    Args:
        stream: whose medium it is.
        media: the medium.
        codes: its codes.
        calls: lines of Python that made it.
        before: what it was before a part was made anew; None for what was drawn or opened.
        spans: what was made anew, as views mark it.
    """

    stream: str
    media: Any
    codes: TokenStream
    calls: tuple[str, ...]
    before: Piece | None = None
    spans: Sequence[Span] = ()


def drawn(run: Run, asked: Asked, on_step: OnStep | None = None) -> Piece:
    """A stream, filled."""
    arguments = asked.arguments(run, sized=True)
    line = calls.spelled("generate", [f'"{asked.stream}"'], arguments, asked)
    media = run.generate(asked.stream, on_step=on_step, **arguments)[0]
    return Piece(asked.stream, media, media.stream, (line,))


def opened(run: Run, stream: str, value: str | Path) -> Piece:
    """Words as they stand, or the medium of a file.

    Raises:
        ValueError: no words, a file of another kind, or more than the limits allow.
    """
    if value == "":
        raise ValueError(f"nothing is written that could be put on the stage as {stream}; write it as the prompt")
    media = run.inputs.media(stream, value)
    limits.check_media(Path(value).name if isinstance(value, Path) else stream, media)
    return Piece(stream, media, run.inputs.tokens(stream, media), (calls.opening(stream, value),))


def remade(
    run: Run,
    piece: Piece,
    regions: Sequence[Region] | None,
    only: Sequence[str],
    asked: Asked,
    on_step: OnStep | None = None,
) -> Piece:
    """The piece with regions of it filled anew; every code outside of them stays.

    Args:
        run: fills them.
        piece: what is edited.
        regions: None is everything.
        only: names of parts or of channels; none for all.
        asked: of the same stream.
        on_step: see :class:`tokenmask.generation.DrawOptions`.
    """
    asked = replace(asked, stream=piece.stream)
    arguments: dict[str, Any] = {"stream": piece.stream}
    if only:
        arguments["channels" if "channel" in piece.codes.spec.axes else "parts"] = list(only)
    arguments |= asked.arguments(run, sized=False)
    boxes = None if regions is None else [tuple(region) for region in regions]
    first = [calls.MADE] if boxes is None else [calls.MADE, calls.of(boxes)]
    line = calls.spelled("edit", first, arguments, asked)
    media = run.edit(piece.media, boxes, on_step=on_step, **arguments)[0]
    view = view_of(type(media))
    spans = () if view is None else view.filled(media)
    return Piece(piece.stream, media, run.inputs.tokens(piece.stream, media), (*piece.calls, line), piece, spans)
