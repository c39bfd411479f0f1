"""Masker: hides slots of a batch and lists what is right.

Arrow: Batch --**Masker**--> MaskedBatch. Does not know: modalities, models, losses.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from tokenmask.batch import Batch
from tokenmask.layout import Layout
from tokenmask.masking.group_chain import GroupChain
from tokenmask.masking.masked_batch import MaskedBatch, Queries, Targets
from tokenmask.masking.rates import Amount, ProcessRate, Rate
from tokenmask.masking.stages import Stages
from tokenmask.ops import Purpose, mask_tokens
from tokenmask.scores import RandomScore, Score, ScoreContext, slot_uniforms
from tokenmask.scores.arguments import number


@dataclass(frozen=True)
class Corruption:
    """What stands in a chosen slot: its range's MASK, a random code of its range, or the code itself.

    The three shares sum to 1; BERT's are 0.8, 0.1, 0.1. Source: arXiv:1810.04805, appendix A.1.

    Args:
        mask, random, keep: of the chosen slots.
        noise: of the slots to fill that were *not* chosen, the share that shows a random code of its range, each slot
            on its own; a loss finds them in the scopes "hidden" and "filled". Source: MMM, arXiv:2312.03596, published
            code, where half of the codes are drawn anew before some are masked, and all of them are learned.
    """

    mask: float = 1.0
    random: float = 0.0
    keep: float = 0.0
    noise: float = 0.0

    def __post_init__(self) -> None:
        number("Corruption.noise", self.noise, least=0.0, most=1.0)
        shares = (self.mask, self.random, self.keep)
        if min(shares) < 0 or abs(sum(shares) - 1) > 1e-6:
            raise ValueError(
                f"Corruption shares must not be negative and sum to 1, got {shares}; raise or lower one of them"
            )


@dataclass(frozen=True)
class Masker:
    """Hides FILL slots: ``rate`` says how many, ``strategy`` which, ``corruption`` what stands there instead.

    A row's draws do not depend on the rows beside it, but on K: the compiled op numbers slots by position * K + level.

    Args:
        rate: how many slots of each row. A Bernoulli rate hides each slot on its own, so it goes with RandomScore only.
        strategy: the score whose highest slots are hidden.
        corruption: shares of mask, random and kept codes; depths that are hidden whole have MASK alone.
        stages: how streams of several levels are learned, such as LevelStages; None hides slots of all levels alike.
        chain: teaches group-causal decoding in a share of the batches, which it then makes instead of all of the above.
    """

    rate: Rate = field(default_factory=ProcessRate)
    strategy: Score = field(default_factory=RandomScore)
    corruption: Corruption = field(default_factory=Corruption)
    stages: Stages | None = None
    chain: GroupChain | None = None

    def __post_init__(self) -> None:
        if self.rate.each_slot_alone:
            _refuse_choice(self.strategy)

    @property
    def each_row_alone(self) -> bool:
        """Whether what is hidden in a row follows from that row alone; if not, the rows of a batch share a draw."""
        return self.chain is None and not self.rate.draws_for_batch

    def _draws_codes(self, amount: Amount) -> bool:
        """Whether random codes may be put in the place of others; if not, nothing asks where ranges begin."""
        corruption, process = self.corruption, amount.process
        odds = None if process is None else process.random_share(amount.t)
        return corruption.random > 0 or corruption.noise > 0 or odds is not None

    def __call__(
        self,
        batch: Batch,
        layout: Layout,
        *,
        seed: int,
        step: int = 0,
        total_steps: int = 1,
        scores: Tensor | None = None,
    ) -> MaskedBatch:
        """Args:
            batch: roles say which slots may be hidden (FILL, at valid positions).
            layout: gives each slot its MASK and its range.
            seed: of the run; with ``batch.sample_ids`` the only source of randomness.
            step, total_steps: for rates that change during a run.
            scores: float32 [B, L, K], replaces the strategy (attention, loss, saliency of another model).

        Returns:
            MaskedBatch whose inputs keep the batch's shape and whose targets are the chosen slots, row by row; or what
            :class:`GroupChain` makes. With ``stages`` the group of a row's positions is the stage that was drawn.

        Raises:
            ValueError: a rate that hides each slot on its own, with scores or a strategy that would choose among them.
        """
        if self.chain is not None and self.chain.drawn(batch, seed):
            return self.chain(batch, layout, seed=seed)
        rows, length, levels = batch.shape
        maskable = batch.to_fill
        mask_ids = layout.mask_of(batch.ids)
        finer = whole = group = None
        if self.stages is not None:
            stage = self.stages.stage(batch.ids, maskable, layout, seed=seed, sample_ids=batch.sample_ids)
            maskable, finer, whole = self.stages.split(batch.ids, maskable, layout, stage)
            group = stage.to(torch.int32)[:, None].expand(rows, length)
        amount = self.rate(
            maskable.sum((1, 2)), step=step, total_steps=total_steps, seed=seed, sample_ids=batch.sample_ids
        )
        seeds = torch.full_like(batch.sample_ids, seed)
        context = ScoreContext(batch, maskable, seeds, batch.sample_ids)
        if amount.probability is not None:
            _refuse_choice(self.strategy if scores is None else scores)
            draws = _draws(context, Purpose.mask)
            probability = amount.probability if whole is None else torch.where(whole, 1.0, amount.probability)
            maskable = maskable & (draws < probability[:, None, None])
            count = torch.full_like(batch.sample_ids, length * levels)
            scores = draws
        else:
            assert amount.count is not None
            count = amount.count
            if scores is None and type(self.strategy) is not RandomScore:  # the op draws that one itself
                scores = self.strategy(context)
                spread = self.strategy.spread(context, _share(amount, maskable))
                count = count if spread is None else spread
            count = count if whole is None else torch.where(whole, length * levels, count)
        low = layout.first_of(batch.ids) if self._draws_codes(amount) else mask_ids
        seen, lowest, highest = batch.ids, low, mask_ids
        if finer is not None and whole is not None:
            if bool(whole.any()):
                # Depths that are hidden whole show nothing but MASK: it is kept, put and drawn alike.
                plain = maskable & whole[:, None, None]
                finer = finer | plain
                lowest, highest = torch.where(plain, mask_ids, low), torch.where(plain, mask_ids + 1, mask_ids)
            seen = torch.where(finer, mask_ids, seen)
        corrupted, slots, _ = mask_tokens(
            seen.view(rows, -1),
            maskable.view(rows, -1),
            count,
            mask_ids.view(rows, -1),
            scores=None if scores is None else scores.reshape(rows, -1),
            shares=(self.corruption.mask, self.corruption.random, self.corruption.keep),
            random_range=(lowest.view(rows, -1), highest.view(rows, -1)) if self.corruption.random else None,
            seed=seed,
            sample_ids=batch.sample_ids,
        )
        corrupted = corrupted.view(rows, length, levels)
        odds = None if amount.process is None else amount.process.random_share(amount.t)
        if odds is not None:
            odds = odds if whole is None else odds.masked_fill(whole, 0.0)
            corrupted = _noised(corrupted, slots, odds, context, low, mask_ids)
        if self.corruption.noise > 0:
            corrupted = _replaced(corrupted, slots, self.corruption.noise, context, low, mask_ids)
        right = batch.ids.flatten()[slots]
        codes = (right - layout.first_of(right)).long()
        queries = torch.arange(len(slots), device=batch.device)
        return MaskedBatch(
            inputs=replace(batch, ids=corrupted),
            queries=Queries(slots, layout.head_of(right)),
            targets=Targets(queries, codes, torch.ones(len(slots), device=batch.device)),
            hidden=corrupted != batch.ids,
            dropped=torch.zeros_like(maskable),
            group=group,
            t=amount.t if whole is None else torch.where(whole, 1.0, amount.t),  # as a sampler says of such a stage
            row_of_sample=torch.arange(rows, device=batch.device),
            clean=batch,
            process=amount.process,
        )


def _refuse_choice(scores: Score | Tensor) -> None:
    if type(scores) is not RandomScore:
        found = "a tensor of scores" if isinstance(scores, Tensor) else scores
        raise ValueError(
            "a Bernoulli rate hides each slot on its own, so nothing may choose among them: leave the strategy "
            f"RandomScore, or take rounding 'ceil', 'floor' or 'round', got {found}"
        )


def _noised(ids: Tensor, slots: Tensor, odds: Tensor, context: ScoreContext, low: Tensor, mask_ids: Tensor) -> Tensor:
    """The ids with a random code of its range in the place of MASK, at a share ``odds`` of each row's chosen slots."""
    chosen = torch.zeros_like(ids, dtype=torch.bool)
    chosen.view(-1)[slots] = True
    chosen &= (ids == mask_ids) & (_draws(context, Purpose.corruption) < odds[:, None, None])
    return torch.where(chosen, low + (_draws(context, Purpose.code) * (mask_ids - low)).to(ids.dtype), ids)


def _replaced(ids: Tensor, slots: Tensor, share: float, context: ScoreContext, low: Tensor, mask_ids: Tensor) -> Tensor:
    """The ids with a random code of its range at a share of the slots that may be hidden and were not chosen."""
    left = context.is_open.clone()
    left.view(-1)[slots] = False
    left &= _draws(context, Purpose.corruption) < share
    return torch.where(left, low + (_draws(context, Purpose.code) * (mask_ids - low)).to(ids.dtype), ids)


def _share(amount: Amount, maskable: Tensor) -> Tensor:
    """float32 [B], what a rate means of the slots that may be hidden; the share of its count, where it has no law."""
    if amount.process is not None:
        return amount.process.hidden(amount.t)
    assert amount.count is not None
    return amount.count / maskable.sum((1, 2)).clamp(min=1)


def _draws(context: ScoreContext, purpose: Purpose) -> Tensor:
    """One uniform for each slot, float32 [B, L, K]."""
    return slot_uniforms(context.seeds, context.keys, context.is_open.shape[1:], purpose)
