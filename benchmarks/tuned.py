"""Settings of the samplers of the model that ships, found by tuning: python benchmarks/tuned.py STREAM [--out FOLDER].

Builds corpora of training records that are on no list of asked.py, holds three of four out, and tunes a stream on them:
pictures, motion and EEG by the Fréchet distance, speech by the prompts that a recogniser hears (pip install --no-deps
pocketsphinx), words and labels by those that are letter for letter their record's. Writes results/tuned/STREAM.json
and .svg, and prints what was found as YAML.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import asked
import numpy as np
import yaml

import tokenmask as tm
from tokenmask.analysis.figures import Figure
from tokenmask.analysis.intervals import share_interval
from tokenmask.analysis.recogniser import in_dictionary, words_heard
from tokenmask.components import plain
from tokenmask.corpus import HELD_OUT, TRAIN, Item, build_corpus
from tokenmask.demo import items
from tokenmask.evaluation import Metric
from tokenmask.evaluation.metrics import Generated
from tokenmask.evaluation.part import Part
from tokenmask.files import write_text_atomic
from tokenmask.recipes import Budget
from tokenmask.run import Run
from tokenmask.sampling import Sampler
from tokenmask.tuning import tune

RESULTS = Path(__file__).parent / "results" / "tuned"


@dataclass(frozen=True)
class Same(Metric):
    """How many of what is generated for the conditions of a record are what stands there, code for code."""

    def __call__(self, part: Part) -> Sequence[Figure]:
        """One share."""
        pairs = zip(part.generated(part.chosen), part.chosen, strict=True)
        right = np.array([bool(one == streams[part.name]) for one, streams in pairs], dtype=np.float64)
        return [Figure("same as the record", float(right.mean()), share_interval(right), len(right), "streams")]


@dataclass(frozen=True)
class Heard(Metric):
    """How many spoken prompts are heard as what they were asked to say, out of all that are asked."""

    def __call__(self, part: Part) -> Sequence[Figure]:
        """One share."""
        wanted = [str(part.label(one)) for one in part.chosen]
        clips = [part.run.tokenizers[part.name].decode(one) for one in part.generated(part.chosen)]
        samples = [clip.mono().resample(16000).samples[0].numpy() for clip in clips]
        heard = words_heard(samples, sorted(set(wanted)))
        right = np.array([a == b for a, b in zip(heard, wanted, strict=True)], dtype=np.float64)
        return [Figure("prompts heard", float(right.mean()), share_interval(right), len(right), "clips")]


@dataclass(frozen=True)
class Wanted:
    """What is tuned of a stream.

    Args:
        corpora: whose records hold it.
        metric: what settings are chosen by.
        higher: whether more of it is better.
        budgets: passes.
        samples: records of the last heat and of the report.
        candidates: settings that are tried.
    """

    corpora: tuple[str, ...]
    metric: Metric
    higher: bool
    budgets: tuple[int, ...]
    samples: int
    candidates: int = 12


FRECHET = Generated()
TUNED = {
    "image": Wanted(("emoji",), FRECHET, False, (4, 8, 16, 24), 96),
    "audio": Wanted(("speech",), Heard(), True, (42, 84, 168), 32, 8),
    "motion": Wanted(("motion",), FRECHET, False, (8, 16, 32, 48), 64),
    "text": Wanted(("emoji", "speech"), Same(), True, (4, 8, 16, 24), 128),
    "label": Wanted(("eeg",), Same(), True, (4, 12), 48, 6),
    "eeg": Wanted(("eeg",), FRECHET, False, (4, 8, 24), 24, 8),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("stream", choices=TUNED)
    parser.add_argument("--out", type=Path, default=Path("runs/tuned"), help="where corpora are built")
    arguments = parser.parse_args()
    wanted, shipped = TUNED[arguments.stream], tm.load()
    corpora = [(str(built(shipped, name, arguments.out / name)), 1.0) for name in wanted.corpora]
    found = tune(
        replace(shipped, corpora=corpora),
        arguments.stream,
        budgets=wanted.budgets,
        candidates=wanted.candidates,
        samples=wanted.samples,
        metric=wanted.metric,
        higher=wanted.higher,
        write=False,
        say=lambda text: print(text, flush=True),
    )
    for row in found.rows():
        print(" | ".join(row))
    print(f"told apart: {found.told_apart}; usual: {found.usual.said}, {found.usual.passes:.3g} passes")
    settings = {
        "usual": plain(found.usual.sampler, Sampler),
        "budgets": [plain(Budget(one.passes, one.trial.sampler), Budget) for one in found.chosen],
    }
    print(yaml.safe_dump(settings, sort_keys=False, width=120))
    text = json.dumps(found.to_json(), indent=1, ensure_ascii=False)
    write_text_atomic(RESULTS / f"{arguments.stream}.json", text + "\n")
    found.draw(RESULTS / f"{arguments.stream}.svg")


def built(run: Run, name: str, folder: Path) -> Path:
    """A corpus of training records that no list of asked.py names, three quarters of them held out."""
    named = {**run.tokenizers, "label": run.tokenizers["text"]}
    chosen, every = records(name), 4 if name == "speech" else 1  # versions of a prompt stay together
    chosen = [replace(one, split=HELD_OUT if number // every % 4 else TRAIN) for number, one in enumerate(chosen)]
    own = {stream: named[stream] for stream in named if stream in chosen[0].media}
    build_corpus(chosen, own, folder, on_error="raise")
    return folder


def records(name: str) -> list[Item]:
    """Training records of a corpus in all their versions; names of motions, few as they are, are on the lists too."""
    varied = name != "emoji"
    own = [one for one in items.corpora(varied=varied, mirrored=False)[name] if one.split == TRAIN]
    if name == "emoji":
        listed = {one.name for one in asked.pictures()}
        return [one for one in own if one.key not in listed]
    if name == "speech":
        listed = {items.words_of(one) for one in asked.phrases()} | set(asked.single_words())
        several = [one for one in own if " " in str(one.media["text"]) and str(one.media["text"]) not in listed]
        words = {word for one in several for word in str(one.media["text"]).split()}
        known = set(in_dictionary(sorted(words)))
        return [one for one in several if set(str(one.media["text"]).split()) <= known]
    return own


if __name__ == "__main__":
    main()
