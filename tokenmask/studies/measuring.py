"""Measuring a cell: one variant with one seed becomes figures.

Arrow: Study + Variant + seed --**Bench.measure**--> Figures. Does not know: files of results, intervals over seeds.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from tokenmask.analysis.figures import Figure
from tokenmask.components import component, plain
from tokenmask.evaluation.metric import Metric
from tokenmask.evaluation.metrics import Bits
from tokenmask.evaluation.part import Streams, part_of, records_of
from tokenmask.models import MaskedModel
from tokenmask.recipes import Recipe, load_recipe
from tokenmask.run import Run
from tokenmask.run.folder import read_recipe, sha256
from tokenmask.sampling import Sampler
from tokenmask.studies.law import Drawn, LawMetric, draw
from tokenmask.studies.searching import check_search, searched
from tokenmask.studies.sources import (
    asked_world_of,
    filled_of,
    fitted_to,
    run_of,
    trained_on_world,
    trained_run,
    world_of,
)
from tokenmask.studies.study import Study, Variant, overrides
from tokenmask.telling import tell
from tokenmask.worlds import World, oracle

LAW = "tokenmask.studies.law"
METRICS = "tokenmask.evaluation.metrics"
COSTS = ("passes", "seconds")  # figures of every study


@dataclass(frozen=True, eq=False)
class Bench:
    """A study with what its cells share.

    Args:
        study: what is measured.
        work: folder of corpora and trained runs.
    """

    study: Study
    work: Path

    def check(self) -> None:
        """Refuses what no cell could be measured with, before the first is.

        Raises:
            ValueError: a field that is none, a metric or a world that there is not, a stream that the run has not.
        """
        self._check_figures()
        for variant in self.study.variants:
            try:
                recipe, own = self._recipe(variant, 0), self.study.of(variant)
                self._sampler(recipe)
                if own.world is not None:
                    self._check_world(own)
            except (TypeError, ValueError) as error:
                raise ValueError(f"variant {variant.name!r}: {error}") from error

    def _check_world(self, own: Study) -> None:
        """Refuses worlds, places and searches that are none."""
        world, _ = asked_world_of(own), filled_of(own, world_of(own))
        if own.search is not None:
            check_search(own.search, world)

    def _check_figures(self) -> None:
        """Refuses names that no figure of these metrics can have; where a metric does not say its names, what could be
        one of those is told, since it is found out only when all is measured."""
        every = [metric for variant in self.study.variants for metric in self._metrics_of(variant)]
        begins = {type(metric).__name__: getattr(metric, "begins", ()) for metric in every}
        silent = [name for name, own in begins.items() if not own]
        known = [*(name for own in begins.values() for name in own), *COSTS]
        for what, wanted in (
            *(("figures", one) for one in self.study.figures),
            *((f"the claim {one.says!r}", one.figure) for one in self.study.claims if one.figure),
        ):
            if any(name.startswith(wanted) or wanted.startswith(name) for name in known):
                continue
            if silent:
                tell(
                    f"{what} names {wanted!r}, which is looked for when all is measured, since {', '.join(silent)} "
                    "does not say what its figures are called; give the class `begins`"
                )
            else:
                raise ValueError(
                    f"{what} must name what the metrics measure ({'; '.join(known)}), got {wanted!r}; correct the name"
                )

    def digest(self, variant: Variant, seed: int) -> str:
        """What a cell follows from, in 16 digits; a cell whose digest is another is measured anew."""
        study, recipe = self.study.of(variant), self._recipe(variant, seed)
        values: dict[str, Any] = {
            "kind": study.kind,
            "seed": seed,
            "samples": study.samples,
            "metrics": study.metrics,
            "stream": study.stream,
            "sampler": plain(self._sampler(recipe), Sampler),
        }
        if study.kind == "sample":
            values["model"] = sha256((self._run.folder / "models" / "main.safetensors").read_bytes())
        if study.kind == "train":
            values["recipe"] = _trained_by(recipe)
        values |= {"data": study.data, "world": study.world, "given": list(study.given)}
        values["records"] = study.records if study.kind != "exact" else 0
        values |= {name: value for name in ("asked", "search") if (value := getattr(study, name)) is not None}
        return _digest(values)

    def measure(self, variant: Variant, seed: int) -> list[Figure]:
        """All figures of a cell; "passes" and "seconds" of a generated record come last.

        "passes" counts the slots that went through the model, both passes of a guided step, over all slots.
        """
        recipe, metrics = self._recipe(variant, seed), self._metrics_of(variant)
        sampler = self._sampler(recipe)
        if self.study.world is not None:
            return self._against_law(self.study.of(variant), recipe, sampler, metrics, seed)
        run = self._trained(recipe) if self.study.kind == "train" else self._run
        return self._of_run(_with_sampler(run, str(self.study.stream), sampler), metrics, seed)

    def _against_law(
        self, study: Study, recipe: Recipe, sampler: Sampler, metrics: Sequence[Any], seed: int
    ) -> list[Figure]:
        world = asked_world_of(study)
        model = self._oracle if study.kind == "exact" else self._model(recipe)
        begun, tally = time.perf_counter(), dict[str, int]()
        if study.search is None:
            codes, tally = draw(world, model, sampler, study.samples, seed, filled_of(study, world))
        else:
            codes = searched(world, model, fitted_to(recipe, world.layout), study.samples, seed, study.search)
        seconds = time.perf_counter() - begun
        drawn = Drawn(world, codes, seed)
        figures = [figure for metric in metrics for figure in metric(drawn)]
        return [*figures, *_costs(tally, seconds)]

    def _of_run(self, run: Run, metrics: Sequence[Any], seed: int) -> list[Figure]:
        study, name = self.study, str(self.study.stream)
        scores: Sequence[Any] = ()
        if any(isinstance(metric, Bits) for metric in metrics):
            scores = [score for score in run.held_out_scores(seed=seed) if score.stream == name]
        records = self._records if study.kind == "sample" else records_of(run)
        part = part_of(run, name, records, samples=study.samples, seed=seed, draws=1, scores=scores)
        if not part.chosen:
            raise ValueError(f"no held-out record holds {name}; name other data, or another stream")
        costs: list[Figure] = []
        if any(not isinstance(metric, Bits) for metric in metrics):
            begun = time.perf_counter()
            part.generated(part.chosen)
            costs = _costs(dict(part.tally), time.perf_counter() - begun)
        return [*(figure for metric in metrics for figure in metric(part)), *costs]

    # What cells share ------------------------------------------------------------------------------------------------

    def _metrics_of(self, variant: Variant) -> list[Callable[[Any], Sequence[Figure]]]:
        base, home = (LawMetric, LAW) if self.study.world is not None else (Metric, METRICS)
        return [metric_of(one, base, home) for one in self.study.of(variant).metrics]

    @cached_property
    def _run(self) -> Run:
        return run_of(self.study, self.work)

    @cached_property
    def _records(self) -> Mapping[str, Sequence[Streams]]:
        return records_of(self._run)

    @cached_property
    def _world(self) -> World:
        return world_of(self.study)

    @cached_property
    def _oracle(self) -> MaskedModel:
        return oracle(self._world)

    def _trained(self, recipe: Recipe) -> Run:
        return trained_run(_only_trained(recipe), self.study, self._folder(recipe), self.work)

    def _model(self, recipe: Recipe) -> MaskedModel:
        return trained_on_world(_only_trained(recipe), self._world, self.study.records, self._folder(recipe))

    def _folder(self, recipe: Recipe) -> Path:
        study = self.study
        found = {"recipe": _trained_by(recipe), "data": study.data, "world": study.world}
        return self.work / "trained" / _digest({**found, "records": study.records})

    def _recipe(self, variant: Variant, seed: int) -> Recipe:
        """The recipe of a variant; of a study that trains nothing, the one of its sampler."""
        study = self.study
        (variant,) = study.of(variant).variants
        changes = [study.changes, variant.changes]
        if study.kind == "train":
            return load_recipe(
                str(study.recipe), tiny=study.tiny, overrides=[*overrides(changes, ""), f"training.seed={seed}"]
            )
        if study.kind == "exact":
            name = str(study.recipe)
            own = load_recipe(name).samplers
            words = [*(f"samplers.{one}=null" for one in own), *overrides(changes, "sampler.")]
            return load_recipe(name, overrides=words)
        stream, recipe = str(study.stream), self._run.recipe
        home = f"samplers.{stream}" if stream in recipe.samplers else "sampler"
        others = [f"samplers.{one}={{}}" for one in recipe.samplers if one != stream]
        words = [*(others if home == "sampler" else []), *overrides(changes, f"{home}.")]
        return read_recipe(self._run.folder, overrides=words)

    def _sampler(self, recipe: Recipe) -> Sampler:
        if self.study.world is not None:
            name = self._world.layout.names[0]
            return fitted_to(recipe, self._world.layout).sampler_of(name)
        return recipe.sampler_of(str(self.study.stream))


def metric_of(named: str | Mapping[str, Any], base: type, home: str) -> Any:
    """A metric by its name, by its class path, or by its class path and arguments.

    Raises:
        ValueError: there is none of that name.
    """
    values = {"class_path": named} if isinstance(named, str) else dict(named)
    path = values.get("class_path")
    if isinstance(path, str) and "." not in path:
        values["class_path"] = f"{home}.{path}"
    return component(values, base, home)


def _with_sampler(run: Run, stream: str, sampler: Sampler) -> Run:
    return replace(run, recipe=replace(run.recipe, samplers={**run.recipe.samplers, stream: sampler}))


def _only_trained(recipe: Recipe) -> Recipe:
    """The recipe without what is not used before it generates, so that variants of samplers share a training."""
    return replace(recipe, sampler=Sampler(), samplers={}, budgets={})


def _trained_by(recipe: Recipe) -> dict[str, Any]:
    """All that a training follows from, as JSON values."""
    values: dict[str, Any] = plain(_only_trained(recipe), Recipe)
    return {name: value for name, value in values.items() if name != "budgets"}


def _costs(tally: Mapping[str, int], seconds: float) -> list[Figure]:
    if not tally.get("positions"):
        return []
    rows = tally["rows"]
    passes = tally.get("computed_positions", 0) / tally["positions"]
    return [Figure("passes", passes, None, rows, "samples"), Figure("seconds", seconds / rows, None, rows, "samples")]


def _digest(values: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]
