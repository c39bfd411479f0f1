"""Conditioning: which streams of a training sample are given, which are to fill, which are dropped.

Arrow: Batch --**Conditioning**--> Batch (roles, valid), just before the Masker. Does not know: slots, ids, models.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch

from tokenmask.batch import FILL, GIVEN, Batch
from tokenmask.layout import Layout
from tokenmask.masking.row_draws import DROP, JOINT, MOST_STREAMS, TARGET, row_draws


@dataclass(frozen=True)
class Conditioning:
    """Draws one stream of each row as the target; the others are its conditions.

    A row with one stream always fills it. Each condition is dropped on its own with probability ``drop``, which trains
    the unconditional model of classifier-free guidance. Source: arXiv:2207.12598, algorithm 1.

    Args:
        drop: probability that a condition is dropped.
        joint: probability that a row fills all of its streams at once.
        odds: stream name -> how often it is the target, relative to the other streams of its row; 1 where not named.
    """

    drop: float = 0.1
    joint: float = 0.0
    odds: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not (0 <= self.drop <= 1 and 0 <= self.joint <= 1):
            raise ValueError(
                f"Conditioning.drop and joint are probabilities, got {self.drop} and {self.joint}; set them to 0 to 1"
            )
        if any(odds < 0 for odds in self.odds.values()):
            raise ValueError(
                f"Conditioning.odds must not be negative, got {dict(self.odds)}; set 0 for a stream that is never given"
            )

    def __call__(self, batch: Batch, layout: Layout, *, seed: int) -> Batch:
        """Args:
            batch: all slots to fill.
            layout: names of the streams.
            seed: of the run; with ``batch.sample_ids`` the only source of randomness.

        Returns:
            a batch with GIVEN and FILL roles and with dropped conditions invalid.

        Raises:
            ValueError: odds for a stream that the layout lacks, a row whose streams all have odds 0, or a layout of
                more than 58 streams.
        """
        for name in self.odds:
            layout.index(name)
        count = len(layout.names)
        if count > MOST_STREAMS:
            raise ValueError(
                f"Conditioning has draws for at most {MOST_STREAMS} streams, one each, got {count}; take fewer streams"
            )
        at = batch.stream.long() + 1  # 0 is no stream
        present = torch.zeros(len(at), count + 1, dtype=torch.bool, device=at.device).scatter_(1, at, True)[:, 1:]
        odds = torch.tensor([self.odds.get(name, 1.0) for name in layout.names], device=batch.device) * present
        if bool((odds.sum(1) <= 0).any()):
            raise ValueError("every record needs a stream with odds above 0 to fill; raise Conditioning.odds")
        draws = row_draws(batch.sample_ids, 0, seed=seed, count=DROP + count)
        cumulative = (odds / odds.sum(1, keepdim=True)).cumsum(1)
        target = (draws[:, TARGET, None] >= cumulative[:, :-1]).sum(1)
        joint = draws[:, JOINT] < self.joint
        filled = (torch.nn.functional.one_hot(target, count).bool() | joint[:, None]) & present
        dropped = present & ~filled & (draws[:, DROP:] < self.drop)
        kinds = torch.nn.functional.pad(torch.where(filled, FILL, GIVEN).to(torch.int8), (1, 0), value=GIVEN)
        role = batch.role.sign().mul_(kinds.gather(1, at)[:, :, None])  # an absent slot stays 0
        left = torch.nn.functional.pad(dropped, (1, 0)).gather(1, at)
        return replace(batch, role=role, valid=batch.valid & ~left)
