"""Pictures: pixels in 8-bit sRGB, and the files they come from.

Arrow: .png, .jpg, .webp and what else Pillow reads --Image.load--> Image. Does not know: codes, networks.
"""

from __future__ import annotations

import contextlib
import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from tokenmask.arguments import path_of, tensor_of, whole
from tokenmask.as_array import AsArray
from tokenmask.files import writing_atomically
from tokenmask.medium import Medium, knowing_others
from tokenmask.modalities.image.chunks import (
    colours_told,
    extra_bands,
    has_signed_bytes,
    spare_bytes,
    white_is_zero,
)
from tokenmask.modalities.image.damage import doubts_of
from tokenmask.modalities.image.deep import double_floats, load_deep, nearest, white_of
from tokenmask.modalities.image.jpeg import load_jpeg
from tokenmask.modalities.image.unread import no_picture
from tokenmask.modalities.image.warned import warned_of
from tokenmask.modalities.overheard import in_words, overheard
from tokenmask.modalities.riddles import Unfit, in_our_words
from tokenmask.streams import TokenStream
from tokenmask.telling import tell

MAX_PIXELS = 1 << 26
MOVING = (".gif", ".webp", ".apng")  # pictures, or films if they move
_BEYOND_WHITE = 16.0  # floats up to less may be light with 1 as white, or a dark picture with 255 as white
_TRANSPARENT = ("PNG", "WEBP", "TIFF", "AVIF", "JPEG2000", "TGA")
_ROUNDED = 2  # of 255: by so much tables of sRGB curves differ from each other


@dataclass(frozen=True, eq=False)
class Image(Medium, AsArray):
    """A picture in 8-bit sRGB.

    Args:
        pixels: uint8 [height, width, 3], red, green, blue; a NumPy array is taken likewise.
        stream: the codes it was generated from, if it was; does not count in comparisons.
        source: the file it was read from, for messages; does not count either.
        rgba: uint8 [height, width, 4], the same picture before it was laid on white, where some of it is transparent:
            an edit keeps it outside of what is made anew, and what is saved has it again. Does not count either.
    """

    written_suffixes: ClassVar[tuple[str, ...]] = (
        *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".avif", ".bmp", ".gif", ".tif", ".tiff"),
        *(".jp2", ".ppm", ".tga"),
    )
    """Endings that can be written; the first if none is asked for."""

    suffixes: ClassVar[tuple[str, ...]] = (*written_suffixes, ".apng", ".j2k", ".mpo", ".pgm", ".pbm", ".pnm", ".qoi")
    """Endings that are looked for in folders."""

    arrays: ClassVar[str] = "uint8 [height, width, 3]"
    view: ClassVar[str] = "tokenmask.report.views.pictures:Pictures"
    array_field: ClassVar[str] = "pixels"

    pixels: Tensor
    stream: TokenStream | None = field(default=None, repr=False)
    source: str = field(default="", repr=False)
    rgba: Tensor | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if isinstance(self.pixels, np.ndarray):
            object.__setattr__(self, "pixels", tensor_of("pixels of an Image", self.pixels))
        if not isinstance(self.pixels, torch.Tensor):
            got = type(self.pixels).__name__
            raise TypeError(f"pixels of an Image must be a tensor or an array, got {got}; a file is read by Image.load")
        shape = self.pixels.shape
        if self.pixels.dtype != torch.uint8 or len(shape) != 3 or shape[2] != 3 or not self.pixels.numel():
            advice = "scale floats, stack grey thrice"
            if len(shape) == 3 and shape[0] == 3:
                advice = "move colours to the end, permute(1, 2, 0), and scale floats"
            raise ValueError(
                f"pixels of an Image must be {self.arrays}, got "
                f"{str(self.pixels.dtype).removeprefix('torch.')} {list(shape)}; {advice}"
            )
        rgba, wanted = self.rgba, (*shape[:2], 4)
        if rgba is not None and (rgba.dtype != torch.uint8 or tuple(rgba.shape) != wanted):
            got = f"{str(rgba.dtype).removeprefix('torch.')} {list(rgba.shape)}"
            raise ValueError(f"rgba of an Image must be uint8 {list(wanted)}, got {got}; leave it out")

    def __eq__(self, other: object) -> bool:
        return torch.equal(self.pixels, other.pixels) if isinstance(other, Image) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Image({self.pixels.shape[1]} x {self.pixels.shape[0]} pixels)"

    @classmethod
    def from_pillow(cls, picture: Any) -> Self:
        """Takes a ``PIL.Image``: turned as its EXIF says, brought from its colour profile to sRGB (relative
        colorimetric), transparency laid on white, and kept beside that in ``rgba``; grey of 16 bits, or of floats from
        0 to 1, becomes 8 bits, and so do floats from 0 to 255, with a warning.

        Raises:
            TypeError: no such picture.
            ValueError: pixels whose black and white are not known: other floats, among them those up to more than 1 and
                less than 16 (light beyond white, or a dark picture), integers of 32 bits or with a sign.
        """
        from PIL import Image as pillow
        from PIL import ImageOps

        if not isinstance(picture, pillow.Image):
            raise TypeError(f"from_pillow takes a PIL.Image, got a {type(picture).__name__}; use Image for an array")
        profile, name = picture.info.get("icc_profile"), str(getattr(picture, "filename", ""))
        signed = picture.mode == "I" and picture.format == "TIFF"  # unsigned 16 bits are another mode
        if has_signed_bytes(picture):
            raise Unfit("its pixels are integers of 8 bits with a sign, where black and white are not known")
        turned, clear, white = white_is_zero(picture), picture.info.get("transparency"), white_of(picture)
        picture = ImageOps.exif_transpose(picture)
        if picture.mode.startswith("I") or picture.mode == "F":
            picture = _eight_bits(picture, signed, turned, clear, white, name)
        if profile:
            picture = _to_srgb(picture, profile, name)
        elif picture.mode == "CMYK":
            told = f"{name or 'a picture'} is of inks (CMYK) without a colour profile; its colours are guessed"
            tell(told)
        rgba = None
        if picture.has_transparency_data:
            picture = picture.convert("RGBA")
            if picture.getchannel("A").getextrema()[0] < 255:
                rgba = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8)
                rgba = rgba.view(picture.height, picture.width, 4)
            if name and not picture.getchannel("A").getextrema()[1]:
                tell(f"{name} is transparent throughout and becomes white")
            picture = pillow.alpha_composite(pillow.new("RGBA", picture.size, "white"), picture)
        picture = picture.convert("RGB")
        data = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8)
        return cls(data.view(picture.height, picture.width, 3), rgba=rgba)

    @classmethod
    def of(cls, value: Any) -> Self | None:
        """Of a ``PIL.Image``, or of an array or a tensor, uint8 [height, width, 3]."""
        from PIL import Image as pillow

        if isinstance(value, pillow.Image):
            return cls.from_pillow(value)
        if not isinstance(value, np.ndarray | Tensor) or value.ndim != 3 or value.shape[2] != 3:
            return None
        pixels = tensor_of("pixels of an Image", value)
        return cls(pixels.clone()) if pixels.dtype == torch.uint8 else None

    def to_pillow(self) -> Any:
        """The same picture as a ``PIL.Image`` of mode RGB."""
        from PIL import Image as pillow

        return pillow.fromarray(self.pixels.contiguous().cpu().numpy())

    @classmethod
    @knowing_others
    def load(cls, path: str | Path) -> Self:
        """Reads PNG, JPEG, WebP and what else Pillow knows; the first frame of a film.

        Colours that a PNG file names by gAMA, cHRM or cICP are brought to sRGB as those of a profile; of cICP not those
        of television and HDR, which is a warning.

        Raises:
            ValueError: no such file, no picture, cut short, or more than 2**26 pixels.
        """
        from PIL import Image as pillow

        if not path_of("path of an image", path).is_file():
            raise ValueError(f"an image is read from a file, but {path} is none; check the path")
        image: Self | None = None
        lines: list[str] = []
        heard = (
            overheard() if Path(path).suffix.lower() in (".tif", ".tiff") else contextlib.nullcontext(lines)
        )  # libtiff prints
        try:
            with warned_of(path), heard as lines, _long_texts(), double_floats(), pillow.open(path) as picture:
                width, height = picture.size
                if width * height <= MAX_PIXELS:
                    spare = spare_bytes(picture, path)
                    jpeg = picture.format in ("JPEG", "MPO")
                    doubts = load_jpeg(path, picture) if jpeg else ""
                    load_deep(picture, path)
                    made, told = colours_told(path)
                    if made and picture.mode != "1":  # black and white are the same in all of them
                        picture.info["icc_profile"] = made
                    doubts = doubts or doubts_of(path, picture)
                    image = replace(cls.from_pillow(picture), source=str(path))
                    if doubts:
                        tell(f"{path} may be damaged ({doubts}): look at it, or export it again")
                    if told:
                        tell(
                            f"{path} says that its colours are no sRGB ({', '.join(told)}), but is taken as sRGB: "
                            "convert it"
                        )
                    if extra := extra_bands(picture) + spare:
                        tell(f"{path} has {extra} band(s) beside its colours, which are left out")
                    if others := _others(picture):
                        tell(f"{path} has {others + 1} frames or pages; the first is taken")
        except (
            OSError,
            SyntaxError,
            ValueError,
            TypeError,  # of a page of TIFF without dimensions
            EOFError,
            RuntimeError,  # of libavif
            MemoryError,  # of a decoder that believes in what is announced
            struct.error,
            pillow.DecompressionBombError,
        ) as error:
            raise ValueError(no_picture(path, error, MAX_PIXELS, in_words(lines))) from error
        if image is not None:
            if lines:
                tell(f"{path} is damaged: {in_words(lines)}")
            return image
        raise ValueError(
            f"an image may have up to {MAX_PIXELS} pixels, but {path} is {width} x {height}; shrink it first"
        )

    @classmethod
    def claims(cls, path: str | Path) -> float:
        """Half of a picture that moves: its first frame is a picture, all of it is a film."""
        return 0.5 if moves(path) else 1.0

    def save(self, path: str | Path) -> None:
        """Writes the format that the file's suffix names, atomically; .png loses nothing.

        What is transparent stays so in formats that have it: PNG, WebP, TIFF, AVIF, JPEG 2000 and TGA.

        Raises:
            ValueError: a suffix that names no format that can be written.
        """
        from PIL import Image as pillow

        kind = pillow.registered_extensions().get(path_of("path of an image", path).suffix.lower())
        if kind not in pillow.SAVE:
            raise ValueError(
                "an image file must end in .png, .jpg, .webp or what else Pillow writes, got "
                f"{Path(path).name!r}; rename it"
            )
        picture = self.to_pillow()
        if self.rgba is not None and kind in _TRANSPARENT:
            picture = pillow.fromarray(self.rgba.contiguous().cpu().numpy())
        with writing_atomically(path) as partial:
            picture.save(partial, format=kind)

    def resize(self, height: int, width: int) -> Image:
        """Another size, sides may stretch: interpolated, or averaged over what a pixel of a smaller one covers."""
        from PIL import Image as pillow

        height, width = whole("height of an image", height), whole("width of an image", width)
        if tuple(self.pixels.shape[:2]) == (height, width):
            return Image(self.pixels)
        return Image.from_pillow(self.to_pillow().resize((width, height), pillow.Resampling.BILINEAR))


@contextlib.contextmanager
def _long_texts() -> Iterator[None]:
    """While open, a text within a PNG file may be as long as all of them together: programs that draw pictures keep
    their whole settings there, and Pillow refuses what is longer than 1 MB."""
    from PIL import PngImagePlugin

    before = PngImagePlugin.MAX_TEXT_CHUNK
    PngImagePlugin.MAX_TEXT_CHUNK = max(before, PngImagePlugin.MAX_TEXT_MEMORY)
    try:
        yield
    finally:
        PngImagePlugin.MAX_TEXT_CHUNK = before


def moves(path: str | Path) -> bool:
    """Whether a picture file has more than one frame; False for one that cannot be read or never has."""
    from PIL import Image as pillow

    if Path(path).suffix.lower() not in MOVING:
        return False
    try:
        with warned_of(path, quiet=True), pillow.open(path) as picture:
            return bool(getattr(picture, "is_animated", False))
    except (
        *(OSError, SyntaxError, ValueError, TypeError, EOFError, MemoryError),
        *(struct.error, pillow.DecompressionBombError),
    ):
        return False


# Kinds of pixels ------------------------------------------------------------------------------------------------------


def _eight_bits(picture: Any, signed: bool, turned: bool, clear: Any, white: int, name: str) -> Any:
    """Grey of 16 bits or floats as grey of 8 bits; ValueError where black and white are not known.

    Floats up to 255 that are all whole, or above what light beyond white reaches in pictures, are 0 to 255.

    Args:
        picture: of mode I or F.
        signed: whether integers may have a sign.
        turned: whether 0 is white.
        clear: the grey of 16 bits that is transparent and becomes white, if it is a number.
        white: the largest grey that integers may have.
        name: of the file.
    """
    from PIL import Image as pillow

    kind, dtype = ("F", torch.float32) if picture.mode == "F" else ("I", torch.int32)
    deep = torch.frombuffer(bytearray(picture.convert(kind).tobytes()), dtype=dtype)
    low, high = float(deep.min()), float(deep.max())  # NaN if any is
    if kind == "F" and 0 <= low <= high <= 1:
        grey = (deep.double() * 255).round()
    elif kind == "F" and 0 <= low <= high <= 255 and (high >= _BEYOND_WHITE or bool((deep == deep.round()).all())):
        tell(
            f"the pixels of {name or 'a picture'} are floats from {low:g} to {high:g} and are taken as 0 (black) "
            "to 255 (white)"
        )
        grey = deep.double().round()
    elif kind == "I" and not signed and 0 <= low <= high <= white:
        if 0 < high * 16 <= white:
            tell(
                f"the brightest pixel of {name or 'a picture'} is {high:.0f} of {white}, so that it is dark; if its "
                f"pixels have fewer bits ({int(high).bit_length()}), scale them"
            )
        grey = nearest(deep.long(), white)
        if isinstance(clear, int):
            grey = grey.masked_fill(deep == clear, 255)
    else:
        held = "floats" if kind == "F" else "integers with a sign or 32 bits"
        raise Unfit(
            f"its pixels are {held} from {low:g} to {high:g}, where 8 or 16 bits or floats from 0 to 1 or "
            "to 255 are known"
        )
    grey = 255 - grey if turned else grey
    return pillow.frombytes("L", picture.size, grey.to(torch.uint8).numpy().tobytes())


def _others(picture: Any) -> int:
    """How many frames or pages come after the first; those beside a photograph (MPO) are previews or maps of it."""
    try:
        return 0 if picture.format == "MPO" else int(getattr(picture, "n_frames", 1)) - 1
    except (OSError, SyntaxError, ValueError, TypeError, EOFError, struct.error):  # the first is whole all the same
        return 0


def _to_srgb(picture: Any, profile: bytes, name: str) -> Any:
    """The colours that the profile means, in sRGB; one that does not fit is said, and the pixels stay."""
    from PIL import ImageCms

    if picture.mode in ("P", "PA", "LA", "La", "RGBa") or picture.has_transparency_data:
        picture = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
    try:
        if picture.mode in ("RGB", "RGBA") and _space(profile) == "GRAY":
            return _grey_to_srgb(picture, profile)
        if picture.mode == "L" and _space(profile) == "RGB":  # a grey is a colour of three equal parts
            picture = picture.convert("RGB")
        transform = _transform(profile, picture.mode)
        return picture if transform is None else ImageCms.applyTransform(picture, transform)
    except (ImageCms.PyCMSError, ValueError, OSError) as error:
        reason = in_our_words(error, (), "it is damaged, or meant for other pixels")
        tell(
            f"the colour profile of {name or 'a picture'} ({picture.mode}, {picture.width} x {picture.height}) cannot "
            f"be used ({reason}); its pixels are taken as sRGB"
        )
        return picture


def _grey_to_srgb(picture: Any, profile: bytes) -> Any:
    """The same for a profile of grey on greys that are held as colours, transparent or not."""
    from PIL import ImageCms

    red, green, blue = (picture.getchannel(letter) for letter in "RGB")
    if not red.tobytes() == green.tobytes() == blue.tobytes():
        raise Unfit("it is one of grey, and the pixels are colours")
    transform = _transform(profile, "L")
    shown: Any = red.convert("RGB") if transform is None else ImageCms.applyTransform(red, transform)
    if picture.mode == "RGBA":
        shown.putalpha(picture.getchannel("A"))
    return shown


def _space(profile: bytes) -> str:
    from PIL import ImageCms

    return str(ImageCms.ImageCmsProfile(io.BytesIO(profile)).profile.xcolor_space).strip()


@lru_cache(maxsize=8)  # frames of a film share one, and so do the pictures of a camera
def _transform(profile: bytes, mode: str) -> Any:
    """Pillow's transform from a profile to sRGB, for pixels of a mode; None where it would only round.

    Whether a profile is sRGB is seen from what it does to colours: names are given to linear and wider ones too.
    """
    from PIL import ImageCms

    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    wanted = "RGBA" if mode == "RGBA" else "RGB"
    transform = ImageCms.buildTransform(
        source, ImageCms.createProfile("sRGB"), mode, wanted, ImageCms.Intent.RELATIVE_COLORIMETRIC
    )
    if mode not in ("RGB", "RGBA", "L"):
        return transform
    colours = _colours(mode)
    picture: Any = ImageCms.applyTransform(colours, transform)
    changed, same = picture.convert("RGB").tobytes(), colours.convert("RGB").tobytes()
    return None if max(abs(one - other) for one, other in zip(changed, same, strict=True)) <= _ROUNDED else transform


@lru_cache(maxsize=4)
def _colours(mode: str) -> Any:
    """A picture of greys and of mixtures of six levels, opaque."""
    from PIL import Image as pillow

    levels = range(0, 256, 51)
    mixed = [(red, green, blue) for red in levels for green in levels for blue in levels]
    colours = [(level, level, level) for level in range(256)] + (mixed if mode != "L" else [])
    picture = pillow.new("RGB", (len(colours), 1))
    picture.putdata(colours)
    return picture.convert(mode)
