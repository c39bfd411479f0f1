"""Study: what is varied, what it is measured by, and what is claimed of it.

Arrow: values of a page --> **Study** --> cells, one for each variant and seed. Does not know: files, how anything is
measured.
"""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tokenmask.scores.arguments import whole

KINDS = ("sample", "exact", "train")
OF_A_VARIANT = ("given", "asked", "search", "metrics")  # keys of a study that a variant may say for itself


@dataclass(frozen=True)
class Variant:
    """One setting that is compared with others.

    Args:
        name: what tables and claims call it.
        changes: dotted field -> value, of the sampler or, in a study that trains, of the recipe; and what it says of
            ``OF_A_VARIANT`` in the study's place ("search" whole, or "search.cuts").
        places: label on each axis, where variants are the product of axes.
    """

    name: str
    changes: Mapping[str, Any]
    places: tuple[str, ...] = ()

    @property
    def slug(self) -> str:
        """The name in letters, digits, dots and dashes, for files."""
        return re.sub(r"[^A-Za-z0-9.]+", "-", self.name).strip("-.") or "variant"


@dataclass(frozen=True)
class Claim:
    """What is expected of the results, so that they can contradict it.

    Args:
        says: the claim, in words.
        variant: whose figure is looked at.
        is_: "lower", "higher" or "alike".
        than: another variant, or a number.
        figure: which one, by its name or the beginning of it; the study's first if None.
        within: most difference of what is "alike".
    """

    says: str
    variant: str
    is_: str
    than: str | float
    figure: str | None = None
    within: float = 0.0


@dataclass(frozen=True)
class Study:
    """A page of ``benchmarks/studies``.

    Args:
        name: of the page.
        about: the question, in a sentence.
        kind: "sample" draws from a trained run, "exact" compares with the law of a world, "train" trains each variant.
        variants: at least one.
        metrics: names of metrics, or values that name a class.
        recipe: whose sampler, or which whole, is studied; the row of the table of systems.
        figures: names (or beginnings) of the figures that tables and the plot show; the first that there is if empty.
        axes: names of the axes that variants are the product of.
        run: folder of a trained run, or "shipped".
        world: class path and arguments of an exactly known world.
        given: streams of the world, or places of them ("fact[:1]"), that are draws of its law; the others are filled.
        asked: class path and arguments of the world that is drawn from and measured by, where that is not the one that
            was learned; of the same streams.
        search: arguments of :func:`tokenmask.run.evolve`, with the number of molecules to ``begin`` with, which are
            drawn: samples are then what it tries, its calls, scored by the ``worth`` of the world.
        data: what is held out (and trained on): {"corpus": folder or list of folders} or {"set": name}, one of the sets
            of the data that ship.
        records: of a split of a set, at most; or of a world, to train on.
        stream: what is generated.
        changes: dotted fields that all variants share, over which each says its own.
        tiny: whether the recipe's tiny part counts.
        samples: streams that are generated for each figure.
        seeds: of training and drawing.
        claims: what is expected.
        note: what a reader must know to judge the figures.
        source: the file that it was read from, for messages; does not count in comparisons.
    """

    name: str
    about: str
    kind: str
    variants: tuple[Variant, ...]
    metrics: tuple[Any, ...]
    recipe: str | None = None
    figures: tuple[str, ...] = ()
    axes: tuple[str, ...] = ()
    run: str | None = None
    world: Mapping[str, Any] | None = None
    given: tuple[str, ...] = ()
    asked: Mapping[str, Any] | None = None
    search: Mapping[str, Any] | None = None
    data: Mapping[str, Any] | None = None
    records: int = 1024
    stream: str | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)
    tiny: bool = False
    samples: int = 64
    seeds: tuple[int, ...] = (0,)
    claims: tuple[Claim, ...] = ()
    note: str = ""
    source: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {self.kind!r}; choose one of these")
        whole("samples", self.samples)
        whole("records", self.records)
        if not self.variants or not self.metrics or not self.seeds:
            raise ValueError("a study needs variants, metrics and seeds, got an empty list of one; write at least one")
        for values, what in (([v.slug for v in self.variants], "names of variants"), (list(self.seeds), "seeds")):
            twice = [str(value) for at, value in enumerate(values) if value in values[:at]]
            if twice:
                raise ValueError(f"{what} must differ, got {twice[0]} twice; rename or leave out one")
        names = [variant.name for variant in self.variants]
        for claim in self.claims:
            for name in (claim.variant, claim.than):
                if isinstance(name, str) and name not in names:
                    raise ValueError(
                        f"the claim {claim.says!r} must name variants of the study ({'; '.join(names)}), got {name!r}; "
                        "correct the name"
                    )
        _check_sources(self)

    def of(self, variant: Variant) -> Study:
        """The study with what a variant says in its place, and no other variants."""
        said = {name: value for name, value in variant.changes.items() if name.partition(".")[0] in OF_A_VARIANT}
        rest = {name: value for name, value in variant.changes.items() if name not in said}
        search = said.pop("search", self.search)
        single = {name.partition(".")[2]: said.pop(name) for name in list(said) if name.startswith("search.")}
        search = {**(search or {}), **single} if single else search
        return replace(
            self,
            variants=(replace(variant, changes=rest),),
            claims=(),
            search=search,
            asked=said.get("asked", self.asked),
            given=tuple(said.get("given", self.given)),
            metrics=tuple(said.get("metrics", self.metrics)),
        )

    def cells(self) -> list[tuple[Variant, int]]:
        """Every variant with every seed; all variants of a seed come before the next seed."""
        return [(variant, seed) for seed in self.seeds for variant in self.variants]


_NEEDS = {"sample": ("run", "data", "stream"), "exact": ("recipe", "world"), "train": ("recipe",)}
_REFUSES = {"sample": ("world", "tiny"), "exact": ("run", "data", "tiny"), "train": ("run",)}


def _check_sources(study: Study) -> None:
    """A kind needs some sources and has no use for others."""
    missing = [name for name in _NEEDS[study.kind] if getattr(study, name) is None]
    if missing and not (missing == ["data"] and study.run not in (None, "shipped")):
        how = " data: {corpus: FOLDER}" if missing == ["data"] else ""
        raise ValueError(f"a study of kind {study.kind} needs {', '.join(missing)}, got none; write the key{how}")
    unused = [name for name in _REFUSES[study.kind] if getattr(study, name)]
    if unused:
        raise ValueError(f"a study of kind {study.kind} has no use for {', '.join(unused)}; leave it out")
    if study.kind == "train" and (study.world is None) == (study.data is None):
        raise ValueError("a study of kind train needs a world or data, not both; write one of these keys")
    for name in ("given", "asked", "search"):
        if getattr(study, name) and study.world is None:
            raise ValueError(f"{name} is about a world, but the study has none; leave it out")
    if study.kind == "train" and study.data is not None and study.stream is None:
        raise ValueError("a study that trains on data needs stream, what is generated, got none; write the key")


def product_of(axes: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> tuple[Variant, ...]:
    """Every combination of one entry of each axis; a later axis changes what earlier ones say.

    A variant is called by its labels, with the axis before those that are numbers: "confident, steps 8".

    Args:
        axes: axis -> label -> dotted field -> value.
    """
    found = []
    for labels in itertools.product(*axes.values()):
        changes: dict[str, Any] = {}
        for label, entries in zip(labels, axes.values(), strict=True):
            changes |= entries[label]
        named = [f"{axis} {label}" if is_number(label) else label for axis, label in zip(axes, labels, strict=True)]
        found.append(Variant(", ".join(named), changes, labels))
    return tuple(found)


def is_number(label: str) -> bool:
    """Whether a label is a place on a scale."""
    try:
        return math.isfinite(float(label))
    except ValueError:
        return False


def overrides(changes: Sequence[Mapping[str, Any]], home: str) -> list[str]:
    """Dotted fields as :func:`tokenmask.recipes.load_recipe` takes them, below ``home``; later ones count."""
    return [f"{home}{field}={json.dumps(value)}" for one in changes for field, value in one.items()]
