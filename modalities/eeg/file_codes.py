"""Files of EEG as codes and back, channel by channel: a night needs the memory of one of its channels.

Arrow: .edf or .bdf --**coded_file**--> codes; rows that are made --**write_made**--> .edf. Does not know: networks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from tokenmask.modalities.eeg.file_rows import FileRows
from tokenmask.modalities.eeg.joining import check_size, described, joined_row, names_of
from tokenmask.modalities.eeg.media import write_rows
from tokenmask.modalities.eeg.network import EegTokenizerConfig
from tokenmask.modalities.eeg.offset import without_baseline
from tokenmask.modalities.eeg.telling import tell_offset, tell_rate
from tokenmask.modalities.keeping import check_keep, length_of, places_of, places_taken
from tokenmask.streams import TokenStream
from tokenmask.telling import tell
from tokenmask.tokenizer import Show

Rows = Callable[[Iterable[Tensor]], Iterator[Tensor]]
"""Samples of electrodes, float32 [time] each -> codes int32 [tokens, levels] of each."""


def coded_file(
    path: Path,
    config: EegTokenizerConfig,
    code: Rows,
    voltages: str | None,
    channels: Sequence[str] | None,
    show: Show,
) -> tuple[Tensor, tuple[str, ...]]:
    """Codes int32 [channel, time, levels] of a file, and the names of its channels.

    Args:
        path: of an EDF or BDF file.
        config: of the tokenizer.
        code: of the network.
        voltages, channels: see :meth:`EegRecording.load`.
        show: called with seconds done and seconds in all.
    """
    rows = FileRows(path, config.sample_rate_hz, voltages, channels)
    names, seconds = rows.channels, rows.seconds
    if rows.file_rate_hz != config.sample_rate_hz:
        tell_rate(str(path), config.sample_rate_hz)
    taken: list[Tensor] = []
    parts: list[Tensor] = []

    def looked_at() -> Iterator[Tensor]:
        for row in rows:
            taken.append(without_baseline(row[None], config.sample_rate_hz)[1])
            yield row

    for codes in code(looked_at()):
        parts.append(codes)
        show(seconds * len(parts) / len(names), seconds)
    if notes := rows.notes():
        tell(f"{path}: {'; '.join(notes)}")
    names = tuple(names[row] for row in rows.order)
    tell_offset(torch.cat([taken[row] for row in rows.order]), names, str(path))
    return torch.stack([parts[row] for row in rows.order]), names


def write_made(
    path: str | Path,
    stream: TokenStream,
    made: Iterable[Tensor],
    config: EegTokenizerConfig,
    kept: tuple[str | Path, Tensor] | None,
    show: Show,
) -> None:
    """Writes an .edf file of what was made of a stream, joined with what is kept of another file.

    Args:
        path: of the file to write.
        stream: codes int32 [channel, time, levels].
        made: float32 [samples] of each channel in turn.
        config: of the tokenizer.
        kept: a file, and bool [channel, time], tokens whose samples are copied from it.
        show: called with seconds done and seconds in all.
    """
    rate, tokens = config.sample_rate_hz, stream.grid[1]
    seconds, size = tokens * config.stride / rate, tokens * config.stride
    names, samples, session, source = names_of(stream), size, None, None
    if kept is not None:
        given, keep = kept
        check_keep(keep, stream.grid)
        source = FileRows(given)
        session, own = source.session, source.file_rate_hz
        check_size(stream, config, len(source.channels), source.samples, own)
        coded = round(source.samples * rate / own)
        samples = length_of(source.samples, own, coded, size, rate, rate / config.stride)
        made, rate, names = _joined_rows(made, config, source, keep, samples), own, source.channels

    def shown() -> Iterator[Tensor]:
        for number, row in enumerate(made, 1):
            yield row
            show(seconds * number / stream.grid[0], seconds)

    write_rows(path, shown(), rate, names, session, described(stream.grid[0], samples, rate))
    if source is not None and (notes := source.notes()):
        tell(f"{given}: {'; '.join(notes)}")


def _joined_rows(
    made: Iterable[Tensor], config: EegTokenizerConfig, source: FileRows, keep: Tensor, size: int
) -> Iterator[Tensor]:
    """Rows of what is made, faded into the kept parts of those of a file, of ``size`` samples each."""
    own, rate = config.sample_rate_hz, source.file_rate_hz
    rate_hz = own / config.stride
    coded = round(source.samples * own / rate)
    taken = places_taken(coded, own, rate_hz)
    at_samples = places_of(size, rate, rate_hz, keep.shape[1], own=source.samples, taken=taken)
    for made_row, given_row, kept_row in zip(made, source, keep, strict=True):
        yield joined_row(made_row, own, given_row, rate, kept_row[at_samples], rate_hz)
