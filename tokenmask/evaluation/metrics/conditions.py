"""How well conditions are met: the rank of the own one, and what a class probe sees, as figures.

Arrow: Part --**OwnConditionFirst**, **ClassSeen**--> Figures. Does not know: how a rank or a probe works.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from tokenmask.analysis import condition_ranks
from tokenmask.analysis.figures import Figure
from tokenmask.analysis.intervals import share_interval
from tokenmask.analysis.probe import ClassProbe
from tokenmask.evaluation.metric import Metric
from tokenmask.evaluation.part import Part, Streams, generate, some
from tokenmask.generation import growing_axis
from tokenmask.scores.arguments import one_of
from tokenmask.streams import TokenStream, cut

MOST_CLASSES = 64
CANDIDATES = 20


@dataclass(frozen=True)
class OwnConditionFirst(Metric):
    """How often the model explains what it generated best by the own condition, of those of other records.

    Args:
        splits: whose conditions.
    """

    splits: tuple[str, ...] = ("training", "held-out")
    begins: ClassVar[tuple[str, ...]] = ("own ",)

    def __post_init__(self) -> None:
        for split in self.splits:
            one_of("each of OwnConditionFirst.splits", split, ("training", "held-out"))

    def __call__(self, part: Part) -> Sequence[Figure]:
        """A share for each split and each set of conditions."""
        own = {"training": part.train, "held-out": part.held_out}
        return [figure for split in self.splits for figure in _ranks(part, split, own[split])]


class ClassSeen(Metric):
    """How often a linear classifier of training streams sees in a generated one the words that it was asked for."""

    begins: ClassVar[tuple[str, ...]] = ("condition seen by a class probe",)

    def __call__(self, part: Part) -> Sequence[Figure]:
        """Whether a linear classifier, trained on training streams, sees the condition of generated ones."""
        space = part.space
        if space is None:
            return []
        labelled = [(part.label(one), one) for one in part.train]
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
        held_out = [(part.label(one), one[part.name]) for one in part.held_out]
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
            process=part.run.recipe.process,
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


def _shortened(one: Streams, name: str, length: int) -> Streams:
    """A record with the beginning of one of its streams."""
    stream = one[name]
    axis = growing_axis(stream.spec)
    return {**one, name: cut(stream, stream.spec.axes[axis], 0, min(length, stream.grid[axis]))}


def _something(stream: TokenStream) -> TokenStream:
    """One code in place of none: a text that ended at once still has to be ranked."""
    return TokenStream(stream.spec, stream.codes.new_zeros(1, stream.spec.num_levels))
