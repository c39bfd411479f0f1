"""Keys and values of a wrapped network: kept by a pass of whole rows, used by passes of some of their places.

Arrow: rows --**seen_by**--> logits, NetworkCache --**run_some**--> logits of a few places over the rest as it was. Does
not know: what is stale; a policy does.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from tokenmask.masking.masked_batch import Queries
from tokenmask.models.attending import Layers, OtherAttention, attending
from tokenmask.models.cache import KVCache, Packed

_MULTIPLE = 16  # places that are run are padded to it, so that a row is computed alike in any company


@dataclass
class Held:
    """What passes put into a cache.

    Args:
        layers: rows of one length each.
        places: int64 [B, T], the place in the row of the network of the position in each slot; -1 for none.
    """

    layers: list[Layers] = field(default_factory=list)
    places: Tensor = field(default_factory=lambda: torch.zeros(0, 0, dtype=torch.int64))


@dataclass(frozen=True, eq=False)
class NetworkCache(KVCache):
    """As :class:`KVCache`, but keys and values are as the layers of the network have them."""

    held: Held = field(default_factory=Held)

    @classmethod
    def of(cls, rows: int, slots: int, like: Tensor) -> NetworkCache:
        """Without keys and values yet."""
        bare = KVCache.empty(0, 1, 1, rows, slots, like)
        return cls(bare.keys, bare.values, bare.lengths, bare.meta)

    def begin(self, valid: Tensor, places: Tensor) -> None:
        """Notes which places the valid positions have, bool and int64 [B, L]; what was held is gone."""
        row, position = valid.nonzero(as_tuple=True)
        self.held.layers = []
        self.held.places = torch.full_like(places, -1)
        self.held.places[row, (valid.cumsum(1) - 1)[row, position]] = places[row, position]

    def layers_of(self, rows: Tensor, size: int) -> Layers:
        """Room for rows of one length."""
        self.held.layers.append(Layers(rows, size))
        return self.held.layers[-1]

    def rows(self, index: Tensor) -> NetworkCache:
        """The rows at int64 ``index`` [N], copied; repeats allowed."""
        held = Held(places=self.held.places[index])
        for own in self.held.layers:
            line = torch.full_like(self.lengths, -1)
            line[own.rows] = torch.arange(len(own.rows), device=line.device)
            found = line[index]
            rows = (found >= 0).nonzero().squeeze(1)
            if len(rows):
                held.layers.append(own.of(rows, found[rows]))
        bare = super().rows(index)
        return replace(self, lengths=bare.lengths, meta=bare.meta, held=held)


def seen_by(network: nn.Module, ids: Tensor, mask: Tensor, layers: Layers) -> Tensor:
    """Logits float [R, L, V] of whole rows, whose keys and values go into ``layers``; ids and mask int64 [R, L]."""
    with attending(network, layers.seeing()):
        found: Tensor = network(input_ids=ids, attention_mask=mask).logits
    return found


@torch.no_grad()
def run_some(
    network: nn.Module, first: int, own: Tensor, new: Packed, queries: Queries, cache: NetworkCache, answers: Tensor
) -> Tensor:
    """Logits of some positions, which see each other and what is held of the rest.

    Args:
        network: called with position_ids too.
        first: number of the first place.
        own: int64 [M], ids of the positions; -1 for those that the network does not have.
        new: the positions.
        queries: of ``new``, one level each.
        cache: is brought up to date at these positions.
        answers: float [Q, codes], to be filled.
    """
    places = cache.held.places[new.row, new.slots]
    real = (own >= 0) & (places >= 0)
    before = real.cumsum(0) - real.long()
    counts = torch.zeros(cache.lengths.shape[0], dtype=torch.int64, device=own.device)
    counts = counts.index_add(0, new.row, real.long())
    starts = counts.cumsum(0) - counts
    column = before - starts[new.row]  # of each position among those of its row
    for layers in cache.held.layers:
        mine = counts[layers.rows]
        wide = (-torch.div(-mine, _MULTIPLE, rounding_mode="floor") * _MULTIPLE).clamp(max=layers.size)
        for size in sorted(set(wide.tolist()) - {0}):
            lines = (wide == size).nonzero().squeeze(1)
            line = torch.full_like(counts, -1)
            line[layers.rows[lines]] = torch.arange(len(lines), device=line.device)
            at = (real & (line[new.row] >= 0)).nonzero().squeeze(1)
            ids, where = (torch.zeros(len(lines), size, dtype=torch.int64, device=own.device) for _ in range(2))
            ids[line[new.row[at]], column[at]] = own[at]
            where[line[new.row[at]], column[at]] = places[at]
            there = torch.arange(size, device=own.device) < mine[lines][:, None]
            with attending(network, layers.over(lines, where, there)):
                logits = network(input_ids=ids, attention_mask=torch.ones_like(ids), position_ids=where + first).logits
            row = line[new.row[queries.slots]]
            asked = ((row >= 0) & real[queries.slots]).nonzero().squeeze(1)
            found = logits[row[asked], column[queries.slots[asked]], : answers.shape[1]]
            answers = answers.index_put((asked,), found)
    return answers


@torch.no_grad()
def refusal(network: nn.Module, first: int, causal: bool) -> str:
    """Why keys and values of a network cannot be had, "" where they can: a few places are run alone, and compared."""
    if causal:
        return "it knows what stands before a code alone, so it fills no holes"
    config: Any = network.config
    device = next(network.parameters()).device
    ids = (torch.arange(24, device=device) * 7 % config.vocab_size).view(2, 12)
    pad = getattr(config, "pad_token_id", None)  # some give it no place of its own, wherever it stands
    ids = torch.where(ids == pad, (ids + 1) % config.vocab_size, ids) if pad is not None else ids
    mask = torch.ones_like(ids)
    mask[1, 10:] = 0
    lines, places = torch.arange(2, device=device), torch.tensor([[1, 4, 9], [0, 3, 5]], device=device)
    layers, training = Layers(lines, ids.shape[1]), network.training
    network.eval()
    try:
        wanted = network(input_ids=ids, attention_mask=mask).logits
        seen = seen_by(network, ids, mask, layers)
        if not layers.keys:
            return "its layers do not ask transformers for their attention"
        whole = layers.keys[0].shape[2] == ids.shape[1] and torch.equal(seen, wanted)
        with attending(network, layers.over(lines, places, torch.ones_like(places, dtype=torch.bool))):
            some = network(
                input_ids=ids.gather(1, places), attention_mask=torch.ones_like(places), position_ids=places + first
            ).logits
        alike = torch.allclose(some, wanted[lines[:, None], places], rtol=1e-3, atol=1e-3 * float(wanted.std()))
        return "" if whole and alike else "a place is not what its own pass over the rest of the row gives"
    except OtherAttention as error:
        return str(error)
    except (TypeError, ValueError, RuntimeError, AttributeError, IndexError, StopIteration, ImportError) as error:
        return " ".join(f"it cannot run some places alone ({error})".split())[:200]
    finally:
        network.train(training)
