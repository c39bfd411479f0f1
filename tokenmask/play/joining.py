"""Joining: which control does what, and where what comes of it is shown. Needs gradio.

Arrow: components by name + Actions --**Joined.join**--> events. Does not know: how the page is laid out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from tokenmask.play.actions import WRONG, Actions, Shown
from tokenmask.play.controls import Controls
from tokenmask.play.fields import CHANGING, fields
from tokenmask.run import Run

EMPTY = '<div class="empty">Draw something, or open a file.</div>'
NOTHING_BEFORE = "<p>What was made anew stands here, beside what it was.</p>"
_SEEN = "() => { if (innerWidth <= 760) document.querySelector('#work').scrollIntoView({ behavior: 'smooth' }); }"
VALUES = (
    *("stream", "prompt", "prompt_stream", "negative", "size", "steps", "guidance", "temperature", "order", "seed"),
    *("files", "regions", "only"),
)
SHOWN = ("stage", "before", "codes", "script", "status", "regions", "file")
EMPTIED: Shown = {
    **{"piece": None, "stage": EMPTY, "before": "", "codes": {"frames": []}, "script": "", "status": ""},
    **{"regions": "", "file": None},
}


@dataclass
class Joined:
    """The components and the actions.

    Args:
        run: of the page.
        parts: components by name.
        actions: what they do.
    """

    run: Run
    parts: Mapping[str, Any]
    actions: Actions

    def join(self) -> None:
        """Each control with its action."""
        at = self.parts
        asked = [at["pieces"], *(at[name] for name in VALUES)]
        shown = [at[name] for name in ("pieces", *SHOWN, "remake", "undo", "stop", "another", "stream")]
        one = {"concurrency_id": "draw", "concurrency_limit": 1, "show_progress": "hidden", "api_visibility": "private"}
        quick = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}

        def drawing(work: Callable[[Any, dict[str, Any]], Iterator[Shown]]) -> Callable[..., Iterator[Any]]:
            def run(pieces: dict[str, Any], *given: Any) -> Iterator[Any]:
                said = dict(zip(VALUES, given, strict=True))
                yield self._busy(True)
                for now in work(pieces.get(said["stream"]), said):
                    yield self._updates(now, pieces)
                yield self._busy(False)

            return run

        def acting(work: Callable[..., Shown]) -> Callable[..., Any]:
            def run(pieces: dict[str, Any], *given: Any) -> Any:
                said = dict(zip(VALUES, given, strict=True))
                return self._updates(work(pieces.get(said["stream"]), said), pieces)

            return run

        draw, actions = drawing(lambda _, said: self.actions.draw(said)), self.actions
        at["draw"].click(draw, asked, shown, **one)
        at["prompt"].submit(draw, asked, shown, **one)
        seeded = at["another"].click(lambda seed: (seed or 0) + 1, at["seed"], at["seed"], **quick)
        seeded.then(draw, asked, shown, **one)
        at["remake"].click(drawing(actions.remake), asked, shown, **one)
        for name in ("draw", "another"):
            at[name].click(None, js=_SEEN)
        at["stop"].click(actions.stop, None, None, **quick)
        at["upload"].upload(
            lambda path, pieces, *given: acting(lambda _, said: actions.open(said, path))(pieces, *given),
            [at["upload"], *asked],
            shown,
            **one,
        )
        at["take"].click(acting(lambda _, said: actions.open(said, None)), asked, shown, **one)
        at["undo"].click(acting(lambda piece, _: actions.undo(piece)), asked, shown, **one)
        compared = [at[name] for name in ("compared", "about", "swap_script", "status")]

        def comparing(pieces: dict[str, Any], *given: Any) -> Iterator[Any]:
            said = dict(zip(VALUES, given, strict=True))
            for now in actions.compare(pieces.get(said["stream"]), said):
                yield self._updates(now, pieces)

        at["compare"].click(comparing, asked, compared, **one)

        def painted(pieces: dict[str, Any], stream: str, event: gr.EventData) -> Any:
            return self._updates(actions.paint(pieces.get(stream), event._data["cells"]), pieces)

        at["stage"].select(painted, [at["pieces"], at["stream"]], [at["regions"], at["status"]], **quick)

        def turned(pieces: dict[str, Any], stream: str) -> Any:
            look = fields(self.run, Controls.of(self.run, stream))
            piece = pieces.get(stream)
            now: Shown = EMPTIED if piece is None else actions.shown(piece, "")
            changed = {at[name]: gr.update(**look[name]) for name in CHANGING}
            return {**self._updates(now, pieces), **changed}

        turns = [*shown, *(at[name] for name in CHANGING)]
        at["stream"].input(turned, [at["pieces"], at["stream"]], turns, **quick)

    def _busy(self, busy: bool) -> dict[Any, Any]:
        """While something is drawn it can be stopped, and the stream stays."""
        at = self.parts
        return {
            at["stop"]: gr.update(visible=busy),
            at["another"]: gr.update(visible=not busy),
            at["stream"]: gr.update(interactive=not busy),
        }

    def _updates(self, shown: Shown, pieces: dict[str, Any]) -> dict[Any, Any]:
        """What is shown, by component."""
        found: dict[Any, Any] = {}
        for name, value in shown.items():
            if name == "piece":
                if value is not None:
                    found[self.parts["pieces"]] = {**pieces, value.stream: value}
                found[self.parts["remake"]] = gr.update(interactive=value is not None)
                found[self.parts["undo"]] = gr.update(interactive=value is not None and value.before is not None)
            elif name == "status":
                found[self.parts[name]] = self._status(value)
            elif name == "before":
                found[self.parts[name]] = value or NOTHING_BEFORE
            elif name == "about":
                found[self.parts[name]] = f"<p>{escape(value)}</p>"
            elif name == "file":
                found[self.parts[name]] = gr.update(value=value, interactive=value is not None)
            else:
                found[self.parts[name]] = value
        return found

    @staticmethod
    def _status(text: str) -> str:
        wrong = text.startswith(WRONG)
        role, kind = ("alert", "wrong") if wrong else ("status", "said")
        return f'<p role="{role}" class="{kind}">{escape(text.removeprefix(WRONG))}</p>'
