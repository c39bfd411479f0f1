"""Generating: what is asked of a run as tokens, as media, or as media in pieces.

Arrow: **Wish** --asked_of, Drawing--> tokens or media. Does not know: how codes are drawn, what a request is made of.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tokenmask.generation import growing_axis, grows, length_range
from tokenmask.run.asked import Asked, Wish, asked_of, tell_whole
from tokenmask.run.drawing import Drawing
from tokenmask.streams import TokenStream
from tokenmask.threads import free_cores
from tokenmask.tokenizer import DecodesPieces

if TYPE_CHECKING:
    from tokenmask.run.run import Run


def generated(run: Run, wish: Wish) -> list[Any]:
    """Media; see :meth:`Run.generate`."""
    asked, filled = _filled(run, wish)
    tokenizer = run.tokenizers[wish.stream]
    return [one.decoded(tokenizer, tokens) for one, tokens in zip(asked, filled, strict=True)]


def generated_tokens(run: Run, wish: Wish) -> list[TokenStream]:
    """Tokens; see :meth:`Run.generate_tokens`."""
    return _filled(run, wish)[1]


def _filled(run: Run, wish: Wish) -> tuple[list[Asked], list[TokenStream]]:
    asked, drawing = _to_draw(run, wish)
    filled = drawing.fill([one.request for one in asked])
    return asked, [one.marked(tokens) for one, tokens in zip(asked, filled, strict=True)]


def _to_draw(run: Run, wish: Wish) -> tuple[list[Asked], Drawing]:
    """The requests of a wish, and how they are filled; what the wish leaves without effect is told."""
    asked, bounds = asked_of(run.inputs, wish), length_range(wish.length)
    drawing = Drawing.of(run, wish.stream, wish.options, wish.invariant)
    tell_whole(asked, wish.stream)
    drawing.tell_unguided([one.request for one in asked])
    if bounds is None:
        return asked, drawing
    samples, chosen = 1 + asked[-1].request.sample, list[Asked]()
    for first in asked[::samples]:
        sized = [first.resized(length) for length in range(bounds[0], bounds[1] + 1)]
        lengths = drawing.lengths([one.request for one in sized], bounds[0], samples)
        chosen += [sized[length - bounds[0]].sampled(number) for number, length in enumerate(lengths)]
    return chosen, drawing.never_ending(wish.stream)


def streamed(run: Run, wish: Wish) -> Iterator[Any]:
    """Media in pieces; see :meth:`Run.stream`."""
    if not isinstance(wish.given, Mapping | None):
        raise TypeError(
            f"stream takes one request, got given={wish.given!r}; write a dict, or use generate for several"
        )
    asked, drawing = _to_draw(run, _early(run, wish))
    if len(asked) != 1:
        raise ValueError(f"stream makes one sample, got num_samples={len(asked)}; use generate for several")
    tokenizer = run.tokenizers[wish.stream]
    if not isinstance(tokenizer, DecodesPieces):
        raise ValueError(f"{type(tokenizer).__name__} decodes whole streams only, not pieces; use generate")
    one = asked[0]
    codes = drawing.in_turn(one.request)
    kept = {} if one.source is None else {"given": one.source, "keep": one.keep}
    places = one.request.canvas.grid[growing_axis(one.request.canvas.spec)]
    return _with_free_cores(tokenizer.decode_pieces(codes, places, **kept))


def _early(run: Run, wish: Wish) -> Wish:
    """In windows whose first one is filled early, where none are said and nothing asks for all of it together."""
    options, spec = wish.options, run.layout.streams.get(wish.stream)
    if spec is None or options.get("window") is not None or not grows(spec):
        return wish
    ends = spec.end_code is not None and wish.length is wish.grid is None  # a text that is as long as the model says
    if ends or options.get("matches") is not None or length_range(wish.length) is not None:
        return wish
    return replace(wish, options={**options, "window": "early"})


def _with_free_cores(pieces: Iterator[Any]) -> Iterator[Any]:
    """The same pieces; between two of them torch has the threads that it had."""
    while True:
        with free_cores():
            piece = next(pieces, None)
        if piece is None:
            return
        yield piece
