"""Recipe: the dataclass, and how YAML becomes one.

Arrow: YAML + command-line fields --**load_recipe**--> Recipe. Does not know: how any component works.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, get_args, get_type_hints

import yaml

from tokenmask.components import check_homes, names_of_its_day, plain, same
from tokenmask.layout import Arrangement, Layout, Parallel
from tokenmask.masking import Conditioning, Corruption, GroupChain, Masker, MaskingProcess
from tokenmask.models import AttentionPattern, BackboneConfig, Full, HeadConfig, TransformerConfig, head_of
from tokenmask.objectives import MaskedCrossEntropy, Objective
from tokenmask.procedures import Plain, Procedure
from tokenmask.sampling import Sampler
from tokenmask.training import Packing, Training

FOLDER = Path(__file__).parent
ROWS = ("random", "codebooks")
OPEN = (
    Packing,
    Conditioning,
    Masker,
    GroupChain,
    Corruption,
    Sampler,
)  # classes that are their own base, and may be subclassed
_MOST_BYTES = 1 << 20  # of a YAML file


class _Loader(yaml.SafeLoader):  # type: ignore[misc] # yaml has no types
    """Plain values only, and no aliases: a page of them unfolds to more than any memory holds."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError(f"aliases such as *{self.peek_event().anchor} are not taken; write it out")
        return super().compose_node(parent, index)


@dataclass(frozen=True)
class StreamOptions:
    """One stream of a recipe.

    Args:
        tokenizer: the name of a tokenizer out of ``tokenmask info``.
        fit: options of the tokenizer's ``fit``, for a tokenizer that is trained with the recipe.
        arrangement: how its levels share positions.
        shares: another stream whose tokenizer and ranges it uses (labels that are words like any other).
    """

    tokenizer: str
    fit: Mapping[str, Any] = field(default_factory=dict)
    arrangement: Arrangement = field(default_factory=Parallel)
    shares: str | None = None


@dataclass(frozen=True)
class Recipe:
    """Everything that makes a run except its data.

    Args:
        about: what the recipe does, in a sentence.
        paper: name and arXiv id of the paper, or of the papers it combines.
        streams: stream name -> its tokenizer and arrangement, in packing order.
        packing: how long a record may be.
        conditioning: which streams of a training sample are given, filled, dropped.
        masker: how much, where and with what.
        model: the shared backbone.
        head: what scores the codes; the one that ``model`` asks for if None.
        rows: where the rows of codes begin: "random", or "codebooks", see :func:`tokenmask.models.start_rows`.
        pattern: who attends to whom.
        objective: the loss.
        procedure: what a training step computes around the loss.
        sampler: how slots are filled.
        samplers: stream name -> a sampler of its own.
        training: how the model is optimised.
        optional_streams: streams that own data do not hold are left out; else they must hold each.
    """

    about: str
    paper: str
    streams: Mapping[str, StreamOptions]
    packing: Packing = field(default_factory=Packing)
    conditioning: Conditioning = field(default_factory=Conditioning)
    masker: Masker = field(default_factory=Masker)
    model: BackboneConfig = field(default_factory=TransformerConfig)
    head: HeadConfig | None = None
    rows: str = "random"
    pattern: AttentionPattern = field(default_factory=Full)
    objective: Objective = field(default_factory=MaskedCrossEntropy)
    procedure: Procedure = field(default_factory=Plain)
    sampler: Sampler = field(default_factory=Sampler)
    samplers: Mapping[str, Sampler] = field(default_factory=dict)
    training: Training = field(default_factory=Training)
    optional_streams: bool = False

    def __post_init__(self) -> None:
        if self.rows not in ROWS:
            raise ValueError(f"rows must be one of {', '.join(ROWS)}, got {self.rows!r}")
        if not self.streams:
            raise ValueError("a recipe needs at least one stream, got none")
        head_of(self.model, self.head)
        for name, options in self.streams.items():
            if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", name):  # it names folders
                raise ValueError(f"a stream's name is made of letters, digits, - and _, got {name!r}")
            owner = options.shares
            if owner is not None and (owner not in self.streams or self.streams[owner].shares is not None):
                raise ValueError(f"stream {name!r} may share with a stream of its own kind of codes, got {owner!r}")
        for name in self.samplers:
            if name not in self.streams:
                raise ValueError(f"samplers may name the streams {', '.join(self.streams)}, got {name!r}")
        said = {"objective.process": getattr(self.objective, "process", None), "sampler.process": self.sampler.process}
        said |= {f"samplers.{name}.process": sampler.process for name, sampler in self.samplers.items()}
        law = self.process
        for name, process in said.items():
            if law is not None and isinstance(process, MaskingProcess) and process != law:
                raise ValueError(
                    f"the law of time is said twice: masker.rate hides by {law}, and {name} is {process}; leave it out"
                )

    def sampler_of(self, stream: str) -> Sampler:
        """The sampler that fills a stream; its process is that of the rate, by which the model was told the time."""
        sampler, law = self.samplers.get(stream, self.sampler), self.process
        return sampler if law is None else replace(sampler, process=law)

    @property
    def process(self) -> MaskingProcess | None:
        """The law of time: the masking process of the rate, if it has one."""
        process = getattr(self.masker.rate, "process", None)
        return process if isinstance(process, MaskingProcess) else None

    def with_streams(self, layout: Layout, changed: Mapping[str, str]) -> Recipe:
        """The recipe of a layout with streams swapped, added or removed.

        Args:
            layout: gives the streams, arrangements and shares.
            changed: stream name -> name of its new tokenizer, whose ``fit`` options are not known.
        """
        fresh = {
            name: StreamOptions(tokenizer, {}, layout.arrangement(name), layout.shares.get(name))
            for name, tokenizer in changed.items()
        }
        return replace(self, streams={**self.streams, **fresh}).of(layout.names)

    def of(self, names: Collection[str]) -> Recipe:
        """The same recipe with some of its streams only."""

        def kept(values: Mapping[str, Any]) -> dict[str, Any]:
            return {name: value for name, value in values.items() if name in names}

        return replace(
            self,
            streams=kept(self.streams),
            packing=replace(self.packing, budgets=kept(self.packing.budgets)),
            conditioning=replace(self.conditioning, odds=kept(self.conditioning.odds)),
            samplers=kept(self.samplers),
        )


def list_recipes() -> dict[str, Path]:
    """Name -> file of every recipe that ships."""
    return {path.stem: path for path in sorted(FOLDER.glob("*.yaml"))}


def load_recipe(source: str | Path, *, overrides: Sequence[str] = (), tiny: bool = False) -> Recipe:
    """Reads a recipe.

    Args:
        source: name of a recipe that ships, or path of a YAML file. A recipe may name another as its ``base`` and
            then hold only what it changes.
        overrides: "field.sub=value" each, for example "training.steps=500".
        tiny: applies the recipe's ``tiny`` part first.

    Raises:
        ValueError: no such recipe, an unknown field, a value of the wrong kind, or a foreign component.
    """
    path = _find(source)
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError(f"it has more than {_MOST_BYTES} bytes")
        values = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise ValueError(f"a recipe must be a readable YAML file, but {path} is not: {_one_line(error)}") from error
    if not isinstance(values, dict):
        raise ValueError(f"a recipe must be a YAML mapping of fields, got {type(values).__name__} in {path}")
    base = values.pop("base", None)
    if base is not None:
        values = _merge(_values_of_base(base, path), values)
    small = values.pop("tiny", {})
    if tiny:
        values = _merge(values, small)
    for override in overrides:
        name, equals, text = override.partition("=")
        if not (name and equals):
            raise ValueError(f"a recipe field is set with field.sub=value, got {override!r}")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ValueError(f"the value of a recipe field must be YAML, got {override!r}") from error
        values = _merge(values, _nested(name.split("."), value))
    return _build(values, str(source))


def recipe_yaml(recipe: Recipe) -> str:
    """The resolved recipe: YAML with every field, which :func:`load_recipe` reads back to an equal recipe.

    Raises:
        ValueError: a component that no file could name, or one that would come back as another value.
    """
    values = plain(recipe, Recipe)
    text = str(yaml.safe_dump(values, sort_keys=False, width=120))
    again = _build(yaml.load(text, _Loader), "as it would be written")
    names = [name for name in values if not same(getattr(again, name), getattr(recipe, name))]
    if names:
        raise ValueError(f"a recipe must come back from its file as it was, but {', '.join(names)} would not")
    return text


def same_recipe(one: Recipe, other: Recipe) -> bool:
    """Whether two recipes are equal: in all their values and in the classes of their components."""
    return same(one, other)


def _find(source: str | Path) -> Path:
    shipped = list_recipes()
    if str(source) in shipped:
        return shipped[str(source)]
    path = Path(source)
    if not path.is_file():
        raise ValueError(f"a recipe is one of {', '.join(shipped)} or the path of a YAML file, got {str(source)!r}")
    return path


def _values_of_base(base: Any, path: Path) -> dict[str, Any]:
    """The fields of the shipped recipe that another one changes."""
    shipped = list_recipes()
    if base not in shipped or shipped[base] == path:
        raise ValueError(f"base of {path} must name another recipe that ships ({', '.join(shipped)}), got {base!r}")
    values: dict[str, Any] = yaml.safe_load(shipped[base].read_text(encoding="utf-8"))
    return _merge(_values_of_base(values.pop("base"), shipped[base]), values) if "base" in values else values


def _build(values: dict[str, Any], source: str) -> Recipe:
    from jsonargparse import ArgumentParser, set_parsing_settings

    set_parsing_settings(subclasses_enabled=list(OPEN))
    check_homes(values, f"recipe {source!r}")
    values = _with_stages_named(values)
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(Recipe)
    try:
        # With defaults, arguments that a class leaves out would be those of the default's class.
        with names_of_its_day():
            recipe = Recipe(**vars(parser.instantiate(parser.parse_object(values, defaults=False))))
        _refuse_none(recipe)
    except Exception as error:  # jsonargparse raises many kinds; all mean that the text is no recipe
        raise ValueError(
            f"recipe {source!r} must hold only known fields of the right kind: {_one_line(error)}"
        ) from error
    return recipe


def _with_stages_named(values: dict[str, Any]) -> dict[str, Any]:
    """Recipes may leave out the class of ``masker.stages``, which was LevelStages before there could be others."""
    masker = values.get("masker")
    if not isinstance(masker, dict):
        return values
    fields = masker.get("init_args", masker)
    stages = fields.get("stages") if isinstance(fields, dict) else None
    if not isinstance(stages, dict) or "class_path" in stages:
        return values
    fields = {**fields, "stages": {"class_path": "tokenmask.masking.LevelStages", "init_args": stages}}
    return {**values, "masker": {**masker, "init_args": fields} if "init_args" in masker else fields}


def _refuse_none(value: Any) -> None:
    """TypeError for a part that is null where nothing may be; a parser takes null for any class."""
    hints = get_type_hints(type(value))
    for one in fields(value):
        held = getattr(value, one.name)
        if held is None and type(None) not in get_args(hints[one.name]):
            raise TypeError(f"{type(value).__name__}.{one.name} must not be null; leave it out, or name a class")
        if is_dataclass(held) and not isinstance(held, type):
            _refuse_none(held)


def _merge(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """``changes`` over ``values``, mapping by mapping; another class path replaces the whole component.

    A stream that gets another tokenizer loses the ``fit`` options of the one that it had.
    """
    merged = dict(values)
    if "tokenizer" in merged and changes.get("tokenizer", merged["tokenizer"]) != merged["tokenizer"]:
        merged.pop("fit", None)
    for key, change in changes.items():
        old = merged.get(key)
        if not (isinstance(old, Mapping) and isinstance(change, Mapping)):
            merged[key] = change
        elif "class_path" not in old:
            merged[key] = change if "class_path" in change else _merge(old, change)
        elif "class_path" not in change:  # fields of the component that stands there
            merged[key] = _merge(old, change if "init_args" in change else {"init_args": change})
        else:
            merged[key] = _merge(old, change) if change["class_path"] == old["class_path"] else change
    return merged


def _nested(names: list[str], value: Any) -> dict[str, Any]:
    return {names[0]: _nested(names[1:], value) if len(names) > 1 else value}


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
