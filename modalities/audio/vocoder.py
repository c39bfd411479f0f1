"""Vocoder: codes become a waveform, segment by segment, so that memory does not grow with the sound.

Arrow: codes [time, level] --**Vocoder.pieces**--> samples [time]. Does not know: files, rates of others, how codes are
found.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from tokenmask.modalities.audio.mel import griffin_lim, margin, settled, unit, waveform
from tokenmask.modalities.audio.network import AudioNetwork, AudioTokenizerConfig
from tokenmask.modalities.audio.pitch import voice
from tokenmask.modalities.audio.pitched import PitchedConfig, PitchedHead
from tokenmask.modalities.windows import Forward, Windows
from tokenmask.threads import look_again

WINDOW = 64  # frames that go through the network at once; windows begin at multiples of it, whatever the clip
TOGETHER = 4  # windows that do so together, always
_SEGMENT = 128  # frames that become a waveform at once: so long do those wait who hear pieces
_JOINT = 8  # frames in which two segments are faded into each other


@dataclass(frozen=True, eq=False)
class Vocoder:
    """The decoder of a network, and the way from its mel bands to samples: Griffin-Lim, a head, or a later head.

    Args:
        config: of the network.
        network: with codebooks, decoder and first head.
        later: a head that takes the phases of a voice from its pitch, and its configuration; None for the first one.
        silence: int32 [1, levels], the codes of it, which stand beyond both ends.
    """

    config: AudioTokenizerConfig
    network: AudioNetwork
    later: tuple[PitchedHead, PitchedConfig] | None
    silence: Tensor

    def whole(self, codes: Tensor, levels: int | None = None) -> Tensor:
        """The waveform of codes int32 [frames, levels], float32 [frames * hop]; see :meth:`pieces`."""
        made, done = torch.empty(len(codes) * self.config.hop), 0
        for piece in self.pieces([codes], len(codes), levels):
            made[done : done + len(piece)] = piece
            done += len(piece)
        return made

    def pieces(
        self, codes: Iterable[Tensor], frames: int, levels: int | None = None, keep: Tensor | None = None
    ) -> Iterator[Tensor]:
        """The waveform in pieces, float32 [time] each, frames * hop samples in all.

        Args:
            codes: int32 [any, levels], taken piece by piece.
            frames: how many they are in all.
            levels: how many of them to hear, coarse ones first; None for all.
            keep: bool [frames]; pieces that are kept throughout are silent, and cost nothing.
        """
        hop = self.config.hop
        outside = math.ceil(margin(self.config.n_fft, hop) / hop) + _JOINT + self._reach
        if self.later is not None:  # each round spreads what is beyond the ends by a frame's overlaps
            outside += self.later[1].rounds * (self.config.n_fft // hop)
        beyond = self.silence.expand(outside, -1)
        padded = Forward(itertools.chain([beyond], codes, [beyond]))
        fade, held = torch.linspace(0, 1, _JOINT * hop + 2)[1:-1], torch.zeros(0)
        for first in range(0, frames, _SEGMENT):
            look_again()
            last = min(first + _SEGMENT, frames)
            # A segment is made with what surrounds it, and fades into what was made before.
            start = max(0, first - _JOINT)
            if keep is None or not bool(keep[start:last].all()):
                made = self.segment(padded.take(first, last + 2 * outside), levels, outside)
                made = made[(outside - first + start) * hop + margin(self.config.n_fft, hop) :][: (last - start) * hop]
            else:
                made = torch.zeros((last - start) * hop)
            if len(held):
                made[: len(held)] = held * (1 - fade) + made[: len(held)] * fade
            ready = len(made) - (0 if last == frames else len(fade))
            yield made[:ready]
            held = made[ready:]

    @torch.no_grad()
    def segment(self, codes: Tensor, levels: int | None, first: int) -> Tensor:
        """Codes int32 [T, levels] -> float32 [(T - 1) * hop + n_fft]; ``first`` of them are before the segment."""
        config, network, kind = self.config, self.network, self.config.vocoder
        spectra = None if kind == "griffin_lim" else self._spectra(codes, levels, first)
        if kind == "head" and spectra is not None:
            return waveform(spectra, config.hop).cpu()
        wanted = self._decoded(codes, levels, lambda latents: network.magnitudes(network.decoder(latents)))
        phases = _first_phases(wanted) if spectra is None else unit(spectra)
        return griffin_lim(wanted, phases, config.hop, config.rounds).cpu()

    def _spectra(self, codes: Tensor, levels: int | None, first: int) -> Tensor:
        """Of the head, complex64 [T, n_fft // 2 + 1]."""
        config, network = self.config, self.network
        if self.later is None:
            return self._decoded(codes, levels, lambda latents: network.spectra(latents, network.decoder(latents)))
        head, own = self.later

        def said(latents: Tensor) -> Tensor:
            frames = network.decoder(latents)
            pitches = head.pitches(head.heard(latents, frames))
            return torch.cat([frames, pitches, head.parts(latents, frames, pitches)], -1)

        sizes = [config.bands, 2, 4 * head.bins]
        frames, pitches, parts = torch.split(self._decoded(codes, levels, said), sizes, -1)
        source = voice(pitches[:, 0].cpu(), config.sample_rate_hz, config.hop, config.n_fft, first, _SEGMENT)
        spectra = head.spectra(parts, network.magnitudes(frames), pitches, source.to(self._device))
        return settled(spectra, network.log_mels(frames), config.hop, config.sample_rate_hz, own.rounds, own.lift)

    @property
    def _reach(self) -> int:
        """Codes to either side that a decoded frame depends on."""
        return self.config.decoder_reach + (0 if self.later is None else self.later[0].reach)

    @property
    def _device(self) -> torch.device:
        return next(self.network.buffers()).device

    def _decoded(self, codes: Tensor, levels: int | None, decoder: Callable[[Tensor], Tensor]) -> Tensor:
        """What a decoder of the network makes of codes int32 [T, levels], [T, numbers of a frame]."""
        reach, device = self._reach, self._device

        def run(windows: Tensor) -> Tensor:
            return decoder(self.network.quantizer.lookup(windows.to(device), levels))[:, reach : reach + WINDOW]

        return next(Windows(WINDOW, reach, TOGETHER).through([codes], run, beyond=self.silence[0]))[: len(codes)]


def _first_phases(magnitudes: Tensor) -> Tensor:
    """Random phases from a fixed generator, so that decoding repeats."""
    angles = torch.rand(magnitudes.shape, generator=torch.Generator().manual_seed(0)) * (2 * math.pi)
    return torch.polar(torch.ones_like(angles), angles).to(magnitudes.device)
