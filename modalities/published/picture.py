"""Published tokenizers of pictures: pixels in and out of a network of others.

Arrow: Image --PublishedPicture.encode--> TokenStream [row, column, 1], and back. Does not know: which network.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from tokenmask.modalities.codebook_report import code_usage, psnr_db
from tokenmask.modalities.image.boxes import box_places
from tokenmask.modalities.image.joining import joined
from tokenmask.modalities.image.media import Image
from tokenmask.modalities.keeping import kept
from tokenmask.modalities.published.base import PublishedConfig, PublishedTokenizer, exactly
from tokenmask.streams import StreamSpec, TokenStream
from tokenmask.tokenizer import check_media, check_stream


@dataclass(frozen=True)
class PublishedPictureConfig(PublishedConfig):
    """A tokenizer of pictures.

    Args:
        size: pixels of a side, to which pictures are brought, sides may stretch; None for the one of the network.
        low: what the network takes as black, 0 or -1, where white is 1; None for what is usual of its kind.
    """

    size: int | None = None
    low: float | None = None


class PublishedPicture(PublishedTokenizer):
    """Base of tokenizers of pictures with one codebook.

    An adapter has :meth:`codes_of` and :meth:`pixels_of`, and says where its configuration has the numbers, or has
    :attr:`codes` and :attr:`stride`.
    """

    media: ClassVar[type] = Image
    continues: ClassVar[bool] = True
    config_class: ClassVar[type] = PublishedPictureConfig
    usual_low: ClassVar[float] = -1.0
    codes_field: ClassVar[str] = ""
    """Where the configuration says how many codes there are."""
    stages_field: ClassVar[str] = ""
    """Where it lists its stages, of which all but the last halve a picture."""

    @abstractmethod
    def codes_of(self, pixels: Tensor) -> Tensor:
        """Pixels float32 [1, 3, size, size] from low to 1 -> codes int, row by row."""

    @abstractmethod
    def pixels_of(self, codes: Tensor) -> Tensor:
        """Codes int64 [1, row, column] -> pixels float32 [1, 3, size, size] from about low to 1."""

    @property
    def codes(self) -> int:
        """How many codes there are."""
        return int(getattr(self.network.config, self.codes_field))

    @property
    def stride(self) -> int:
        """Pixels of a side that a code covers."""
        return int(2 ** (len(getattr(self.network.config, self.stages_field)) - 1))

    @property
    def own_size(self) -> int | None:
        """Pixels of a side of the pictures that the network was made for, if it says so."""
        return None

    @classmethod
    def check_options(cls, config: Any) -> None:
        """ValueError unless size is a whole number of pixels and low is 0 or -1, or None."""
        size, low = config.size, config.low
        if size is not None and (isinstance(size, bool) or not isinstance(size, int) or size < 1):
            raise ValueError(
                f"size of a {cls.__name__} must be a whole number of pixels, or None for the one of the network, got "
                f"{size!r}; pass size=256, for example"
            )
        if low is not None and (isinstance(low, bool | str) or low not in (0.0, -1.0)):
            raise ValueError(f"low of a {cls.__name__} must be 0 or -1, or None for the usual one, got {low!r}")

    def resolved(self, config: Any) -> Any:
        """With a size that the network can take, and its black."""
        size = self.own_size if config.size is None else config.size
        low = self.usual_low if config.low is None else float(config.low)
        if (
            isinstance(size, bool)
            or not isinstance(size, int)
            or size < 1
            or size % self.stride
            or low not in (0.0, -1.0)
        ):
            raise ValueError(
                f"size of {self.source} must be a multiple of {self.stride} pixels, and low 0 or -1, got {size} and "
                f"{low:g}; pass size=256, for example"
            )
        if self.own_size not in (None, size):
            raise ValueError(f"{self.source} codes pictures of {self.own_size} pixels a side only, got size={size}")
        return replace(config, size=size, low=low)

    def make_spec(self) -> StreamSpec:
        """One level over ("row", "column"), a fixed grid."""
        return StreamSpec("image", (self.codes,), ("row", "column"), grid=self.grid)

    @property
    def grid(self) -> tuple[int, int]:
        """(rows, columns) of codes."""
        side = self.config.size // self.stride
        return side, side

    def encode_many(self, items: Sequence[Image]) -> list[TokenStream]:
        """The codes of many pictures, one after the other, each first brought to ``config.size`` squared pixels.

        Returns:
            Streams of codes int32 [row, column, 1].

        Raises:
            TypeError: not an Image.
        """
        for item in items:
            check_media(self, item)
        return [TokenStream(self._spec, self._encoded(self._sized(item))) for item in items]

    @exactly
    def _encoded(self, pixels: Tensor) -> Tensor:
        low, side = self.config.low, self.config.size // self.stride
        scaled = pixels.movedim(2, 0)[None].float() / 255 * (1 - low) + low
        return self.codes_of(scaled.to(self.device)).reshape(side, side, 1).to("cpu", torch.int32)

    @exactly
    def _decoded(self, codes: Tensor) -> Tensor:
        low: float = self.config.low
        made: Tensor = self.pixels_of(codes[None, :, :, 0].long().to(self.device))[0].float().cpu()
        return ((made - low) / (1 - low) * 255).round().clamp(0, 255).to(torch.uint8).movedim(0, 2).contiguous()

    def decode(self, stream: TokenStream, *, given: Image | None = None, keep: Tensor | None = None) -> Image:
        """The picture of any codes.

        Args:
            stream: codes of this tokenizer.
            given: the picture that kept parts come from, of any size.
            keep: bool [height, width], pixels that are copied from ``given``, or bool [row, column], places whose
                pixels are; what is not kept is decoded.

        Returns:
            An Image of ``config.size`` squared pixels that keeps the stream; with ``given`` one of its size.

        Raises:
            TypeError: ``given`` is no Image.
            ValueError: the codes of another tokenizer; only one of given and keep; a keep of another shape.
        """
        check_stream(self, stream)
        made, pair = Image(self._decoded(stream.codes), stream), kept(given, keep)
        if pair is None:
            return made
        check_media(self, pair[0])
        return joined(made, *pair)

    def _sized(self, item: Image) -> Tensor:
        """uint8 [size, size, 3]."""
        return item.resize(self.config.size, self.config.size).pixels

    def places(self, media: Image, stream: TokenStream, region: Sequence[float]) -> Tensor:
        """bool [row, column], places whose pixels a box (left, top, right, bottom) in pixels of ``media`` touches.

        Raises:
            ValueError: no box, or one outside of the image.
        """
        return box_places(media, stream.grid, region)

    def evaluate(self, items: Sequence[Image], train_items: Sequence[Image] = ()) -> dict[str, float]:
        """How well pictures are coded: psnr_db, the mean over pictures; codes_used_share and perplexity over them."""
        if not items:
            raise ValueError("evaluate needs at least one image, got none")
        streams = self.encode_many(items)
        originals = torch.stack([self._sized(item) for item in items])
        copies = torch.stack([self.decode(stream).pixels for stream in streams])
        share, perplexity = code_usage(torch.stack([stream.codes for stream in streams]), self.codes)
        return {"psnr_db": psnr_db(originals, copies), "codes_used_share": share, "perplexity": perplexity}

    @classmethod
    def fit(
        cls,
        items: Sequence[Image],
        *,
        source: str,
        size: int | None = None,
        low: float | None = None,
        keep: str = "weights",
        download: bool = False,
        seed: int = 0,
        folder: str | Path | None = None,
        progress: bool = True,
    ) -> Self:
        """Opens it, for recipes: nothing is learned, and ``items``, ``seed`` and the others are accepted and not used.

        Args:
            items: not looked at.
            source: see :meth:`open`, as for ``keep`` and ``download``.
            size: see :class:`PublishedPictureConfig`, as for ``low``.
        """
        return cls.open(source, keep=keep, download=download, size=size, low=low)
