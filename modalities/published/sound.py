"""Published codecs of sound: clips in and out of a network of others.

Arrow: AudioClip --PublishedCodec.encode--> TokenStream [time, level], and back. Does not know: which codec.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from tokenmask.modalities.audio.joining import joined
from tokenmask.modalities.audio.judging import judged
from tokenmask.modalities.audio.media import AudioClip
from tokenmask.modalities.audio.telling import tell_changes
from tokenmask.modalities.keeping import kept
from tokenmask.modalities.published.base import exactly
from tokenmask.modalities.published.levels import PublishedLevels
from tokenmask.modalities.windows import cut
from tokenmask.streams import StreamSpec, TokenStream
from tokenmask.tokenizer import check_media, check_stream


class PublishedCodec(PublishedLevels):
    """Base of codecs of sound.

    An adapter has :meth:`codes_of` and :meth:`sound_of`, and says where its configuration is unlike EnCodec's.

    Channels are averaged, unless a codec has as many, and other rates resampled, which a warning says. A clip is coded
    whole, so that memory grows with its length: what these networks see reaches from end to end (recurrent layers,
    attention, padding by reflection), and pieces would not have the codes of the whole.
    """

    media: ClassVar[type] = AudioClip
    continues: ClassVar[bool] = True
    levels_field: ClassVar[str] = ""
    """Where the configuration says how many levels there are; as many as the largest bandwidth pays for if ""."""
    rate_field: ClassVar[str] = "sampling_rate"
    """Where it says how many samples are a second."""
    hop_field: ClassVar[str] = "hop_length"
    """Where it says how many are a frame."""
    whole_frames: ClassVar[bool] = False
    """Whether clips are first filled with silence up to whole frames, because the codec drops what is left over."""

    @abstractmethod
    def codes_of(self, samples: Tensor) -> Tensor:
        """Samples float32 [1, channels, time] -> codes int [levels or more, frames]."""

    @abstractmethod
    def sound_of(self, codes: Tensor) -> Tensor:
        """Codes int64 [1, levels, frames] -> samples float [..., time], of as many entries as channels before time."""

    @property
    def settings(self) -> Any:
        """What has these fields: the network's configuration, or the network where it has none."""
        return getattr(self.network, "config", self.network)

    @property
    def all_levels(self) -> int:
        """How many levels the network has."""
        if self.levels_field:
            return int(getattr(self.settings, self.levels_field))
        return int(self.network.quantizer.get_num_quantizers_for_bandwidth(max(self.settings.target_bandwidths)))

    @property
    def codes(self) -> int:
        """How many codes each level has."""
        return int(self.settings.codebook_size)

    @property
    def rates(self) -> tuple[int, int]:
        """(samples a second, samples of a frame)."""
        own = self.settings
        return int(getattr(own, self.rate_field)), int(getattr(own, self.hop_field))

    @property
    def channels(self) -> int:
        """Of its sound."""
        return 1

    def groups(self, levels: int) -> tuple[tuple[int, ...], ...]:
        """Groups of levels that are coarse to fine; one unless an adapter says otherwise."""
        return (tuple(range(levels)),)

    def make_spec(self) -> StreamSpec:
        """Levels over ("time",)."""
        levels, (rate, hop) = self.config.levels, self.rates
        return StreamSpec(
            "audio", (self.codes,) * levels, ("time",), rate_hz=rate / hop, level_groups=self.groups(levels)
        )

    def encode_many(self, items: Sequence[AudioClip]) -> list[TokenStream]:
        """The codes of many clips, one after the other; a warning says which are mixed down or resampled.

        Returns:
            Streams of codes int32 [frames, levels].

        Raises:
            TypeError: not an AudioClip.
        """
        for item in items:
            check_media(self, item)
        for item in items:
            tell_changes(item, self.rates[0], f"this {type(self).__name__}", self.channels)
        return [TokenStream(self._spec, self._encoded(self._prepared(item))) for item in items]

    @exactly
    def _encoded(self, samples: Tensor) -> Tensor:
        hop = self.rates[1]
        if self.whole_frames:
            samples = cut(samples.T, 0, -(-samples.shape[1] // hop) * hop).T
        codes = self.codes_of(samples.to(self.device)[None])[: self._spec.num_levels]
        return codes.T.to("cpu", torch.int32).contiguous()

    @exactly
    def _decoded(self, codes: Tensor) -> Tensor:
        made: Tensor = self.sound_of(codes.T[None].long().to(self.device)).reshape(self.channels, -1)
        return made.float().cpu()

    def decode(self, stream: TokenStream, *, given: AudioClip | None = None, keep: Tensor | None = None) -> AudioClip:
        """The sound of any codes.

        Args:
            stream: codes of this tokenizer.
            given: the clip that kept parts come from, of any rate and channels.
            keep: bool [frames] or bool [samples of the result], what is copied from ``given``; the rest is decoded, and
                fades in.

        Returns:
            An AudioClip of the codec's channels that keeps the stream; with ``given`` one of its rate, channels and
            length, or longer where the stream is, see :func:`~tokenmask.modalities.audio.joining.joined`.

        Raises:
            TypeError: ``given`` is no AudioClip.
            ValueError: the codes of another tokenizer or none; only one of given and keep; a keep of another shape.
        """
        check_stream(self, stream)
        if not len(stream.codes):
            raise ValueError(f"{type(self).__name__} decodes streams of one frame or more, got none; lengthen it")
        made = AudioClip(self._decoded(stream.codes), self.rates[0], stream)
        pair = kept(given, keep)
        if pair is None:
            return made
        check_media(self, pair[0])
        return joined(made, *pair, hop=self.rates[1])

    def evaluate(self, items: Sequence[AudioClip], train_items: Sequence[AudioClip] = ()) -> dict[str, float]:
        """How well clips are coded; see :func:`tokenmask.modalities.audio.judging.judged`."""
        return judged(self, items, train_items)

    def _prepared(self, clip: AudioClip) -> Tensor:
        """float32 [channels, time] at the codec's rate; one channel stands in all."""
        own = clip if len(clip.samples) == self.channels else clip.mono()
        return own.resample(self.rates[0]).samples.expand(self.channels, -1)
