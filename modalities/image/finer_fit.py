"""How a finer decoder learns from codes that stay as they are.

Arrow: Images, a network --FinerFitting--> a FinerDecoder. Does not know: streams.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn

from tokenmask.fitting import step_generator
from tokenmask.modalities.decoder_fit import DecoderFitting
from tokenmask.modalities.image.finer import FinerConfig, FinerDecoder
from tokenmask.modalities.image.fit import at_size, mirrored
from tokenmask.modalities.image.kept_pixels import KeptPixels
from tokenmask.modalities.image.likeness import WINDOW, edge_error, ssim
from tokenmask.modalities.image.media import Image
from tokenmask.modalities.image.network import ImageNetwork, to_network
from tokenmask.modalities.learned import share_of_peak, stored
from tokenmask.nn.init import build
from tokenmask.telling import tell
from tokenmask.tokenizer import fingerprint

_BLACK_TO_WHITE = 2.0  # in the network's scale


@dataclass(frozen=True)
class FinerFit:
    """How a finer decoder learns: AdamW, a short linear rise and a cosine fall of the learning rate.

    Args:
        steps: optimisation steps.
        batch_size: pictures in a step.
        peak_lr: largest learning rate.
        edges: weight of the L1 distance of differences between neighbours, beside that of the pixels.
        structure: weight of 1 - SSIM.
        moves: large pixels by which pictures are moved at most, to each side; more codes are seen so.
        precision: "float32", or "bfloat16" for autocast of the decoder, two thirds of the time where a CPU multiplies
            in it by itself; what is fitted is used in float32 in any case.
        config: of the decoder.
        seed: of the weights, the batches and all else.
    """

    steps: int = 1000
    batch_size: int = 16
    peak_lr: float = 1e-3
    edges: float = 2.0
    structure: float = 0.2
    moves: int = 2
    precision: Literal["float32", "bfloat16"] = "float32"
    config: FinerConfig = field(default_factory=FinerConfig)
    seed: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.config, FinerConfig):
            raise TypeError(f"config must be a FinerConfig, got {self.config!r}; write FinerConfig(...)")
        for name, least in (("steps", 1), ("batch_size", 1), ("moves", 0), ("seed", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise ValueError(f"{name} of a finer fit must be a whole number, at least {least}, got {value!r}")
        if self.precision not in ("float32", "bfloat16"):
            raise ValueError(f"precision of a finer fit must be float32 or bfloat16, got {self.precision!r}; write one")
        for name in ("peak_lr", "edges", "structure"):
            value = getattr(self, name)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not 0 <= value < math.inf or (name == "peak_lr" and not value):
                wanted = "above 0" if name == "peak_lr" else "0 or more"
                raise ValueError(f"{name} of a finer fit must be a number, {wanted}, got {value!r}")


class FinerFitting(DecoderFitting):
    """One training run of a finer decoder, in the shape :func:`tokenmask.fitting.fit` drives.

    Encoder and codebook are frozen, so codes do not change. Pictures are mirrored where the tokenizer learned from
    mirrored ones, and moved by some pixels, then reduced, as :meth:`Image.resize` does, and coded; the decoder
    minimises the L1 distance of pixels and of differences between neighbours, and 1 - SSIM.

    Args:
        items: images of any size, best at least ``scale`` times as large as what is coded.
        network: whose first decoder the new one begins as.
        settings: of the optimisation.
    """

    def __init__(self, items: Sequence[Image], network: ImageNetwork, settings: FinerFit) -> None:
        self.network, self.settings, config = network, settings, network.config
        size = config.size * settings.config.scale
        if settings.structure and size < WINDOW:
            raise ValueError(
                f"SSIM is of {WINDOW} pixels a side at least, got pictures of {size}; set structure=0 or a larger scale"
            )
        self.pixels = KeptPixels(len(items), size)
        small = 0
        for number, item in enumerate(items):
            small += min(item.pixels.shape[:2]) < size
            self.pixels.put(number, at_size(item, size, config.resize).pixels)
        if small:
            tell(f"{small} of {len(items)} images have fewer than {size} pixels a side: what they lack is not learned")
        self.decoder = build(lambda: FinerDecoder(config, settings.config), settings.seed)
        self.decoder.take_over(network.decoder)
        about = {
            "config": asdict(config),
            "settings": asdict(settings),
            "pixels": self.pixels.fingerprint(),
            "network": fingerprint({}, stored(network)),
        }
        super().__init__("decoder", self.decoder, settings.steps, settings.peak_lr, about)

    def step(self, index: int) -> dict[str, float]:
        settings = self.settings
        wanted = self._drawn(step_generator(settings.seed, index))
        latents = self._latents(wanted)
        with torch.autocast("cpu", torch.bfloat16, enabled=settings.precision == "bfloat16"):
            made = self.decoder(latents).float()
        pixels, edges = (made - wanted).abs().mean(), edge_error(made, wanted)
        error = pixels + settings.edges * edges
        figures = {"pixels_l1": pixels.item(), "edges_l1": edges.item()}
        if settings.structure:
            alike = ssim(made, wanted, _BLACK_TO_WHITE).mean()
            error = error + settings.structure * (1 - alike)
            figures["ssim"] = alike.item()
        self.descend(error, share_of_peak(index, settings.steps))
        return {"loss": error.item(), **figures}

    def _drawn(self, draw: torch.Generator) -> Tensor:
        """A batch of pictures, float32 [B, 3, size, size] in -1..1."""
        settings, most = self.settings, self.settings.moves
        chosen = torch.randperm(len(self.pixels), generator=draw)[: settings.batch_size].tolist()
        batch = to_network(self.pixels.of(chosen))
        if self.network.config.flip:
            batch = mirrored(batch, draw)
        if not most:
            return batch
        wide, size = nn.functional.pad(batch, (most,) * 4, mode="replicate"), batch.shape[-1]
        places = torch.randint(2 * most + 1, (len(batch), 2), generator=draw).tolist()
        moved = [one[:, top : top + size, left : left + size] for one, (top, left) in zip(wide, places, strict=True)]
        return torch.stack(moved)

    @torch.no_grad()
    def _latents(self, pixels: Tensor) -> Tensor:
        """Of the codes of reduced pictures: float32 [B, latent, rows, columns]."""
        network = self.network
        sides = (network.config.size,) * 2
        small = nn.functional.interpolate(pixels, sides, mode="bilinear", antialias=True)
        latents = network.latents(small).movedim(1, 3)
        codes = network.quantizer.nearest(latents.reshape(-1, latents.shape[-1])).view(*latents.shape[:3], 1)
        return network.quantizer.lookup(codes).movedim(3, 1)
