"""Swapping in a run: another tokenizer for one stream of a run, all else kept.

Arrow: (Run, tokenizer) --**swap**--> Run. Does not know: how codes are related and rows moved (tokenmask.swapping).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tokenmask.corpus import TRAIN
from tokenmask.layout import Layout
from tokenmask.models.wrapped import WrappedModel
from tokenmask.swapping import Relation, relate, transplant
from tokenmask.tokenizer import SpellsCodes, Tokenizer, tokenizer_name

if TYPE_CHECKING:
    from tokenmask.run.run import Run


def swap(run: Run, name: str, tokenizer: Tokenizer | None, media: Sequence[Any] | None, seed: int) -> Run:
    """The run with another tokenizer for one stream; arguments as in :meth:`tokenmask.run.Run.swap_tokenizer`."""
    if tokenizer is None:
        run.inputs.check(name)
    elif not hasattr(tokenizer, "encode_many") or isinstance(tokenizer, type):
        raise TypeError(
            f"swap_tokenizer takes a tokenizer, got {tokenizer!r}; open it first, with tokenmask.tokenizer(name, "
            "folder) or load_tokenizer"
        )
    for model in run.models.values():
        if isinstance(model, WrappedModel):
            raise ValueError(
                f"{model.config.describe()} is wrapped and knows the codes of its own tokenizers alone, so streams of "
                "it stay as they are; take tokenmask.convert where its arithmetic is ours"
            )
    if tokenizer is None:
        return _changed(run, name, None, run.layout.remove(name), {})
    if name not in run.tokenizers:
        return _changed(run, name, tokenizer, run.layout.add(name, tokenizer.spec), {})
    owner = run.layout.shares.get(name, name)
    old = run.tokenizers[owner]
    if old.media is not tokenizer.media:
        raise ValueError(
            f"stream {name!r} holds {old.media.__name__}, got a tokenizer of {tokenizer.media.__name__}; "
            "add it under another name"
        )
    if media is None:
        media = [] if isinstance(tokenizer, SpellsCodes) else _examples(run, owner, seed)
    relation = relate(old, tokenizer, media)
    return _changed(run, owner, tokenizer, run.layout.replace(owner, tokenizer.spec), {owner: relation}, seed)


def _examples(run: Run, name: str, seed: int, most: int = 256) -> list[Any]:
    """Media of a stream, with their codes: decoded training records, or generated without a condition."""
    if run.corpora:
        streams = [record.streams[name] for record in run.records(TRAIN) if name in record.streams][:most]
        return [run.tokenizers[name].decode(stream) for stream in streams]
    spec = run.layout.streams[name]
    if None not in spec.grid:
        return run.generate(name, num_samples=32, seed=seed)
    length = run.recipe.packing.budgets.get(name, run.recipe.packing.max_positions // 2)
    names = run.labels.get(name, {})
    fixed = math.prod(len(own) for own in names.values())
    return run.generate(name, length=max(length // fixed, 1), num_samples=32, seed=seed)


def _changed(
    run: Run, name: str, tokenizer: Tokenizer | None, layout: Layout, relations: Mapping[str, Relation], seed: int = 0
) -> Run:
    """The run in another layout."""
    models = {
        key: transplant(model, layout, name, relations.get(name, ()), seed=seed) for key, model in run.models.items()
    }
    family = [own for own in layout.names if layout.shares.get(own, own) == name]
    kept = {own: old for own, old in run.tokenizers.items() if own in layout.streams}
    fresh = {} if tokenizer is None else dict.fromkeys(family, tokenizer)
    return replace(
        run,
        recipe=run.recipe.with_streams(layout, {own: tokenizer_name(one) for own, one in fresh.items()}),
        layout=layout,
        models=models,
        tokenizers={own: {**kept, **fresh}[own] for own in layout.names},
        corpora=(),
        labels={own: names for own, names in run.labels.items() if own in layout.streams},
        lengths=run.lengths.without(family),
        fresh=tuple(own for own in layout.names if own in fresh or own in run.fresh),
    )
