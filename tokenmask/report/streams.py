"""Sections of streams: media beside their reconstruction, and samples with what they were drawn for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tokenmask.medium import said
from tokenmask.report.page import Section, figure, grid, heading, note
from tokenmask.report.prompts import Prompt
from tokenmask.report.views import View, view_of
from tokenmask.run import Run
from tokenmask.streams import TokenStream

ORIGINAL, CODED = "original", "from its codes"


def stream_section(
    run: Run,
    name: str,
    pairs: Sequence[tuple[Any, Any]],
    prompts: Sequence[Prompt],
    samples: Sequence[Sequence[Any]],
    made_by: str,
) -> Section | None:
    """What one stream looks or sounds like.

    Args:
        run: of the stream.
        name: of the stream.
        pairs: (media, what comes back from their codes).
        prompts: what samples were drawn for.
        samples: of each prompt.
        made_by: whose samples they are, for the text.
    """
    spec = run.layout.streams[name]
    view = view_of(run.tokenizers[name].media)
    if view is None:
        return Section(name, "", note(f"This report has no picture of {spec.modality}."))
    parts = []
    if pairs:
        parts.append(heading(f"{ORIGINAL}, and {CODED}"))
        shown = [figure(view.pair(pair, (ORIGINAL, CODED), f"{name} {at}"), "") for at, pair in enumerate(pairs, 1)]
        parts.append(grid(shown, "tiles" if view.small else "pairs"))
    if prompts:
        parts.append(heading(f"Samples of {made_by}"))
        shown = [_sample(run, name, view, prompt, drawn) for prompt, drawn in zip(prompts, samples, strict=True)]
        parts.append(grid(shown, "tiles wide" if view.small else "pairs"))
    if not parts:
        return None
    fixed = " x ".join(str(size) for size in spec.grid if size is not None)
    size = f"{fixed} codes over {' and '.join(spec.axes)}" if fixed else f"codes over {' and '.join(spec.axes)}"
    rate = "" if spec.rate_hz is None else f", {spec.rate_hz:g} a second"
    levels = f"{spec.num_levels} level{'s' if spec.num_levels > 1 else ''}"
    return Section(name, f"{size[:1].upper()}{size[1:]}{rate}, {levels} each.", "".join(parts))


def _sample(run: Run, name: str, view: View, prompt: Prompt, drawn: Sequence[Any]) -> str:
    """The samples of a prompt: what is given in words is the caption, what is not stands before them."""
    words, shown = [prompt.caption] if prompt.caption else [], []
    for stream, value in prompt.given.items():
        media = decoded(run, stream, value)
        kind = run.tokenizers[stream].media
        if stream == name:
            continue
        if said(kind, "words"):
            words += [] if prompt.caption else [f"\u201c{media}\u201d"]
        elif (beside := view_of(kind)) is not None:
            shown.append(figure(beside.brief(media, f"given {stream}"), f"given {stream}"))
    caption = ", ".join(words) or ("as given" if shown else "nothing given")
    own = prompt.given.get(name)
    begun = None if own is None else decoded(run, name, own)
    views = []
    for number, one in enumerate(drawn, 1):
        label = f"{name} for {caption}" + (f", sample {number}" if len(drawn) > 1 else "")
        views.append(view.single(one, label, view.added(one, begun)))
    body = "".join(views) if len(views) == 1 else f'<div class="row">{"".join(views)}</div>'
    if own is not None:
        caption = "the part that is marked was filled in"
    elif shown:
        caption = f"{name} that was drawn for it"
    return figure("".join(shown) + body, caption)


def decoded(run: Run, stream: str, value: Any) -> Any:
    """Media of what is given: tokens are decoded, words and media stay as they are."""
    return run.tokenizers[stream].decode(value) if isinstance(value, TokenStream) else value


def reconstructions(run: Run, name: str, media: Sequence[Any]) -> tuple[list[tuple[Any, Any]], list[TokenStream]]:
    """Some of the media, each with what comes back from its codes, and the codes of all."""
    view = view_of(run.tokenizers[name].media)
    if view is None or not media or not view.how_many:
        return [], []
    step = max(1, len(media) // view.how_many)
    chosen = [media[at] for at in range(0, len(media), step)][: view.how_many]
    streams = run.tokenizers[name].encode_many(chosen)
    return [(one, run.tokenizers[name].decode(stream)) for one, stream in zip(chosen, streams, strict=True)], streams


def counts_of(streams: Mapping[str, Sequence[TokenStream]]) -> dict[str, Sequence[TokenStream]]:
    """Those streams of which there are any."""
    return {name: found for name, found in streams.items() if found}
