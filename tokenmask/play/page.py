"""Page: controls and stage, laid out and joined to the actions. Needs gradio.

Arrow: Run --**make_page**--> gradio.Blocks. Does not know: what the actions do, how it is served.
"""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from tokenmask.play import codes, limits
from tokenmask.play.actions import Actions, suffixes
from tokenmask.play.controls import Controls, is_words, told
from tokenmask.play.fields import fields
from tokenmask.play.joining import EMPTY, NOTHING_BEFORE, Joined
from tokenmask.play.looks import CSS, theme
from tokenmask.play.swaps import Swaps
from tokenmask.run import Run
from tokenmask.run.folder import SHIPPED

_PAINTED = """
addEventListener("message", (event) => {
  const frame = element.querySelector("iframe");
  if (frame && event.source === frame.contentWindow && event.data && event.data.tokenmask === "painted") {
    trigger("select", { cells: event.data.cells });
  }
});
"""
_CODES = (
    '<div class="codes"><p class="none">The codes of what is drawn or opened stand here, step by step.</p>'
    '<div class="two" hidden><div class="seen" hidden></div><div class="shown"></div></div>'
    '<div class="bar" hidden><span class="label"></span><input class="slider" type="range" min="0" value="0" '
    'aria-label="step of the filling"></div><p class="under" hidden></p></div>'
)


class Page:
    """The components by name, and how they are joined."""

    def __init__(self, run: Run, swaps: Swaps, folder: Path) -> None:
        self.run, self.swaps, self.actions = run, swaps, Actions(run, folder, swaps)
        self.parts: dict[str, Any] = {}

    def build(self) -> Any:
        """The blocks; their ``looks`` go to ``launch``."""
        names = list(self.run.tokenizers)
        first = next((name for name in names if not is_words(self.run, name)), names[0])
        with gr.Blocks(title="tokenmask play", analytics_enabled=False, fill_width=True) as blocks:
            gr.HTML(self._header())
            self.parts["pieces"] = gr.State({})
            with gr.Row(elem_id="desk", equal_height=False):
                with gr.Column(elem_id="controls", scale=0, min_width=300):
                    self._controls(first, names)
                with gr.Column(elem_id="work", scale=1, min_width=300):
                    self._work(first)
            Joined(self.run, self.parts, self.actions).join()
        blocks.looks = {"theme": theme(), "css": CSS}
        return blocks

    # laid out ----------------------------------------------------------------------------------------------------

    def _header(self) -> str:
        size = sum(p.numel() for model in self.run.models.values() for p in model.parameters()) / 1e6
        name = "the model that ships" if self.run.folder == SHIPPED else str(self.run.folder)
        return f"<header><h1>tokenmask <span>play</span></h1><p>{escape(name)}, {size:.1f} M parameters</p></header>"

    def _controls(self, first: str, names: list[str]) -> None:
        own, words = Controls.of(self.run, first), told()
        spoken = [name for name in names if is_words(self.run, name)]
        keep = self._keep
        keep("stream", gr.Radio(names, value=first, label="Stream", elem_id="stream"))
        look = fields(self.run, own)
        keep("prompt", gr.Textbox(max_lines=6, elem_id="prompt", max_length=limits.MOST_LETTERS, **look["prompt"]))
        keep(
            "prompt_stream",
            gr.Radio(spoken, label="The prompt is given as", visible=len(spoken) > 1, value=own.prompt[0] or None),
        )
        keep(
            "negative",
            gr.Textbox(
                label="Negative prompt",
                elem_id="negative",
                max_length=limits.MOST_LETTERS,
                info=words["negative"].partition("-> ")[2],
            ),
        )
        keep("size", gr.Slider(elem_id="size", **look["size"]))
        with gr.Row(elem_id="act"):
            keep("draw", gr.Button("Draw", variant="primary", elem_id="draw", min_width=80, scale=2))
            keep("another", gr.Button("Next seed", elem_id="another", min_width=80))
            keep("stop", gr.Button("Stop", visible=False, elem_id="stop", min_width=80, variant="stop"))
        keep("status", gr.HTML("", elem_id="status"))
        with gr.Accordion("How it is drawn", open=False, elem_id="how"):
            keep("seed", gr.Number(0, label="Seed", precision=0, minimum=0, elem_id="seed"))
            keep(
                "steps",
                gr.Slider(
                    1, limits.MOST_STEPS, step=1, label="Steps", info=words["steps"], elem_id="steps", **look["steps"]
                ),
            )
            keep(
                "guidance",
                gr.Slider(
                    0, 10, step=0.1, label="Guidance", info=words["guidance"], elem_id="guidance", **look["guidance"]
                ),
            )
            keep(
                "temperature",
                gr.Slider(
                    0,
                    2,
                    step=0.05,
                    label="Temperature",
                    info=words["temperature"],
                    elem_id="temperature",
                    **look["temperature"],
                ),
            )
            keep(
                "order",
                gr.Dropdown(
                    label="Order",
                    info="the score whose highest slots are revealed first",
                    elem_id="order",
                    **look["order"],
                ),
            )
        with gr.Accordion("Given besides words", open=False, elem_id="besides"):
            keep(
                "files",
                gr.File(
                    label="Files of other streams",
                    file_count="multiple",
                    file_types=suffixes(self.run),
                    height=140,
                    elem_id="files",
                ),
            )

    def _work(self, first: str) -> None:
        keep = self._keep
        look = fields(self.run, Controls.of(self.run, first))
        with gr.Row(elem_id="tools"):
            keep(
                "upload",
                gr.UploadButton("Open a file", elem_id="upload", min_width=110, type="filepath", **look["upload"]),
            )
            keep("take", gr.Button("Open the prompt", elem_id="take", min_width=110, **look["take"]))
            keep("file", gr.DownloadButton("Save", elem_id="file", min_width=110, interactive=False))
        keep("stage", gr.HTML(EMPTY, elem_id="stage", js_on_load=_PAINTED, apply_default_css=False))
        with gr.Row(elem_id="edit"):
            keep(
                "regions",
                gr.Textbox(
                    label="Region", placeholder="everything", elem_id="regions", scale=2, min_width=180, max_lines=1
                ),
            )
            keep(
                "only",
                gr.Dropdown(
                    label="Only these", multiselect=True, elem_id="only", scale=2, min_width=180, **look["only"]
                ),
            )
            keep(
                "remake", gr.Button("Make anew", elem_id="remake", min_width=110, variant="primary", interactive=False)
            )
            keep("undo", gr.Button("Undo", elem_id="undo", min_width=80, interactive=False))
        with gr.Tabs(elem_id="looks"):
            with gr.Tab("Tokens"):
                keep(
                    "codes",
                    gr.HTML(
                        {"frames": []},
                        html_template=_CODES,
                        js_on_load=codes.SCRIPT.read_text(encoding="utf-8"),
                        elem_id="codes",
                        apply_default_css=False,
                    ),
                )
            with gr.Tab("Before"):
                keep("before", gr.HTML(NOTHING_BEFORE, elem_id="before", apply_default_css=False))
            with gr.Tab("Python"):
                keep("script", gr.Code(language="python", interactive=False, elem_id="script", show_label=False))
            with gr.Tab("Swap"):
                self._swap()

    def _swap(self) -> None:
        keep, named = self._keep, list(self.swaps.places)
        if not named:
            where = "" if self.run.folder == SHIPPED else f" {self.run.folder}"
            gr.HTML(
                "<p>What a run draws before and after one of its tokenizers is exchanged. Start the page with the "
                f"other tokenizer: <code>tokenmask play{escape(where)} --swap image=FOLDER</code></p>"
            )
        places = ", ".join(f"{name}: {place}" for name, (_, place) in self.swaps.places.items())
        keep("compare", gr.Button("Draw with both", elem_id="compare", visible=bool(named), variant="primary"))
        keep("about", gr.HTML(f"<p>{escape(places)}</p>", elem_id="about", visible=bool(named)))
        keep("compared", gr.HTML("", elem_id="compared", visible=bool(named), apply_default_css=False))
        keep("swap_script", gr.Code(language="python", interactive=False, visible=bool(named), show_label=False))

    def _keep(self, name: str, part: Any) -> None:
        self.parts[name] = part


def make_page(run: Run, swaps: Swaps, folder: Path) -> Any:
    """The page of a run.

    Args:
        run: what it draws with.
        swaps: tokenizers to exchange on it.
        folder: where uploads are.
    """
    return Page(run, swaps, folder).build()
