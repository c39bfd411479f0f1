"""Searching: what an evolution tries in a world that knows better and worse, as the samples of a cell.

Arrow: world + model + recipe --**searched**--> codes, in the order in which they were tried. Does not know: variants,
metrics.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tokenmask.models import MaskedModel
from tokenmask.recipes import Recipe
from tokenmask.run import Run, evolve
from tokenmask.worlds import World

_OURS = ("run", "stream", "score", "begin", "calls", "given", "options")


def check_search(search: Mapping[str, Any], world: World) -> None:
    """ValueError unless it holds ``begin`` and arguments of :func:`tokenmask.run.evolve`, for a world of one stream."""
    known = ["begin", *(name for name in inspect.signature(evolve).parameters if name not in _OURS)]
    unknown = [name for name in search if name not in known]
    if unknown or "begin" not in search or "delimiter" not in search:
        what = f"got {', '.join(unknown)}" if unknown else "where begin and delimiter must be said"
        raise ValueError(f"search has the keys {', '.join(known)}, {what}; correct it")
    if len(world.parts) != 1:
        raise ValueError(f"search needs a world of one stream, got {', '.join(world.parts)}; take another")


def searched(
    world: World, model: MaskedModel, recipe: Recipe, samples: int, seed: int, search: Mapping[str, Any]
) -> Tensor:
    """What is tried, int64 [samples, N].

    Args:
        world: of one stream, which knows what is better.
        model: of that stream.
        recipe: with its sampler.
        samples: calls of the score.
        seed: of all draws.
        search: see :func:`check_search`.
    """
    (name,), how = world.parts, dict(search)
    run = Run(Path("."), recipe, model.layout, {"main": model}, world.tokenizers)
    begin = run.generate(name, num_samples=how.pop("begin"), seed=seed)
    if "masks" in how:
        how["masks"] = tuple(how["masks"])
    found = evolve(run, name, lambda media: world.worth(media.text), begin, calls=samples, seed=seed, **how)
    return torch.stack([media.stream.codes[:, 0] for media in found.media]).long()
