"""A head that takes the phases of a voice from its pitch.

Arrow: latents, mel frames --PitchedHead.pitches--> Hz --voice--> spectra of pulses --PitchedHead.spectra--> spectra.
Does not know: clips, windows, streams, where in a recording it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tokenmask.modalities.audio.mel import unit
from tokenmask.modalities.audio.network import FAINT, AudioTokenizerConfig, Stack
from tokenmask.modalities.audio.pitch import LOWEST_HZ, STATES, STEPS_PER_OCTAVE, pitch_hz

_NEAR = 3  # states to either side of the likeliest, over which a pitch is averaged
_FROM_PITCH = 3.0  # logit with which a voiced frame begins to take its phases from the pitch


@dataclass(frozen=True)
class PitchedConfig:
    """What the head has besides the layers of the tokenizer's first head, whose sizes it keeps.

    Args:
        width: channels of the network that hears the pitch.
        blocks: its ConvNeXt blocks.
        rounds, lift: how the sound is brought nearer to the decoded mel bands, see :func:`settled`.
    """

    width: int = 64
    blocks: int = 2
    rounds: int = 2
    lift: float = 0.5

    def __post_init__(self) -> None:
        if self.width < 1 or min(self.blocks, self.rounds) < 0 or not 0 <= self.lift <= 1:
            raise ValueError(
                "width must be positive, blocks and rounds not negative and lift in 0..1, got "
                f"{self.width}, {self.blocks}, {self.rounds} and {self.lift}"
            )


class PitchedHead(nn.Module):
    """Magnitudes like the first head's; phases of a train of pulses where a frame is voiced, and free ones elsewhere.

    From frame to frame the phase of a harmonic goes on by its frequency times the hop. A convolution over frames can
    not add that up, so phases of a head that guesses them don't fit each other, and a voice sounds hoarse. Here a small
    network hears the pitch, pulses at that pitch have fitting phases by construction, and the head turns them, and says
    for each frequency how much of them is heard.

    Sources: Wang, Takaki and Yamagishi, Neural source-filter waveform models, arXiv:1904.12088 (a source from the
    pitch); Li, Han and Mesgarani, HiFTNet, arXiv:2309.09493 (a source's spectra into a head of spectra); CREPE,
    arXiv:1802.06182 (pitch as a class, averaged round the likeliest). Deviations: the pitch is heard in codes; only
    phases come from the source.
    """

    def __init__(self, config: AudioTokenizerConfig, own: PitchedConfig) -> None:
        super().__init__()
        seen, self.bins = config.latent + config.bands, config.n_fft // 2 + 1
        self.reach = (config.kernel // 2) * (own.blocks + 1)  # of the pitch, in frames to either side
        self.pitch = Stack(config, seen, own.width, own.blocks, STATES + 1, False)
        self.head = Stack(config, seen + 2, config.head_width, config.head_blocks, 4 * self.bins, False)

    @torch.no_grad()
    def take_over(self, head: Stack) -> None:
        """Begins as the first head, but that voiced frames take their phases from the pitch."""
        for name, value in self.head.state_dict().items():
            old = head.state_dict()[name]
            if value.shape == old.shape:
                value.copy_(old)
        self.head.enter.weight.zero_()
        self.head.enter.weight[:, :-2].copy_(head.enter.weight)
        self.head.leave.weight.zero_()
        self.head.leave.bias.zero_()
        self.head.leave.weight[: 2 * self.bins].copy_(head.leave.weight)
        self.head.leave.bias[: 2 * self.bins].copy_(head.leave.bias)
        self.head.leave.bias[2 * self.bins : 3 * self.bins].fill_(_FROM_PITCH)

    def heard(self, latents: Tensor, frames: Tensor) -> Tensor:
        """Logits of each pitch and, last, of a voice, float32 [B, T, STATES + 1]."""
        logits: Tensor = self.pitch(torch.cat([latents, frames], -1))
        return logits

    def pitches(self, logits: Tensor) -> Tensor:
        """Hz and how sure it is that there is a voice, float32 [..., STATES + 1] -> [..., 2]."""
        states, voiced = logits[..., :-1], logits[..., -1].sigmoid()
        places = torch.arange(STATES, device=logits.device)
        near = (places - states.argmax(-1, keepdim=True)).abs() <= _NEAR
        shares = states.masked_fill(~near, -torch.inf).softmax(-1)
        return torch.stack([shares @ pitch_hz().to(logits.device), voiced], -1)

    def parts(self, latents: Tensor, frames: Tensor, pitches: Tensor) -> Tensor:
        """What the head says of each frame, float32 [B, T, 4 * bins]: change, angle, gate, turn."""
        octave = (pitches[..., :1] / LOWEST_HZ).log2() - 1.5
        parts: Tensor = self.head(torch.cat([latents, frames, octave, pitches[..., 1:]], -1))
        return parts

    def spectra(self, parts: Tensor, magnitudes: Tensor, pitches: Tensor, source: Tensor) -> Tensor:
        """Spectra of the sound.

        Args:
            parts: float32 [..., T, 4 * bins].
            magnitudes: of the mel bands, float32 [..., T, bins].
            pitches: float32 [..., T, 2].
            source: of the pulses, complex64 [..., T, bins].

        Returns:
            complex64 [..., T, bins].
        """
        change, angle, gate, turn = parts.chunk(4, -1)
        size = (magnitudes.clamp_min(FAINT).log() + change).clamp_max(7).exp()
        share = gate.sigmoid() * pitches[..., 1:]
        return torch.polar(size * (1 - share), angle) + unit(source) * torch.polar(size * share, turn)


def pitch_error(logits: Tensor, hertz: Tensor, voiced: Tensor) -> Tensor:
    """Cross-entropy of pitch, wanted states spread by one, and of voice.

    Args:
        logits: float32 [..., STATES + 1].
        hertz: wanted pitch, float32 [...], of unvoiced frames that of the nearest voiced one.
        voiced: bool [...].
    """
    at = (hertz.clamp_min(LOWEST_HZ) / LOWEST_HZ).log2() * STEPS_PER_OCTAVE
    wanted = (-0.5 * (torch.arange(STATES) - at[..., None]).square()).softmax(-1)
    states = -(logits[..., :-1].log_softmax(-1) * wanted).sum(-1).mean()
    return states + nn.functional.binary_cross_entropy_with_logits(logits[..., -1], voiced.float())
