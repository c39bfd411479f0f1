"""How a pitched head learns from codes that stay as they are.

Arrow: AudioClips, a network --PitchedFitting--> a PitchedHead. Does not know: windows of encoding, streams.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

import torch
from torch import Tensor

from tokenmask.fitting import step_generator
from tokenmask.modalities.audio.fit import crop_samples, drawn_crops, drawn_size, head_error, joined_sound
from tokenmask.modalities.audio.media import AudioClip
from tokenmask.modalities.audio.mel import margin, spectrum, waveform
from tokenmask.modalities.audio.network import AudioNetwork
from tokenmask.modalities.audio.pitch import cycles_of, filled, pitch_of, pulses
from tokenmask.modalities.audio.pitched import PitchedConfig, PitchedHead, pitch_error
from tokenmask.modalities.decoder_fit import DecoderFitting
from tokenmask.modalities.learned import share_of_peak, stored
from tokenmask.nn.init import build
from tokenmask.telling import tell
from tokenmask.tokenizer import fingerprint


@dataclass(frozen=True)
class PitchedFit:
    """How a pitched head learns: AdamW, a short linear rise and a cosine fall of the learning rate.

    Args:
        steps: optimisation steps.
        pitch_share: share of them, at the beginning, in which only the pitch is learned; the head then learns from
            pitches as they are heard in codes.
        batch_size: crops of 0.64 s in a step.
        peak_lr: largest learning rate, of either part.
        config: of the head.
        seed: of the weights, the batches and all else.
    """

    steps: int = 1000
    pitch_share: float = 0.3
    batch_size: int = 8
    peak_lr: float = 1e-3
    config: PitchedConfig = field(default_factory=PitchedConfig)
    seed: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.config, PitchedConfig):
            raise TypeError(f"config must be a PitchedConfig, got {self.config!r}; write PitchedConfig(...)")
        for name, least in (("steps", 2), ("batch_size", 1), ("seed", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise ValueError(f"{name} of a pitched fit must be a whole number, at least {least}, got {value!r}")
        for name, most in (("pitch_share", 1.0), ("peak_lr", math.inf)):
            value = getattr(self, name)
            if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < most:
                raise ValueError(f"{name} of a pitched fit must lie above 0 and below {most}, got {value!r}")


class PitchedFitting(DecoderFitting):
    """One training run of a pitched head, in the shape :func:`tokenmask.fitting.fit` drives.

    Encoder, codebooks and mel decoder are frozen, so codes do not change. Pitches that are to be heard are followed in
    the recordings once (:func:`pitch_of`). The head then minimises the error that :meth:`AudioTokenizer.fit` has.

    Args:
        items: clips of any rate and number of channels.
        network: with a head, which the new one begins as.
        settings: of the optimisation.
    """

    def __init__(self, items: Sequence[AudioClip], network: AudioNetwork, settings: PitchedFit) -> None:
        if network.head is None:
            raise ValueError("a pitched head begins as the tokenizer's head, but there is none; set head_width")
        self.network, self.settings, config = network, settings, network.config
        self.sound = joined_sound(items, config)
        followed = pitch_of(self.sound, config.sample_rate_hz, config.hop)
        self.voiced, self.hertz = followed > 0, filled(followed)
        if not bool(self.voiced.any()):
            what = "any sound" if not bool(self.sound.any()) else "a voice or anything else with a pitch"
            tell(f"the clips to fit to are without {what}, so the head learns no pitch from them; pass clips of voices")
        self.head = build(lambda: PitchedHead(config, settings.config), settings.seed)
        self.head.take_over(network.head)
        about = {
            "config": asdict(config),
            "settings": asdict(settings),
            "samples": fingerprint({}, {"samples": self.sound}),
            "network": fingerprint({}, stored(network)),
        }
        super().__init__("head", self.head, settings.steps, settings.peak_lr, about)

    def step(self, index: int) -> dict[str, float]:
        settings, config = self.settings, self.network.config
        first = max(1, round(settings.pitch_share * settings.steps))
        draw = step_generator(settings.seed, index)
        crops, starts, speeds = drawn_crops(self.sound, config, settings.batch_size, draw)
        size = drawn_size(draw)
        latents, frames = self._decoded(crops, draw)
        logits = self.head.heard(latents, frames)
        if index < first:
            hertz, voiced = self._wanted(starts, speeds, logits.shape[1])
            error = pitch_error(logits, hertz, voiced)
            metrics = {"pitch_error": error.item(), "pitch_right": _right(self.head.pitches(logits), hertz, voiced)}
            rate = share_of_peak(index, first)
        else:
            error = self._head_error(crops, latents, frames, self.head.pitches(logits.detach()), size)
            metrics = {"head_error": error.item()}
            rate = share_of_peak(index - first, settings.steps - first)
        self.descend(error, rate)
        return {"loss": error.item(), **metrics}

    @torch.no_grad()
    def _decoded(self, crops: Tensor, draw: torch.Generator) -> tuple[Tensor, Tensor]:
        """Latents and mel frames of codes, of fewer levels where the quantiser drops some."""
        network = self.network
        latents = network.encoder(network.features(crops))
        flat = latents.reshape(-1, latents.shape[-1])
        latents = network.quantizer(flat, items=len(crops), draw=draw)[0].view(latents.shape)
        return latents, network.decoder(latents)

    def _wanted(self, starts: Tensor, speeds: Tensor, frames: int) -> tuple[Tensor, Tensor]:
        """Pitch and voice of the frames of crops, [B, T], where they lie in the whole sound."""
        config = self.network.config
        middles = margin(config.n_fft, config.hop) + (torch.arange(frames) + 0.5) * config.hop
        at = ((starts[:, None] + speeds[:, None] * middles) / config.hop - 0.5).round().long()
        at = at.clamp(0, len(self.hertz) - 1)
        return (self.hertz[at] * speeds[:, None]).float(), self.voiced[at]

    def _head_error(self, crops: Tensor, latents: Tensor, frames: Tensor, pitches: Tensor, size: int) -> Tensor:
        config = self.network.config
        edge, crop = margin(config.n_fft, config.hop), crop_samples(config)
        cycles, hertz = cycles_of(pitches[..., 0], config.sample_rate_hz, config.hop, edge)
        source = spectrum(pulses(cycles, hertz, config.sample_rate_hz), config.n_fft, config.hop)
        parts = self.head.parts(latents, frames, pitches)
        spectra = self.head.spectra(parts, self.network.magnitudes(frames), pitches, source)
        heard = waveform(spectra, config.hop)[:, edge : edge + crop]
        return head_error(heard, crops[:, edge : edge + crop], size, config.sample_rate_hz)


def _right(pitches: Tensor, hertz: Tensor, voiced: Tensor) -> float:
    """Share of frames with a voice whose pitch is heard within a quarter of a tone."""
    near = (pitches[..., 0].detach() / hertz).log2().abs() < 1 / 24
    return float((near & voiced).sum() / voiced.sum().clamp_min(1))
