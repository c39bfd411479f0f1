"""Earlier recipes: settings that stood in two places, and classes that may be left out, in the words of today.

Arrow: fields of a page --**of_today**--> fields of a page. Does not know: files, how components work.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tokenmask.deprecation import warn_deprecated
from tokenmask.models import RangeHeadsConfig
from tokenmask.models.formats import head_apart
from tokenmask.recipes.merging import fields_of
from tokenmask.training import AdamW

OF_ADAMW = ("weight_decay", "beta1", "beta2", "muon")  # stood beside training.optimiser
SINCE = "0.2"


def of_today(values: Mapping[str, Any], under: Mapping[str, Any], source: str) -> dict[str, Any]:
    """A page whose settings of the optimiser and of the head stand in ``training.optimiser`` and ``head``.

    Args:
        values: a page, or a part of one.
        under: what it changes, in the words of today; empty where it changes nothing.
        source: what holds it, for the sentences.

    Raises:
        ValueError: settings of AdamW beside another optimiser, or of a head beside another head.
    """
    return _head_named(_optimiser_named(dict(values), source), under, source)


def classes_named(values: Mapping[str, Any]) -> dict[str, Any]:
    """Names the classes that a recipe may leave out where the field's default doesn't say them.

    They are those of ``head``, and of ``masker.stages``, which were LevelStages before there could be others.
    """
    head = values.get("head")
    if isinstance(head, Mapping) and "class_path" not in head:
        values = {**values, "head": {"class_path": "tokenmask.models.RangeHeadsConfig", "init_args": fields_of(head)}}
    masker = values.get("masker")
    stages = fields_of(masker).get("stages") if isinstance(masker, Mapping) else None
    if not isinstance(masker, Mapping) or not isinstance(stages, Mapping) or "class_path" in stages:
        return dict(values)
    fields = {
        **fields_of(masker),
        "stages": {"class_path": "tokenmask.masking.LevelStages", "init_args": fields_of(stages)},
    }
    return {**values, "masker": {**masker, "init_args": fields} if "init_args" in masker else fields}


def _optimiser_named(values: dict[str, Any], source: str) -> dict[str, Any]:
    training = values.get("training")
    old = {name: training[name] for name in OF_ADAMW if name in training} if isinstance(training, Mapping) else {}
    if not isinstance(training, Mapping) or not old:
        return values
    names = f"training.{', '.join(old)}"
    warn_deprecated(f"{names} of {source}", instead=f"training.optimiser.{', '.join(old)}", since=SINCE, stacklevel=4)
    left = {name: value for name, value in training.items() if name not in OF_ADAMW}
    if "optimiser" not in left:
        left["optimiser"] = old
    elif left["optimiser"] is None:  # files that say everything meant AdamW by it
        left["optimiser"] = {"class_path": "tokenmask.training.AdamW", "init_args": old}
    elif any(value != getattr(AdamW(), name) for name, value in old.items()):
        raise ValueError(
            f"the settings of an optimiser are its own, but {source} has {old} beside training.optimiser "
            f"{left['optimiser']}; leave out {names}"
        )
    return {**values, "training": left}


def _head_named(values: dict[str, Any], under: Mapping[str, Any], source: str) -> dict[str, Any]:
    model, before = values.get("model"), under.get("model")
    if not isinstance(model, Mapping):
        return values
    name = model.get("class_path", before.get("class_path") if isinstance(before, Mapping) else None)
    left, old = head_apart(fields_of(model), name)
    if not old:
        return values
    warn_deprecated(
        f"model.tied or head_transform of {source}", instead=f"head.{', '.join(old)}", since=SINCE, stacklevel=4
    )
    values["model"] = {**model, "init_args": left} if "init_args" in model else left
    said, usual = values.get("head"), all(value == getattr(RangeHeadsConfig(), name) for name, value in old.items())
    if said is None and not (usual and under.get("head") is None):
        values["head"] = old  # of RangeHeads, where under it stands no other
    elif said is not None and not usual and fields_of(said) != old:
        raise ValueError(
            f"a head is named in one place, but {source} has {old} in its model beside the head {said}; leave out "
            "model.tied and model.head_transform"
        )
    return values
