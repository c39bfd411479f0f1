"""How well conditions are met: the rank of the own one, a class probe, and what a recogniser hears, as figures.

Arrow: Part --**conditions**--> Figures. Does not know: how a rank, a probe or a recogniser works.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tokenmask.analysis import condition_ranks
from tokenmask.analysis.features import FeatureSpace
from tokenmask.analysis.figures import Figure
from tokenmask.analysis.intervals import share_interval
from tokenmask.analysis.probe import ClassProbe
from tokenmask.analysis.recogniser import WORDS, is_installed, words_right
from tokenmask.evaluation.part import Part, Streams, generate, some
from tokenmask.generation import growing_axis
from tokenmask.streams import TokenStream, cut

MOST_CLASSES = 64
CANDIDATES = 20
DIGITS = tuple(WORDS["digits"].split())
_SPOKEN_SECONDS = 0.9


def conditions(part: Part, space: FeatureSpace | None) -> list[Figure]:
    """The ranks of own conditions, a class probe, and what a recogniser hears."""
    found = []
    for split, records in (("training", part.train), ("held-out", part.held_out)):
        found += _ranks(part, split, records)
    if space is not None:
        found += _probe(part, space)
    if part.run.layout.streams[part.name].modality == "audio":
        found += _digits(part)
    return found


def _ranks(part: Part, split: str, records: Sequence[Streams]) -> list[Figure]:
    """How often the model explains a stream best by its own condition, of those of other records."""
    found = []
    kinds: dict[tuple[str, ...], dict[Any, Streams]] = {}
    for one in records:
        given = tuple(sorted(name for name in one if name != part.name))
        if given and all(one[name].codes.numel() for name in given):
            key = tuple(tuple(one[name].codes.flatten().tolist()) for name in given)
            kinds.setdefault(given, {}).setdefault(key, one)
    for given, distinct in kinds.items():
        chosen = some(list(distinct.values()), part.samples)
        candidates = min(CANDIDATES, len(chosen))
        if candidates < 4:
            continue
        ranks = condition_ranks(
            part.run.models["main"],
            part.run.recipe.packing,
            part.name,
            [one if one.codes.numel() else _something(one) for one in part.generated(chosen)],
            [{name: one[name] for name in given} for one in chosen],
            candidates=candidates,
            draws=part.draws,
            seed=part.seed,
        )
        first = (ranks.ranks == 0).double().numpy()
        found.append(
            Figure(
                f"own {' and '.join(given)} first of {candidates}, {split} conditions",
                float(first.mean()),
                share_interval(first),
                len(first),
                "generated streams",
                f"chance {ranks.chance:.3g}",
                "judged by the model itself",
            )
        )
    return found


def _probe(part: Part, space: FeatureSpace) -> list[Figure]:
    """Whether a linear classifier, trained on training streams, sees the condition of generated ones."""
    labelled = [(_label(part, one), one) for one in part.train]
    by_class: dict[str, list[Streams]] = {}
    for label, one in labelled:
        if label is not None:
            by_class.setdefault(label, []).append(one)
    if not 2 <= len(by_class) <= MOST_CLASSES or sum(map(len, by_class.values())) < len(labelled):
        return []
    axis = growing_axis(part.run.layout.streams[part.name])
    lengths = sorted(one[part.name].grid[axis] for _, one in labelled)
    length = lengths[len(lengths) // 4]
    windows, labels = [], []
    for label, members in by_class.items():
        for one in members:
            for start in range(0, one[part.name].grid[axis] - length + 1, max(1, length // 4)):
                codes = one[part.name].codes.narrow(axis, start, length).contiguous()
                windows.append(TokenStream(one[part.name].spec, codes))
                labels.append(label)
    if len(set(labels)) < 2:
        return []
    probe = ClassProbe.fit(space.whole(windows), labels)
    asked = [label for label in by_class for _ in range(max(1, part.samples // len(by_class)))]
    shortened = {label: _shortened(members[0], part.name, length) for label, members in by_class.items()}
    wanted = [shortened[label] for label in asked]
    right = probe.right(space.whole(generate(part, wanted, range(len(wanted)))), asked)
    held_out = [(_label(part, one), one[part.name]) for one in part.held_out]
    real = probe.right(space.whole([one for _, one in held_out]), [label for label, _ in held_out])
    return [
        Figure(
            f"condition seen by a class probe, of {len(by_class)}",
            float(right.mean()),
            share_interval(right),
            len(right),
            "generated streams",
            f"{len(real):,} held-out streams {real.mean():.3g}, chance {1 / len(by_class):.3g}",
            f"ridge regression on {len(windows):,} windows of training streams",
        )
    ]


def _label(part: Part, streams: Streams) -> str | None:
    """The words a stream is given with, if it is given words alone."""
    given = [name for name in streams if name != part.name]
    if len(given) != 1 or part.run.layout.streams[given[0]].modality != "text":
        return None
    return str(part.run.tokenizers[given[0]].decode(streams[given[0]]))


def _digits(part: Part) -> list[Figure]:
    """Spoken digits that a recogniser hears right."""
    name = "digits heard by a recogniser"
    words = {_label(part, one) for one in part.train}
    if not set(DIGITS) <= words:
        return [Figure(name, None, note="the training records do not name the ten digits")]
    if not is_installed():
        return [Figure(name, None, note="pocketsphinx is not installed: pip install --no-deps pocketsphinx")]
    given = next(n for one in part.train if _label(part, one) in DIGITS for n in one if n != part.name)
    asked = [word for word in DIGITS for _ in range(max(1, part.samples // len(DIGITS)))]
    clips = part.run.generate(
        part.name,
        given=[{given: word} for word in DIGITS],
        duration_seconds=_SPOKEN_SECONDS,
        num_samples=max(1, part.samples // len(DIGITS)),
        seed=part.seed,
    )
    samples = [clip.mono().resample(16000).samples[0].numpy() for clip in clips]
    right = np.array(words_right(samples, asked, "digits"), dtype=np.float64)
    return [Figure(name, float(right.mean()), share_interval(right), len(right), "generated clips", "chance 0.1")]


def _shortened(one: Streams, name: str, length: int) -> Streams:
    """A record with the beginning of one of its streams."""
    stream = one[name]
    axis = growing_axis(stream.spec)
    return {**one, name: cut(stream, stream.spec.axes[axis], 0, min(length, stream.grid[axis]))}


def _something(stream: TokenStream) -> TokenStream:
    """One code in place of none: a text that ended at once still has to be ranked."""
    return TokenStream(stream.spec, stream.codes.new_zeros(1, stream.spec.num_levels))
