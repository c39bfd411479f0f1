"""How the image tokenizer learns: pictures of one size, and the squared error over the variance of the data.

Arrow: Images --image_fitting--> a training run of an ImageNetwork. Does not know: streams.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import torch
from torch import Tensor, nn

from tokenmask.modalities.image.kept_pixels import KeptPixels
from tokenmask.modalities.image.media import Image
from tokenmask.modalities.image.network import ImageNetwork, ImageTokenizerConfig, to_network
from tokenmask.modalities.learned import CodecFitting, FitSettings, Quantise


def image_fitting(items: Sequence[Image], config: ImageTokenizerConfig, settings: FitSettings) -> CodecFitting:
    """The training run of :meth:`ImageTokenizer.fit` on images of any size, where the configuration resizes."""
    pixels = KeptPixels(len(items), config.size)
    for number, item in enumerate(items):  # one by one: a list of them all would be held twice
        pixels.put(number, sized(item, config).pixels)
    variance = pixels.variance()

    def draw_batch(draw: torch.Generator) -> Tensor:
        chosen = to_network(pixels.of(torch.randperm(len(pixels), generator=draw)[: settings.batch_size].tolist()))
        return mirrored(chosen, draw) if config.flip else chosen

    def loss(network: ImageNetwork, batch: Tensor, quantise: Quantise) -> tuple[Tensor, dict[str, float]]:
        latents = quantise(network.latents(batch).movedim(1, 3)).movedim(3, 1)
        error = nn.functional.mse_loss(network.pixels(latents), batch) / variance
        return error, {"error_of_variance": error.item()}

    about = {"config": asdict(config), "pixels": pixels.fingerprint()}
    return CodecFitting(lambda: ImageNetwork(config), draw_batch, loss, settings, about)


def mirrored(batch: Tensor, draw: torch.Generator) -> Tensor:
    """Pixels [B, 3, H, W], each picture as it is or mirrored."""
    chosen = torch.rand(len(batch), generator=draw) < 0.5
    return torch.where(chosen[:, None, None, None], batch.flip(3), batch)


def sized(image: Image, config: ImageTokenizerConfig) -> Image:
    """An image of the configuration's size, resized if it is so set."""
    return at_size(image, config.size, config.resize)


def at_size(image: Image, size: int, resize: bool) -> Image:
    """An image of ``size`` squared pixels.

    Raises:
        ValueError: it has another size, and ``resize`` is not set.
    """
    if tuple(image.pixels.shape[:2]) == (size, size):
        return image
    if resize:
        return image.resize(size, size)
    raise ValueError(f"images must be {size} x {size} pixels, got {image!r}; use image.resize({size}, {size})")
