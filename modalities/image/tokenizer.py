"""Images: a convolutional tokenizer with one codebook.

Arrow: Image --ImageTokenizer.encode--> TokenStream [row, column, 1], and back.
Does not know: shared ids, models, other modalities.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from tokenmask.modalities.codebook_report import code_usage, psnr_db
from tokenmask.modalities.image.boxes import box_places
from tokenmask.modalities.image.finer import FinerConfig, FinerDecoder
from tokenmask.modalities.image.finer_fit import FinerFit, FinerFitting
from tokenmask.modalities.image.fit import at_size, image_fitting, sized
from tokenmask.modalities.image.joining import joined
from tokenmask.modalities.image.judging import Coder, enlarged, likeness, pca_coders
from tokenmask.modalities.image.media import Image
from tokenmask.modalities.image.network import ImageNetwork, ImageTokenizerConfig, to_network
from tokenmask.modalities.keeping import kept
from tokenmask.modalities.learned import FitSettings, LearnedTokenizer, doubled
from tokenmask.modalities.telling import stretched, tell
from tokenmask.streams import StreamSpec, TokenStream
from tokenmask.threads import free_cores, look_again, one_thread
from tokenmask.tokenizer import check_media, check_stream

_AT_ONCE = 256  # images that are judged together
_TOGETHER = 1 << 16  # pixels that go through the network at once, at least two images


class ImageTokenizer(LearnedTokenizer):
    """Convolutions, the nearest of ``codes`` vectors at each place of a grid, and convolutions back.

    Two-by-two convolutions of stride two, residual blocks of 3 x 3, and a decoder of pixel shuffles; squared error
    over the variance of the data, plus commitment. Later another decoder can be fitted to the same codes
    (:meth:`fit_decoder`), which gives them more pixels
    (:class:`~tokenmask.modalities.image.finer.FinerDecoder`); then pictures are made by it.

    Codes are equal, bit for bit, for an image alone or in any batch and for any number of threads, on one machine.

    Source: VQ-VAE, arXiv:1711.00937. Deviations: codebook by moving averages with revival of dead codes (see
    :class:`VectorQuantizer`), pixel shuffle (arXiv:1609.05158) instead of transposed convolutions.
    """

    name: ClassVar[str] = "image"
    media: ClassVar[type] = Image
    continues: ClassVar[bool] = True
    config_class: ClassVar[type] = ImageTokenizerConfig
    decoder_class: ClassVar[type | None] = FinerConfig
    context_seconds: ClassVar[float | None] = None
    config: ImageTokenizerConfig

    @staticmethod
    def make_network(config: ImageTokenizerConfig) -> nn.Module:
        """Encoder, codebook and decoder."""
        return ImageNetwork(config)

    @staticmethod
    def make_decoder(config: ImageTokenizerConfig, own: FinerConfig) -> nn.Module:
        """A decoder that gives the codes more pixels."""
        return FinerDecoder(config, own)

    @property
    def decoded_size(self) -> int:
        """Height and width in pixels of what is made of codes: ``config.size``, or more by a later decoder."""
        scale: int = 1 if self._decoder is None else self.decoder_config.scale
        return self.config.size * scale

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
        together = _together(self.config.size)
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
            An Image of ``decoded_size`` squared pixels that keeps the stream; with ``given`` one of its size.

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
        together = _together(self.decoded_size)
        decode = self._network.pixels if self._decoder is None else self._decoder
        for start in range(0, len(streams), together):
            look_again()
            part = streams[start : start + together]
            codes = doubled(torch.stack([stream.codes for stream in part])).to(self.device)
            pixels = decode(self._network.quantizer.lookup(codes).movedim(3, 1))
            coloured = ((pixels[: len(part)] + 1) * 127.5).round().clamp(0, 255).to("cpu", torch.uint8).movedim(1, 3)
            images += [Image(one.contiguous(), stream) for one, stream in zip(coloured, part, strict=True)]
        return images

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
            one of components of single patches of stride x stride pixels and of the whole image. All of them are at
            ``config.size``. With a later decoder, and images that all have as many pixels as it makes, also at
            ``decoded_size``: fine_psnr_db, fine_ssim and fine_edges_l1 (see :func:`likeness`); enlarged_psnr_db and so
            on, of the first decoder's pictures enlarged by Lanczos' filter; and pca_fine_psnr_db.
        """
        if not items:
            raise ValueError("evaluate needs at least one image, got none")
        config, large = self.config, self.decoded_size
        sizes = [config.size]
        if large > config.size and all(min(item.pixels.shape[:2]) >= large for item in items):
            sizes.append(large)
        patches = {size: config.stride * size // config.size for size in sizes}
        coders = {
            size: pca_coders(train_items, size, patch, self._bits, config.resize) if train_items else []
            for size, patch in patches.items()
        }
        codes: list[Tensor] = []
        sums: Counter[tuple[str, int]] = Counter()  # over images; of the n-th coder of a kind
        for first in range(0, len(items), _AT_ONCE):
            part = items[first : first + _AT_ONCE]
            streams = self.encode_many(part)
            codes += [stream.codes for stream in streams]
            for size in sizes:
                originals = torch.stack([at_size(item, size, config.resize).pixels for item in part])
                found = self._figures(originals, streams, coders[size])
                sums.update({name: value * len(part) for name, value in found.items()})
        means: dict[str, float] = {}
        for (name, _), value in sums.items():
            means[name] = max(means.get(name, -math.inf), value / len(items))
        share, perplexity = code_usage(torch.stack(codes), config.codes)
        usage = {"codes_used_share": share, "perplexity": perplexity, "bits_per_image": self._bits}
        return {"psnr_db": means.pop("psnr_db"), **usage, **means}

    @property
    def _bits(self) -> float:
        """Of an image."""
        return (self.config.size // self.config.stride) ** 2 * math.log2(self.config.codes)

    def _figures(
        self, originals: Tensor, streams: Sequence[TokenStream], coders: Sequence[Coder]
    ) -> dict[tuple[str, int], float]:
        """Means over images uint8 [N, size, size, 3] of their codes' pictures, by name and number of the coder."""
        size = originals.shape[1]
        made = torch.stack([image.resize(size, size).pixels for image in self.decode_many(streams)])
        coded = [psnr_db(originals, coder(originals).round().clamp(0, 255)) for coder in coders]
        if size == self.config.size:
            return {("psnr_db", 0): psnr_db(originals, made)} | {
                ("pca_psnr_db", number): value for number, value in enumerate(coded)
            }
        first = self.with_first_decoder().to(self.device)
        large = torch.stack([enlarged(image, size) for image in first.decode_many(streams)])
        return (
            {(f"fine_{name}", 0): value for name, value in likeness(originals, made).items()}
            | {(f"enlarged_{name}", 0): value for name, value in likeness(originals, large).items()}
            | {("pca_fine_psnr_db", number): value for number, value in enumerate(coded)}
        )

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
        finer: FinerFit | None = None,
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
            finer: a decoder that gives the codes more pixels learns afterwards, from images that have as many, see
                :meth:`fit_decoder`; None leaves it at the first decoder.
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
        made = cls(
            config,
            task.run("image tokenizer", folder=folder, checkpoint_every=checkpoint_every, progress=progress),
        )
        if finer is None:
            return made
        later = None if folder is None else Path(folder) / "decoder"
        return made.fit_decoder(items, finer, folder=later, checkpoint_every=checkpoint_every, progress=progress)

    @one_thread()
    def fit_decoder(
        self,
        items: Sequence[Image],
        settings: FinerFit | None = None,
        *,
        folder: str | Path | None = None,
        checkpoint_every: int = 100,
        progress: bool = True,
    ) -> Self:
        """Learns a decoder that gives the codes more pixels; codes stay as they are, bit for bit.

        Args:
            items: images, best of at least ``config.size * settings.config.scale`` pixels a side; resized to that if
                the configuration resizes, and held like those of :meth:`fit`.
            settings: of the decoder and of the optimisation.
            folder: keeps a checkpoint; a run that was stopped goes on from it, bit for bit.
            checkpoint_every: steps between checkpoints.
            progress: show progress on stderr.

        Returns:
            a tokenizer with the fingerprint of this one.

        Raises:
            TypeError: not an Image.
            ValueError: no image, one of another size where the configuration does not resize, pictures that are too
                small for SSIM, or a folder with the checkpoint of another run.
        """
        settings = FinerFit() if settings is None else settings
        if not isinstance(settings, FinerFit):
            raise TypeError(f"settings must be a FinerFit, got {settings!r}; write FinerFit(steps=...) or None")
        if not items:
            raise ValueError("fitting needs 1 image at least, got none; pass some")
        for item in items:
            check_media(type(self), item)
        task = FinerFitting(items, self._network, settings)
        tensors = task.run("finer decoder", folder=folder, checkpoint_every=checkpoint_every, progress=progress)
        return self.with_decoder(settings.config, tensors)


def _together(size: int) -> int:
    """Images of ``size`` squared pixels that go through the network at once."""
    return max(2, _TOGETHER // size**2)
