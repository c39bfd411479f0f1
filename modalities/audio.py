"""Audio: log-mel frames coded by residual codebooks, and two ways back to a waveform.

Arrow: AudioClip --AudioTokenizer.encode--> TokenStream [time, level], and back.
Does not know: shared ids, models, other modalities.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from tokenmask.fitting import fit, writing_atomically
from tokenmask.modalities.codebook_report import code_usage, pca_coded
from tokenmask.modalities.learned import CodecFitting, FitSettings, LearnedTokenizer, Quantise, stored
from tokenmask.modalities.mel import (
    FLOOR,
    griffin_lim,
    log_mel,
    magnitudes_of,
    margin,
    spectrum,
    unit,
    waveform,
)
from tokenmask.modalities.quantizers.residual import ResidualQuantizer, ResidualQuantizerConfig
from tokenmask.modalities.quantizers.vq import VectorQuantizerConfig
from tokenmask.streams import StreamSpec, TokenStream
from tokenmask.tokenizer import check_media, check_stream, fingerprint

VOCODERS = ("head", "mixed", "griffin_lim")
_FORMATS = {".wav": ("WAV", "FLOAT"), ".flac": ("FLAC", "PCM_24"), ".ogg": ("OGG", "VORBIS")}
_WINDOW = 64  # frames that are coded at once; windows begin at multiples of it, whatever the clip
_TOGETHER = 4  # windows that go through the network at once, always
_SEGMENT = 2048  # frames that become a waveform at once
_JOINT = 8  # frames in which two segments are faded into each other
_CONTEXT_SECONDS = 0.5
_CROP_SECONDS = 0.64
_SPEEDS = (0.8, 1.25)
_HEAD_SHARE = 0.5
_FAINT = 1e-3  # magnitudes below it count as silence for the head
_SILENCE_SECONDS = 0.2  # between the clips of a training set
_FFT_SIZES = (2048, 1024, 512, 256)  # of the head's loss, one in each step
_JUDGED = (1024, 256, 80)  # n_fft, hop and bands of the figures


@dataclass(frozen=True, eq=False)
class AudioClip:
    """A piece of sound.

    Args:
        samples: float32 [channels, time], finite, full scale is -1..1 (more is allowed, and cut by players).
        sample_rate_hz: samples of a channel in a second.
        stream: the codes it was generated from, if it was; does not count in comparisons.
    """

    samples: Tensor
    sample_rate_hz: int
    stream: TokenStream | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.samples.dtype != torch.float32 or self.samples.dim() != 2 or not self.samples.numel():
            raise ValueError(
                "samples of an AudioClip must be float32 [channels, time], one at least, got "
                f"{str(self.samples.dtype).removeprefix('torch.')} {list(self.samples.shape)}"
            )
        if self.sample_rate_hz < 1:
            raise ValueError(f"sample_rate_hz of an AudioClip must be positive, got {self.sample_rate_hz}")
        if not bool(self.samples.isfinite().all()):
            raise ValueError("samples of an AudioClip must be finite, got NaN or infinity; repair the recording")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, AudioClip):
            return NotImplemented
        return self.sample_rate_hz == other.sample_rate_hz and torch.equal(self.samples, other.samples)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        channels = self.samples.shape[0]
        return f"AudioClip({self.duration_seconds:.3f} s, {channels} channel(s), {self.sample_rate_hz} Hz)"

    @property
    def duration_seconds(self) -> float:
        """Length."""
        return self.samples.shape[1] / self.sample_rate_hz

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Reads WAV, FLAC, Ogg Vorbis and what else libsndfile knows.

        Raises:
            ValueError: no such file, no audio, damaged or empty.
        """
        import soundfile

        if not Path(path).is_file():
            raise ValueError(f"audio is read from a file, but {path} is none; check the path")
        try:
            samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
            return cls(torch.from_numpy(samples.T.copy()), int(rate))
        except (soundfile.SoundFileError, ValueError, OSError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            raise ValueError(
                f"{path} must be a whole audio file, but cannot be read ({reason}); export it again"
            ) from error

    def save(self, path: str | Path) -> None:
        """Writes the format that the file's suffix names, atomically.

        .wav holds 32-bit floats and loses nothing, .flac rounds to 24 bits, .ogg (Vorbis) loses what is hardly heard.

        Raises:
            ValueError: a suffix that names no format that can be written.
        """
        import soundfile

        kind = _FORMATS.get(Path(path).suffix.lower())
        if kind is None:
            raise ValueError(f"an audio file must end in .wav, .flac or .ogg, got {Path(path).name!r}; rename it")
        with writing_atomically(path) as partial:
            values = self.samples.T.contiguous().cpu().numpy()
            soundfile.write(partial, values, self.sample_rate_hz, format=kind[0], subtype=kind[1])

    def resample(self, sample_rate_hz: int) -> AudioClip:
        """Another rate, band-limited (soxr); at least one sample is left."""
        if sample_rate_hz < 1:
            raise ValueError(f"a sample rate must be positive, got {sample_rate_hz}")
        if sample_rate_hz == self.sample_rate_hz:
            return AudioClip(self.samples, sample_rate_hz)
        changed = _resampled(self.samples.T, self.sample_rate_hz, sample_rate_hz)
        wanted = max(1, round(self.samples.shape[1] * sample_rate_hz / self.sample_rate_hz))
        return AudioClip(_cut(changed, 0, wanted).T.contiguous(), sample_rate_hz)

    def mono(self) -> AudioClip:
        """One channel, the mean of all."""
        return AudioClip(self.samples.mean(0, keepdim=True), self.sample_rate_hz)


@dataclass(frozen=True)
class AudioTokenizerConfig:
    """The features, the network and how it learns.

    Args:
        sample_rate_hz: of what is coded; clips of another rate are resampled, channels averaged.
        hop: samples that a code covers.
        n_fft: samples in a frame of the features; an even multiple of ``hop``.
        bands: mel bands.
        width: channels of encoder and mel decoder; multiples of 64 keep codes equal alone and in batches.
        encoder_blocks, decoder_blocks: ConvNeXt blocks on either side of the codebooks.
        kernel: frames that a block sees, odd.
        expansion: how much wider a block is inside.
        latent: numbers in a code's vector, at most ``bands``.
        codes: size of each codebook.
        levels: number of codebooks, coarse to fine.
        level_dropout, decay, revive_below, commitment: see :class:`ResidualQuantizerConfig`
            and :class:`VectorQuantizerConfig`.
        head_width: channels of the waveform head; 0 leaves it out.
        head_blocks: ConvNeXt blocks of the head.
        vocoder: "head" takes the waveform of the head; "griffin_lim" finds phases for the decoded mel bands;
            "mixed" does so too, and starts from the head's phases.
        rounds: of Griffin-Lim.
    """

    sample_rate_hz: int = 16000
    hop: int = 320
    n_fft: int = 1280
    bands: int = 80
    width: int = 128
    encoder_blocks: int = 2
    decoder_blocks: int = 3
    kernel: int = 7
    expansion: int = 2
    latent: int = 32
    codes: int = 256
    levels: int = 7
    level_dropout: float = 0.5
    decay: float = 0.99
    revive_below: float = 0.05
    commitment: float = 0.25
    head_width: int = 192
    head_blocks: int = 4
    vocoder: str = "head"
    rounds: int = 32

    def __post_init__(self) -> None:
        if self.hop < 2 or self.hop % 2 or self.n_fft < 2 * self.hop or self.n_fft % (2 * self.hop):
            raise ValueError(
                f"hop must be even and n_fft an even multiple of it, got hop {self.hop} and n_fft {self.n_fft}"
            )
        if self.sample_rate_hz < 2 * self.hop or self.bands < 1 or self.bands > self.n_fft // 4:
            raise ValueError(
                "sample_rate_hz must be 2 hops at least and bands within 1..n_fft / 4, got "
                f"{self.sample_rate_hz} and {self.bands}"
            )
        if self.width < 1 or self.expansion < 1 or min(self.encoder_blocks, self.decoder_blocks, self.head_blocks) < 0:
            raise ValueError(
                "width and expansion must be positive and blocks not negative, got "
                f"{self.width}, {self.expansion} and {self.encoder_blocks}, {self.decoder_blocks}, {self.head_blocks}"
            )
        if not 0 < self.latent <= self.bands:
            raise ValueError(f"latent must lie within 1..bands, {self.bands}, got {self.latent}")
        if self.kernel < 1 or self.kernel % 2 == 0:
            raise ValueError(f"kernel must be odd, got {self.kernel}")
        if self.vocoder not in VOCODERS or self.head_width < 0 or self.rounds < 0:
            raise ValueError(
                f"vocoder must be one of {', '.join(VOCODERS)}, head_width and rounds not negative, got "
                f"{self.vocoder!r}, {self.head_width} and {self.rounds}"
            )
        if not self.head_width and self.vocoder != "griffin_lim":
            raise ValueError(f"without a head the vocoder must be griffin_lim, got {self.vocoder!r}; set head_width")
        reach = self.encoder_reach * self.hop + margin(self.n_fft, self.hop)
        if reach > _CONTEXT_SECONDS * self.sample_rate_hz:
            raise ValueError(
                f"the encoder must see {_CONTEXT_SECONDS} s to either side at most, got "
                f"{reach / self.sample_rate_hz:.3f} s; use fewer blocks or a smaller kernel or hop"
            )
        self.quantizer()

    @property
    def rate_hz(self) -> float:
        """Codes of each level in a second."""
        return self.sample_rate_hz / self.hop

    @property
    def encoder_reach(self) -> int:
        """Frames to either side that a code depends on, apart from the overlap of frames."""
        return (self.kernel // 2) * (self.encoder_blocks + 1)

    @property
    def decoder_reach(self) -> int:
        """Codes to either side that a decoded frame depends on."""
        head = self.head_blocks + 1 if self.head_width else 0
        return (self.kernel // 2) * (self.decoder_blocks + 1 + head)

    def quantizer(self) -> ResidualQuantizerConfig:
        """The part of it that the codebooks need."""
        book = VectorQuantizerConfig(self.codes, self.latent, self.decay, self.revive_below, self.commitment)
        return ResidualQuantizerConfig(self.levels, book, self.level_dropout)


class _Block(nn.Module):
    """ConvNeXt over time, arXiv:2201.03545, without its scale of the branch."""

    def __init__(self, width: int, kernel: int, expansion: int) -> None:
        super().__init__()
        self.spread = nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=width)
        self.norm = nn.LayerNorm(width)
        self.widen = nn.Linear(width, expansion * width)
        self.join = nn.Linear(expansion * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """float32 [B, T, width] -> the same shape."""
        seen = self.norm(self.spread(x.transpose(1, 2)).transpose(1, 2))
        out: Tensor = x + self.join(nn.functional.gelu(self.widen(seen)))
        return out


class _Stack(nn.Module):
    """A convolution, blocks, and a linear layer: float32 [B, T, inputs] -> [B, T, outputs].

    Nothing is normalised at the end: it would hide how loud a frame is, which costs a fifth of the mel error.

    Args:
        config: kernel and expansion.
        inputs, width, blocks, outputs: see above.
        linear: adds a linear map of each frame; the rest is then a correction that begins at nothing.
    """

    def __init__(
        self, config: AudioTokenizerConfig, inputs: int, width: int, blocks: int, outputs: int, linear: bool
    ) -> None:
        super().__init__()
        self.line = nn.Linear(inputs, outputs, bias=False) if linear else None
        self.enter = nn.Conv1d(inputs, width, config.kernel, padding=config.kernel // 2)
        self.blocks = nn.Sequential(*[_Block(width, config.kernel, config.expansion) for _ in range(blocks)])
        self.leave = nn.Linear(width, outputs)

    def initialise(self, generator: torch.Generator) -> None:
        """The correction begins at nothing."""
        if self.line is not None:
            self.leave.weight.zero_()
            self.leave.bias.zero_()

    def forward(self, x: Tensor) -> Tensor:
        """float32 [B, T, inputs] -> [B, T, outputs]."""
        out: Tensor = self.leave(self.blocks(self.enter(x.transpose(1, 2)).transpose(1, 2)))
        return out if self.line is None else out + self.line(x)


class _Scale(nn.Module):
    """Mean and deviation of each mel band over the training set."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, bands: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.empty(bands))
        self.register_buffer("deviation", torch.empty(bands))

    def initialise(self, generator: torch.Generator) -> None:
        """Mean zero and deviation one, until a training set is seen."""
        self.mean.zero_()
        self.deviation.fill_(1)


class _Network(nn.Module):
    """Features, encoder, codebooks, mel decoder and waveform head.

    Encoder and mel decoder begin as the principal components of the training frames, see :func:`_start`: from noise
    they would take more steps to come there than a small budget has.
    """

    def __init__(self, config: AudioTokenizerConfig) -> None:
        super().__init__()
        self.config = config
        self.scale = _Scale(config.bands)
        self.encoder = _Stack(config, config.bands, config.width, config.encoder_blocks, config.latent, True)
        self.quantizer = ResidualQuantizer(config.quantizer())
        self.decoder = _Stack(config, config.latent, config.width, config.decoder_blocks, config.bands, True)
        bins = config.n_fft // 2 + 1
        self.head = (
            _Stack(config, config.latent + config.bands, config.head_width, config.head_blocks, 2 * bins, False)
            if config.head_width
            else None
        )

    def features(self, samples: Tensor) -> Tensor:
        """float32 [B, (T - 1) * hop + n_fft] -> normalised log-mel frames [B, T, bands]."""
        config = self.config
        spectra = spectrum(samples, config.n_fft, config.hop)
        return (log_mel(spectra, config.bands, config.sample_rate_hz) - self.scale.mean) / self.scale.deviation

    def magnitudes(self, frames: Tensor) -> Tensor:
        """Frames of the mel decoder, float32 [B, T, bands] -> magnitudes [B, T, n_fft // 2 + 1]."""
        mels = frames * self.scale.deviation + self.scale.mean
        return magnitudes_of(mels.clamp(math.log(FLOOR), 8), self.config.n_fft, self.config.sample_rate_hz)

    def spectra(self, latents: Tensor, frames: Tensor) -> Tensor:
        """Quantised latents float32 [B, T, latent], the mel decoder's frames of them -> the head's spectra,
        complex64 [B, T, n_fft // 2 + 1].

        The head corrects the magnitudes of the mel bands and adds phases. Source: Vocos, arXiv:2306.00814, section 3
        (magnitude by exp, phase by cosine and sine).
        """
        assert self.head is not None
        change, angle = self.head(torch.cat([latents, frames], -1)).chunk(2, -1)
        log_magnitude = self.magnitudes(frames).clamp_min(_FAINT).log() + change
        return torch.polar(log_magnitude.clamp_max(7).exp(), angle)


class AudioTokenizer(LearnedTokenizer):
    """Log-mel frames, a ConvNeXt encoder, residual codebooks, and two decoders on the same codes.

    One decoder gives mel bands, to which Griffin-Lim finds phases; the other is a head that gives whole spectra: it
    corrects the magnitudes of those bands and adds phases. Loss: L1 + 0.3 squared error of the normalised bands, which
    alone moves the codes, and for the head L1 of log-mel and spectral convergence of the waveform with one window
    length in each step. Encoder and mel decoder are the principal components of the training frames plus corrections.

    A clip of n samples (after averaging of channels and resampling) has ceil(n / hop) frames; beyond its ends there is
    silence, so the shortest clip, one sample, is one frame. Frames are coded in windows of 64 that begin at multiples
    of 64, each with the halo that the encoder can see; so memory does not grow with the clip, a recording that comes
    in blocks (:meth:`encode_blocks`) has the codes of the whole, and codes are equal, bit for bit, for a clip alone or
    in any batch and for any number of threads, on one machine.

    Source: SoundStream, arXiv:2107.03312 (residual codebooks, dropped levels), Vocos, arXiv:2306.00814 (blocks and
    head). Deviations: log-mel in instead of a waveform, which learns far faster; no discriminators.
    """

    name: ClassVar[str] = "audio"
    media: ClassVar[type] = AudioClip
    config_class: ClassVar[type] = AudioTokenizerConfig
    context_seconds: ClassVar[float | None] = _CONTEXT_SECONDS
    config: AudioTokenizerConfig

    @staticmethod
    def make_network(config: AudioTokenizerConfig) -> nn.Module:
        """Encoder, codebooks and decoders."""
        return _Network(config)

    @staticmethod
    def make_spec(config: AudioTokenizerConfig, network: nn.Module, identity: str) -> StreamSpec:
        """Levels over ("time",), coarse to fine."""
        return StreamSpec(
            "audio", (config.codes,) * config.levels, ("time",), rate_hz=config.rate_hz, fingerprint=identity
        )

    # Encoding ---------------------------------------------------------------------------------------------------------

    def encode_many(self, items: Sequence[AudioClip]) -> list[TokenStream]:
        """The codes of many clips.

        Returns:
            Streams of codes int32 [frames, levels].

        Raises:
            TypeError: not an AudioClip.
        """
        for item in items:
            check_media(self, item)
        counts: list[int] = []

        def windows() -> Iterator[Tensor]:
            for item in items:
                samples = self._prepared(item)
                counts.append(math.ceil(len(samples) / self.config.hop))
                for first in range(0, counts[-1], _WINDOW):
                    yield _cut(samples, first * self.config.hop - self._before, self._window_samples)

        codes = list(self._coded(windows()))
        streams, done = [], 0
        for count in counts:
            used = math.ceil(count / _WINDOW)
            streams.append(TokenStream(self._spec, torch.cat(codes[done : done + used])[:count].clone()))
            done += used
        return streams

    def encode_blocks(self, blocks: Iterable[AudioClip]) -> Iterator[TokenStream]:
        """Codes of a recording of any length, while it comes in.

        Args:
            blocks: its parts in order, of any lengths, at ``config.sample_rate_hz`` (resampling in parts would differ
                from resampling the whole).

        Yields:
            Streams of 64 frames or a multiple, the last of any number; ``start_seconds`` counts from the first block.
            Together they are the codes that :meth:`encode` gives for the whole.

        Raises:
            TypeError: not an AudioClip.
            ValueError: a block of another sample rate.
        """
        hop, done, total = self.config.hop, 0, 0
        waiting = torch.zeros(self._before)
        for block in blocks:
            check_media(self, block)
            if block.sample_rate_hz != self.config.sample_rate_hz:
                raise ValueError(
                    f"blocks must have {self.config.sample_rate_hz} samples a second, got {block.sample_rate_hz}; "
                    "resample the recording first"
                )
            samples = self._prepared(block)
            total += len(samples)
            waiting = torch.cat([waiting, samples])
            ready = max(0, (len(waiting) - self._window_samples) // (_WINDOW * hop) + 1)
            if ready:
                yield self._stream_from(waiting, ready, done)
                waiting, done = waiting[ready * _WINDOW * hop :].clone(), done + ready * _WINDOW
        frames = math.ceil(total / hop) - done
        if frames > 0:
            yield self._stream_from(waiting, math.ceil(frames / _WINDOW), done, frames)

    def _stream_from(self, waiting: Tensor, windows: int, done: int, frames: int | None = None) -> TokenStream:
        step = _WINDOW * self.config.hop
        parts = (_cut(waiting, place * step, self._window_samples) for place in range(windows))
        codes = torch.cat(list(self._coded(parts)))[:frames].clone()
        return TokenStream(self._spec, codes, start_seconds=done / self.config.rate_hz)

    @property
    def _before(self) -> int:
        """Samples that a window begins before its first hop."""
        return self.config.encoder_reach * self.config.hop + margin(self.config.n_fft, self.config.hop)

    @property
    def _window_samples(self) -> int:
        return _WINDOW * self.config.hop + 2 * self._before

    def _prepared(self, clip: AudioClip) -> Tensor:
        """float32 [time] at the tokenizer's rate."""
        return clip.mono().resample(self.config.sample_rate_hz).samples[0]

    @torch.no_grad()
    def _coded(self, windows: Iterator[Tensor]) -> Iterator[Tensor]:
        """Codes int32 [64, levels] of each window, always so many together, short of which silence is added."""
        reach, network = self.config.encoder_reach, self._network
        for part in _grouped(windows, _TOGETHER):
            batch = torch.stack(part + [torch.zeros_like(part[0])] * (_TOGETHER - len(part))).to(self.device)
            latents = network.encoder(network.features(batch))[:, reach : reach + _WINDOW]
            codes = network.quantizer.nearest(latents.reshape(-1, self.config.latent))
            yield from codes.view(_TOGETHER, _WINDOW, -1).to("cpu", torch.int32)[: len(part)]

    # Decoding ---------------------------------------------------------------------------------------------------------

    def decode(self, stream: TokenStream, *, given: AudioClip | None = None, keep: Tensor | None = None) -> AudioClip:
        """The sound of any codes.

        Args:
            stream: codes of this tokenizer.
            given: the clip that kept parts come from; channels averaged, resampled, and cut or filled with silence to
                the length of the stream.
            keep: bool [frames] or bool [frames * hop], what is copied from ``given``; the rest is decoded.

        Returns:
            An AudioClip of one channel and frames * hop samples that keeps the stream.

        Raises:
            TypeError: ``given`` is no AudioClip.
            ValueError: the codes of another tokenizer; only one of given and keep; a keep of another shape.
        """
        check_stream(self, stream)
        samples = self._waveform(stream.codes)
        if given is None and keep is None:
            return AudioClip(samples[None], self.config.sample_rate_hz, stream)
        if given is None or keep is None:
            raise ValueError("given and keep belong together, but only one was passed; pass both or neither")
        check_media(self, given)
        frames = len(stream.codes)
        if keep.dtype != torch.bool or tuple(keep.shape) not in ((frames,), (len(samples),)):
            kind = str(keep.dtype).removeprefix("torch.")
            raise ValueError(f"keep must be bool [{frames}] or [{len(samples)}], got {kind} {list(keep.shape)}")
        if len(keep) == frames:
            keep = keep.repeat_interleave(self.config.hop)
        mixed = torch.where(keep, _cut(self._prepared(given), 0, len(samples)), samples)
        return AudioClip(mixed[None], self.config.sample_rate_hz, stream)

    def _waveform(self, codes: Tensor, levels: int | None = None) -> Tensor:
        """Codes int32 [frames, levels] -> float32 [frames * hop], from the first ``levels`` of them, None for all."""
        hop, frames = self.config.hop, len(codes)
        outside = math.ceil(margin(self.config.n_fft, hop) / hop) + _JOINT + self.config.decoder_reach
        quiet = self._silence
        padded = torch.cat([quiet.expand(outside, -1), codes, quiet.expand(outside, -1)])
        whole, fade = torch.zeros(frames * hop), torch.linspace(0, 1, _JOINT * hop + 2)[1:-1]
        for first in range(0, frames, _SEGMENT):
            last = min(first + _SEGMENT, frames)
            # A segment is made with what surrounds it, and fades into what was made before.
            made = self._segment(padded[first : last + 2 * outside], levels)
            start = max(0, first - _JOINT)
            made = made[(outside - first + start) * hop + margin(self.config.n_fft, hop) :][: (last - start) * hop]
            if start < first:
                joint = slice(start * hop, first * hop)
                whole[joint] = whole[joint] * (1 - fade) + made[: len(fade)] * fade
                made = made[len(fade) :]
            whole[first * hop : last * hop] = made
        return whole

    @torch.no_grad()
    def _segment(self, codes: Tensor, levels: int | None) -> Tensor:
        """Codes int32 [T, levels] -> float32 [(T - 1) * hop + n_fft]."""
        config, network, vocoder = self.config, self._network, self.config.vocoder
        magnitudes, spectra = [], []
        for latents in self._latents(codes, levels):
            cut = slice(config.decoder_reach, config.decoder_reach + _WINDOW)
            frames = network.decoder(latents)
            if vocoder != "head":
                magnitudes.append(network.magnitudes(frames)[:, cut].flatten(0, 1))
            if vocoder != "griffin_lim":
                spectra.append(network.spectra(latents, frames)[:, cut].flatten(0, 1))
        if vocoder == "head":
            return waveform(torch.cat(spectra)[: len(codes)], config.hop).cpu()
        wanted = torch.cat(magnitudes)[: len(codes)]
        phases = unit(torch.cat(spectra)[: len(codes)]) if spectra else _first_phases(wanted)
        return griffin_lim(wanted, phases, config.hop, config.rounds).cpu()

    def _latents(self, codes: Tensor, levels: int | None) -> Iterator[Tensor]:
        """Quantised latents float32 [windows, 64 with the decoders' halo, latent], always so many together."""
        reach = self.config.decoder_reach
        after = reach + -len(codes) % _WINDOW
        quiet = self._silence
        padded = torch.cat([quiet.expand(reach, -1), codes, quiet.expand(after, -1)])
        windows = iter(padded.unfold(0, _WINDOW + 2 * reach, _WINDOW).transpose(1, 2))
        for part in _grouped(windows, _TOGETHER):
            batch = torch.stack(part + [part[0]] * (_TOGETHER - len(part))).to(self.device)
            yield self._network.quantizer.lookup(batch, levels)

    @functools.cached_property
    def _silence(self) -> Tensor:
        """The codes of silence, int32 [1, levels]."""
        quiet = next(self._coded(iter([torch.zeros(self._window_samples)])))
        return quiet[_WINDOW // 2 :][:1]

    # Judging ----------------------------------------------------------------------------------------------------------

    def evaluate(self, items: Sequence[AudioClip], train_items: Sequence[AudioClip] = ()) -> dict[str, float]:
        """How well clips are coded, and how well simple coders do.

        Args:
            items: held-out clips.
            train_items: clips for the baselines to learn from, those the tokenizer learned from. Without them there
                are no baselines.

        Returns:
            mel_l1: mean over clips of the L1 distance of ln max(mel, 1e-2), 80 bands, windows of 1024 samples, hop
            256; spectral_convergence of the same windows; mel_l1_levels_1 ... from the first levels only;
            bits_per_second; codes_used_share and perplexity of the first level, and both with _level_2 ... of the
            others; mean_mel_l1: a coder that always says the mean frame; pca_mel_l1: quantised principal components
            of log-mel frames, one frame a code, that spend the same bits (see :func:`pca_coded`), without the loss
            that a way back to a waveform adds.
        """
        if not items:
            raise ValueError("evaluate needs at least one clip, got none")
        config, streams = self.config, self.encode_many(items)
        clips = [self._prepared(item) for item in items]
        figures: dict[str, float] = {}
        for levels in range(1, config.levels + 1):
            pairs = [(clip, self._waveform(stream.codes, levels)) for clip, stream in zip(clips, streams, strict=True)]
            errors = torch.tensor([_distances(clip, made, config.sample_rate_hz) for clip, made in pairs]).mean(0)
            figures[f"mel_l1_levels_{levels}"] = float(errors[0])
        figures = {"mel_l1": float(errors[0]), "spectral_convergence": float(errors[1]), **figures}
        figures["bits_per_second"] = config.rate_hz * config.levels * math.log2(config.codes)
        codes = torch.cat([stream.codes for stream in streams])
        for level in range(config.levels):
            share, perplexity = code_usage(codes[:, level], config.codes)
            ending = f"_level_{level + 1}" if level else ""
            figures |= {f"codes_used_share{ending}": share, f"perplexity{ending}": perplexity}
        if train_items:
            train = [self._prepared(item) for item in train_items]
            frames, own = (_judged_frames(part, config.hop, config.sample_rate_hz) for part in (train, clips))
            figures["mean_mel_l1"] = float((own - frames.mean(0)).abs().mean())
            coded = pca_coded(frames, own, config.levels * math.log2(config.codes))
            figures["pca_mel_l1"] = float((own - coded).abs().mean())
        return figures

    # Fitting ----------------------------------------------------------------------------------------------------------

    @classmethod
    def fit(
        cls,
        items: Sequence[AudioClip],
        *,
        config: AudioTokenizerConfig | None = None,
        steps: int = 1000,
        batch_size: int = 8,
        peak_lr: float = 1e-3,
        seed: int = 0,
        folder: str | Path | None = None,
        checkpoint_every: int = 200,
        progress: bool = True,
    ) -> Self:
        """Learns from clips; one to two minutes on two cores with the defaults.

        Crops of 0.64 s come from all clips one after the other, with silence in between, played up to 20 % slower or
        faster (pitch and all) and 6 dB softer to 3 dB louder.

        Args:
            items: clips; channels are averaged, other rates resampled.
            config: of the network.
            steps: optimisation steps.
            batch_size: crops in a step.
            peak_lr: largest learning rate.
            seed: of the weights, the batches and all else.
            folder: keeps a checkpoint; a run that was stopped goes on from it, bit for bit.
            checkpoint_every: steps between checkpoints.
            progress: show progress on stderr.

        Raises:
            TypeError: not an AudioClip.
            ValueError: no clip, or a folder with the checkpoint of another run.
        """
        config = config or AudioTokenizerConfig()
        if not items:
            raise ValueError("fitting needs 1 clip at least, got none; pass some")
        for item in items:
            check_media(cls, item)
        rate = config.sample_rate_hz
        crop = max(1, round(_CROP_SECONDS * config.rate_hz)) * config.hop
        edge = margin(config.n_fft, config.hop)
        pause = torch.zeros(max(round(_SILENCE_SECONDS * rate), edge))
        parts = [part for item in items for part in (item.mono().resample(rate).samples[0], pause)]
        sound = torch.cat([torch.zeros(math.ceil((crop + 2 * edge) / _SPEEDS[0])), *parts])

        def draw_batch(draw: torch.Generator) -> tuple[Tensor, int]:
            slow, fast = _SPEEDS
            speeds = slow * (fast / slow) ** torch.rand(batch_size, generator=draw, dtype=torch.float64)
            gains = 10 ** ((torch.rand(batch_size, generator=draw) * 9 - 6) / 20)
            crops = []
            for speed, place in zip(speeds.tolist(), torch.rand(batch_size, generator=draw).tolist(), strict=True):
                length = math.ceil((crop + 2 * edge) * speed)
                first = int(place * max(1, len(sound) - length))
                crops.append(_cut(_resampled(sound[first : first + length], rate * speed, rate), 0, crop + 2 * edge))
            size = int(torch.randint(len(_FFT_SIZES), (), generator=draw))
            return torch.stack(crops) * gains[:, None], _FFT_SIZES[size]

        def loss(network: _Network, batch: tuple[Tensor, int], quantise: Quantise) -> tuple[Tensor, dict[str, float]]:
            crops, size = batch
            features = network.features(crops)
            latents = quantise(network.encoder(features))
            made = network.decoder(latents)
            error = nn.functional.l1_loss(made, features) + 0.3 * nn.functional.mse_loss(made, features)
            metrics = {"mel_error": error.item()}
            if network.head is not None:
                # The head learns from codes as they are: its error would spoil them for the mel decoder.
                spectra = network.spectra(latents.detach(), made.detach())
                heard = waveform(spectra, config.hop)[:, edge : edge + crop]
                difference = _head_error(heard, crops[:, edge : edge + crop], size, rate)
                metrics["head_error"] = difference.item()
                error = error + _HEAD_SHARE * difference
            return error, metrics

        settings = FitSettings(steps, batch_size, peak_lr, seed)
        about = {"config": asdict(config), "samples": fingerprint({}, {"samples": sound})}
        task = CodecFitting(lambda: _Network(config), draw_batch, loss, settings, about)
        _start(task.network, sound, config)
        label = "audio tokenizer"
        fit(task, steps=steps, folder=folder, checkpoint_every=checkpoint_every, label=label, progress=progress)
        return cls(config, stored(task.network))


def _cut(samples: Tensor, start: int, length: int) -> Tensor:
    """float32 [time, ...] -> [length, ...] from ``start``; what lies outside is silence."""
    end = start + length
    inside = samples[max(start, 0) : max(end, 0)]
    before = min(max(-start, 0), length)
    tail = [0, 0] * (samples.dim() - 1)
    return nn.functional.pad(inside, (*tail, before, length - before - len(inside)))


def _grouped(parts: Iterator[Tensor], size: int) -> Iterator[list[Tensor]]:
    while group := list(itertools.islice(parts, size)):
        yield group


def _resampled(samples: Tensor, from_hz: float, to_hz: float) -> Tensor:
    """float32 [time] or [time, channels], by soxr."""
    import soxr

    changed: Tensor = torch.from_numpy(soxr.resample(samples.contiguous().cpu().numpy(), from_hz, to_hz))
    return changed


def _first_phases(magnitudes: Tensor) -> Tensor:
    """Random phases from a fixed generator, so that decoding repeats."""
    angles = torch.rand(magnitudes.shape, generator=torch.Generator().manual_seed(0)) * (2 * math.pi)
    return torch.polar(torch.ones_like(angles), angles).to(magnitudes.device)


def _head_error(made: Tensor, wanted: Tensor, n_fft: int, rate: int) -> Tensor:
    """L1 of log-mel plus spectral convergence, of waveforms float32 [B, time]."""
    bands = min(80, n_fft // 12)
    pair = [spectrum(samples, n_fft, n_fft // 4) for samples in (made, wanted)]
    first, second = (log_mel(spectra, bands, rate) for spectra in pair)
    gap = (pair[0].abs() - pair[1].abs()).norm() / pair[1].abs().norm().clamp_min(FLOOR)
    error: Tensor = nn.functional.l1_loss(first, second) + gap
    return error


@torch.no_grad()
def _start(network: _Network, sound: Tensor, config: AudioTokenizerConfig) -> None:
    """Takes mean and deviation of each band over a training set, as they will be stored, and the principal axes."""
    count, total, products = 0, torch.zeros(config.bands).double(), torch.zeros(config.bands, config.bands).double()
    step = 4096 * config.hop
    for first in range(0, max(1, len(sound) - config.n_fft + 1), step):
        part = _cut(sound, first, min(step - config.hop + config.n_fft, max(len(sound) - first, config.n_fft)))
        mels = log_mel(spectrum(part, config.n_fft, config.hop), config.bands, config.sample_rate_hz).double()
        count, total, products = count + len(mels), total + mels.sum(0), products + mels.T @ mels
    mean = total / count
    covariance = products / count - mean.outer(mean)
    network.scale.mean.copy_(mean.half())
    network.scale.deviation.copy_(covariance.diagonal().clamp_min(0.01).sqrt().half())
    deviation = network.scale.deviation.double()
    axes = torch.linalg.eigh(covariance / deviation.outer(deviation))[1].T.flip(0)[: config.latent]
    network.encoder.line.weight.copy_(axes)  # type: ignore[union-attr]
    network.decoder.line.weight.copy_(axes.T)  # type: ignore[union-attr]


def _judged_frames(clips: Sequence[Tensor], hop: int, rate: int) -> Tensor:
    """Log-mel frames of all clips, float32 [frames, 80], one for each code."""
    size, _, bands = _JUDGED
    padded = [_cut(clip, -((size - hop) // 2), math.ceil(len(clip) / hop) * hop + size - hop) for clip in clips]
    return torch.cat([log_mel(spectrum(clip, size, hop), bands, rate) for clip in padded])


def _distances(clip: Tensor, made: Tensor, rate: int) -> tuple[float, float]:
    """(L1 of log-mel, spectral convergence) of two signals, the first silent where it ends earlier."""
    size, hop, bands = _JUDGED
    pair = [spectrum(_cut(one, -size // 2, len(made) + size), size, hop) for one in (clip, made)]
    first, second = (log_mel(spectra, bands, rate) for spectra in pair)
    gap = (pair[0].abs() - pair[1].abs()).norm() / pair[0].abs().norm().clamp_min(FLOOR)
    return float((first - second).abs().mean()), float(gap)
