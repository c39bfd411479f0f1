"""Actions: what the buttons of the page do.

Arrow: piece on the stage, values of the controls --**Actions**--> what is shown next, by name. Does not know: the
library that shows it.

Names of what is shown: "piece" (kept, not shown), "stage", "before" (HTML), "codes" (for codes.js), "script" (Python),
"status" (a sentence), "regions" (words), "file" (to take away). What is left out stays as it is.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tokenmask.generation import Filling
from tokenmask.medium import said
from tokenmask.play import calls, codes, limits, regions, views
from tokenmask.play.controls import Asked, is_words
from tokenmask.play.piece import OnStep, Piece, drawn, opened, remade
from tokenmask.play.swaps import Swaps, compared
from tokenmask.play.watching import watched
from tokenmask.run import Run
from tokenmask.telling import heard

Shown = dict[str, Any]
Values = Mapping[str, Any]
WRONG = "wrong: "  # begins a status that says what went wrong
_EXPECTED = (ValueError, TypeError, OSError, ImportError)


@dataclass
class Actions:
    """The buttons.

    Args:
        run: does the work.
        folder: where uploads are; no other file is read.
        swaps: tokenizers to exchange.
    """

    run: Run
    folder: Path
    swaps: Swaps
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _stop: threading.Event = field(default_factory=threading.Event)

    def draw(self, values: Values) -> Iterator[Shown]:
        """Draws the stream that is chosen, and shows the filling."""
        yield from self._watched(values, lambda asked, on_step: drawn(self.run, asked, on_step), "Drawing")

    def remake(self, piece: Piece | None, values: Values) -> Iterator[Shown]:
        """Makes the painted regions of the piece anew."""
        if piece is None:
            yield {"status": f"{WRONG}there is nothing on the stage to make anew; draw or open something first"}
            return

        def work(asked: Asked, on_step: OnStep) -> Piece:
            where = regions.read(values.get("regions"))
            return remade(self.run, piece, where, list(values.get("only") or ()), asked, on_step)

        yield from self._watched({**values, "stream": piece.stream}, work, "Filling")

    def open(self, values: Values, path: str | None) -> Shown:
        """Puts an uploaded file on the stage, or, of a stream of words, the prompt."""
        try:
            stream = _known(self.run, values.get("stream"))
            if is_words(self.run, stream) and path is None:
                value: str | Path = limits.words(stream, values.get("prompt"))
            else:
                value = limits.inside(self.folder, path or "")
            piece = opened(self.run, stream, value)
        except _EXPECTED as error:
            return {"status": _wrong(error)}
        return self.shown(piece, "Opened. Paint on it, and make that part anew.")

    def stop(self) -> None:
        """Ends the drawing that goes on, at its next step; there is one at a time."""
        self._stop.set()

    def undo(self, piece: Piece | None) -> Shown:
        """What the piece was before its last part was made anew."""
        if piece is None or piece.before is None:
            return {"status": f"{WRONG}nothing was made anew that could be taken back"}
        return self.shown(piece.before, "As it was before.")

    def paint(self, piece: Piece | None, cells: Sequence[Any]) -> Shown:
        """Painted cells as words."""
        surface = None if piece is None else regions.Surface.of(piece.media, piece.codes)
        if surface is None:
            return {}
        try:
            return {"regions": regions.written(surface.regions(int(cell) for cell in cells))}
        except _EXPECTED as error:
            return {"status": _wrong(error)}

    def compare(self, piece: Piece | None, values: Values) -> Iterator[Shown]:
        """Draws before and after a tokenizer is exchanged."""
        yield {"status": "Drawing with both. The first time their codes are related, which takes a while."}
        try:
            found = compared(self.swaps, self.asked(values), piece)
        except _EXPECTED as error:
            yield {"status": _wrong(error)}
            return
        stream = values["stream"]
        shown = views.pair(*found.drawn, ("drawn with its tokenizer", "with the other one"), stream)
        if found.coded is not None:
            shown += views.pair(*found.coded, ("on the stage, from its codes", "from codes of the other one"), stream)
        sizes = [" + ".join(map(str, size)) for size in found.sizes]
        about = (
            f"{sizes[0]} codes before, {sizes[1]} after. All other streams draw the same as before; rows of the new "
        )
        about += "codes have learned nothing yet but which old codes meant the same."
        yield {"compared": shown, "about": about, "swap_script": found.script, "status": "Compared."}

    # what is asked for, and what is shown ------------------------------------------------------------------------

    def asked(self, values: Values) -> Asked:
        """The values of the controls, checked.

        Raises:
            ValueError, TypeError: beyond the limits.
        """
        stream, given, negative = _known(self.run, values.get("stream")), dict[str, Any](), dict[str, Any]()
        spoken, prompt = values.get("prompt_stream"), limits.words("the prompt", values.get("prompt"))
        unwanted = limits.words("the negative prompt", values.get("negative"))
        for found, text in ((given, prompt), (negative, unwanted)):
            if text:
                if not is_words(self.run, _known(self.run, spoken)):
                    raise ValueError(f"a prompt is given to a stream of words, got {spoken!r}; choose one of these")
                found[str(spoken)] = text
        for path in values.get("files") or ():
            file = limits.inside(self.folder, path)
            given[self._stream_of(file)] = file
        steps, seed = values.get("steps"), values.get("seed")
        return Asked(
            stream,
            given,
            negative,
            values.get("size"),
            None if steps is None else limits.count("steps", steps, limits.MOST_STEPS),
            values.get("guidance"),
            values.get("temperature"),
            values.get("order"),
            int(seed) if isinstance(seed, float) and seed.is_integer() else seed if seed is not None else 0,
        )

    def shown(self, piece: Piece, status: str, frames: Sequence[dict[str, Any]] = ()) -> Shown:
        """A piece with all that is said of it; ``frames`` are the steps in which it was filled."""
        run, stream = self.run, piece.stream
        before = ""
        if piece.before is not None:
            marks = tuple(piece.spans)
            before = views.pair(piece.before.media, piece.media, ("before", "after"), stream, marks)
        return {
            "piece": piece,
            "stage": views.stage(piece),
            "before": before,
            "codes": codes.value(run, stream, frames or [codes.last(run, stream, piece.codes)]),
            "script": calls.script(run, stream, piece.calls),
            "status": status,
            "regions": "",
            "file": self._file(piece),
        }

    def _watched(self, values: Values, work: Callable[[Asked, OnStep], Piece], doing: str) -> Iterator[Shown]:
        """Steps as they are done, then the piece."""
        try:
            asked, frames, told = self.asked(values), list[dict[str, Any]](), list[str]()

            def listened(on_step: OnStep) -> Piece:
                with heard() as sentences:  # of the thread that works
                    made = work(asked, on_step)
                told.extend(sentences)
                return made

            self._stop.clear()
            yield {"status": f"{doing} {asked.stream}."}
            for one in watched(listened, self._stop):
                if isinstance(one, Filling):
                    frames.append(codes.frame(self.run, asked.stream, one))
                    now = codes.value(self.run, asked.stream, frames[-1:])
                    yield {"codes": now, "status": f"{doing} {asked.stream}: step {one.step} of {one.steps}."}
                    continue
                if not frames or frames[-1]["panels"] != codes.panels(one.codes):
                    frames.append(codes.last(self.run, asked.stream, one.codes))  # of a window the whole
                yield self.shown(one, " ".join([f"Done, with seed {asked.seed}.", *map(_sentence, told)]), frames)
                return
            yield {"status": "Stopped."}
        except _EXPECTED as error:
            yield {"status": _wrong(error)}

    def _stream_of(self, file: Path) -> str:
        """The one stream, not of words, whose files end like this one."""
        suffix, run = file.suffix.lower(), self.run
        found = [
            name
            for name, tokenizer in run.tokenizers.items()
            if not is_words(run, name) and suffix in said(tokenizer.media, "suffixes")
        ]
        if len(found) != 1:
            raise ValueError(
                f"{file.name} must end as files of one stream of this run do ({', '.join(suffixes(run)) or 'none'}); "
                "choose another file"
            )
        return found[0]

    def _file(self, piece: Piece) -> str | None:
        """The medium as a file, in the upload folder; None where its kind is written nowhere."""
        endings = said(type(piece.media), "written_suffixes")
        if not endings:
            return None
        folder = self.folder / "made" / str(next(self._numbers))
        folder.mkdir(parents=True)
        path = folder / f"{piece.stream}{endings[0]}"
        piece.media.save(path)
        return str(path)


def suffixes(run: Run) -> list[str]:
    """Endings of files of the streams that are not of words."""
    found = (said(tokenizer.media, "suffixes") for name, tokenizer in run.tokenizers.items() if not is_words(run, name))
    return sorted({suffix for some in found for suffix in some})


def _known(run: Run, stream: Any) -> str:
    run.inputs.check(stream)
    return str(stream)


def _sentence(told: str) -> str:
    return f"{told[:1].upper()}{told[1:]}."


def _wrong(error: Exception) -> str:
    return f"{WRONG}{' '.join(str(error).split()) or type(error).__name__}"
