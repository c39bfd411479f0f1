"""Tokenizers that learn: their classes, and options of ``fit`` as YAML states them.

Arrow: Recipe --> arguments of Tokenizer.fit. Does not know: any modality, media, models.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tokenmask.medium import said
from tokenmask.recipes.recipe import Recipe
from tokenmask.recipes.wrong import sentence
from tokenmask.tokenizer import TOKENIZERS, Learns, find_tokenizers, load_tokenizer_class

OWN = {"items", "seed", "folder", "progress"}  # parameters of fit that are no options


def learner(name: str) -> Any:
    """The tokenizer class of a name.

    Raises:
        ValueError: there is none, or it does not learn.
    """
    kind: Any = load_tokenizer_class(name)
    if not isinstance(kind, Learns):
        raise ValueError(f"{kind.__name__} does not learn from data; name a tokenizer folder instead")
    return kind


def fit_options(kind: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    """Options of ``kind.fit`` with the types that it declares; mappings become the dataclasses they stand for.

    Raises:
        ValueError: an unknown option, or a value of the wrong kind.
    """
    from jsonargparse import ArgumentParser

    parser = ArgumentParser(exit_on_error=False)
    known = parser.add_method_arguments(kind, "fit", skip=OWN)
    if unknown := [name for name in values if name not in known]:
        raise ValueError(
            f"options of {kind.__name__}.fit are {', '.join(known)}, got {', '.join(unknown)}; name one of these"
        )
    try:
        read = vars(parser.instantiate(parser.parse_object(dict(values))))
    except Exception as error:  # jsonargparse raises many kinds; all mean that the options do not fit
        raise ValueError(
            f"options of {kind.__name__}.fit are {', '.join(known)}, each of its kind: {sentence(error)}"
        ) from error
    return {name: read[name] for name in values}


def brought_by_others(recipe: Recipe) -> list[str]:
    """Tokenizers of installed packages for media that no stream of a recipe takes and that name their endings.

    A recipe with optional streams can take each as a stream of its name. Where several are for one medium, the first by
    name is meant; another is named in the recipe.
    """
    taken = [load_tokenizer_class(options.tokenizer).media for options in recipe.streams.values()]
    found: list[str] = []
    for name in sorted(find_tokenizers().keys() - TOKENIZERS.keys() - recipe.streams.keys()):
        kind = load_tokenizer_class(name)
        if isinstance(kind, Learns) and said(kind.media, "suffixes") and kind.media not in taken:
            found.append(name)
            taken.append(kind.media)
    return found


def learner_of(recipe: Recipe, name: str) -> tuple[Any, dict[str, Any]]:
    """The tokenizer class of a recipe's stream, and the options that the recipe fits it with."""
    kind = learner(recipe.streams[name].tokenizer)
    return kind, fit_options(kind, recipe.streams[name].fit)
