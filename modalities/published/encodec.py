"""EnCodec (arXiv:2210.13438) as transformers has it, such as facebook/encodec_24khz and _48khz; audiocraft's too."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from tokenmask.modalities.audio.media import AudioClip
from tokenmask.modalities.keeping import check_nothing_kept
from tokenmask.modalities.published.audiocraft import HOW, SETTINGS, encodec_tensors, encodec_values
from tokenmask.modalities.published.base import exactly
from tokenmask.modalities.published.chunks import LOUDNESS, Chunks, loudness_of, scale_of
from tokenmask.modalities.published.files import CONFIG_FILE, tensors_of
from tokenmask.modalities.published.sound import PublishedCodec
from tokenmask.streams import StreamSpec, TokenStream
from tokenmask.tokenizer import check_stream


class EncodecTokenizer(PublishedCodec):
    """Residual levels over convolutions; see :class:`PublishedCodec`.

    A network that codes a sound in chunks (48 kHz: a second each, 10 ms in common) has the frames of one chunk after
    those of another, of which the last may be short; the clock of the stream is that of the chunks. One that
    normalises has the loudness of each chunk as a level of its own before the others, the same at all its frames, in
    steps of half a decibel; where frames of a chunk say several, the median counts.

    A folder is as transformers saves it, or holds what audiocraft publishes: ``model.safetensors`` with the names of
    its best_state, and its xp.cfg as ``config.yaml``.
    """

    name: ClassVar[str] = "encodec"
    model_class: ClassVar[str] = "EncodecModel"
    model_type: ClassVar[str] = "encodec"

    @classmethod
    def read(cls, folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Of transformers, or of audiocraft, whose names are brought to theirs."""
        if (folder / CONFIG_FILE).is_file() or not (folder / SETTINGS).is_file():
            return super().read(folder)
        return encodec_values(folder / SETTINGS), encodec_tensors(tensors_of(folder, how=HOW))

    @property
    def channels(self) -> int:
        """Of the configuration."""
        return int(self.network.config.audio_channels)

    @property
    def chunks(self) -> Chunks:
        """How the network cuts a sound."""
        own = self.network.config
        return Chunks(own.chunk_length, own.chunk_stride, own.hop_length)

    def make_spec(self) -> StreamSpec:
        """With the clock of the chunks, and their loudness."""
        spec = replace(super().make_spec(), rate_hz=self.chunks.rate_hz(self.rates[0]))
        if not self.network.config.normalize:
            return spec
        groups = ((0,), tuple(range(1, spec.num_levels + 1)))
        return replace(spec, codebook_sizes=(LOUDNESS, *spec.codebook_sizes), level_groups=groups)

    def codes_of(self, samples: Tensor) -> Tensor:
        """All levels: coarse ones do not depend on how many follow."""
        found = []
        for start, stop in self.chunks.of(samples.shape[2]):
            own = self.network.encode(samples[..., start:stop], bandwidth=max(self.network.config.target_bandwidths))
            codes, scale = own.audio_codes[0, 0], own.audio_scales[0]  # what may follow is seen by this chunk already
            found.append(codes if scale is None else torch.cat([loudness_of(scale).expand(1, codes.shape[1]), codes]))
        return torch.cat(found, 1)

    def sound_of(self, codes: Tensor) -> Tensor:
        """Of any number of levels and frames."""
        loud = self.network.config.normalize
        parts, lacking, steps = self.chunks.parts(codes)  # [n, 1, levels, frames]
        scales = [
            scale_of(one[0, 0, : one.shape[2] - short]) if loud else None
            for one, short in zip(parts, lacking, strict=True)
        ]
        made = self.network.decode(parts[:, :, 1:] if loud else parts, scales, last_frame_pad_length=lacking[-1])
        return made.audio_values[..., :steps]  # type: ignore[no-any-return]

    def decode_pieces(
        self,
        streams: Iterable[TokenStream],
        places: int,
        *,
        given: AudioClip | None = None,
        keep: Tensor | None = None,
    ) -> Iterator[AudioClip]:
        """Clips that joined are that of :meth:`decode`, of networks with chunks; ValueError for others."""
        if self.network.config.chunk_length is None:
            raise ValueError(
                f"this {type(self).__name__} decodes whole streams only, not pieces, as it has no chunks; use generate"
            )
        check_nothing_kept(self, given, keep)
        plan = self.chunks.plan(places)
        made = self.chunks.added((self._chunk(one) for one in self.chunks.cut(self._own(streams), plan)), plan)
        return (AudioClip(piece, self.rates[0]) for piece in made)

    def _own(self, streams: Iterable[TokenStream]) -> Iterator[Tensor]:
        for stream in streams:
            check_stream(self, stream)
            yield stream.codes

    @exactly
    def _chunk(self, codes: Tensor) -> Tensor:
        """float32 [channels, samples] of one chunk."""
        own, loud = codes.T[None].long().to(self.device), self.network.config.normalize
        made = self.network.decoder(self.network.quantizer.decode(own[:, int(loud) :].transpose(0, 1)))
        made = made * scale_of(own[0, 0]).view(-1, 1, 1) if loud else made
        return made[0].float().cpu()  # type: ignore[no-any-return]
