"""Generation: requests become sequences, sequences are filled, filled sequences become streams.

Arrow: Request --Layout.pack--> SamplerState --Sampler--> Layout.unpack --> TokenStream. Does not know: media,
tokenizers, where models come from.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from tokenmask.batch import FILL, GIVEN, Sequence, collate
from tokenmask.fitting import progress_bar
from tokenmask.layout import Layout
from tokenmask.models import MaskedModel
from tokenmask.sampling import Sampler, SamplerState
from tokenmask.streams import StreamSpec, TokenStream
from tokenmask.training import Packing

INVARIANT_MULTIPLE = 64  # rows padded to this are bit-equal in any batch; smaller multiples are not (float32, CPU)


@dataclass(frozen=True, eq=False)
class Request:
    """One stream to fill.

    Args:
        target: name of the stream.
        grid: its size, what is given of it included.
        given: other streams, its conditions.
        prefix: codes of the target that are given, at its start (along :func:`growing_axis`).
        seed: key of all randomness of this request.
        sample: tells the samples of one request apart.
        labels: names along axes of the target, as in TokenStream.
    """

    target: str
    grid: tuple[int, ...]
    given: Mapping[str, TokenStream] = field(default_factory=dict)
    prefix: TokenStream | None = None
    seed: int = 0
    sample: int = 0
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def pack(self, layout: Layout, packing: Packing) -> Sequence:
        """The sequence with every open slot of the target marked FILL.

        Raises:
            ValueError: an unknown stream, a size of zero, or more positions than the model was trained for.
        """
        layout.index(self.target)
        if self.target in self.given:
            raise ValueError(f"{self.target!r} is to be filled, so it can't be its own condition; give it as a prefix")
        if not self.grid or min(self.grid) < 1:
            raise ValueError(f"a {self.target} stream needs at least one place along each axis, got {list(self.grid)}")
        spec = layout.streams[self.target]
        codes = torch.full((*self.grid, spec.num_levels), _some_code(spec), dtype=torch.int32)
        role = torch.full(codes.shape, FILL, dtype=torch.int8)
        if self.prefix is not None:
            axis = growing_axis(spec)
            length = self.prefix.grid[axis]
            codes.narrow(axis, 0, length).copy_(self.prefix.codes)
            role.narrow(axis, 0, length).fill_(GIVEN)
        streams = {**self.given, self.target: TokenStream(spec, codes, labels=self.labels)}
        roles: dict[str, int | Tensor] = {**dict.fromkeys(self.given, GIVEN), self.target: role}
        lengths = {
            name: packing.padded_length(stream.spec, stream.grid[0])
            for name, stream in self.given.items()
            if stream.spec.end_code is not None
        }
        sequence = layout.pack(streams, roles=roles, lengths=lengths)
        if len(sequence) > packing.max_positions:
            raise ValueError(
                f"a request may take at most {packing.max_positions} positions, got {len(sequence)} for "
                f"{', '.join(streams)}; ask for fewer or shorten what is given"
            )
        return sequence


def growing_axis(spec: StreamSpec) -> int:
    """The axis along which a stream is continued: time where there is time, else the first."""
    return spec.axes.index("time") if "time" in spec.axes else 0


def fill(
    requests: SequenceOf[Request],
    *,
    layout: Layout,
    models: Mapping[str, MaskedModel],
    sampler: Sampler,
    packing: Packing,
    invariant: bool = True,
    max_rows: int = 64,
    progress: bool = False,
) -> list[TokenStream]:
    """Fills every request.

    Args:
        requests: any mixture of targets, conditions and lengths.
        layout, models, sampler, packing: of the run.
        invariant: a request gives the same codes, bit for bit, alone or in any batch and with any number of threads
            (float32 on one machine); False allows batches of mixed lengths with less padding.
        max_rows: rows of one batch.
        progress: a bar on stderr.

    Returns:
        the target stream of each request, in order; what was given of it is unchanged.

    Raises:
        ValueError: see :meth:`Request.pack`.
    """
    multiple = INVARIANT_MULTIPLE if invariant else 1
    sequences = [request.pack(layout, packing) for request in requests]
    groups: dict[int, list[int]] = {}
    for index, sequence in enumerate(sequences):
        padded = -(-len(sequence) // multiple) * multiple if invariant else 0
        groups.setdefault(padded, []).append(index)
    batches = [group[at : at + max_rows] for group in groups.values() for at in range(0, len(group), max_rows)]
    filled: dict[int, TokenStream] = {}
    device = next(next(iter(models.values())).parameters()).device
    with progress_bar("generating", len(batches), 0, progress) as show:
        for batch_index, members in enumerate(batches):
            samples = torch.tensor([requests[index].sample for index in members])
            seeds = torch.tensor([requests[index].seed for index in members])
            batch = collate([sequences[index] for index in members], samples, multiple=multiple).to(device)
            state = SamplerState.start(batch, layout, seeds.to(device))
            ids = sampler.run(models, layout, state).batch.ids.cpu()
            for row, index in enumerate(members):
                size, depth = sequences[index].ids.shape
                done = replace(sequences[index], ids=ids[row, :size, :depth].contiguous())
                filled[index] = layout.unpack(done)[requests[index].target]
            show(batch_index + 1, None)
    return [filled[index] for index in range(len(requests))]


def _some_code(spec: StreamSpec) -> int:
    """A code to stand in an open slot until it is hidden; never the end code."""
    return 0 if spec.end_code != 0 else 1 % spec.codebook_sizes[0]
