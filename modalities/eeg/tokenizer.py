"""EEG: a tokenizer of single electrodes, with a scale and residual codes for every token.

Arrow: EegRecording --EegTokenizer.encode--> TokenStream [channel, time, 1 + levels], and back.
Does not know: shared ids, models, other modalities, and how electrodes relate to each other.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from tokenmask.modalities.codebook_report import code_usage, pca_coded
from tokenmask.modalities.eeg.figures import fidelity
from tokenmask.modalities.eeg.file_codes import coded_file, write_made
from tokenmask.modalities.eeg.fit import eeg_fitting
from tokenmask.modalities.eeg.joining import check_size, joined, names_of
from tokenmask.modalities.eeg.media import EegRecording
from tokenmask.modalities.eeg.names import find_channels
from tokenmask.modalities.eeg.network import CONTEXT_SECONDS, EegNetwork, EegTokenizerConfig
from tokenmask.modalities.eeg.scale import gain, normalised, octaves_per_step, scale_codes
from tokenmask.modalities.eeg.telling import check_offset, tell_rate
from tokenmask.modalities.keeping import check_nothing_kept, kept
from tokenmask.modalities.learned import FitSettings, LearnedTokenizer
from tokenmask.modalities.windows import Windows
from tokenmask.streams import StreamSpec, TokenStream
from tokenmask.telling import tell
from tokenmask.threads import free_cores, one_thread
from tokenmask.tokenizer import Show, check_media, check_stream, nothing_shown

_ROWS = 32  # windows that go through the network together, always this many
_CORE = 16  # tokens of a window that are kept


class EegTokenizer(LearnedTokenizer):
    """Every electrode by itself: the scale of each token, then residual codes of the wave divided by it.

    Level 0 is the root mean square of the second around a token (a Hann window), in steps of about 5 decibels, so a
    stream decodes to microvolts by itself and differences of power between recordings stay where a model can learn
    them. The wave is divided by the scale as it was coded, interpolated in logarithm between tokens: rounding the
    scale costs nothing. It follows no recording-wide statistic, so that pieces give the codes of the whole. The other
    levels are those of a residual quantiser between convolutions (8 tokens a second by default). Trained by the
    squared error and by the errors of log amplitude and phase of short spectra; the squared error alone loses the
    gamma band.

    Offsets are coded like slow waves, and one that outweighs the wave hides it: loading an EDF or BDF file takes such
    offsets away, and :meth:`EegRecording.without_offset` those of other recordings. Recordings at another rate are
    resampled. They go through in windows of fixed size with a halo, so memory does not grow with them, and codes are
    equal, bit for bit, for a recording alone, in any batch and for any number of threads, on one machine.

    Source: NeuroRVQ, arXiv:2510.13068 (log amplitude and phase in the loss; branches of several kernels and unit codes
    as options). Deviations: convolutions instead of a transformer, one branch, a wave decoder instead of heads for
    amplitude, sine and cosine, the phase error weighs every frequency up to ``spectral_high_hz`` alike.
    """

    name: ClassVar[str] = "eeg"
    media: ClassVar[type] = EegRecording
    continues: ClassVar[bool] = True
    config_class: ClassVar[type] = EegTokenizerConfig
    context_seconds: ClassVar[float | None] = CONTEXT_SECONDS
    config: EegTokenizerConfig

    @staticmethod
    def make_network(config: EegTokenizerConfig) -> nn.Module:
        """Encoders, codebooks and decoder."""
        return EegNetwork(config)

    @staticmethod
    def make_spec(config: EegTokenizerConfig, network: Any, identity: str) -> StreamSpec:
        """The level of the scale, then the levels of each branch, over ("channel", "time")."""
        quantizer = network.quantizer
        groups = tuple(tuple(level + 1 for level in group) for group in quantizer.groups)
        return StreamSpec(
            "eeg",
            (config.scale_steps, *quantizer.codebook_sizes),
            ("channel", "time"),
            rate_hz=config.sample_rate_hz / config.stride,
            level_groups=((0,), *groups),
            fingerprint=identity,
        )

    @free_cores()
    @torch.no_grad()
    def encode_many(self, items: Sequence[EegRecording]) -> list[TokenStream]:
        """The codes of many recordings; the last token of each may reach beyond its end.

        Those at another rate are resampled, and a warning says so; another warning says where an offset hides the wave.

        Returns:
            Streams of codes int32 [channel, time, 1 + levels], with the names of the channels as labels.

        Raises:
            TypeError: not an EegRecording.
        """
        items = [self._at_rate(item) for item in items]
        for item in items:
            check_offset(item)
        coded = self._coded(row for item in items for row in item.samples)
        streams = []
        for item in items:
            codes = torch.stack([next(coded) for _ in item.channels])
            streams.append(TokenStream(self._spec, codes, labels={"channel": item.channels}))
        return streams

    @free_cores()
    @torch.no_grad()
    def encode_file(
        self,
        path: str | Path,
        *,
        show: Show = nothing_shown,
        channels: Sequence[str] | None = None,
        voltages: str | None = None,
    ) -> TokenStream:
        """The codes of ``encode(EegRecording.load(path))``, channel by channel: in the memory that one of them needs.

        Files of other formats than EDF and BDF are read whole.

        Args:
            path: of a recording.
            show: called with seconds done and seconds in all, each channel in its turn a share of them.
            channels, voltages: see :meth:`EegRecording.load`.

        Raises:
            ValueError: as of :meth:`EegRecording.load`.
        """
        path = Path(path)
        if path.suffix.lower() not in (".edf", ".bdf") or not path.is_file():
            return self.encode(EegRecording.load(path, channels=channels, voltages=voltages))
        codes, names = coded_file(path, self.config, self._coded, voltages, channels, show)
        return TokenStream(self._spec, codes, labels={"channel": names})

    def _coded(self, rows: Iterable[Tensor]) -> Iterator[Tensor]:
        """Samples of electrodes at this rate, float32 [time] each -> codes int32 [tokens, levels] of each."""
        config, reach = self.config, self.config.halo + self.config.scale_halo
        windows = Windows(_CORE * config.stride, reach * config.stride, _ROWS)
        sizes: deque[int] = deque()

        def known() -> Iterator[Tensor]:
            for row in rows:
                sizes.append(-(-len(row) // config.stride))
                # With a column of ones beside it: what is around a recording is zero in both.
                yield torch.stack([row, torch.ones_like(row)], 1)

        for codes in windows.through(known(), self._code):
            yield codes[: sizes.popleft()].clone()

    def _code(self, windows: Tensor) -> Tensor:
        """Samples and where they are known, float32 [rows, size, 2] -> codes int32 [rows, core, levels]."""
        config, (samples, known) = self.config, windows.to(self.device).movedim(2, 0).contiguous()
        scales = scale_codes(samples, known, config)[:, config.scale_halo : -config.scale_halo]
        inner = slice(config.scale_halo * config.stride, -config.scale_halo * config.stride)
        inside = known[:, inner].reshape(len(samples), -1, config.stride)[:, None, :, 0]
        wave = samples[:, inner] / gain(scales, inside[:, 0], config)
        latents = self._network.latents(wave[:, None], inside)[:, config.halo : config.halo + _CORE]
        codes: Tensor = self._network.quantizer.nearest(latents.reshape(-1, latents.shape[-1]))
        own = scales[:, config.halo : config.halo + _CORE, None]
        return torch.cat([own, codes.view(*own.shape[:2], -1)], 2).to("cpu", torch.int32)

    @free_cores()
    def decode(
        self, stream: TokenStream, *, given: EegRecording | None = None, keep: Tensor | None = None
    ) -> EegRecording:
        """The recording of any codes, in microvolts.

        Args:
            stream: codes of this tokenizer.
            given: the recording that kept parts come from, at any rate, with as many channels as the stream and no
                more tokens.
            keep: bool [channel, time], tokens whose samples are copied from ``given``, or bool [channel, samples of
                the result]; what is not kept is decoded, and fades in over a token.

        Returns:
            An EegRecording at this tokenizer's rate that keeps the stream, of whole tokens; with ``given`` one at its
            rate and of its length, or longer where the stream is. Channels without labels are named by numbers.

        Raises:
            TypeError: ``given`` is no EegRecording.
            ValueError: the codes of another tokenizer or none; only one of given and keep; a given or a keep of
                another shape.
        """
        made = self.decode_many([stream])[0]
        pair = kept(given, keep)
        if pair is None:
            return made
        given, keep = pair
        check_media(self, given)
        check_size(stream, self.config, given.samples.shape[0], given.samples.shape[1], given.sample_rate_hz)
        return joined(made, given, keep)

    @free_cores()
    @torch.no_grad()
    def decode_file(
        self,
        stream: TokenStream,
        path: str | Path,
        *,
        given: str | Path | None = None,
        keep: Tensor | None = None,
        show: Show = nothing_shown,
    ) -> None:
        """Writes what ``decode(stream, given=EegRecording.load(given), keep=keep).save(path)`` would.

        An .edf file is written channel by channel, and read so where ``given`` is .edf or .bdf too: in the memory that
        one of them needs. Other files are in memory as a whole.

        Args:
            stream: codes of this tokenizer.
            path: of the file to write.
            given: the file that kept parts come from.
            keep: bool [channel, time], tokens whose samples are copied from it.
            show: called with seconds done and seconds in all, each channel in its turn a share of them.

        Raises:
            ValueError: as of :meth:`decode`; a suffix that cannot be written.
        """
        kept(given, keep)
        if Path(path).suffix.lower() != ".edf":
            self.decode(stream, given=None if given is None else EegRecording.load(given), keep=keep).save(path)
            seconds = (stream.grid[1] if len(stream.grid) == 2 else 0) * self.config.stride / self.config.sample_rate_hz
            show(seconds, seconds)
            return
        pair = None if given is None or keep is None else (given, keep)
        write_made(path, stream, self._made_rows(stream), self.config, pair, show)

    def _made_rows(self, *streams: TokenStream) -> Iterator[Tensor]:
        """The samples of each channel of streams, float32 [tokens * stride], in turn."""
        for stream in streams:
            check_stream(self, stream)
            if not stream.codes.numel():
                raise ValueError(f"a stream must hold a token and a channel to be decoded, got {stream!r}")
        # Codes with a column of ones beside them: what is around a recording is zero in both.
        rows = (torch.nn.functional.pad(row.long(), (0, 1), value=1) for stream in streams for row in stream.codes)
        lengths = [stream.grid[1] * self.config.stride for stream in streams for _ in range(stream.grid[0])]
        made = Windows(_CORE, self.config.halo, _ROWS).through(rows, self._samples)
        return (row[:length] for row, length in zip(made, lengths, strict=True))

    def decode_pieces(
        self, streams: Iterable[TokenStream], places: int, *, given: Any = None, keep: Tensor | None = None
    ) -> Iterator[EegRecording]:
        """Recordings that joined are that of :meth:`decode`; see :class:`~tokenmask.tokenizer.DecodesPieces`.

        Raises:
            ValueError: ``given``, which this can't join in pieces; the codes of another tokenizer.
        """
        check_nothing_kept(self, given, keep)
        return self._recordings(iter(streams), places * self.config.stride)

    @torch.no_grad()
    def _recordings(self, streams: Iterator[TokenStream], samples: int) -> Iterator[EegRecording]:
        names: tuple[str, ...] = ()
        windows, done = Windows(_CORE, self.config.halo, _ROWS), 0

        def columns() -> Iterator[Tensor]:
            nonlocal names
            for stream in streams:
                check_stream(self, stream)
                names = names_of(stream)
                yield torch.nn.functional.pad(stream.codes.long(), (0, 1), value=1).transpose(0, 1)

        for window in windows.of_pieces(columns(), samples // self.config.stride):
            made = torch.stack(list(windows.run(window.unbind(1), self._samples)))[:, : samples - done]
            done += made.shape[1]
            yield EegRecording(made, self.config.sample_rate_hz, names)

    @torch.no_grad()
    def decode_many(self, streams: Sequence[TokenStream]) -> list[EegRecording]:
        """The recordings of many streams, those of :meth:`decode`."""
        made = self._made_rows(*streams)
        recordings = []
        for stream in streams:
            samples = torch.stack([next(made) for _ in range(stream.grid[0])])
            recordings.append(EegRecording(samples, self.config.sample_rate_hz, names_of(stream), stream))
        return recordings

    def _samples(self, windows: Tensor) -> Tensor:
        """Codes and where they are, int64 [rows, core + 2 halo, levels + 1] -> float32 [rows, core * stride]."""
        config, windows = self.config, windows.to(self.device)
        inside, latents = windows[..., -1].float(), self._network.quantizer.lookup(windows[..., 1:-1])
        wave: Tensor = self._network.wave(latents, inside[:, None])[:, 0] * gain(windows[..., 0], inside, config)
        return wave[:, config.halo * config.stride : (config.halo + _CORE) * config.stride].cpu()

    @property
    def codebooks(self) -> tuple[Tensor | None, ...]:
        """None for the scale, then those of the waveform."""
        return (None, *super().codebooks)

    @torch.no_grad()
    def vectors(self, stream: TokenStream) -> Tensor:
        """The octaves of the scale over its lowest, then what the codebooks hold: float32 [channel, time, numbers]."""
        check_stream(self, stream)
        octaves = stream.codes[..., :1].float() * octaves_per_step(self.config)
        return torch.cat([octaves, self._network.quantizer.lookup(stream.codes[..., 1:].to(self.device)).cpu()], -1)

    @staticmethod
    def channel_places(names: Sequence[str], asked: Sequence[str]) -> list[int]:
        """Where channels are among the labels of a stream, as people spell them; see :func:`find_channels`."""
        return find_channels(names, asked)

    @property
    def group_names(self) -> tuple[str, ...]:
        """Names of the spec's level groups."""
        return ("scale", "waveform")

    def _at_rate(self, item: EegRecording) -> EegRecording:
        check_media(self, item)
        rate = self.config.sample_rate_hz
        if item.sample_rate_hz == rate:
            return item
        tell_rate(item.source or repr(item), rate)
        return item.resample(rate)

    def evaluate(self, items: Sequence[EegRecording], train_items: Sequence[EegRecording] = ()) -> dict[str, float]:
        """How well recordings are coded, band by band, and how well a classical coder does with the same bits.

        Means are over all channels of all items. Zero everywhere would have error_of_variance 1 and correlations 0.

        Args:
            items: held-out recordings.
            train_items: recordings for the baseline to learn from. Without them there are no figures of ``pca_``.

        Returns:
            correlation and error_of_variance (the squared error over the power); for each of ``BANDS`` its
            ``_correlation`` and ``_power_error_db``, the mean of \\|decibels\\|; log_spectral_error_db, the root mean
            square of decibels over the frequencies of 1 to 45 Hz; bits_per_second_per_channel, of which
            scale_bits_per_second_per_channel are of level 0 (as if all its codes were equally likely);
            ``codes_used_share_`` and ``perplexity_`` of each level. With the prefix ``pca_`` the same of principal
            components of windows of a second or less, divided by the same scales, quantised with the bits of the
            other levels (:func:`pca_coded`).
        """
        if not items:
            raise ValueError("evaluate needs at least one recording, got none")
        items, train_items = ([self._at_rate(item) for item in some] for some in (items, train_items))
        streams = self.encode_many(items)
        originals, spec = [item.samples for item in items], self._spec
        copies = [
            made.samples[:, : item.samples.shape[1]]
            for made, item in zip(self.decode_many(streams), items, strict=True)
        ]
        rate = self.config.sample_rate_hz
        figures = fidelity(originals, copies, rate)
        bits = [math.log2(size) * (spec.rate_hz or 0.0) for size in spec.codebook_sizes]
        figures |= {"bits_per_second_per_channel": sum(bits), "scale_bits_per_second_per_channel": bits[0]}
        for level, size in enumerate(spec.codebook_sizes):
            used, perplexity = code_usage(torch.cat([stream.codes[..., level].flatten() for stream in streams]), size)
            figures |= {f"codes_used_share_{level}": used, f"perplexity_{level}": perplexity}
        if train_items:
            shortest = min(item.samples.shape[1] for item in (*items, *train_items))
            size = min(round(rate), shortest)
            own, scales = self._scaled_windows(items, size)
            train, _ = self._scaled_windows(train_items, size)
            coded = pca_coded(train, own, sum(bits[1:]) * size / rate)
            baseline = fidelity([own * scales], [coded * scales], rate)
            figures |= {f"pca_{name}": value for name, value in baseline.items()}
        return figures

    @torch.no_grad()
    def _scaled_windows(self, items: Sequence[EegRecording], size: int) -> tuple[Tensor, Tensor]:
        """All whole windows of ``size`` samples divided by their scales, and the scales, float32 [windows, size]."""
        waves, scales = [], []
        for item in items:
            for begin in range(0, item.samples.shape[1] - size + 1, size):
                wave, scale = normalised(item.samples[:, begin : begin + size], self.config)
                waves.append(wave[:, :size])
                scales.append(scale[:, :size])
        return torch.cat(waves), torch.cat(scales)

    @classmethod
    def chosen_config(cls, items: Sequence[EegRecording]) -> EegTokenizerConfig:
        """At the rate of most recordings, of the first of them where two are as many."""
        rates = Counter(item.sample_rate_hz for item in items)
        return EegTokenizerConfig.at(rates.most_common(1)[0][0])

    @classmethod
    def check_item(cls, item: EegRecording, config: EegTokenizerConfig) -> None:
        """ValueError for a recording shorter than a window of the spectral error."""
        if round(item.duration_seconds * config.sample_rate_hz) < config.spectral_samples:
            raise ValueError(
                f"fitting takes recordings of {config.spectral_samples} samples or more at "
                f"{config.sample_rate_hz:g} Hz, got {item!r}; leave it out"
            )

    @classmethod
    @one_thread()
    def fit(
        cls,
        items: Sequence[EegRecording],
        *,
        config: EegTokenizerConfig | None = None,
        steps: int = 2000,
        batch_size: int = 32,
        window_seconds: float = 1.0,
        peak_lr: float = 2e-3,
        seed: int = 0,
        folder: str | Path | None = None,
        checkpoint_every: int = 200,
        progress: bool = True,
    ) -> Self:
        """Trains a tokenizer on recordings: see :class:`FitSettings`.

        Windows of single channels are drawn, turned upside down by chance and made up to 6 dB louder or softer.

        Args:
            items: recordings; all are held in memory, those at another rate than the configuration's resampled.
            config: the network; the default is :meth:`EegTokenizerConfig.at` the rate of most recordings.
            steps: optimisation steps.
            batch_size: windows in a step.
            window_seconds: length of a window; shorter where the shortest recording is.
            peak_lr: largest learning rate.
            seed: of the weights, the batches and all else.
            folder: keeps a checkpoint; a run that was stopped goes on from it, bit for bit.
            checkpoint_every: steps between checkpoints.
            progress: show progress on stderr.

        Raises:
            TypeError: not an EegRecording.
            ValueError: no recording, one shorter than a window of the spectral error (see :meth:`unusable`), or a
                folder with the checkpoint of another run.
        """
        if not items:
            raise ValueError("fitting needs a recording at least, got none; pass more")
        for item in items:
            check_media(cls, item)
        config = config or cls.chosen_config(items)
        for item in items:
            cls.check_item(item, config)
        rate = config.sample_rate_hz
        others = [item for item in items if item.sample_rate_hz != rate]
        if others:
            named = ", ".join([item.source or repr(item) for item in others[:3]] + ["..."] * (len(others) > 3))
            tell(f"{len(others)} of {len(items)} recordings are resampled to {rate:g} Hz for fitting ({named})")
        items = [item if item.sample_rate_hz == rate else item.resample(rate) for item in items]
        task = eeg_fitting(items, config, FitSettings(steps, batch_size, peak_lr, seed), window_seconds)
        return cls(
            config,
            task.run("EEG tokenizer", folder=folder, checkpoint_every=checkpoint_every, progress=progress),
        )
