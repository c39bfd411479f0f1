"""PromptReuse: what is given is run once, and parts of it otherwise. See policy.py for the contract."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from tokenmask.batch import Batch
from tokenmask.models import KVCache, MaskedModel, Packed
from tokenmask.models.cache import TILE
from tokenmask.sampling.reuse.key_values import empty_cache, note
from tokenmask.sampling.reuse.prefix import PrefixReuse
from tokenmask.scores.arguments import whole


@dataclass(frozen=True)
class PromptReuse(PrefixReuse):
    """An intervention on a prompt after it was read: what is filled sees words as if they had been read otherwise.

    Whole prompts are read once, as by :class:`PrefixReuse`. Then the keys and values of some words are put in the
    place of theirs: of each item in ``alone``, those that its words have where they are read without the other words,
    at the same positions; of words in ``neutral``, those of a prompt whose words are all hidden. What other words know
    of these is left, so a red square that leaks into a blue circle is mended in the circle; so is what controls (the
    position before each stream) know of all words, unless they are made neutral too.
    Source: arXiv:2504.01137, sections 3 and 4.

    Args:
        alone: places of words in the prompt, from 0, item by item.
        neutral: places of words.
        controls: whether those are neutral too.
        stream: number of the prompt's stream in the layout.
    """

    alone: tuple[tuple[int, ...], ...] = ()
    neutral: tuple[int, ...] = ()
    controls: bool = False
    stream: int = 0
    exact: ClassVar[bool] = False

    def __post_init__(self) -> None:
        words = [word for item in self.alone for word in item] + list(self.neutral)
        for word in words:
            whole("each word of PromptReuse.alone and neutral", word, least=0)
        if len(set(words)) < len(words):
            raise ValueError(f"a word may stand once in PromptReuse.alone and neutral, got {words}; name it once")

    def read(self, model: MaskedModel, inputs: Batch, given: Tensor, slots: Tensor) -> tuple[KVCache, int]:
        kv, computed = super().read(model, inputs, given, slots)
        prompt = given & (inputs.stream == self.stream)
        number = torch.where(prompt, prompt.cumsum(1) - 1, -1)
        controls = given & (inputs.stream < 0)
        for item in (*self.alone, self.neutral):
            words = torch.isin(number, torch.tensor(item, dtype=torch.int64, device=number.device))
            seen, of = controls | words, inputs
            if item is self.neutral and self.controls:
                words = seen
            if not bool(words.any()):
                continue
            if item is self.neutral:
                seen, hidden = given, model.layout.mask_of(inputs.ids)
                of = replace(inputs, ids=torch.where(prompt[:, :, None], hidden, inputs.ids))
            places = seen.cumsum(1) - 1
            new = Packed.of(of, seen, places)
            apart, more = note(model, new, empty_cache(model, of, int(seen.sum(1).max())), model.pattern)
            _put(kv, slots, apart, places, words)
            computed += more
        return kv, computed


def _put(kv: KVCache, slots: Tensor, other: KVCache, places: Tensor, chosen: Tensor) -> None:
    """Keys and values of the chosen positions, bool [B, L], out of another cache, in place."""
    row, position = chosen.nonzero(as_tuple=True)
    to, at = slots[row, position], places[row, position]
    kv.values[:, row, :, to] = other.values[:, row, :, at]
    into = (row, torch.div(to, TILE, rounding_mode="floor"), to % TILE)
    out = (row, torch.div(at, TILE, rounding_mode="floor"), at % TILE)
    kv.keys[:, into[0], :, into[1], :, into[2]] = other.keys[:, out[0], :, out[1], :, out[2]]
