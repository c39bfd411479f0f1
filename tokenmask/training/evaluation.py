"""Held-out masked cross-entropy of every stream, beside a unigram on the same codes.

Arrow: Corpus (held-out) + model --> numbers. Does not know: modalities, how the model was trained.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import torch
from torch import Tensor

from tokenmask.batch import ABSENT, FILL, GIVEN, Batch, collate
from tokenmask.corpus import Record
from tokenmask.masking import LevelStages, Linear, MaskedBatch, Masker, MaskingProcess, ProcessRate
from tokenmask.models import MaskedModel
from tokenmask.objectives import targets_of
from tokenmask.training.packing import Packing


@dataclass(frozen=True)
class StreamScore:
    """How well one level of a stream is filled.

    Args:
        stream: its name.
        level: from 0.
        record: names of all streams of the records.
        given: names of the streams that were given.
        cross_entropy: mean over hidden codes, nats a code; end codes do not count.
        unigram: cross-entropy of the add-one-smoothed unigram of the training codes on the same codes, nats a code.
        margin: unigram - cross_entropy, averaged over records.
        margin_error: standard error of ``margin`` over records.
        gain: what the conditions bring: cross-entropy without them - with them, the same codes hidden, averaged over
            records; None if nothing is given.
        gain_error: standard error of ``gain`` over records.
        num_codes: hidden codes scored.
        num_records: records they come from.
        by_record: float64 [records, 3], of each record the cross-entropies of model and unigram, summed over its
            hidden codes, and their number; what intervals are resampled from.
    """

    stream: str
    level: int
    record: tuple[str, ...]
    given: tuple[str, ...]
    cross_entropy: float
    unigram: float
    margin: float
    margin_error: float
    gain: float | None
    gain_error: float | None
    num_codes: int
    num_records: int
    by_record: Tensor = field(default_factory=lambda: torch.zeros(0, 3), compare=False, repr=False)

    def to_json(self) -> dict[str, Any]:
        """All fields but ``by_record``, as JSON values."""
        return {one.name: getattr(self, one.name) for one in fields(self) if one.name != "by_record"}


def unigram_log_probabilities(counts: Sequence[Tensor]) -> list[Tensor]:
    """Add-one smoothing of the code counts of each level: float64 [size], natural logarithms."""
    return [torch.log((count.double() + 1) / (count.sum() + len(count))) for count in counts]


@torch.inference_mode()
def code_losses(model: MaskedModel, masked: MaskedBatch, process: MaskingProcess | None = None) -> Tensor:
    """Cross-entropy of each target, float32 [N], nats, on the device of the batch.

    Args:
        model: in any mode; not changed.
        masked: the batch, on the model's device; a query may have several targets or none.
        process: by which the model was told the masking time in training; it is told the time at which that one hides
            the share that was to be hidden here. None: the time of the batch.
    """
    t = masked.t
    if process is not None and masked.process is not None and process != masked.process:
        t = process.time(masked.process.hidden(t))
    queries, targets = masked.queries, masked.targets
    losses = torch.zeros(len(targets), device=targets.codes.device)
    for group in model.logits(masked.inputs, queries, group=masked.group, t=t):
        names, place = targets_of(group, queries, targets)
        logits = (group.logits if place is None else group.logits[place]).float()
        losses[names] = torch.nn.functional.cross_entropy(logits, targets.codes[names], reduction="none")
    return losses


def held_out_scores(
    model: MaskedModel,
    packing: Packing,
    records: Sequence[Record],
    counts: Mapping[str, Sequence[Tensor]],
    *,
    draws: int = 4,
    seed: int = 0,
    batch_size: int = 64,
    process: MaskingProcess | None = None,
) -> list[StreamScore]:
    """Scores every stream of held-out records, with its conditions given and without them, under the same masks.

    The masking time is uniform in 0..1 and the hidden share equals it, so all shares count alike. Levels are scored
    coarse to fine, as they are generated: those below are given, those above are hidden.

    Args:
        model: in any mode; not changed.
        packing: as in training.
        records: held-out records.
        counts: code counts of the *training* codes, stream name -> int64 [size] for each level.
        draws: masks of each record.
        seed: of the masks.
        batch_size: rows of a pass.
        process: that of the rate in training, for models that are told the time; see :func:`code_losses`.

    Returns:
        for each stream that occurs: one score per level without conditions, then one per level with them.
    """
    scores, alone = [], torch.empty(0)
    for name in model.layout.names:
        owners = [record for record in records if name in record.streams]
        paired = [record for record in owners if len(record.streams) > 1]
        if paired:
            groups = [(paired, False), (paired, True)]
            owners = [record for record in owners if len(record.streams) == 1]
        else:
            groups = []
        groups += [(owners, False)] if owners else []
        for group, conditioned in groups:
            together = tuple(sorted({n for record in group for n in record.streams}))
            given = tuple(n for n in together if n != name) if conditioned else ()
            table = _losses(model, packing, group, name, conditioned, counts[name], draws, seed, batch_size, process)
            alone = table if not conditioned else alone  # the same codes in the same order
            scores += _summary(table, alone if given else None, name, together, given, len(group))
    return scores


def _losses(
    model: MaskedModel,
    packing: Packing,
    records: Sequence[Record],
    name: str,
    conditioned: bool,
    counts: Sequence[Tensor],
    draws: int,
    seed: int,
    batch_size: int,
    process: MaskingProcess | None,
) -> Tensor:
    """float64 [codes, 4]: record, level, cross-entropy, unigram cross-entropy of every hidden code of a stream."""
    layout = model.layout
    own = layout.depths()[[layout.head(name, level) for level in range(layout.streams[name].num_levels)]]
    levels = torch.tensor([r.level for r in layout.ranges])
    unigrams, end_code = unigram_log_probabilities(counts), layout.streams[name].end_code
    jobs = [(index, draw) for index in range(len(records)) for draw in range(draws)]
    jobs.sort(key=lambda job: packing.positions(layout, records[job[0]].streams))
    rows, device = [], next(model.parameters()).device
    passes = itertools.product(sorted(set(own.tolist())), range(0, len(jobs), batch_size))
    for depth, start in passes:
        masker = Masker(ProcessRate(Linear()), stages=LevelStages(only=depth))
        part = jobs[start : start + batch_size]
        sequences = [packing(layout, records[i].streams, seed=seed, sample_id=i) for i, _ in part]
        keys = torch.tensor([index * draws + draw for index, draw in part])
        batch = _only(collate(sequences, keys, multiple=16), layout.index(name), conditioned)
        masked = masker(batch, layout, seed=seed)
        loss = code_losses(model, masked.to(device), process).cpu()
        heads, codes = masked.queries.heads[masked.targets.queries], masked.targets.codes
        level = levels[heads]
        unigram = -torch.stack([unigrams[k][c] for k, c in zip(level.tolist(), codes.tolist(), strict=True)])
        slots = masked.queries.slots[masked.targets.queries]
        row = torch.div(slots, batch.shape[1] * batch.shape[2], rounding_mode="floor")
        record = torch.tensor([index for index, _ in part])[row]
        table = torch.stack([record.double(), level.double(), loss.double(), unigram], dim=1)
        rows.append(table if end_code is None else table[(level != 0) | (codes != end_code)])
    return torch.cat(rows)


def _only(batch: Batch, stream: int, conditioned: bool) -> Batch:
    """Fills one stream; the others are given or dropped."""
    fill = (batch.stream == stream)[:, :, None]
    role = torch.where(fill, FILL, GIVEN).to(torch.int8)
    batch = replace(batch, role=torch.where(batch.role == ABSENT, batch.role, role))
    return batch if conditioned else replace(batch, valid=batch.valid & ((batch.stream == stream) | (batch.stream < 0)))


def _summary(
    table: Tensor, alone: Tensor | None, name: str, together: tuple[str, ...], given: tuple[str, ...], num_records: int
) -> list[StreamScore]:
    scores = []
    for level in sorted(set(table[:, 1].tolist())):
        here = table[:, 1] == level
        part = table[here]
        margin, error, count = _record_mean(part[:, 0], part[:, 3] - part[:, 2], num_records)
        gain = None if alone is None else _record_mean(part[:, 0], alone[here][:, 2] - part[:, 2], num_records)
        scores.append(
            StreamScore(
                stream=name,
                level=int(level),
                record=together,
                given=given,
                cross_entropy=float(part[:, 2].mean()),
                unigram=float(part[:, 3].mean()),
                margin=margin,
                margin_error=error,
                gain=None if gain is None else gain[0],
                gain_error=None if gain is None else gain[1],
                num_codes=len(part),
                num_records=count,
                by_record=_record_sums(part, num_records),
            )
        )
    return scores


def _record_sums(part: Tensor, num_records: int) -> Tensor:
    """float64 [records, 3]: sums of both cross-entropies, and counts, of a table as in :func:`_losses`."""
    columns = torch.stack([part[:, 2], part[:, 3], torch.ones_like(part[:, 2])], 1)
    return torch.zeros(num_records, 3, dtype=torch.float64).index_add(0, part[:, 0].long(), columns)


def _record_mean(record: Tensor, values: Tensor, num_records: int) -> tuple[float, float, int]:
    """Mean over records of each record's own mean, its standard error, and the number of records."""
    index = record.long()
    number = torch.zeros(num_records, dtype=torch.float64).index_add(0, index, torch.ones_like(values))
    total = torch.zeros(num_records, dtype=torch.float64).index_add(0, index, values)
    means = (total / number)[number > 0]
    error = float(means.std() / math.sqrt(len(means))) if len(means) > 1 else math.nan
    return float(means.mean()), error, len(means)
