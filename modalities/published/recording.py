"""Published tokenizers of EEG: windows of a recording in and out of a network that sees all its electrodes.

Arrow: EegRecording --PublishedRecording.encode--> TokenStream [channel, time, level], and back. Does not know: which
network.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from tokenmask.modalities.codebook_report import code_usage
from tokenmask.modalities.eeg.figures import fidelity
from tokenmask.modalities.eeg.joining import joined
from tokenmask.modalities.eeg.media import EegRecording
from tokenmask.modalities.eeg.names import find_channels, without_eeg, without_reference
from tokenmask.modalities.keeping import kept
from tokenmask.modalities.published.base import exactly
from tokenmask.modalities.published.eeg_network import EegVq
from tokenmask.modalities.published.files import CONFIG_FILE, json_if_there, tensors_of
from tokenmask.modalities.published.levels import LevelsConfig, PublishedLevels
from tokenmask.modalities.published.networks import tried
from tokenmask.modalities.windows import cut
from tokenmask.streams import StreamSpec, TokenStream
from tokenmask.telling import tell
from tokenmask.tokenizer import check_media, check_stream

RATE_HZ, PATCHES = 200.0, 256
"""Samples a second that both networks see; patches of all electrodes that they were trained with in a window."""
_FIRST = torch.zeros(1, dtype=torch.long)  # the first electrode
_LOSSES = ("loss", "teacher", "scaling")  # what else a checkpoint of training may hold
_LOUD, _LOW = 20.0, 1  # microvolts and hertz of the wave that a size is taken from where nobody said one


@dataclass(frozen=True)
class RecordingConfig(LevelsConfig):
    """A tokenizer of EEG.

    Args:
        window: codes of an electrode that are made as a whole, seconds in the published ones; None for 256 codes of all
            electrodes together, as in training.
        mean, deviation: of the amplitudes of a window's spectrum as the network sees them, which the codes leave out;
            None for those of a wave of 20 microvolts whose amplitudes fall with the frequency from 1 Hz on.
            ``fit`` takes those of its items.
    """

    window: int | None = None
    mean: float | None = None
    deviation: float | None = None


class PublishedRecording(PublishedLevels):
    """Base of tokenizers of EEG that see all electrodes of a window together.

    An adapter says what it sees and how a spectrum comes back. Recordings are resampled to 200 Hz and should hold what
    the networks were trained on: 0.1 to 75 Hz without the mains' hum (:meth:`EegRecording.filtered`). A window is some
    seconds, see :class:`RecordingConfig`, the last one shorter; the last second is filled up with zeros. Codes tell a
    spectrum without its size: microvolts follow from ``mean`` and ``deviation``, or, where kept parts are given, from
    the recording that they come from.

    A folder holds ``model.safetensors`` with the names of the published code, and, where they differ from the published
    ones, ``channels`` (names in the order of the table) and ``num_heads`` in ``config.json``.
    """

    config_class: ClassVar[type] = RecordingConfig
    library: ClassVar[str] = "torch"
    model_class: ClassVar[str] = "Module"
    media: ClassVar[type] = EegRecording
    continues: ClassVar[bool] = True
    network_class: ClassVar[type[EegVq]]
    left_out: ClassVar[tuple[str, ...]] = ("initted", "cluster_size", "embed_avg")
    """Last parts of names of tensors that only training needs."""
    listed: ClassVar[tuple[str, ...]]
    """Electrodes in the order of the network's table."""
    microvolts: ClassVar[float]
    """That are one to the network."""

    @abstractmethod
    def measured(self, amplitudes: Tensor) -> Tensor:
        """Amplitudes of a Fourier transform of what the network sees -> what it standardises."""

    @abstractmethod
    def unmeasured(self, values: Tensor) -> Tensor:
        """The inverse of :meth:`measured`."""

    # Opening ----------------------------------------------------------------------------------------------------------

    @classmethod
    def read(cls, folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Weights without what only training needs; ValueError in a sentence for what is not there."""
        values = json_if_there(folder / CONFIG_FILE, cls.__name__)
        tensors = tensors_of(folder, how=cls.how)
        return {name: values[name] for name in ("channels", "num_heads") if name in values}, {
            name: own
            for name, own in tensors.items()
            if name.rpartition(".")[2] not in cls.left_out and not name.startswith(_LOSSES)
        }

    def make_network(self, values: dict[str, Any], tensors: dict[str, Tensor]) -> EegVq:
        """Of ours."""
        heads, listed = values.get("num_heads"), values.get("channels", self.listed)
        for name, held, kind in (("num_heads", heads, int | None), ("channels", listed, list | tuple)):
            if not isinstance(held, kind):
                raise ValueError(
                    f"{name} in {CONFIG_FILE} must be as its authors have it, got {held!r}; use the own one"
                )
        network = self.network_class(tensors, heads)
        self._channels = [str(name).casefold() for name in listed][: network.electrodes]
        tried(lambda: network.spectrum(network.codes(torch.zeros(1, 1, network.samples), _FIRST), _FIRST), type(self))
        return network.eval()

    def resolved(self, config: Any) -> Any:
        """With levels, and the size of amplitudes."""
        config = super().resolved(config)
        window, most = config.window, self.network.longest
        if window is not None and (isinstance(window, bool) or not isinstance(window, int) or not 1 <= window <= most):
            raise ValueError(f"window must lie in 1..{most} whole codes, got {window!r}; leave it out")
        if (config.mean is None) != (config.deviation is None):
            raise ValueError("mean and deviation belong together, but only one was passed; pass both or neither")
        for name, value in (("mean", config.mean), ("deviation", config.deviation)):
            if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or not value > 0):
                raise ValueError(f"{name} of amplitudes must be a number above 0, got {value!r}; leave it out")
        if config.mean is None:
            mean, deviation = self._size(_usual(self.network.samples) / self.microvolts)
            config = replace(config, mean=round(mean, 4), deviation=round(deviation, 4))
        return config

    @classmethod
    def fit(
        cls,
        items: Sequence[EegRecording],
        *,
        source: str,
        levels: int | None = None,
        keep: str = "weights",
        download: bool = False,
        window: int | None = None,
        seed: int = 0,
        folder: str | Path | None = None,
        progress: bool = True,
    ) -> Self:
        """Opens it, and takes the size of amplitudes from recordings; the network learns nothing.

        Args:
            items: recordings; their windows' means and deviations are averaged.
            source: see :meth:`open`, as for ``keep`` and ``download``.
            levels: see :class:`LevelsConfig`.
            window: see :class:`RecordingConfig`.
            seed, folder, progress: accepted and not used.

        Raises:
            ValueError: no recording.
        """
        if not items:
            raise ValueError("fitting needs a recording at least, got none; pass more")
        plain = cls.open(source, keep=keep, download=download, levels=levels, window=window)
        sizes = [plain._size(patches) for item in items for patches in plain._windows(plain._prepared(item))]
        mean, deviation = (round(sum(values) / len(values), 4) for values in zip(*sizes, strict=True))
        options = {"levels": levels, "window": window, "mean": mean, "deviation": deviation}
        return cls.open(source, keep=keep, download=download, **options)

    @property
    def all_levels(self) -> int:
        """Of each branch."""
        return len(self.network.sizes[0])

    def make_spec(self) -> StreamSpec:
        """The first levels of each branch over ("channel", "time")."""
        sizes = [branch[: self.config.levels] for branch in self.network.sizes]
        groups = tuple(
            tuple(range(number * self.config.levels, (number + 1) * self.config.levels)) for number in range(len(sizes))
        )
        return StreamSpec(
            "eeg",
            tuple(size for branch in sizes for size in branch),
            ("channel", "time"),
            rate_hz=RATE_HZ / self.network.samples,
            level_groups=groups,
        )

    # Codes and waves --------------------------------------------------------------------------------------------------

    def encode_many(self, items: Sequence[EegRecording]) -> list[TokenStream]:
        """The codes of many recordings, one after the other.

        Returns:
            Streams of codes int32 [channel, time, levels], with the names of the channels as labels.

        Raises:
            TypeError: not an EegRecording.
            ValueError: a channel that the network has no place for.
        """
        for item in items:
            check_media(self, item)
        streams = []
        for item in items:
            places, waves = self._places(item.channels), self._prepared(item)
            codes = torch.cat([self._encoded(patches, places) for patches in self._windows(waves)], 1)
            streams.append(TokenStream(self._spec, codes, labels={"channel": item.channels}))
        return streams

    def _prepared(self, item: EegRecording) -> Tensor:
        """float32 [channels, whole patches] of what the network sees."""
        if item.sample_rate_hz != RATE_HZ:
            tell(f"{item.source or repr(item)} is resampled to the {RATE_HZ:g} Hz of this {type(self).__name__}")
            item = item.resample(RATE_HZ)
        size = self.network.samples
        waves = cut(item.samples.T / self.microvolts, 0, -(-item.samples.shape[1] // size) * size)
        return waves.T.contiguous()

    def _steps(self, channels: int) -> int:
        """Patches of a window."""
        chosen: int | None = self.config.window
        return chosen or max(1, min(PATCHES // channels, self.network.longest))

    def _windows(self, waves: Tensor) -> Iterator[Tensor]:
        """float32 [channels, patches, samples] of each window."""
        patches = waves.view(len(waves), -1, self.network.samples)
        return iter(torch.split(patches, self._steps(len(waves)), 1))

    def _places(self, channels: Sequence[str]) -> Tensor:
        """int64 [channels], where they stand in the network's table."""
        bare = [without_reference(without_eeg(name)).casefold() for name in channels]
        absent = [name for name, own in zip(channels, bare, strict=True) if own not in self._channels]
        if absent:
            raise ValueError(
                f"a {type(self).__name__} has places for electrodes of the 10-20 system, but none for "
                f"{', '.join(absent[:6])}; name channels so, or leave these out with recording.select(...)"
            )
        return torch.tensor([self._channels.index(own) for own in bare])

    @exactly
    def _encoded(self, patches: Tensor, places: Tensor) -> Tensor:
        codes = self.network.codes(patches.to(self.device), places.to(self.device))
        by_branch: Tensor = codes.view(*codes.shape[:2], self.network.branches, -1)[..., : self.config.levels]
        return by_branch.flatten(2).to("cpu", torch.int32).contiguous()

    def decode(
        self, stream: TokenStream, *, given: EegRecording | None = None, keep: Tensor | None = None
    ) -> EegRecording:
        """The recording of any codes, in microvolts.

        Args:
            stream: codes of this tokenizer, whose channels have names.
            given: the recording that kept parts come from, at any rate, with the stream's channels; amplitudes have
                its size, window by window.
            keep: bool [channel, time] or bool [channel, samples of the result], what is copied from ``given``; the rest
                is decoded, and fades in over a code.

        Returns:
            An EegRecording at 200 Hz that keeps the stream, of whole codes; with ``given`` one at its rate and of its
            length, or longer where the stream is.

        Raises:
            TypeError: ``given`` is no EegRecording.
            ValueError: the codes of another tokenizer or none; channels without names; only one of given and keep; a
                given or a keep of another shape.
        """
        check_stream(self, stream)
        if not stream.codes.numel():
            raise ValueError(f"a stream must hold a code and a channel to be decoded, got {stream!r}")
        names = stream.labels.get("channel")
        if names is None:
            raise ValueError(
                f"a {type(self).__name__} decodes channels by their electrodes, but this stream names none; pass "
                "labels={'channel': (...)}"
            )
        pair = kept(given, keep)
        sizes: list[tuple[float, float]] = []
        if pair is not None:
            check_media(self, pair[0])
            if len(pair[0].channels) != len(names):
                raise ValueError(f"given must have the stream's {len(names)} channels, got {pair[0]!r}")
            sizes = [self._size(patches) for patches in self._windows(self._prepared(pair[0]))]
        sizes = sizes or [(self.config.mean, self.config.deviation)]
        places, parts = self._places(names), torch.split(stream.codes, self._steps(len(names)), 1)
        waves = [self._decoded(part, places, *sizes[min(at, len(sizes) - 1)]) for at, part in enumerate(parts)]
        made = EegRecording(torch.cat(waves, 1) * self.microvolts, RATE_HZ, names, stream)
        return made if pair is None else joined(made, *pair)

    @exactly
    def _decoded(self, codes: Tensor, places: Tensor, mean: float, deviation: float) -> Tensor:
        values, phases = self.network.spectrum(codes.long().to(self.device), places.to(self.device))
        amplitudes = self.unmeasured(values * deviation + mean)
        wave: Tensor = torch.fft.ifft(amplitudes * phases).real.flatten(1)
        return wave.float().cpu()

    def _size(self, patches: Tensor) -> tuple[float, float]:
        """(mean, deviation) of what a network standardises, of patches float32 [..., samples]."""
        values = self.measured(torch.fft.fft(patches).abs())
        return float(values.mean()), float(values.std())

    @staticmethod
    def channel_places(names: Sequence[str], asked: Sequence[str]) -> list[int]:
        """Where channels are among the labels of a stream, as people spell them; see :func:`find_channels`."""
        return find_channels(names, asked)

    def evaluate(self, items: Sequence[EegRecording], train_items: Sequence[EegRecording] = ()) -> dict[str, float]:
        """How well recordings are coded, band by band (see :func:`fidelity`), from codes alone; ``codes_used_share_``
        and ``perplexity_`` of each level."""
        if not items:
            raise ValueError("evaluate needs at least one recording, got none")
        streams = self.encode_many(items)
        originals = [self._prepared(item) * self.microvolts for item in items]
        figures = fidelity(originals, [self.decode(stream).samples for stream in streams], RATE_HZ)
        for level, size in enumerate(self._spec.codebook_sizes):
            used, perplexity = code_usage(torch.cat([stream.codes[..., level].flatten() for stream in streams]), size)
            figures |= {f"codes_used_share_{level}": used, f"perplexity_{level}": perplexity}
        return figures


def _usual(samples: int) -> Tensor:
    """A wave of 20 microvolts whose amplitudes fall with the frequency, float32 [samples]; phases by a fixed rule."""
    hertz = torch.arange(samples // 2 + 1) * RATE_HZ / samples
    size = torch.where(hertz >= _LOW, 1 / hertz.clamp(min=_LOW), 0.0)
    wave: Tensor = torch.fft.irfft(torch.polar(size, torch.arange(len(size)).square().float()), samples)
    return wave * (_LOUD / wave.square().mean().sqrt())
