"""The model card: README.md of a run folder, made from what the run is, with front matter that hubs read.

Arrow: Run + Card --**card_text**--> Markdown. Does not know: hubs, how samples are drawn (samples.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import yaml

from tokenmask.analysis.figures import HEAD
from tokenmask.corpus import HELD_OUT, TRAIN, Corpus
from tokenmask.files import write_text_atomic
from tokenmask.report.judged import read_evaluation
from tokenmask.run.card import Card
from tokenmask.run.folder import model_path
from tokenmask.run.run import Run
from tokenmask.sharing.samples import draw_samples
from tokenmask.tensor_files import load_tensors

CARD_FILE = "README.md"
_UNSAID = "not stated: state it before you share this"


def write_card(run: Run, folder: Path, card: Card) -> None:
    """Writes README.md, and what it shows, into a run folder.

    One that is there stays, since a person may have edited it.

    Args:
        run: whose recipe, corpora and figures it tells.
        folder: where the run was written.
        card: what no file says.
    """
    if not (folder / CARD_FILE).exists():
        card = card if card.title else replace(card, title=folder.resolve().name)
        write_text_atomic(folder / CARD_FILE, card_text(run, card, draw_samples(run, folder, card.samples, card.seed)))


def card_text(run: Run, card: Card, samples: Sequence[str] = ()) -> str:
    """The Markdown of a card.

    Args:
        run: see :func:`write_card`.
        card: likewise.
        samples: lines of Markdown that show some.
    """
    kinds = list(dict.fromkeys(spec.modality for spec in run.layout.streams.values()))
    front: dict[str, Any] = {"library_name": "tokenmask", "tags": ["masked-modeling", "discrete-tokens", *kinds]}
    if card.licence:
        front = {"license": card.licence.lower(), **front}
    if len(kinds) > 1:
        front["pipeline_tag"] = "any-to-any"
    how = 'run = tm.pull("USER/NAME", "runs/pulled")  # or tm.load(FOLDER)'
    about = f"{run.recipe.about[:1].upper()}{run.recipe.about[1:]}. After {run.recipe.paper}."
    parts = [
        f"---\n{yaml.safe_dump(front, sort_keys=False)}---",
        f"# {_plain(card.title)}",
        f"{_plain(about)} A run of tokenmask, in safetensors.",
        f"```python\nimport tokenmask as tm\n\n{how}\n```",
        f"## What it is\n\n{_streams(run)}",
        f"## Data\n\n{_data(run, card)}",
        f"## Figures\n\n{_figures(run)}",
        f"## Limits\n\n{_limits(run, card)}",
    ]
    if samples:
        how = f"The first that were drawn, with seed {card.seed} and the run's own sampler; none was picked."
        parts.append("## Samples\n\n" + "\n\n".join([how, *samples]))
    return "\n\n".join(parts) + "\n"


def measured(run: Run) -> bool:
    """Whether the figures in its folder are of these weights, not of those that it was made from."""
    path = model_path(run.folder)
    if run.fresh or not path.is_file():
        return False
    held, own = load_tensors(path)[0], run.models["main"].state_dict()
    return all(name in held and torch.equal(held[name].to(one), one) for name, one in own.items())


def _streams(run: Run) -> str:
    rows = []
    for name, spec in run.layout.streams.items():
        codes = f"{spec.num_levels} level(s) of {', '.join(str(size) for size in dict.fromkeys(spec.codebook_sizes))}"
        rate = f", {spec.rate_hz:g} a second" if spec.rate_hz else ""
        rows.append((name, spec.modality, codes + rate, type(run.tokenizers[name]).__name__))
    model = run.models["main"]
    size = sum(parameter.numel() for parameter in model.parameters())
    training = run.recipe.training
    trained = f"trained for {training.steps:,} steps of {training.batch_size}"
    facts = f"{model.config.describe()}, {size:,} parameters, {trained}."
    return f"{_table(('stream', 'media', 'codes', 'tokenizer'), rows)}\n\n{facts}"


def _data(run: Run, card: Card) -> str:
    said = [f"- {_plain(name)}: {_plain(licence)}" for name, licence in card.data.items()]
    lines = said or [f"- Sources and their licences are {_UNSAID}."]
    for path, weight in run.corpora:
        corpus = Corpus(path)
        counts = [sum(1 for _ in Corpus(path, split=split)) for split in (TRAIN, HELD_OUT)]
        held = f"{counts[0]:,} training and {counts[1]:,} held-out records of {', '.join(corpus.specs)}"
        lines.append(f"- Corpus `{Path(path).name}`, weight {weight:g}: {held}.")
    return "\n".join(lines)


def _figures(run: Run) -> str:
    tables = read_evaluation(run.folder) if measured(run) else []
    if not tables:
        return "None were measured; `tokenmask evaluate` does so."
    lead = "Measured by `tokenmask evaluate`, on held-out records of the data above."
    return "\n\n".join(
        [lead, *(f"**{one.stream}**\n\n{_table(HEAD, [row.row() for row in one.figures])}" for one in tables)]
    )


def _limits(run: Run, card: Card) -> str:
    lines = [_plain(one) for one in card.limits]
    seen = f"{run.recipe.packing.max_positions:,} positions"
    lines.append(f"It sees {seen} at a time; what is longer is filled in windows.")
    if run.fresh:
        lines.append(f"The rows of {', '.join(run.fresh)} are new and were not trained yet.")
    for name, tokenizer in run.tokenizers.items():
        config = getattr(tokenizer, "config", None)
        if getattr(config, "keep", "") == "reference":
            lines.append(f"The tokenizer of {name} is kept by reference: whoever opens this needs its source, too.")
    lines.append("What it makes follows its data, with their gaps and mistakes; it was not checked for any use.")
    return "\n".join(f"- {line}" for line in lines)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_plain(cell) for cell in line) + " |" for line in lines)


def _plain(text: str) -> str:
    """Text that ends no cell, line or quote."""
    return " ".join(str(text).split()).replace("|", "\\|").replace('"', "'").replace("<", "&lt;")
