"""Images: a convolutional tokenizer with one codebook.

Arrow: Image --ImageTokenizer.encode--> TokenStream [row, column, 1], and back.
Does not know: shared ids, models, other modalities.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from tokenmask.files import writing_atomically
from tokenmask.modalities.codebook_report import code_usage, pca_coded, psnr_db
from tokenmask.modalities.keeping import check_keep, kept
from tokenmask.modalities.learned import CodecFitting, FitSettings, LearnedTokenizer, Quantise, doubled
from tokenmask.modalities.quantizers.residual import ResidualQuantizer, ResidualQuantizerConfig
from tokenmask.modalities.quantizers.vq import VectorQuantizerConfig
from tokenmask.streams import StreamSpec, TokenStream
from tokenmask.tokenizer import check_media, check_stream, fingerprint

MAX_PIXELS = 1 << 26
_BASELINE_ITEMS = 4096
_TOGETHER = 1 << 16  # pixels that go through the network at once, at least two images


@dataclass(frozen=True, eq=False)
class Image:
    """A picture in 8-bit sRGB.

    Args:
        pixels: uint8 [height, width, 3], red, green, blue.
        stream: the codes it was generated from, if it was; does not count in comparisons.
    """

    pixels: Tensor
    stream: TokenStream | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        shape = self.pixels.shape
        if self.pixels.dtype != torch.uint8 or len(shape) != 3 or shape[2] != 3 or not self.pixels.numel():
            raise ValueError(
                "pixels of an Image must be uint8 [height, width, 3], got "
                f"{str(self.pixels.dtype).removeprefix('torch.')} {list(shape)}"
            )

    def __eq__(self, other: object) -> bool:
        return torch.equal(self.pixels, other.pixels) if isinstance(other, Image) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Image({self.pixels.shape[1]} x {self.pixels.shape[0]} pixels)"

    @classmethod
    def from_pillow(cls, picture: Any) -> Self:
        """Takes a ``PIL.Image``: turned as its EXIF says, transparency laid on white, 16-bit grey brought to 8."""
        from PIL import Image as pillow
        from PIL import ImageOps

        picture = ImageOps.exif_transpose(picture)
        if picture.mode.startswith("I"):
            deep = torch.frombuffer(bytearray(picture.convert("I").tobytes()), dtype=torch.int32)
            grey = (deep.clamp(0, 65535) // 257).to(torch.uint8).view(picture.height, picture.width, 1)
            return cls(grey.expand(-1, -1, 3).contiguous())
        if picture.has_transparency_data:
            picture = picture.convert("RGBA")
            picture = pillow.alpha_composite(pillow.new("RGBA", picture.size, "white"), picture)
        picture = picture.convert("RGB")
        data = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8)
        return cls(data.view(picture.height, picture.width, 3))

    def to_pillow(self) -> Any:
        """The same picture as a ``PIL.Image`` of mode RGB."""
        from PIL import Image as pillow

        return pillow.fromarray(self.pixels.contiguous().cpu().numpy())

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Reads PNG, JPEG, WebP and what else Pillow knows; the first frame of a film.

        Raises:
            ValueError: no such file, no picture, cut short, or more than 2**26 pixels.
        """
        from PIL import Image as pillow

        if not Path(path).is_file():
            raise ValueError(f"an image is read from a file, but {path} is none; check the path")
        try:
            with pillow.open(path) as picture:
                width, height = picture.size
                if width * height <= MAX_PIXELS:
                    picture.load()
                    return cls.from_pillow(picture)
        except (OSError, SyntaxError, ValueError, EOFError, struct.error, pillow.DecompressionBombError) as error:
            reason = " ".join(str(error).split())
            raise ValueError(
                f"{path} must be a whole image file, but cannot be read ({reason}); export it again"
            ) from error
        raise ValueError(
            f"an image may have up to {MAX_PIXELS} pixels, but {path} is {width} x {height}; shrink it first"
        )

    def save(self, path: str | Path) -> None:
        """Writes the format that the file's suffix names, atomically; .png loses nothing.

        Raises:
            ValueError: a suffix that names no format that can be written.
        """
        from PIL import Image as pillow

        kind = pillow.registered_extensions().get(Path(path).suffix.lower())
        if kind not in pillow.SAVE:
            raise ValueError(f"an image file must end in .png, .jpg or .webp, got {Path(path).name!r}; rename it")
        with writing_atomically(path) as partial:
            self.to_pillow().save(partial, format=kind)

    def resize(self, height: int, width: int) -> Image:
        """Another size, sides may stretch: interpolated, or averaged over what a pixel of a smaller one covers."""
        from PIL import Image as pillow

        if height < 1 or width < 1:
            raise ValueError(f"an image is at least 1 x 1 pixel, got height {height} and width {width}")
        if tuple(self.pixels.shape[:2]) == (height, width):
            return Image(self.pixels)
        return Image.from_pillow(self.to_pillow().resize((width, height), pillow.Resampling.BILINEAR))


@dataclass(frozen=True)
class ImageTokenizerConfig:
    """The network and how it learns.

    Args:
        size: height and width in pixels of what is coded; a multiple of ``stride``.
        stride: pixels that a code covers in each direction, a power of two.
        codes: size of the codebook.
        latent: numbers in a code's vector.
        width: channels; multiples of 64 keep codes equal alone and in batches.
        blocks: residual blocks on either side of the codebook.
        resize: bring images of another size to ``size`` (see :meth:`Image.resize`); False refuses them.
        flip: also learn from mirrored images.
        commitment, decay, revive_below: see :class:`VectorQuantizerConfig`.
    """

    size: int = 32
    stride: int = 4
    codes: int = 512
    latent: int = 16
    width: int = 64
    blocks: int = 2
    resize: bool = True
    flip: bool = True
    commitment: float = 0.25
    decay: float = 0.99
    revive_below: float = 0.05

    def __post_init__(self) -> None:
        if self.stride < 2 or self.stride & (self.stride - 1) or self.size < self.stride or self.size % self.stride:
            raise ValueError(
                f"stride must be a power of two, 2 or more, that divides size, got {self.stride} for size {self.size}"
            )
        if self.width < 1 or self.blocks < 0:
            raise ValueError(f"width must be positive and blocks not negative, got {self.width} and {self.blocks}")
        self.quantizer()

    def quantizer(self) -> ResidualQuantizerConfig:
        """The part of it that the codebook needs."""
        return ResidualQuantizerConfig(
            1, VectorQuantizerConfig(self.codes, self.latent, self.decay, self.revive_below, self.commitment)
        )


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.spread = nn.Conv2d(width, width, 3, padding=1)
        self.join = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """float32 [B, width, H, W] -> the same shape."""
        out: Tensor = x + self.join(nn.functional.silu(self.spread(nn.functional.silu(x))))
        return out


class _Network(nn.Module):
    """Encoder, codebook and decoder; pixels here are float32 [B, 3, size, size] in -1..1."""

    def __init__(self, config: ImageTokenizerConfig) -> None:
        super().__init__()
        width, halvings = config.width, config.stride.bit_length() - 1
        down = [nn.Conv2d(3 if i == 0 else width, width, 2, stride=2) for i in range(halvings)]
        up = [
            part
            for _ in range(halvings - 1)
            for part in (nn.Conv2d(width, 4 * width, 1), nn.PixelShuffle(2), nn.SiLU())
        ]
        self.encoder = nn.Sequential(
            *[part for conv in down for part in (conv, nn.SiLU())][:-1],
            *[_Residual(width) for _ in range(config.blocks)],
            nn.SiLU(),
            nn.Conv2d(width, config.latent, 1),
        )
        self.quantizer = ResidualQuantizer(config.quantizer())
        self.decoder = nn.Sequential(
            nn.Conv2d(config.latent, width, 3, padding=1),
            *[_Residual(width) for _ in range(config.blocks)],
            nn.SiLU(),
            *up,
            nn.Conv2d(width, 12, 3, padding=1),
            nn.PixelShuffle(2),
        )

    def latents(self, pixels: Tensor) -> Tensor:
        """float32 [B, 3, size, size] -> [B, latent, rows, columns]."""
        latents: Tensor = self.encoder(pixels)
        return latents

    def pixels(self, latents: Tensor) -> Tensor:
        """float32 [B, latent, rows, columns] -> [B, 3, size, size], about -1..1."""
        pixels: Tensor = self.decoder(latents)
        return pixels


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
    config_class: ClassVar[type] = ImageTokenizerConfig
    context_seconds: ClassVar[float | None] = None
    config: ImageTokenizerConfig

    @staticmethod
    def make_network(config: ImageTokenizerConfig) -> nn.Module:
        """Encoder, codebook and decoder."""
        return _Network(config)

    @staticmethod
    def make_spec(config: ImageTokenizerConfig, network: nn.Module, identity: str) -> StreamSpec:
        """One level over ("row", "column"), a fixed grid."""
        side = config.size // config.stride
        return StreamSpec("image", (config.codes,), ("row", "column"), grid=(side, side), fingerprint=identity)

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
        streams: list[TokenStream] = []
        together = self._together()
        for start in range(0, len(items), together):
            pixels = torch.stack([_sized(item, self.config).pixels for item in items[start : start + together]])
            latents = self._network.latents(doubled(_to_network(pixels.to(self.device)))).movedim(1, 3)
            codes = self._network.quantizer.nearest(latents.reshape(-1, self.config.latent)).view(*latents.shape[:3], 1)
            grids = codes[: len(pixels)].to("cpu", torch.int32)
            streams += [TokenStream(self._spec, grid.clone()) for grid in grids]
        return streams

    def decode(self, stream: TokenStream, *, given: Image | None = None, keep: Tensor | None = None) -> Image:
        """The image of any codes.

        Args:
            stream: codes of this tokenizer.
            given: the image that kept parts come from; resized like in :meth:`encode`.
            keep: bool [size, size], pixels that are copied from ``given``, or bool [row, column], places whose pixels
                are; what is not kept is decoded.

        Returns:
            An Image of ``config.size`` squared pixels that keeps the stream.

        Raises:
            TypeError: ``given`` is no Image.
            ValueError: the codes of another tokenizer; only one of given and keep; a keep of another shape.
        """
        made = self.decode_many([stream])[0]
        pair = kept(given, keep)
        if pair is None:
            return made
        given, keep = pair
        check_media(self, given)
        size, grid = (self.config.size,) * 2, tuple(stream.grid)
        check_keep(keep, size, grid)
        if tuple(keep.shape) != size:
            keep = keep.repeat_interleave(self.config.stride, 0).repeat_interleave(self.config.stride, 1)
        return Image(torch.where(keep[:, :, None], _sized(given, self.config).pixels, made.pixels), stream)

    def places(self, media: Image, stream: TokenStream, region: Sequence[float]) -> Tensor:
        """bool [row, column], places whose pixels a box (left, top, right, bottom) in pixels of ``media`` touches.

        Raises:
            ValueError: no box, or one outside of the image.
        """
        height, width = media.pixels.shape[:2]
        if len(region) != 4:
            raise ValueError(f"a region of an image is (left, top, right, bottom) in pixels, got {tuple(region)}")
        left, top, right, bottom = region
        if not (0 <= left < right and 0 <= top < bottom and left < width and top < height):
            raise ValueError(f"a box must lie inside of {width} x {height} pixels, got {tuple(region)}")
        rows, columns = (torch.arange(size) for size in stream.grid)
        in_rows = ((rows + 1) * height / len(rows) > top) & (rows * height / len(rows) < bottom)
        in_columns = ((columns + 1) * width / len(columns) > left) & (columns * width / len(columns) < right)
        return in_rows[:, None] & in_columns

    @torch.no_grad()
    def decode_many(self, streams: Sequence[TokenStream]) -> list[Image]:
        """The images of many streams, those of :meth:`decode`."""
        for stream in streams:
            check_stream(self, stream)
        images: list[Image] = []
        together = self._together()
        for start in range(0, len(streams), together):
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
            train_items: images for the baseline to learn from, those the tokenizer learned from; of more than 4096
                every n-th is used. Without them there is no ``pca_psnr_db``.

        Returns:
            psnr_db, the mean over images; codes_used_share and perplexity over the items; bits_per_image; and
            pca_psnr_db: quantised principal components that spend the same bits (see :func:`pca_coded`), the better
            one of components of single patches of stride x stride pixels and of the whole image.
        """
        if not items:
            raise ValueError("evaluate needs at least one image, got none")
        streams = self.encode_many(items)
        originals = torch.stack([_sized(item, self.config).pixels for item in items])
        copies = torch.stack([image.pixels for image in self.decode_many(streams)])
        share, perplexity = code_usage(torch.stack([stream.codes for stream in streams]), self.config.codes)
        places = streams[0].codes.numel()
        bits = places * math.log2(self.config.codes)
        figures = {
            "psnr_db": psnr_db(originals, copies),
            "codes_used_share": share,
            "perplexity": perplexity,
            "bits_per_image": bits,
        }
        if train_items:
            fewer = train_items[:: -(-len(train_items) // _BASELINE_ITEMS)]
            train = torch.stack([_sized(item, self.config).pixels for item in fewer])
            whole = pca_coded(train.flatten(1), originals.flatten(1), bits).view(originals.shape)
            stride = self.config.stride
            patches = pca_coded(_patches(train, stride), _patches(originals, stride), bits / places)
            side = self.config.size // stride
            patched = patches.view(-1, side, side, stride, stride, 3).transpose(2, 3).reshape(originals.shape)
            figures["pca_psnr_db"] = max(psnr_db(originals, it.round().clamp(0, 255)) for it in (whole, patched))
        return figures

    @classmethod
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
            items: images; all are held in memory, resized like in :meth:`encode`.
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
        pixels = torch.stack([_sized(item, config).pixels for item in items])
        variance = _variance(pixels)

        def draw_batch(draw: torch.Generator) -> Tensor:
            chosen = _to_network(pixels[torch.randperm(len(pixels), generator=draw)[:batch_size]])
            if not config.flip:
                return chosen
            mirrored = torch.rand(len(chosen), generator=draw) < 0.5
            return torch.where(mirrored[:, None, None, None], chosen.flip(3), chosen)

        def loss(network: _Network, batch: Tensor, quantise: Quantise) -> tuple[Tensor, dict[str, float]]:
            latents = quantise(network.latents(batch).movedim(1, 3)).movedim(3, 1)
            error = nn.functional.mse_loss(network.pixels(latents), batch) / variance
            return error, {"error_of_variance": error.item()}

        settings = FitSettings(steps, batch_size, peak_lr, seed, warm_up=0.0)
        about = {"config": asdict(config), "pixels": fingerprint({}, {"pixels": pixels})}
        task = CodecFitting(lambda: _Network(config), draw_batch, loss, settings, about)
        return cls(
            config,
            task.run("image tokenizer", folder=folder, checkpoint_every=checkpoint_every, progress=progress),
        )


def _to_network(pixels: Tensor) -> Tensor:
    """uint8 [B, H, W, 3] -> float32 [B, 3, H, W] in -1..1."""
    return pixels.movedim(3, 1).float() / 127.5 - 1


def _variance(pixels: Tensor) -> float:
    """Variance of uint8 values in the network's scale, by counting them: exact, and small for any number of images."""
    counts = pixels.reshape(-1).bincount(minlength=256).double()
    values = torch.arange(256, dtype=torch.float64) / 127.5 - 1
    share = counts / counts.sum()
    return max(float(share @ values.square() - (share @ values) ** 2), 1e-6)


def _sized(image: Image, config: ImageTokenizerConfig) -> Image:
    size = config.size
    if tuple(image.pixels.shape[:2]) == (size, size):
        return image
    if config.resize:
        return image.resize(size, size)
    raise ValueError(f"images must be {size} x {size} pixels, got {image!r}; use image.resize({size}, {size})")


def _patches(images: Tensor, stride: int) -> Tensor:
    """uint8 [N, size, size, 3] -> uint8 [N * places, stride * stride * 3]."""
    side = images.shape[1] // stride
    return images.view(len(images), side, stride, side, stride, 3).transpose(2, 3).reshape(-1, stride * stride * 3)
