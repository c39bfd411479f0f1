"""Pictures: pixels in 8-bit sRGB, and the files they come from.

Arrow: .png, .jpg, .webp and what else Pillow reads --Image.load--> Image. Does not know: codes, networks.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from tokenmask.files import writing_atomically
from tokenmask.streams import TokenStream

MAX_PIXELS = 1 << 26


@dataclass(frozen=True, eq=False)
class Image:
    """A picture in 8-bit sRGB.

    Args:
        pixels: uint8 [height, width, 3], red, green, blue.
        stream: the codes it was generated from, if it was; does not count in comparisons.
    """

    written_suffixes: ClassVar[tuple[str, ...]] = (
        *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".avif", ".bmp", ".gif", ".tif", ".tiff"),
        *(".jp2", ".ppm", ".tga"),
    )
    """Endings that can be written; the first if none is asked for."""

    suffixes: ClassVar[tuple[str, ...]] = (*written_suffixes, ".apng", ".j2k", ".mpo", ".pgm", ".pbm", ".pnm", ".qoi")
    """Endings that are looked for in folders."""

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
