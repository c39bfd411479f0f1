"""Attention patterns: one rule, whether it is asked of all pairs, of packed positions or of one pair at a time.

Does not know: which pattern.
"""

from __future__ import annotations

from dataclasses import fields

import torch
from torch import Tensor

from tokenmask.models import AttentionPattern, SlotMeta, dense_mask, mask_mod
from tokenmask.testing.anything import in_any_company, value_requirements
from tokenmask.testing.contract import Contract, require
from tokenmask.testing.world import World


def _meta(world: World) -> SlotMeta:
    """Positions of the rows in groups 0 to 2."""
    return SlotMeta.of(world.batch, (world.chance(5)[:, :, 0] * 3).to(torch.int32))


def _dense(pattern: AttentionPattern, world: World) -> Tensor:
    meta = _meta(world)
    return pattern.allows(meta[:, :, None], meta[:, None, :])


def _use(pattern: AttentionPattern, world: World) -> list[Tensor | None]:
    return [_dense(pattern, world), dense_mask(pattern, _meta(world))]


def answers_every_pair(pattern: AttentionPattern) -> None:
    """bool of the broadcast shape."""
    rows, length, _ = World().batch.shape
    allowed = _dense(pattern, World())
    got = f"{allowed.dtype} {list(allowed.shape)}"
    right = allowed.dtype == torch.bool and allowed.shape == (rows, length, length)
    require(right, f"allows must give bool {[rows, length, length]}, got {got}")


def packed_equals_dense(pattern: AttentionPattern) -> None:
    """Positions packed without padding see what they see in a padded batch."""
    meta, dense = _meta(World()), _dense(pattern, World())
    row, position = meta.valid.nonzero(as_tuple=True)
    packed = pattern.allows(meta[row, position][:, None], meta[row])
    expected = dense[row, position]
    require(
        packed.shape == expected.shape and torch.equal(packed, expected),
        "must allow packed positions what it allows them in a padded batch, got another mask",
    )


def one_pair_equals_dense(pattern: AttentionPattern) -> None:
    """As flex_attention asks: one position at a time, under vmap, where no value can be looked at."""
    meta, dense = _meta(World()), _dense(pattern, World())
    mod, length = mask_mod(pattern, meta), dense.shape[1]
    zero, places = torch.tensor(0), torch.arange(length)
    asked = torch.vmap(torch.vmap(mod, (None, None, None, 0)), (None, None, 0, None))
    for row in range(dense.shape[0]):
        try:
            answer = asked(torch.tensor(row), zero, places, places)
        except RuntimeError as error:
            why = str(error).partition("\n")[0]
            raise AssertionError(
                f"must answer one pair without looking at its values, got under vmap: {why}"
            ) from error
        expected = dense[row] & meta.valid[row]
        require(
            torch.equal(answer, expected), "must allow a pair alone what it allows it among all, got another answer"
        )


def only_the_pair_matters(pattern: AttentionPattern) -> None:
    """The rule sees two positions, not which ones stand beside them in the tensor."""
    meta, dense = _meta(World()), _dense(pattern, World())
    order = torch.arange(dense.shape[1] - 1, -1, -1)
    turned = SlotMeta(*(getattr(meta, field.name)[:, order] for field in fields(meta)))
    allowed = pattern.allows(turned[:, :, None], turned[:, None, :])
    same = torch.equal(allowed, dense[:, order][:, :, order])
    require(same, "must answer a pair by what is known of both positions, but their order in the tensor matters")


def rows_do_not_matter_to_one_another(pattern: AttentionPattern) -> None:
    """Padding and other rows change nothing."""
    in_any_company(lambda world: [_dense(pattern, world) & world.batch.valid[:, :, None] & world.batch.valid[:, None]])


PATTERNS = Contract(
    "pattern",
    AttentionPattern,
    (
        answers_every_pair,
        packed_equals_dense,
        one_pair_equals_dense,
        only_the_pair_matters,
        rows_do_not_matter_to_one_another,
        *value_requirements(_use),
    ),
)


def check_pattern(pattern: AttentionPattern) -> list[str]:
    """Runs every check of an attention pattern; see :meth:`Contract.check` for what it returns and raises."""
    return PATTERNS.check(pattern)
