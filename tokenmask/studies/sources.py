"""Sources of a study: corpora of data that ship, runs that were trained, and worlds.

Arrow: keys of a study + folder for work --> Run, corpora, World. Does not know: variants, metrics.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tokenmask.components import component
from tokenmask.corpus import HELD_OUT, TRAIN, Item, build_corpus
from tokenmask.demo import items
from tokenmask.files import hold
from tokenmask.layout import Layout
from tokenmask.models import MaskedModel
from tokenmask.recipes import Recipe, StreamOptions
from tokenmask.run import SHIPPED, Run, load_tokenizer, train
from tokenmask.run.folder import model_path
from tokenmask.studies.study import Study
from tokenmask.tokenizer import Tokenizer
from tokenmask.worlds import World

_RECORDS_SEED = 90210  # of the records of a world, which are the same for all variants and seeds


def world_of(study: Study) -> World:
    """The exactly known world of a study.

    Raises:
        ValueError: no class of that name, or a stream that is given and that it has not.
    """
    world = _world(study.world or {})
    if all(filled_of(study, world).logical_not()):
        raise ValueError(
            f"given may name some of the streams {', '.join(world.parts)}, not all, got {', '.join(study.given)}; "
            "correct it"
        )
    return world


def asked_world_of(study: Study) -> World:
    """The world that is drawn from, see :class:`Study`.

    Raises:
        ValueError: no class of that name, or one of other streams.
    """
    world = world_of(study)
    if study.asked is None:
        return world
    other = _world(study.asked)
    if other.parts != world.parts:
        raise ValueError(f"asked must be a world of the streams of {world}, got {other}; take another")
    return other


def filled_of(study: Study, world: World) -> Tensor:
    """bool [N], the slots of a world that are filled: those that are not given.

    Raises:
        ValueError: a stream that it has not, or no places of one.
    """
    open_of = {name: torch.ones(len(part), dtype=torch.bool) for name, part in world.parts.items()}
    for one in study.given:
        found = re.fullmatch(r"(.+?)(?:\[(\d*):(\d*)\])?", one)
        if found is None or found[1] not in open_of:
            raise ValueError(
                f"given may name some of the streams {', '.join(world.parts)}, not all, got {one}; correct it"
            )
        first, stop = (int(word) if word else None for word in (found[2], found[3]))
        open_of[found[1]][first:stop] = False
    return torch.cat(list(open_of.values()))


def _world(named: Mapping[str, Any]) -> World:
    values = dict(named)
    if "." not in str(values.get("class_path", ".")):
        values["class_path"] = f"tokenmask.worlds.{values['class_path']}"
    return component(values, World, "tokenmask.worlds")  # type: ignore[type-abstract]


def run_of(study: Study, work: Path) -> Run:
    """The trained run of a study, beside the records that it is measured on.

    Raises:
        ValueError: no run, or records that it has no stream for.
    """
    run = Run.load(SHIPPED if study.run in (None, "shipped") else str(study.run))
    run.inputs.check(str(study.stream))
    if study.data is None:
        return run
    return replace(run, corpora=corpora_of(study, run.tokenizers, work))


def corpora_of(study: Study, tokenizers: Mapping[str, Tokenizer], work: Path) -> tuple[tuple[str, float], ...]:
    """(folder, weight) of the records of a study; those of sets that ship are coded when they are first asked for.

    Raises:
        ValueError: an unknown set, or keys of data that are none.
    """
    data = dict(study.data or {})
    if set(data) == {"corpus"}:
        named = data["corpus"]
        folders = named if isinstance(named, list) else [named]
        return tuple((str(folder), 1.0) for folder in folders)
    sets = items.corpora() if set(data) == {"set"} else {}
    if set(data) != {"set"} or data["set"] not in sets:
        raise ValueError(
            f"data of a study is {{corpus: FOLDER}} or {{set: NAME}} with a set that ships "
            f"({', '.join(sets or items.corpora())}), got {data}; write one of these"
        )
    chosen = [one for split in (TRAIN, HELD_OUT) for one in _some(sets[data["set"]], split, study.records)]
    chosen = [replace(one, media={n: m for n, m in one.media.items() if n in tokenizers}) for one in chosen]
    used = {name: one for name, one in tokenizers.items() if any(name in item.media for item in chosen)}
    names = "-".join(f"{name}-{one.spec.fingerprint[:8]}" for name, one in used.items())
    folder = work / "corpora" / f"{data['set']}-{study.records}-{names}"
    with _alone(folder):
        build_corpus(chosen, used, folder, on_error="raise", workers=1)
    return ((str(folder), 1.0),)


def trained_run(recipe: Recipe, study: Study, folder: Path, work: Path) -> Run:
    """The run of a recipe on the data of a study, trained or opened."""
    with _alone(folder):
        if (folder / "models").is_dir() and model_path(folder).is_file():
            return Run.load(folder)
        names = {name: options.shares or name for name, options in recipe.streams.items()}
        used = {name: load_tokenizer(recipe.streams[home].tokenizer) for name, home in names.items()}
        return train(folder, recipe, used, corpora_of(study, used, work), progress=True)


def trained_on_world(recipe: Recipe, world: World, records: int, folder: Path) -> MaskedModel:
    """The model of a recipe after its training on draws of a world, trained or opened."""
    with _alone(folder):
        if not model_path(folder).is_file():
            corpus = folder / "world" / "corpus"
            if not (folder / "world" / "tokenizers").is_dir():
                shutil.rmtree(folder / "world", ignore_errors=True)
            elif corpus.is_dir() and not (folder / "run.json").is_file():
                shutil.rmtree(folder / "world")
            if not corpus.is_dir():
                world.write(folder / "world", records, seed=_RECORDS_SEED)
            train(folder, fitted_to(recipe, world.layout), world.tokenizers, [(corpus, 1.0)], progress=True)
        return Run.load(folder).models["main"]


def fitted_to(recipe: Recipe, layout: Layout) -> Recipe:
    """The recipe with the streams of a layout in place of its own; what it says of streams of other names goes."""
    streams = {name: StreamOptions("none", {}, layout.arrangement(name)) for name in layout.names}
    return replace(
        recipe,
        streams=streams,
        samplers={name: one for name, one in recipe.samplers.items() if name in streams},
        packing=replace(recipe.packing, budgets={n: b for n, b in recipe.packing.budgets.items() if n in streams}),
        conditioning=replace(
            recipe.conditioning, odds={n: o for n, o in recipe.conditioning.odds.items() if n in streams}
        ),
        training=replace(recipe.training, only=()),
    )


def _some(found: Sequence[Item], split: str, most: int) -> list[Item]:
    own = [one for one in found if one.split == split]
    return own if len(own) <= most else [own[at * len(own) // most] for at in range(most)]


class _alone:
    """Around the making of a folder: a second process that asks for the same one is told so."""

    def __init__(self, folder: Path) -> None:
        self._path = folder.with_name(f".{folder.name}.lock")

    def __enter__(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._path.open("a")
        if not hold(self._file):
            self._file.close()
            raise ValueError(f"another process is making {self._path.parent}; wait for it, or give --work FOLDER")

    def __exit__(self, *_: object) -> None:
        self._file.close()
