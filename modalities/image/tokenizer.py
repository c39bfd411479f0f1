"""Images: a convolutional tokenizer with one codebook.

Arrow: Image --ImageTokenizer.encode--> TokenStream [row, column, 1], and back.
Does not know: shared ids, models, other modalities.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from tokenmask.modalities.codebook_report import PcaCoder, code_usage, psnr_db
from tokenmask.modalities.image.boxes import box_places
from tokenmask.modalities.image.fit import image_fitting, sized
from tokenmask.modalities.image.joining import joined
from tokenmask.modalities.image.kept_pixels import KeptPixels
from tokenmask.modalities.image.media import Image
from tokenmask.modalities.image.network import ImageNetwork, ImageTokenizerConfig, to_network
from tokenmask.modalities.keeping import kept
from tokenmask.modalities.learned import FitSettings, LearnedTokenizer, doubled
from tokenmask.modalities.telling import stretched, tell
from tokenmask.streams import StreamSpec, TokenStream
from tokenmask.threads import free_cores, look_again, one_thread
from tokenmask.tokenizer import check_media, check_stream

_BASELINE_NUMBERS = 1 << 22  # of the images for the baseline together, up to which they are held as floats
_TILE = 32  # pixels of a side of tiles whose principal components can be found for any number of images
_AT_ONCE = 256  # images that are judged together
_TOGETHER = 1 << 16  # pixels that go through the network at once, at least two images


class ImageTokenizer(LearnedTokenizer):
    """Convolutions, the nearest of ``codes`` vectors at each place of a grid, and convolutions back.

    Two-by-two convolutions of stride two, residual blocks of 3 x 3, and a decoder of pixel shuffles; squared error
    over the variance of the data, plus commitment.

    Codes are equal, bit for bit, for an image alone or in any batch and for any number of threads, on one machine.

    Source: VQ-VAE, arXiv:1711.00937. Deviations: codebook by moving averages with revival of dead codes (see
    :class:`VectorQuantizer`), pixel shuffle (arXiv:1609.05158) instead of transposed convolutions.
    """

    name: ClassVar[str] = "image"
    media: ClassVar[type] = Image
    continues: ClassVar[bool] = True
    config_class: ClassVar[type] = ImageTokenizerConfig
    context_seconds: ClassVar[float | None] = None
    config: ImageTokenizerConfig

    @staticmethod
    def make_network(config: ImageTokenizerConfig) -> nn.Module:
        """Encoder, codebook and decoder."""
        return ImageNetwork(config)

    @staticmethod
    def make_spec(config: ImageTokenizerConfig, network: nn.Module, identity: str) -> StreamSpec:
        """One level over ("row", "column"), a fixed grid."""
        side = config.size // config.stride
        return StreamSpec("image", (config.codes,), ("row", "column"), grid=(side, side), fingerprint=identity)

    @free_cores()
    @torch.no_grad()
    def encode_many(self, items: Sequence[Image]) -> list[TokenStream]:
        """The codes of many images, each first brought to ``config.size`` squared pixels if ``config.resize`` is set.

        Returns:
            Streams of codes int32 [row, column, 1].

        Raises:
            TypeError: not an Image.
            ValueError: another size, where the configuration does not resize.
        """
        for item in items:
            check_media(self, item)
            tell(item.source, stretched(item.pixels.shape[:2], self.config.size), "this ImageTokenizer")
        streams: list[TokenStream] = []
        together = self._together()
        for start in range(0, len(items), together):
            look_again()
            pixels = torch.stack([sized(item, self.config).pixels for item in items[start : start + together]])
            latents = self._network.latents(doubled(to_network(pixels.to(self.device)))).movedim(1, 3)
            codes = self._network.quantizer.nearest(latents.reshape(-1, self.config.latent)).view(*latents.shape[:3], 1)
            grids = codes[: len(pixels)].to("cpu", torch.int32)
            streams += [TokenStream(self._spec, grid.clone()) for grid in grids]
        return streams

    @free_cores()
    def decode(self, stream: TokenStream, *, given: Image | None = None, keep: Tensor | None = None) -> Image:
        """The image of any codes.

        Args:
            stream: codes of this tokenizer.
            given: the image that kept parts come from, of any size.
            keep: bool [height, width], pixels that are copied from ``given``, or bool [row, column], places whose
                pixels are; what is not kept is decoded.

        Returns:
            An Image of ``config.size`` squared pixels that keeps the stream; with ``given`` one of its size.

        Raises:
            TypeError: ``given`` is no Image.
            ValueError: the codes of another tokenizer; only one of given and keep; a keep of another shape.
        """
        made = self.decode_many([stream])[0]
        pair = kept(given, keep)
        if pair is None:
            return made
        check_media(self, pair[0])
        return joined(made, *pair)

    def places(self, media: Image, stream: TokenStream, region: Sequence[float]) -> Tensor:
        """bool [row, column], places whose pixels a box (left, top, right, bottom) in pixels of ``media`` touches.

        Raises:
            ValueError: no box, or one outside of the image.
        """
        return box_places(media, stream.grid, region)

    @torch.no_grad()
    def decode_many(self, streams: Sequence[TokenStream]) -> list[Image]:
        """The images of many streams, those of :meth:`decode`."""
        for stream in streams:
            check_stream(self, stream)
        images: list[Image] = []
        together = self._together()
        for start in range(0, len(streams), together):
            look_again()
            part = streams[start : start + together]
            codes = doubled(torch.stack([stream.codes for stream in part])).to(self.device)
            pixels = self._network.pixels(self._network.quantizer.lookup(codes).movedim(3, 1))
            coloured = ((pixels[: len(part)] + 1) * 127.5).round().clamp(0, 255).to("cpu", torch.uint8).movedim(1, 3)
            images += [Image(one.contiguous(), stream) for one, stream in zip(coloured, part, strict=True)]
        return images

    def _together(self) -> int:
        return max(2, _TOGETHER // self.config.size**2)

    def evaluate(self, items: Sequence[Image], train_items: Sequence[Image] = ()) -> dict[str, float]:
        """How well images are coded, and how well a classical coder does with the same bits.

        Args:
            items: held-out images.
            train_items: images for the baseline to learn from, those the tokenizer learned from. More than 2^22 numbers
                together (1365 images of 32 x 32 pixels) are gone through part by part, in some 200 MB of memory for
                32 x 32 pixels, 400 MB for 64 x 64. Without them there is no ``pca_psnr_db``.

        Returns:
            psnr_db, the mean over images; codes_used_share and perplexity over the items; bits_per_image; and
            pca_psnr_db: quantised principal components that spend the same bits (see :func:`pca_coded`), the better
            one of components of single patches of stride x stride pixels and of the whole image.
        """
        if not items:
            raise ValueError("evaluate needs at least one image, got none")
        baseline = self._baseline(train_items) if train_items else []
        codes: list[Tensor] = []
        psnr, coded = 0.0, [0.0] * len(baseline)  # sums over images
        for first in range(0, len(items), _AT_ONCE):
            part = items[first : first + _AT_ONCE]
            streams = self.encode_many(part)
            codes += [stream.codes for stream in streams]
            originals = torch.stack([sized(item, self.config).pixels for item in part])
            psnr += psnr_db(originals, torch.stack([image.pixels for image in self.decode_many(streams)])) * len(part)
            for number, one in enumerate(baseline):
                coded[number] += psnr_db(originals, one(originals).round().clamp(0, 255)) * len(part)
        share, perplexity = code_usage(torch.stack(codes), self.config.codes)
        figures = {
            "psnr_db": psnr / len(items),
            "codes_used_share": share,
            "perplexity": perplexity,
            "bits_per_image": self._bits,
        }
        if baseline:
            figures["pca_psnr_db"] = max(coded) / len(items)
        return figures

    @property
    def _bits(self) -> float:
        """Of an image."""
        return (self.config.size // self.config.stride) ** 2 * math.log2(self.config.codes)

    def _baseline(self, train_items: Sequence[Image]) -> list[Callable[[Tensor], Tensor]]:
        """Coders of pixels uint8 [N, size, size, 3] by principal components: of whole images, of patches, and of tiles
        between both where there are too many images for components of all their sizes."""
        size, stride = self.config.size, self.config.stride
        train = KeptPixels(len(train_items), size)
        for number, item in enumerate(train_items):
            train.put(number, sized(item, self.config).pixels)
        few = math.prod(train.shape) <= _BASELINE_NUMBERS
        sides = [side for side in range(stride, size + 1, stride) if not size % side]
        middle = max(side for side in sides if side <= max(_TILE, stride))
        coders: list[Callable[[Tensor], Tensor]] = []
        for side in sorted({stride, size} if few else {stride, middle, size}):
            bits = self._bits / (size // side) ** 2
            if few:
                coder = PcaCoder.fit(_patches(train.of(range(len(train))), side), bits)
            else:
                coder = PcaCoder.fit_parts(partial(_patches_of, train, side), bits)
            coders.append(partial(_coded, coder, side))
        return coders

    @classmethod
    @one_thread()
    def fit(
        cls,
        items: Sequence[Image],
        *,
        config: ImageTokenizerConfig | None = None,
        steps: int = 1000,
        batch_size: int = 16,
        peak_lr: float = 5e-3,
        seed: int = 0,
        folder: str | Path | None = None,
        checkpoint_every: int = 100,
        progress: bool = True,
    ) -> Self:
        """Trains a tokenizer on images, with AdamW, a short rise and a cosine fall of the learning rate.

        The defaults take about 40 ms a step.

        Args:
            items: images; their pixels, resized like in :meth:`encode`, are held in memory up to 64 MB, more of them in
                a temporary file.
            config: the network; the default is for 32 x 32 pixels.
            steps: optimisation steps.
            batch_size: images in a step.
            peak_lr: largest learning rate.
            seed: of the weights, the batches and all else.
            folder: keeps a checkpoint; a run that was stopped goes on from it, bit for bit.
            checkpoint_every: steps between checkpoints.
            progress: show progress on stderr.

        Raises:
            ValueError: fewer than two images, or a folder with the checkpoint of another run.
        """
        config = config or ImageTokenizerConfig()
        if len(items) < 2:
            raise ValueError(f"fitting needs 2 images at least, got {len(items)}; pass more")
        for item in items:
            check_media(cls, item)
        task = image_fitting(items, config, FitSettings(steps, batch_size, peak_lr, seed, warm_up=0.0))
        return cls(
            config,
            task.run("image tokenizer", folder=folder, checkpoint_every=checkpoint_every, progress=progress),
        )


def _coded(coder: PcaCoder, side: int, pixels: Tensor) -> Tensor:
    """Pixels [N, size, size, 3] whose patches a coder codes and decodes, float64."""
    many = pixels.shape[1] // side
    coded = coder.coded(_patches(pixels, side)).view(-1, many, many, side, side, 3)
    return coded.transpose(2, 3).reshape(pixels.shape)


def _patches_of(images: KeptPixels, side: int) -> Iterator[Tensor]:
    return (_patches(part, side) for part in images.parts())


def _patches(images: Tensor, stride: int) -> Tensor:
    """uint8 [N, size, size, 3] -> uint8 [N * places, stride * stride * 3]."""
    side = images.shape[1] // stride
    return images.view(len(images), side, stride, side, stride, 3).transpose(2, 3).reshape(-1, stride * stride * 3)
