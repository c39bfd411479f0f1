"""What the layers of a network of transformers attend over: its keys and values, seen and put in the place of others.

Arrow: a pass of the network --**seeing**, **over**--> keys and values of each layer. Does not know: rows, streams. The
library asks a function of a registry for attention, by the name in the configuration; here that name is another while a
pass lasts, and its function is the library's own ("sdpa") between what this file sees and hands on.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

_NAME, _SDPA = "tokenmask_sdpa", "sdpa"
Take = Callable[[Tensor, Tensor, Tensor | None], tuple[Tensor, Tensor, Tensor | None]]
"""(keys, values [B, H, L, D], mask) of a layer, in the order of layers -> those that are attended over instead."""
_NOW: ContextVar[Take | None] = ContextVar("tokenmask_attending", default=None)
_OPEN: dict[int, int] = {}  # passes under way of the network with a configuration, of which threads may have several
_LOCK = threading.Lock()


class OtherAttention(Exception):
    """Why keys and values of a network's layers cannot be seen or replaced."""


def _attend(module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Any, **named: Any) -> Any:
    """The library's attention, over what the pass that is under way hands on."""
    take = _NOW.get()
    if take is not None:
        if named.get("position_bias") is not None:
            raise OtherAttention("its attention adds a bias of places")
        key, value, attention_mask = take(key, value, attention_mask)
    sdpa = importlib.import_module("transformers.integrations.sdpa_attention")
    return sdpa.sdpa_attention_forward(module, query, key, value, attention_mask, **named)


@contextmanager
def attending(network: nn.Module, take: Take) -> Iterator[None]:
    """While open, layers of the network attend over what ``take`` gives.

    Raises:
        OtherAttention: the network attends in another way.
    """
    config: Any = network.config
    masks = importlib.import_module("transformers.masking_utils")
    importlib.import_module("transformers.modeling_utils").AttentionInterface.register(_NAME, _attend)
    masks.AttentionMaskInterface.register(_NAME, masks.sdpa_mask)
    _enter(config)
    token = _NOW.set(take)
    try:
        yield
    finally:
        _NOW.reset(token)
        _leave(config)


def _enter(config: Any) -> None:
    with _LOCK:
        if not _OPEN.get(id(config)):
            found = getattr(config, "_attn_implementation", None)
            if found != _SDPA:
                raise OtherAttention(f"it attends by {found!r}, not by 'sdpa' of transformers")
            config._attn_implementation = _NAME
        _OPEN[id(config)] = _OPEN.get(id(config), 0) + 1


def _leave(config: Any) -> None:
    with _LOCK:
        _OPEN[id(config)] -= 1
        if not _OPEN[id(config)]:
            del _OPEN[id(config)]
            config._attn_implementation = _SDPA


@dataclass
class Layers:
    """Keys and values of some rows of one length, of every layer, and who may look at whom.

    Args:
        rows: int64 [R], the numbers of the rows in their batch.
        size: L, places of a row.
        keys, values: float [R, H, L, D] of each layer, as attention gets them.
        masks: bool or float [R or 1, 1, L or 1, L] of each layer; one line where all places see the same. None: all.
    """

    rows: Tensor
    size: int
    keys: list[Tensor] = field(default_factory=list)
    values: list[Tensor] = field(default_factory=list)
    masks: list[Tensor | None] = field(default_factory=list)

    def seeing(self) -> Take:
        """Keeps what each layer attends over, and changes nothing."""
        slim: dict[int, tuple[Tensor | None, Tensor | None]] = {}  # layers share their masks

        def take(key: Tensor, value: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
            if id(mask) not in slim:
                slim[id(mask)] = (mask, None if mask is None else _slim(mask))
            self.keys.append(key.detach())
            self.values.append(value.detach())
            self.masks.append(slim[id(mask)][1])
            return key, value, mask

        return take

    def over(self, lines: Tensor, places: Tensor, real: Tensor) -> Take:
        """Puts what is new into its places, and has it look at all of its row.

        Args:
            lines: int64 [N], which of the rows go through the network.
            places: int64 [N, M], where what goes through stands in its row.
            real: bool [N, M], False at what only fills up.
        """
        line, column = real.nonzero(as_tuple=True)
        to, at = lines[line], places[line, column]
        every = len(lines) == len(self.rows)
        layers = iter(range(len(self.keys)))
        looks: dict[int, Tensor] = {}

        def take(key: Tensor, value: Tensor, _: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
            layer = next(layers)
            keys, values, mask = self.keys[layer], self.values[layer], self.masks[layer]
            keys[to, :, at] = key[line, :, column]
            values[to, :, at] = value[line, :, column]
            if id(mask) not in looks:
                looks[id(mask)] = self._looks(mask, lines, places)
            return keys if every else keys[lines], values if every else values[lines], looks[id(mask)]

        return take

    def _looks(self, mask: Tensor | None, lines: Tensor, places: Tensor) -> Tensor:
        """[N, 1, M or 1, L], the lines of a mask for some places."""
        if mask is None:
            return torch.ones(1, 1, 1, self.size, dtype=torch.bool, device=places.device)
        mine = mask if len(mask) == 1 else mask[lines]
        if mask.shape[2] == 1:
            return mine
        wanted = places[:, None, :, None].expand(-1, 1, -1, self.size)
        return mine.expand(len(places), -1, -1, -1).gather(2, wanted)

    def of(self, rows: Tensor, lines: Tensor) -> Layers:
        """Some lines, copied, as rows of other numbers."""
        masks = {id(one): one if one is None or len(one) == 1 else one[lines] for one in self.masks}
        return Layers(
            rows,
            self.size,
            [own[lines] for own in self.keys],
            [own[lines] for own in self.values],
            [masks[id(one)] for one in self.masks],
        )


def _slim(mask: Tensor) -> Tensor:
    """One line of a mask where all are alike."""
    if mask.shape[1] != 1:
        raise OtherAttention("its heads see different places")
    alike = torch.equal(mask, mask[:, :, :1].expand_as(mask))
    return (mask[:, :, :1] if alike else mask).detach()
