"""Swaps: what a run draws before and after one of its tokenizers is exchanged.

Arrow: Run + Tokenizer + Asked --**compared**--> media before and after. Does not know: pages, how codes are related.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tokenmask.play import calls
from tokenmask.play.controls import Asked
from tokenmask.play.piece import Piece
from tokenmask.run import Run
from tokenmask.tokenizer import Tokenizer


@dataclass
class Swaps:
    """The tokenizers that the command names, and the runs with them, made when they are first asked for.

    Args:
        run: before.
        places: stream name -> a tokenizer and the words that named it.
    """

    run: Run
    places: Mapping[str, tuple[Tokenizer, str]]
    _made: dict[str, Run] = field(default_factory=dict)

    def after(self, stream: str) -> Run:
        """The run with the other tokenizer of a stream.

        Raises:
            ValueError: none was named for it, or it is of another kind of media.
        """
        if stream not in self.places:
            named = ", ".join(self.places) or "none"
            raise ValueError(
                f"the command that started this page must name another tokenizer of {stream!r} with "
                f"--swap {stream}=FOLDER, but it names one for {named}; start it so"
            )
        if stream not in self._made:
            self._made[stream] = self.run.swap_tokenizer(stream, self.places[stream][0])
        return self._made[stream]


@dataclass(frozen=True, eq=False)
class Compared:
    """Media before and after.

    Args:
        drawn: the same request, by the run and by the run with the other tokenizer.
        coded: the medium on the stage out of its codes of each; None without one of this stream.
        sizes: codes of each level, before and after.
        script: Python that draws both.
    """

    drawn: tuple[Any, Any]
    coded: tuple[Any, Any] | None
    sizes: tuple[tuple[int, ...], tuple[int, ...]]
    script: str


def compared(swaps: Swaps, asked: Asked, piece: Piece | None) -> Compared:
    """The stream that is asked for, before and after its swap."""
    before, after, stream = swaps.run, swaps.after(asked.stream), asked.stream
    arguments = asked.arguments(before, sized=True)
    drawn = (before.generate(stream, **arguments)[0], after.generate(stream, **asked.arguments(after, sized=True))[0])
    coded = None
    if piece is not None and piece.stream == stream:
        first, second = (one.tokenizers[stream] for one in (before, after))
        coded = (first.decode(first.encode(piece.media)), second.decode(second.encode(piece.media)))
    sizes = (before.layout.streams[stream].codebook_sizes, after.layout.streams[stream].codebook_sizes)
    lines = [
        calls.spelled("generate", [calls.of(stream)], arguments, asked),
        f"run = run.swap_tokenizer({calls.of(stream)}, tokenizer_at({calls.of(swaps.places[stream][1])}))",
        calls.spelled("generate", [calls.of(stream)], arguments, asked),
    ]
    return Compared(drawn, coded, sizes, calls.script(before, stream, lines))
