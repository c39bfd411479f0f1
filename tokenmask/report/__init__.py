"""The report: one HTML file that shows a run to people, with everything it needs inside.

Arrow: Run + media --**write_report**--> report.html. Does not know: where media come from, how slots are filled.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tokenmask.analysis.figures import StreamFigures
from tokenmask.corpus import HELD_OUT
from tokenmask.files import write_text_atomic
from tokenmask.generation import Recording
from tokenmask.report.alone import show
from tokenmask.report.changes import Change, edit_section, swap_section
from tokenmask.report.edits import edits_of
from tokenmask.report.filling import filling_section
from tokenmask.report.judged import evaluation_section, read_evaluation
from tokenmask.report.page import Section, make_page
from tokenmask.report.prompts import Prompt, draw, prompts_of, recorded
from tokenmask.report.streams import counts_of, reconstructions, stream_section
from tokenmask.report.training import held_out_section, training_section
from tokenmask.report.usage import corpus_counts, stream_counts, usage_section
from tokenmask.report.views import view_of
from tokenmask.run import Run
from tokenmask.training import StreamScore

FILE = "report.html"


def write_report(
    run: Run,
    path: str | Path,
    *,
    media: Mapping[str, Sequence[Any]] | None = None,
    prompts: Mapping[str, Sequence[Prompt]] | None = None,
    drawn_by: Run | None = None,
    scores: Sequence[StreamScore] | None = None,
    evaluation: Sequence[StreamFigures] | None = None,
    edits: Sequence[Change] | None = None,
    swaps: Sequence[Change] = (),
    swap_facts: Sequence[str] = (),
    seed: int = 0,
    say: Callable[[str], None] | None = None,
) -> Path:
    """Writes the report of a run, atomically; parts for which there is nothing to show are left out.

    Args:
        run: any run, also one without corpora or metrics.
        path: of the HTML file.
        media: stream name -> media that the tokenizer did not learn from; a few are shown with what comes back.
        prompts: stream name -> what to draw samples for; for other streams it is taken from the run's records.
        drawn_by: the run that draws, if it is another one with the same streams.
        scores: on held-out records; computed with one mask a record if None.
        evaluation: tables of figures; what ``tokenmask evaluate`` left in the run folder if None.
        edits: what :func:`edit_section` shows; one for each stream of ``media`` if None.
        swaps: see :func:`swap_section`.
        swap_facts: sentences about a swap.
        seed: of the samples.
        say: is told what is being done, for progress.

    Returns:
        ``path``.

    Raises:
        ValueError: the page would take more than 8 MB.
    """
    tell = say or (lambda _: None)
    watched: dict[bool, tuple[str, Prompt]] = {}  # by whether it is a picture: a stream and what is drawn of it
    sections: list[Section | None] = [training_section(run)]
    if scores is None and run.corpora and run.records(HELD_OUT):
        tell("scoring held-out records")
        scores = run.held_out_scores(draws=1)
    sections.append(held_out_section(scores or []))
    made_by = "the model that ships" if drawn_by is not None else "this run"
    coded = {}
    for name in run.layout.names:
        tell(f"drawing {name}")
        pairs, coded[name] = reconstructions(run, name, (media or {}).get(name, ()))
        view = view_of(run.tokenizers[name].media)
        drawer = drawn_by or run
        wanted = list((prompts or {}).get(name, ())) if prompts and name in prompts else []
        if view is not None and not wanted:
            wanted = prompts_of(run, name, view.prompts)
        samples = draw(drawer, name, wanted, view.per_prompt, seed) if view is not None else []
        sections.append(stream_section(drawer, name, pairs, wanted, samples, made_by))
        if view is not None and wanted:
            watched.setdefault(view.small, (name, wanted[0]))
    sections.append(evaluation_section(read_evaluation(run.folder) if evaluation is None else evaluation, made_by))
    if edits is None:
        tell("editing")
        edits = edits_of(drawn_by or run, media or {}, seed)
    drawer, seen = drawn_by or run, watched.get(True, watched.get(False))
    filled = None if seen is None else filling_section(recorded(drawer, *seen, seed), drawer.tokenizers)
    sections += [filled, edit_section(edits), swap_section(swaps, swap_facts)]
    if run.corpora:
        sections.append(usage_section(corpus_counts(run), "of all records"))
    else:
        shown = {name: stream_counts(found) for name, found in counts_of(coded).items()}
        sections.append(usage_section(shown, "of the media shown above"))
    model = run.models["main"]
    size = sum(parameter.numel() for parameter in model.parameters())
    facts = [
        ("Streams", ", ".join(run.layout.names)),
        ("Parameters", f"{size:,}"),
        ("Network", model.config.describe()),
        ("Training steps", f"{run.recipe.training.steps:,}"),
        ("Longest sequence", f"{run.recipe.packing.max_positions:,} positions"),
    ]
    name = run.folder.resolve().name
    footer = f"Made by tokenmask from run {name} with seed {seed}; after {run.recipe.paper}."
    text = make_page(
        f"Run {name}", f"{run.recipe.about[:1].upper()}{run.recipe.about[1:]}.", facts, _there(sections), footer
    )
    write_text_atomic(path, text)
    return Path(path)


def write_recording(recording: Recording, path: str | Path, tokenizers: Mapping[str, Any]) -> Path:
    """Writes a page of a recorded generation, atomically.

    Args:
        recording: of :class:`tokenmask.generation.Recording`.
        path: of the HTML file.
        tokenizers: by stream; those that made the codes, for what they look or sound like.

    Returns:
        ``path``.

    Raises:
        ValueError: nothing was recorded, or the page would take more than 8 MB.
    """
    section = filling_section(recording, tokenizers)
    if section is None:
        raise ValueError("a recording must hold a step to be shown, got none; record a generation with on_step")
    facts = [
        ("Steps", f"{max((one.steps for one in recording), default=0):,}"),
        ("Requests", f"{len({one.request for one in recording}):,}"),
    ]
    text = make_page("A generation", "What was decided after each step.", facts, [section], "Made by tokenmask.")
    write_text_atomic(path, text)
    return Path(path)


def _there(sections: Sequence[Section | None]) -> list[Section]:
    return [section for section in sections if section is not None]


__all__ = ["FILE", "Change", "Prompt", "edit_section", "show", "swap_section", "write_recording", "write_report"]
