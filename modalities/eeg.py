"""EEG: a tokenizer of single electrodes, with a scale and residual codes for every token.

Arrow: EegRecording --EegTokenizer.encode--> TokenStream [channel, time, 1 + levels], and back.
Does not know: shared ids, models, other modalities, and how electrodes relate to each other.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from tokenmask.fitting import fit
from tokenmask.modalities.codebook_report import code_usage, pca_coded
from tokenmask.modalities.learned import CodecFitting, FitSettings, LearnedTokenizer, Quantise, stored
from tokenmask.modalities.quantizers.residual import GroupedQuantizer, ResidualQuantizer, ResidualQuantizerConfig
from tokenmask.modalities.quantizers.vq import VectorQuantizerConfig
from tokenmask.modalities.recording import EegRecording
from tokenmask.streams import StreamSpec, TokenStream
from tokenmask.tokenizer import check_media, check_stream, fingerprint

BANDS = {"delta": (1.0, 4.0), "theta": (4.0, 8.0), "alpha": (8.0, 13.0), "beta": (13.0, 30.0), "gamma": (30.0, 45.0)}
"""Names of frequency bands, each from its first number to below its second, in Hz."""

_CONTEXT_SECONDS = 2.0
_ROWS = 32  # windows that go through the network together, always this many
_CORE = 16  # tokens of a window that are kept
_SMALLEST = 1e-12  # square microvolts; keeps logarithms finite


@dataclass(frozen=True)
class EegTokenizerConfig:
    """The network, the scale and the loss. The default spends 16 tokens x 2 levels x 8 bits a second and channel.

    Args:
        sample_rate_hz: of what is coded; other recordings are refused, see :meth:`EegRecording.resample`.
        stride: samples that a token covers, a power of two, 4 or more.
        levels: residual codebooks of a branch.
        codes: size of each codebook.
        latent: numbers in a code's vector.
        width: channels of the network; multiples of 64 keep codes equal for any number of threads.
        blocks: residual blocks on either side of the codebooks.
        kernels: odd sizes in samples of the first convolution, one for each branch. Several make branches with
            codebooks of their own, as in NeuroRVQ (21, 15, 9, 5), and as many times the bits.
        unit: codes of length one, as in NeuroRVQ.
        level_dropout: see :class:`ResidualQuantizerConfig`.
        scale_seconds: length of the window whose root mean square is the scale.
        scale_steps: codes of the scale.
        scale_low_microvolt, scale_high_microvolt: the scales of the first and the last of them, spaced evenly in
            logarithm (1.15 dB by default); what is outside takes the nearest, and keeps its own size in the codes.
        spectral_weight: of the amplitude and phase errors against the squared error.
        spectral_samples: length of the windows whose spectra are compared, a multiple of two.
        spectral_high_hz: highest frequency that is compared.
        commitment, decay, revive_below: see :class:`VectorQuantizerConfig`.
    """

    sample_rate_hz: float = 128.0
    stride: int = 8
    levels: int = 2
    codes: int = 256
    latent: int = 16
    width: int = 128
    blocks: int = 3
    kernels: tuple[int, ...] = (9,)
    unit: bool = False
    level_dropout: float = 0.0
    scale_seconds: float = 1.0
    scale_steps: int = 64
    scale_low_microvolt: float = 0.25
    scale_high_microvolt: float = 1024.0
    spectral_weight: float = 0.5
    spectral_samples: int = 64
    spectral_high_hz: float = 45.0
    commitment: float = 0.25
    decay: float = 0.99
    revive_below: float = 0.05

    def __post_init__(self) -> None:
        if self.stride < 4 or self.stride & (self.stride - 1):
            raise ValueError(f"stride must be a power of two, 4 or more, got {self.stride}")
        if not math.isfinite(self.sample_rate_hz) or self.sample_rate_hz <= 0:
            raise ValueError(f"sample_rate_hz must be positive, got {self.sample_rate_hz}")
        if self.width < 1 or self.blocks < 0:
            raise ValueError(f"width must be positive and blocks not negative, got {self.width} and {self.blocks}")
        if not self.kernels or any(size < 1 or size % 2 == 0 for size in self.kernels):
            raise ValueError(f"kernels must be one or more odd sizes, got {self.kernels}")
        if self.scale_steps < 2 or not 0 < self.scale_low_microvolt < self.scale_high_microvolt < math.inf:
            raise ValueError(
                "a scale needs scale_steps >= 2 between two positive microvolts, got "
                f"{self.scale_steps}, {self.scale_low_microvolt} and {self.scale_high_microvolt}"
            )
        if self.spectral_weight < 0 or self.spectral_samples < 2 or self.spectral_samples % 2:
            raise ValueError(
                "spectral_weight must not be negative and spectral_samples even, got "
                f"{self.spectral_weight} and {self.spectral_samples}"
            )
        if self.spectral_high_hz * self.spectral_samples < self.sample_rate_hz:
            raise ValueError(
                f"spectral_high_hz must be at least the resolution of the spectra, got {self.spectral_high_hz} for "
                f"{self.spectral_samples} samples at {self.sample_rate_hz} Hz"
            )
        self.quantizers()
        needed = (self.halo + self.scale_halo) * self.stride / self.sample_rate_hz
        if not self.scale_seconds > 0 or needed > _CONTEXT_SECONDS:
            raise ValueError(
                f"a token must depend on {_CONTEXT_SECONDS} s on either side at most, got {needed:.3g} s with "
                f"scale_seconds {self.scale_seconds}; take fewer blocks, smaller kernels or a shorter scale"
            )

    @classmethod
    def at(cls, sample_rate_hz: float) -> EegTokenizerConfig:
        """The default at another sample rate: as many tokens a second, to the next power of two of samples."""
        usual = cls()
        stride = max(4, 2 ** round(math.log2(usual.stride * sample_rate_hz / usual.sample_rate_hz)))
        return cls(
            sample_rate_hz=sample_rate_hz,
            stride=stride,
            kernels=tuple(size * stride // usual.stride | 1 for size in usual.kernels),
            spectral_samples=usual.spectral_samples * stride // usual.stride,
        )

    @property
    def halo(self) -> int:
        """Tokens on either side that the network looks at: its blocks, its first convolution, the scale between two."""
        return 2 * self.blocks + -(-(max(self.kernels) // 2) // self.stride) + 1

    @property
    def scale_halo(self) -> int:
        """Tokens on either side that the scale looks at."""
        return math.ceil(0.5 * self.scale_seconds * self.sample_rate_hz / self.stride)

    def quantizers(self) -> list[ResidualQuantizerConfig]:
        """What the codebooks of each branch need."""
        book = VectorQuantizerConfig(
            self.codes, self.latent, self.decay, self.revive_below, self.commitment, unit=self.unit
        )
        return [ResidualQuantizerConfig(self.levels, book, self.level_dropout) for _ in self.kernels]


class _Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.spread = nn.Conv1d(width, width, 5, padding=2)
        self.join = nn.Conv1d(width, width, 1)

    def forward(self, x: Tensor, inside: Tensor) -> Tensor:
        """float32 [B, width, tokens], [B, 1, tokens] -> the same shape; nothing outside the recording is passed on."""
        out: Tensor = (x + self.join(nn.functional.silu(self.spread(nn.functional.silu(x))))) * inside
        return out


class _Branch(nn.Module):
    """One encoder; waves are float32 [B, 1, tokens * stride], zero where ``inside`` float32 [B, 1, tokens] is."""

    def __init__(self, config: EegTokenizerConfig, kernel: int) -> None:
        super().__init__()
        width = config.width
        self.first = nn.Conv1d(1, 64, kernel, padding=kernel // 2)
        self.down = nn.Conv1d(64, width, config.stride, stride=config.stride)
        self.blocks = nn.ModuleList(_Block(width) for _ in range(config.blocks))
        self.last = nn.Conv1d(width, config.latent, 1)

    def forward(self, wave: Tensor, inside: Tensor) -> Tensor:
        """-> float32 [B, latent, tokens]."""
        x = self.down(nn.functional.silu(self.first(wave))) * inside
        for block in self.blocks:
            x = block(x, inside)
        latents: Tensor = self.last(nn.functional.silu(x))
        return latents


class _Network(nn.Module):
    """Encoders, codebooks and decoder of waves whose scale is about one."""

    def __init__(self, config: EegTokenizerConfig) -> None:
        super().__init__()
        width, parts = config.width, config.quantizers()
        self.branches = nn.ModuleList(_Branch(config, kernel) for kernel in config.kernels)
        self.quantizer = GroupedQuantizer(parts) if len(parts) > 1 else ResidualQuantizer(parts[0])
        self.enter = nn.Conv1d(self.quantizer.width, width, 1)
        self.blocks = nn.ModuleList(_Block(width) for _ in range(config.blocks))
        self.up = nn.Conv1d(width, 64 * config.stride, 1)
        self.leave = nn.Conv1d(64, 1, 9, padding=4)

    def latents(self, wave: Tensor, inside: Tensor) -> Tensor:
        """float32 [B, 1, tokens * stride], [B, 1, tokens] -> [B, tokens, width of the quantiser]."""
        return torch.cat([branch(wave, inside) for branch in self.branches], 1).movedim(1, 2)

    def wave(self, latents: Tensor, inside: Tensor) -> Tensor:
        """float32 [B, tokens, width of the quantiser], [B, 1, tokens] -> [B, 1, tokens * stride]."""
        x = self.enter(latents.movedim(2, 1)) * inside
        for block in self.blocks:
            x = block(x, inside)
        x = self.up(nn.functional.silu(x)) * inside
        fine = x.unflatten(1, (64, -1)).transpose(2, 3).flatten(2)  # [B, 64, tokens * stride]
        wave: Tensor = self.leave(nn.functional.silu(fine))
        return wave


class EegTokenizer(LearnedTokenizer):
    """Every electrode by itself: the scale of each token, then residual codes of the wave divided by it.

    Level 0 is the root mean square of the second around a token (a Hann window), in steps of about a decibel, so a
    stream decodes to microvolts by itself and differences of power between recordings stay where a model can learn
    them. The wave is divided by the scale as it was coded, interpolated in logarithm between tokens: rounding the
    scale costs nothing. It follows no recording-wide statistic, so that pieces give the codes of the whole. The other
    levels are those of a residual quantiser between convolutions (16 tokens a second by default). Trained by the
    squared error and by the errors of log amplitude and phase of short spectra; the squared error alone loses the
    gamma band.

    Offsets are coded like slow waves: high-pass recordings first (:meth:`EegRecording.filtered`). Recordings go
    through in windows of fixed size with a halo, so memory does not grow with them, and codes are equal, bit for bit,
    for a recording alone, in any batch and for any number of threads, on one machine.

    Source: NeuroRVQ, arXiv:2510.13068 (log amplitude and phase in the loss; branches of several kernels and unit codes
    as options). Deviations: convolutions instead of a transformer, one branch, a wave decoder instead of heads for
    amplitude, sine and cosine, the phase error weighs every frequency up to ``spectral_high_hz`` alike.
    """

    name: ClassVar[str] = "eeg"
    media: ClassVar[type] = EegRecording
    config_class: ClassVar[type] = EegTokenizerConfig
    context_seconds: ClassVar[float | None] = _CONTEXT_SECONDS
    config: EegTokenizerConfig

    @staticmethod
    def make_network(config: EegTokenizerConfig) -> nn.Module:
        """Encoders, codebooks and decoder."""
        return _Network(config)

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

    @torch.no_grad()
    def encode_many(self, items: Sequence[EegRecording]) -> list[TokenStream]:
        """The codes of many recordings; the last token of each may reach beyond its end.

        Returns:
            Streams of codes int32 [channel, time, 1 + levels], with the names of the channels as labels.

        Raises:
            TypeError: not an EegRecording.
            ValueError: another sample rate.
        """
        for item in items:
            self._check(item)
        config, reach = self.config, self.config.halo + self.config.scale_halo
        grids = [(len(item.channels), _tokens(item.samples.shape[1], config.stride)) for item in items]
        codes = [torch.empty(*grid, self._spec.num_levels, dtype=torch.int32) for grid in grids]
        size = (_CORE + 2 * reach) * config.stride
        for group in _jobs(grids):
            samples, known = torch.zeros(_ROWS, size), torch.zeros(_ROWS, size)
            for row, (index, channel, start) in enumerate(group):
                whole = items[index].samples[channel]
                begin = (start - reach) * config.stride
                first, last = max(begin, 0), min(begin + size, len(whole))
                samples[row, first - begin : last - begin] = whole[first:last]
                known[row, first - begin : last - begin] = 1.0
            made = self._encode_windows(samples.to(self.device), known.to(self.device)).to("cpu", torch.int32)
            for row, (index, channel, start) in enumerate(group):
                part = codes[index][channel, start : start + _CORE]
                part.copy_(made[row, : len(part)])
        return [
            TokenStream(self._spec, one, labels={"channel": item.channels})
            for one, item in zip(codes, items, strict=True)
        ]

    def _encode_windows(self, samples: Tensor, known: Tensor) -> Tensor:
        """float32 [rows, (core + 2 reach) * stride] twice -> int64 [rows, core, 1 + levels]."""
        config = self.config
        scales = _scale_codes(samples, known, config)[:, config.scale_halo : -config.scale_halo]
        inner = slice(config.scale_halo * config.stride, -config.scale_halo * config.stride)
        inside = known[:, inner].view(len(samples), -1, config.stride)[:, None, :, 0]
        wave = samples[:, inner] / _gain(scales, inside[:, 0], config)
        latents = self._network.latents(wave[:, None], inside)[:, config.halo : config.halo + _CORE]
        codes: Tensor = self._network.quantizer.nearest(latents.reshape(-1, latents.shape[-1]))
        own = scales[:, config.halo : config.halo + _CORE, None]
        return torch.cat([own, codes.view(*own.shape[:2], -1)], 2)

    def decode(
        self, stream: TokenStream, *, given: EegRecording | None = None, keep: Tensor | None = None
    ) -> EegRecording:
        """The recording of any codes, in microvolts.

        Args:
            stream: codes of this tokenizer.
            given: the recording that kept parts come from, with as many channels and tokens as the stream.
            keep: bool [channel, time], tokens whose samples are copied from ``given``, or bool [channel, samples of
                given]; what is not kept is decoded.

        Returns:
            An EegRecording that keeps the stream, of whole tokens, or as long as ``given``. Channels without labels
            are named by numbers.

        Raises:
            TypeError: ``given`` is no EegRecording.
            ValueError: the codes of another tokenizer or none; only one of given and keep; a given or a keep of
                another shape.
        """
        made = self.decode_many([stream])[0]
        if given is None and keep is None:
            return made
        if given is None or keep is None:
            raise ValueError("given and keep belong together, but only one was passed; pass both or neither")
        self._check(given)
        size, stride = tuple(given.samples.shape), self.config.stride
        if (size[0], _tokens(size[1], stride)) != stream.grid:
            raise ValueError(f"given must have the stream's channels and tokens {list(stream.grid)}, got {given!r}")
        if keep.dtype != torch.bool or tuple(keep.shape) not in (stream.grid, size):
            kind = str(keep.dtype).removeprefix("torch.")
            raise ValueError(f"keep must be bool {list(stream.grid)} or {list(size)}, got {kind} {list(keep.shape)}")
        if tuple(keep.shape) != size:
            keep = keep.repeat_interleave(stride, 1)[:, : size[1]]
        mixed = torch.where(keep, given.samples, made.samples[:, : size[1]])
        return EegRecording(mixed, made.sample_rate_hz, made.channels, stream)

    @torch.no_grad()
    def decode_many(self, streams: Sequence[TokenStream]) -> list[EegRecording]:
        """The recordings of many streams, those of :meth:`decode`."""
        for stream in streams:
            check_stream(self, stream)
            if not stream.codes.numel():
                raise ValueError(f"a stream must hold a token and a channel to be decoded, got {stream!r}")
        config, halo = self.config, self.config.halo
        made = [torch.empty(stream.grid[0], stream.grid[1] * config.stride) for stream in streams]
        size = _CORE + 2 * halo
        for group in _jobs([(stream.grid[0], stream.grid[1]) for stream in streams]):
            codes = torch.zeros(_ROWS, size, self._spec.num_levels, dtype=torch.int64)
            inside = torch.zeros(_ROWS, size)
            for row, (index, channel, start) in enumerate(group):
                whole, begin = streams[index].codes[channel], start - halo
                first, last = max(begin, 0), min(begin + size, len(whole))
                codes[row, first - begin : last - begin] = whole[first:last].long()
                inside[row, first - begin : last - begin] = 1.0
            samples = self._decode_windows(codes.to(self.device), inside.to(self.device)).cpu()
            for row, (index, channel, start) in enumerate(group):
                part = made[index][channel, start * config.stride : (start + _CORE) * config.stride]
                part.copy_(samples[row, : len(part)])
        return [
            EegRecording(samples, config.sample_rate_hz, _names(stream), stream)
            for samples, stream in zip(made, streams, strict=True)
        ]

    def _decode_windows(self, codes: Tensor, inside: Tensor) -> Tensor:
        """int64 [rows, core + 2 halo, 1 + levels], float32 [rows, core + 2 halo] -> float32 [rows, core * stride]."""
        config = self.config
        latents = self._network.quantizer.lookup(codes[:, :, 1:])
        wave: Tensor = self._network.wave(latents, inside[:, None])[:, 0] * _gain(codes[:, :, 0], inside, config)
        return wave[:, config.halo * config.stride : (config.halo + _CORE) * config.stride]

    @property
    def group_names(self) -> tuple[str, ...]:
        """Names of the spec's level groups."""
        return ("scale", "waveform")

    def _check(self, item: EegRecording) -> None:
        check_media(self, item)
        if item.sample_rate_hz != self.config.sample_rate_hz:
            raise ValueError(
                f"this EegTokenizer encodes recordings at {self.config.sample_rate_hz:g} Hz, got {item!r}; "
                f"use recording.resample({self.config.sample_rate_hz:g})"
            )

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
        streams = self.encode_many(items)
        originals, spec = [item.samples for item in items], self._spec
        copies = [
            made.samples[:, : item.samples.shape[1]]
            for made, item in zip(self.decode_many(streams), items, strict=True)
        ]
        rate = self.config.sample_rate_hz
        figures = _fidelity(originals, copies, rate)
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
            baseline = _fidelity([own * scales], [coded * scales], rate)
            figures |= {f"pca_{name}": value for name, value in baseline.items()}
        return figures

    @torch.no_grad()
    def _scaled_windows(self, items: Sequence[EegRecording], size: int) -> tuple[Tensor, Tensor]:
        """All whole windows of ``size`` samples divided by their scales, and the scales, float32 [windows, size]."""
        waves, scales = [], []
        for item in items:
            for begin in range(0, item.samples.shape[1] - size + 1, size):
                wave, scale = _normalised(item.samples[:, begin : begin + size], self.config)
                waves.append(wave[:, :size])
                scales.append(scale[:, :size])
        return torch.cat(waves), torch.cat(scales)

    @classmethod
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
            items: recordings at ``config.sample_rate_hz``; all are held in memory.
            config: the network; the default is :meth:`EegTokenizerConfig.at` the rate of the first recording.
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
            ValueError: no recording, another sample rate, one shorter than a window of the spectral error, or a
                folder with the checkpoint of another run.
        """
        if not items:
            raise ValueError("fitting needs a recording at least, got none; pass more")
        check_media(cls, items[0])
        config = config or EegTokenizerConfig.at(items[0].sample_rate_hz)
        for item in items:
            check_media(cls, item)
            if item.sample_rate_hz != config.sample_rate_hz or item.samples.shape[1] < config.spectral_samples:
                raise ValueError(
                    f"fitting takes recordings of {config.spectral_samples} samples or more at "
                    f"{config.sample_rate_hz:g} Hz, got {item!r}; resample it or leave it out"
                )
        shortest = min(item.samples.shape[1] for item in items)
        size = max(min(round(window_seconds * config.sample_rate_hz), shortest), config.spectral_samples)
        rows = [row for item in items for row in item.samples]
        ends = torch.tensor([len(row) for row in rows]).cumsum(0)  # a long recording is drawn more often

        def draw_batch(draw: torch.Generator) -> Tensor:
            places = torch.randint(int(ends[-1]), (batch_size,), generator=draw)
            chosen = torch.searchsorted(ends, places, right=True).tolist()
            shares = torch.rand(batch_size, generator=draw).tolist()
            starts = [int(share * (len(rows[row]) - size + 1)) for row, share in zip(chosen, shares, strict=True)]
            batch = torch.stack([rows[row][start : start + size] for row, start in zip(chosen, starts, strict=True)])
            sign = 1 - 2 * torch.randint(2, (batch_size, 1), generator=draw)
            return batch * sign * 2 ** (2 * torch.rand(batch_size, 1, generator=draw) - 1)

        def loss(network: _Network, batch: Tensor, quantise: Quantise) -> tuple[Tensor, dict[str, float]]:
            wave = _normalised(batch, config)[0]
            inside = torch.ones(len(wave), 1, wave.shape[1] // config.stride)
            made = network.wave(quantise(network.latents(wave[:, None], inside)), inside)[:, 0]
            squared = nn.functional.mse_loss(made, wave)
            amplitude, phase = _spectral_errors(made, wave, config)
            error = squared + config.spectral_weight * (amplitude + phase)
            return error, {"squared_error": squared.item(), "phase_error": phase.item()}

        settings = FitSettings(steps, batch_size, peak_lr, seed)
        about = {
            "config": asdict(config),
            "window_samples": size,
            "recordings": fingerprint({}, {f"{index}": item.samples for index, item in enumerate(items)}),
        }
        task = CodecFitting(lambda: _Network(config), draw_batch, loss, settings, about)
        label = "EEG tokenizer"
        fit(task, steps=steps, folder=folder, checkpoint_every=checkpoint_every, label=label, progress=progress)
        return cls(config, stored(task.network))


# Windows --------------------------------------------------------------------------------------------------------------


def _tokens(samples: int, stride: int) -> int:
    return -(-samples // stride)


def _jobs(sizes: Sequence[tuple[int, int]]) -> Iterator[list[tuple[int, int, int]]]:
    """(item, channel, first token) of every window, in groups of ``_ROWS`` at most, for (channels, tokens) of items."""
    group: list[tuple[int, int, int]] = []
    for item, (channels, tokens) in enumerate(sizes):
        for channel in range(channels):
            for start in range(0, tokens, _CORE):
                group.append((item, channel, start))
                if len(group) == _ROWS:
                    yield group
                    group = []
    if group:
        yield group


def _names(stream: TokenStream) -> tuple[str, ...]:
    return stream.labels.get("channel") or tuple(str(number + 1) for number in range(stream.grid[0]))


# Scale ----------------------------------------------------------------------------------------------------------------


def _scale_codes(samples: Tensor, known: Tensor, config: EegTokenizerConfig) -> Tensor:
    """The scale of every token, from the samples around its middle that are known.

    Args:
        samples: float32 [rows, tokens * stride], microvolts, zero where not known.
        known: the same shape, 1.0 or 0.0.

    Returns:
        int64 [rows, tokens], in 0 .. scale_steps - 1.
    """
    reach = config.scale_halo * config.stride - config.stride // 2
    window = torch.hann_window(2 * reach, periodic=False, dtype=torch.float64, device=samples.device) + 1e-6
    pad = (reach - config.stride // 2,) * 2

    def around(values: Tensor) -> Tensor:
        wide = nn.functional.pad(values.double(), pad)
        return (wide.unfold(1, 2 * reach, config.stride) * window).sum(2)

    power = around(samples.double().square()) / around(known).clamp_min(_SMALLEST)
    octaves = 0.5 * power.clamp_min(_SMALLEST).log2() - math.log2(config.scale_low_microvolt)
    codes = (octaves / _octaves_per_step(config)).round()
    return codes.clamp(0, config.scale_steps - 1).long()


def _octaves_per_step(config: EegTokenizerConfig) -> float:
    return math.log2(config.scale_high_microvolt / config.scale_low_microvolt) / (config.scale_steps - 1)


def _gain(codes: Tensor, inside: Tensor, config: EegTokenizerConfig) -> Tensor:
    """Microvolts by which a wave of scale one is multiplied: lines in logarithm between the middles of tokens.

    Args:
        codes: int64 [rows, tokens], scale codes.
        inside: float32 [rows, tokens], 0.0 for tokens before the first or after the last of a recording; those
            take the code of the nearest one.

    Returns:
        float32 [rows, tokens * stride].
    """
    tokens, stride = codes.shape[1], config.stride
    places = torch.arange(tokens, device=codes.device)
    first, last = inside.argmax(1, keepdim=True), tokens - 1 - inside.flip(1).argmax(1, keepdim=True)
    codes = codes.gather(1, places.clamp(first, last)).double()
    padded = torch.cat([codes[:, :1], codes, codes[:, -1:]], 1)
    share = (torch.arange(stride, dtype=torch.float64, device=codes.device) + 0.5) / stride
    before, after = (0.5 - share).clamp_min(0), (share - 0.5).clamp_min(0)
    lines = padded[:, :-2, None] * before + padded[:, 2:, None] * after + codes[:, :, None] * (1 - before - after)
    octaves = lines.flatten(1) * _octaves_per_step(config) + math.log2(config.scale_low_microvolt)
    return torch.exp2(octaves).float()


def _normalised(samples: Tensor, config: EegTokenizerConfig) -> tuple[Tensor, Tensor]:
    """Whole rows as :meth:`EegTokenizer.encode` sees them: (wave, gain), each float32 [rows, tokens * stride]."""
    extra = -samples.shape[1] % config.stride
    known = nn.functional.pad(torch.ones_like(samples), (0, extra))
    padded = nn.functional.pad(samples, (0, extra))
    gain = _gain(_scale_codes(padded, known, config), known[:, :: config.stride], config)
    return padded / gain, gain


# Errors ---------------------------------------------------------------------------------------------------------------


def _spectral_errors(made: Tensor, wave: Tensor, config: EegTokenizerConfig) -> tuple[Tensor, Tensor]:
    """Squared error of log(1 + amplitude), and 1 - cosine of the angle between phases, over overlapping windows."""
    size = config.spectral_samples
    highest = min(int(config.spectral_high_hz * size / config.sample_rate_hz), size // 2)
    mine, other = (
        torch.fft.rfft(part.unfold(1, size, size // 2), dim=2)[..., 1 : highest + 1] for part in (made, wave)
    )
    amplitudes = [part.abs() for part in (mine, other)]
    amplitude = (amplitudes[0].log1p() - amplitudes[1].log1p()).square().mean()
    aligned = (mine * other.conj()).real / (amplitudes[0] * amplitudes[1]).clamp_min(1e-6)
    return amplitude, 1 - aligned.mean()


def _fidelity(originals: Sequence[Tensor], copies: Sequence[Tensor], rate_hz: float) -> dict[str, float]:
    """Means over all rows of pairs [rows, time] in microvolts; rows without any power in a band are left out of it."""
    names = ["correlation", "error_of_variance", "log_spectral_error_db"]
    names += [f"{band}_{figure}" for band in BANDS for figure in ("correlation", "power_error_db")]
    seen: dict[str, list[Tensor]] = {name: [] for name in names}
    for original, copy in zip(originals, copies, strict=True):
        size = original.shape[1]
        places = torch.arange(size // 2 + 1, dtype=torch.float64) * rate_hz / size
        mine, other = (torch.fft.rfft(part.double(), dim=1) for part in (original, copy))
        weight = torch.where((places > 0) & (places < rate_hz / 2), 2.0, 1.0).double()
        for band, (low, high) in {"": (0.0, math.inf), **{f"{band}_": edges for band, edges in BANDS.items()}}.items():
            chosen = weight * ((places >= low) & (places < high) & (places > 0 if band else places >= 0))
            powers = [(part.abs().square() * chosen).sum(1) for part in (mine, other)]
            alive = powers[0] > _SMALLEST
            own, made = powers[0][alive], powers[1][alive].clamp_min(_SMALLEST)
            product = ((mine * other.conj()).real * chosen).sum(1)[alive]
            seen[f"{band}correlation"].append(product / (own * made).sqrt())
            if band:
                seen[f"{band}power_error_db"].append(10 * (made / own).log10().abs())
            else:
                difference = ((mine - other).abs().square() * chosen).sum(1)[alive]
                seen["error_of_variance"].append(difference / own)
        heard = (places >= BANDS["delta"][0]) & (places < BANDS["gamma"][1])
        levels = [20 * part[:, heard].abs().clamp_min(1e-3).log10() for part in (mine, other)]
        if levels[0].numel():
            seen["log_spectral_error_db"].append((levels[0] - levels[1]).square().mean(1).sqrt())
    joined = {name: torch.cat(parts) for name, parts in seen.items() if parts}
    return {name: float(values.mean()) for name, values in joined.items() if values.numel()}
