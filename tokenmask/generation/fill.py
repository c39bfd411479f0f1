"""Generation: requests become sequences, sequences are filled, filled sequences become streams.

Arrow: Request --Layout.pack--> SamplerState --Sampler--> Layout.unpack --> TokenStream. Does not know: media,
tokenizers, where models come from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch
from torch.nn.utils.rnn import pad_sequence

from tokenmask.batch import Sequence as Packed
from tokenmask.batch import append, collate
from tokenmask.generation.request import OfRequest, Request
from tokenmask.generation.watching import Filling
from tokenmask.layout import Layout
from tokenmask.models import MaskedModel
from tokenmask.progress import progress_bar
from tokenmask.sampling import Sampler, SamplerState
from tokenmask.sampling.guidance import COMPANION
from tokenmask.streams import TokenStream
from tokenmask.threads import free_cores
from tokenmask.training import Packing

INVARIANT_MULTIPLE = 64  # rows padded to this are bit-equal in any batch (float32, CPU), unless a backbone says less


@free_cores()
def fill(
    requests: Sequence[Request],
    *,
    layout: Layout,
    models: Mapping[str, MaskedModel],
    sampler: Sampler,
    packing: Packing,
    invariant: bool = True,
    max_rows: int = 64,
    progress: bool = False,
    on_step: Callable[[Filling], None] | None = None,
    tally: dict[str, int] | None = None,
) -> list[TokenStream]:
    """Fills every request.

    Args:
        requests: any mixture of targets, conditions and lengths.
        layout, models, sampler, packing: of the run.
        invariant: a request gives the same codes, bit for bit, alone or in any batch and with any number of threads
            (float32 on one machine); False allows batches of mixed lengths with less padding.
        max_rows: rows of one batch.
        progress: a bar on stderr.
        on_step: called after each step of each request with what is decided by then; it costs an unpacking each time.
        tally: gets the counters of :class:`SamplerState` added, the "rows" that were filled and their "positions".

    Returns:
        the target stream of each request, in order; what was given of it is unchanged.

    Raises:
        ValueError: see :meth:`Request.pack`.
    """
    multiple = max(map(_multiple, models.values())) if invariant else 1
    sequences = [_packed(request, layout, packing, number, len(requests)) for number, request in enumerate(requests)]
    companions = [torch.zeros(len(sequence), dtype=torch.int8) for sequence in sequences]
    for index, request in enumerate(requests):
        for number, other in request.companions(layout, packing).items():
            sequences[index] = append(sequences[index], other)
            companions[index] = torch.nn.functional.pad(companions[index], (0, len(other) - 1), value=number)
    groups: dict[int, list[int]] = {}
    for index, sequence in enumerate(sequences):
        padded = -(-len(sequence) // multiple) * multiple if invariant else 0
        groups.setdefault(padded, []).append(index)
    batches = [group[at : at + max_rows] for group in groups.values() for at in range(0, len(group), max_rows)]
    filled: dict[int, TokenStream] = {}
    device = next(next(iter(models.values())).parameters()).device
    with progress_bar("generating", len(batches), 0, progress, "batch") as show:
        for batch_index, members in enumerate(batches):
            samples = torch.tensor([requests[index].sample for index in members])
            seeds = torch.tensor([requests[index].seed for index in members])
            batch = collate([sequences[index] for index in members], samples, multiple=multiple).to(device)
            numbers = pad_sequence([companions[index] for index in members], batch_first=True).to(device)
            if bool(numbers.any()):
                numbers = torch.nn.functional.pad(numbers, (0, batch.shape[1] - numbers.shape[1]))
                features = {**batch.features, COMPANION: numbers}
                batch = replace(batch, valid=batch.valid & (numbers == 0), features=features)
            is_open = None
            if any(requests[index].opened is not None for index in members):
                is_open = torch.zeros(batch.shape, dtype=torch.bool)
                for row, index in enumerate(members):
                    hidden = requests[index].hidden(layout, packing)
                    is_open[row, : hidden.shape[0], : hidden.shape[1]] = hidden
                is_open = is_open.to(device)
            state = SamplerState.start(batch, layout, seeds.to(device), is_open)
            ids = state.batch.ids.cpu().clone()  # where nothing is open no step makes another tensor
            for part in sampler.alike(layout, state):
                rows = state if len(part) == len(members) else state.rows(part)
                for step in sampler.iterate(models, layout, rows):
                    rows = step.state
                    if on_step is None:
                        continue
                    for row, place in enumerate(part.tolist()):
                        index = members[place]
                        counts = {"request": index, "step": step.index + 1, "steps": step.total}
                        now = (rows.batch.ids[row], rows.is_open[row])
                        on_step(Filling.of(layout, requests[index], sequences[index], *now, **counts))
                ids[part.cpu()] = rows.batch.ids.cpu()
                if tally is not None:
                    size = rows.batch.shape[0] * rows.batch.shape[1]
                    for name, value in {**rows.counters, "positions": size, "rows": len(part)}.items():
                        tally[name] = tally.get(name, 0) + value
            for row, index in enumerate(members):
                size, depth = sequences[index].ids.shape
                done = replace(sequences[index], ids=ids[row, :size, :depth].contiguous())
                filled[index] = layout.unpack(done)[requests[index].target]
            show(batch_index + 1, None)
    return [filled[index] for index in range(len(requests))]


def _multiple(model: MaskedModel) -> int:
    return int(getattr(getattr(model, "backbone", None), "row_multiple", INVARIANT_MULTIPLE))


def _packed(request: Request, layout: Layout, packing: Packing, number: int, count: int) -> Packed:
    """The sequence of one of several requests, which a sentence on it names."""
    try:
        return request.pack(layout, packing)
    except ValueError as error:
        if count == 1:
            raise
        raise OfRequest(f"request {number + 1} of {count}: {error}", number) from error
