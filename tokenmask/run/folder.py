"""The run folder: what lies in it, read and written.

Arrow: folder --**read_run**--> recipe, layout, models and tokenizers that belong together --**write_run**--> folder.
Does not know: what a run does, how it is trained.

    recipe.yaml  layout.json  run.json  tokenizers/NAME/  models/NAME.safetensors  checkpoint.safetensors  metrics.jsonl
    lengths.safetensors, how long streams are by what is given
    tuned.yaml, where settings of its samplers were found for it
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tokenmask.arguments import path_of, string
from tokenmask.components import names_of_its_day, plain
from tokenmask.corpus.stores import is_address
from tokenmask.files import write_text_atomic
from tokenmask.generation import ExpectedLengths
from tokenmask.layout import Layout
from tokenmask.models import MaskedModel
from tokenmask.recipes import Budget, Recipe, load_recipe, recipe_as_written, recipe_yaml, same_recipe
from tokenmask.sampling import Sampler
from tokenmask.tokenizer import Tokenizer, check_storable
from tokenmask.tokenizer import load_tokenizer as load_tokenizer_folder

FORMAT = 2  # 1 held layouts and models whose components had no class path; it is still read
TUNED = "tuned.yaml"
LENGTHS = "lengths.safetensors"
SHIPPED = Path(__file__).parents[1] / "weights"  # a run folder without corpora; its README.md is the model card


class RunParts(NamedTuple):
    """What a run folder holds; the fields are those of :class:`tokenmask.run.Run`."""

    recipe: Recipe
    layout: Layout
    models: dict[str, MaskedModel]
    tokenizers: dict[str, Tokenizer]
    corpora: tuple[tuple[str, float], ...]
    labels: dict[str, dict[str, tuple[str, ...]]]
    fresh: tuple[str, ...] = ()
    lengths: ExpectedLengths = ExpectedLengths()


def read_run(folder: Path) -> RunParts:
    """Opens all parts of a run folder and checks that they belong together.

    Raises:
        ValueError: no run, an unfinished or a damaged one.
    """
    about = _read_json(folder / "run.json")
    if about.get("format") not in (1, FORMAT):
        raise ValueError(
            f"{folder} has run format {about.get('format')}, this tokenmask reads up to {FORMAT}; "
            "install a later version"
        )
    if not all(isinstance(about.get(k), t) for k, t in (("sha256", dict), ("streams", list), ("corpora", list))):
        raise ValueError(f"{folder / 'run.json'} is damaged (a field is missing); restore it or train again")
    for name, digest in about["sha256"].items():
        if not (folder / name).is_file() or sha256((folder / name).read_bytes()) != digest:
            raise ValueError(f"{folder / name} was changed or damaged since the run was made; restore it")
    as_written = None if (folder / TUNED).is_file() else recipe_as_written(folder / "recipe.yaml")
    recipe = as_written or read_recipe(folder)
    if about["streams"] != list(recipe.streams):
        raise ValueError(f"{folder / 'run.json'} is damaged (its streams are not those of the recipe); restore it")
    homes = {name: recipe.streams[name].shares or name for name in about["streams"]}
    opened = {home: load_tokenizer_folder(folder / "tokenizers" / home) for home in dict.fromkeys(homes.values())}
    tokenizers = {name: opened[home] for name, home in homes.items()}
    layout = _read_layout(folder / "layout.json")
    for name, tokenizer in tokenizers.items():
        if tokenizer.spec != layout.streams[name]:
            raise ValueError(
                f"stream {name!r} of {folder} was trained on the codes of another tokenizer than the one in "
                f"{folder / 'tokenizers' / homes[name]}; put the right one back"
            )
    paths = {path.stem: path for path in sorted((folder / "models").glob("*.safetensors"))}
    if "main" not in paths:
        raise ValueError(f"{folder} has no trained model yet; finish its training with `tokenmask train`")
    models = {name: MaskedModel.load(path) for name, path in paths.items()}
    for name, model in models.items():
        if model.layout != layout:
            raise ValueError(f"model {name!r} of {folder} belongs to another layout; train it again")
    places = [(place if is_address(place) else str(folder / place), weight) for place, weight in about["corpora"]]
    corpora = tuple((place, float(weight)) for place, weight in places)
    labels = {
        name: {axis: tuple(names) for axis, names in axes.items()} for name, axes in about.get("labels", {}).items()
    }
    fresh = tuple(name for name in about.get("fresh", ()) if name in layout.streams)
    told = folder / LENGTHS  # version 0.2 did not write it
    lengths = ExpectedLengths.load(told) if told.is_file() else ExpectedLengths()
    return RunParts(recipe, layout, models, tokenizers, corpora, labels, fresh, lengths)


def read_recipe(folder: Path, overrides: Sequence[str] = (), *, tuned: bool = True) -> Recipe:
    """The recipe of a run, in whatever words were those of its day.

    Args:
        folder: of the run.
        overrides: as of :func:`load_recipe`.
        tuned: with the settings that were found for the run after its training, if it has any.
    """
    over = folder / TUNED if tuned and (folder / TUNED).is_file() else None
    with names_of_its_day():
        return load_recipe(folder / "recipe.yaml", overrides=overrides, over=over)


def write_tuned(folder: Path, stream: str, usual: Sampler, budgets: Sequence[Budget]) -> None:
    """Writes the settings that were found for a stream beside the recipe, over those found before.

    They are of the trained weights, so they are no part of ``recipe.yaml``, by which a training is resumed.

    Args:
        folder: of the run.
        stream: which.
        usual: settings where no budget is asked for.
        budgets: from small to large.
    """
    path = folder / TUNED
    found = dict(yaml.safe_load(path.read_text(encoding="utf-8"))) if path.is_file() else {}
    samplers = {**found.get("samplers", {}), stream: plain(usual, Sampler)}
    said = {**found.get("budgets", {}), stream: [plain(budget, Budget) for budget in budgets]}
    write_text_atomic(path, yaml.safe_dump({"samplers": samplers, "budgets": said}, sort_keys=False, width=120))


def model_path(folder: str | Path, name: str = "main") -> Path:
    """Where a run folder keeps the weights of a model."""
    return Path(folder) / "models" / f"{name}.safetensors"


def load_tokenizer(name: str, folder: str | Path | None = None) -> Tokenizer:
    """The tokenizer of a stream of a run, or the one in a tokenizer folder.

    Args:
        name: stream name in a run; the modality if ``folder`` is a tokenizer folder.
        folder: either; None is the model that ships, whose tokenizers are named by their modality.

    Raises:
        ValueError: neither is there, or the tokenizer is of another modality.
        TypeError: a name that is no string, a folder that is no path.
    """
    string("name of a stream", name)
    folder = SHIPPED if folder is None else path_of("folder of a run or tokenizer", folder)
    inside = folder / "tokenizers" / name
    if (folder / "run.json").is_file() and not inside.is_dir():
        streams = sorted(path.name for path in (folder / "tokenizers").iterdir())
        raise ValueError(f"the run {folder} has tokenizers for {', '.join(streams)}, got {name!r}; name one of these")
    tokenizer = load_tokenizer_folder(inside if inside.is_dir() else folder)
    if not inside.is_dir() and tokenizer.spec.modality != name:
        raise ValueError(
            f"{folder} holds a {tokenizer.spec.modality} tokenizer, got a request for {name!r}; ask for that one"
        )
    return tokenizer


def write_run(
    folder: Path,
    recipe: Recipe,
    layout: Layout,
    tokenizers: Mapping[str, Tokenizer],
    corpora: Sequence[tuple[str | Path, float]],
    labels: Mapping[str, Mapping[str, Sequence[str]]],
    origin: Mapping[str, Any] | None = None,
) -> None:
    """Everything of a run folder but its models; what is there already must be the same.

    Files that another version would write otherwise, but that say the same, stay as they are.

    Raises:
        ValueError: the folder holds another run, or something could not be read back; then nothing was written.
    """
    texts = {"recipe.yaml": recipe_yaml(recipe), "layout.json": json.dumps(layout.to_json(), indent=2) + "\n"}
    for tokenizer in tokenizers.values():
        check_storable(tokenizer)
    held = {name: (folder / name).read_text(encoding="utf-8") for name in texts if (folder / name).exists()}
    equal = {
        "recipe.yaml": lambda: same_recipe(read_recipe(folder, tuned=False), recipe),
        "layout.json": lambda: _read_layout(folder / "layout.json") == layout,
    }
    for name, text in held.items():
        if text != texts[name] and not equal[name]():
            if name == "recipe.yaml":
                raise _another(folder / name, _differing(recipe_yaml(read_recipe(folder, tuned=False)), texts[name]))
            raise _another(folder / name)
    texts |= held
    about = {
        "format": FORMAT,
        "sha256": {name: sha256(text.encode()) for name, text in texts.items()},
        "streams": list(tokenizers),
        "corpora": [[_stored(path, folder), weight] for path, weight in corpora],
        "labels": labels,
        **(origin or {}),
    }
    begun = (folder / "run.json").exists()
    if begun and not _same_about(_read_json(folder / "run.json"), json.loads(json.dumps(about))):
        raise _another(folder / "run.json")
    for name, text in texts.items():
        if name not in held:
            _write(folder / name, text)
    for name, tokenizer in tokenizers.items():
        if name not in layout.shares:
            tokenizer.save(folder / "tokenizers" / name)
    if not begun:
        _write(folder / "run.json", json.dumps(about, indent=2) + "\n")


def _same_about(theirs: Mapping[str, Any], mine: Mapping[str, Any]) -> bool:
    """Whether two run.json say the same; up to 0.2 names were written of the streams of the first record alone."""
    labels = mine["labels"]
    known = theirs.get("labels", {})
    fits = isinstance(known, dict) and all(labels.get(name) == axes for name, axes in known.items())
    return fits and {**theirs, "format": FORMAT, "labels": labels} == mine


def _stored(place: str | Path, folder: Path) -> str:
    """A corpus inside the run folder is named relative to it, so that the folder can be moved; an address stays."""
    if is_address(place):
        return str(place)
    path, folder = Path(place).resolve(), folder.resolve()
    return str(path.relative_to(folder) if path.is_relative_to(folder) else path)


def sha256(data: bytes) -> str:
    """The digest that run.json states of a file."""
    return hashlib.sha256(data).hexdigest()


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ValueError(f"a run folder holds {path.name}, but {path.parent} does not; make one with `tokenmask train`")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} is damaged ({error}); restore it or train again") from error
    if not isinstance(values, dict):
        raise ValueError(f"{path} is damaged (no JSON object); restore it or train again")
    return values


def _read_layout(path: Path) -> Layout:
    try:
        return Layout.from_json(_read_json(path))
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path} is damaged ({error}); restore it or train again") from error


def _another(path: Path, where: str = "") -> ValueError:
    return ValueError(
        f"{path.parent} holds another run ({path.name} differs{where}); resume it with the same recipe, tokenizers "
        "and corpora, or choose another folder"
    )


def _differing(there: str, here: str) -> str:
    """The first fields in which two pages differ, with the values of both."""
    before, now = _leaves(yaml.safe_load(there)), _leaves(yaml.safe_load(here))
    fields = [key for key in {**before, **now} if before.get(key) != now.get(key)]
    said = [f"{key} is {before.get(key, 'not said')} there and {now.get(key, 'not said')} here" for key in fields[:3]]
    return f": {', '.join(said)}{', and more' if len(fields) > len(said) else ''}" if said else ""


def _leaves(page: Any, place: str = "") -> dict[str, Any]:
    if not isinstance(page, dict) or not page:
        return {place: page}
    found: dict[str, Any] = {}
    for key, value in page.items():
        found |= _leaves(value, f"{place}.{key}" if place else str(key))
    return found


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text_atomic(path, text)
