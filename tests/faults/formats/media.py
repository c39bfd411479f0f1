"""Formats of pictures and sounds, also joined, of great depth and of rare kinds."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.faults.formats.format import Format, media

IMAGE, SOUND = media("image", "Image"), media("audio", "AudioClip")


def _tone(samples: int = 4000, hz: float = 480) -> Any:
    import numpy as np

    return 0.3 * np.sin(2 * np.pi * hz * np.arange(samples) / 8000)


def _sound(suffix: str) -> Callable[[Path], Path]:
    """As we write it, in stereo."""

    def make(folder: Path) -> Path:
        import torch

        from tokenmask.modalities.audio import AudioClip

        samples = torch.from_numpy(_tone()).float()[None].expand(2, -1).contiguous()
        AudioClip(samples, 8000).save(folder / f"a.{suffix}")
        return folder / f"a.{suffix}"

    return make


def _written(
    suffix: str, form: str, subtype: str, parts: int = 1, before: bytes = b"", samples: int = 2000, **options: Any
) -> Format:
    """As libsndfile writes it: one stream, or several that follow each other."""

    def make(folder: Path) -> Path:
        import soundfile

        data = before
        for part in range(parts):
            held = io.BytesIO()
            soundfile.write(held, _tone(samples, 300 + 200 * part), 8000, format=form, subtype=subtype, **options)
            data += held.getvalue()
        (folder / f"a.{suffix}").write_bytes(data)
        return folder / f"a.{suffix}"

    return Format(make, SOUND)


def _picture(suffix: str, **options: Any) -> Format:
    def make(folder: Path) -> Path:
        import numpy as np
        from PIL import Image as Picture

        draw = np.random.default_rng(0)
        frames = [Picture.fromarray(draw.integers(0, 256, (24, 32, 3), np.uint8)) for _ in range(3)]
        more = {"save_all": True, "append_images": frames[1:]} if suffix in ("apng", "mpo") else {}
        kind = {"apng": "PNG"}.get(suffix)
        frames[0].save(folder / f"a.{suffix}", kind, **options, **more)
        return folder / f"a.{suffix}"

    return Format(make, IMAGE)


def _deep(suffix: str, mode: str, **options: Any) -> Format:
    """Grey pictures of 16 bits (I;16), or of floats of 32 (F)."""

    def make(folder: Path) -> Path:
        import numpy as np
        from PIL import Image as Picture

        ramp = np.linspace(0, 1, 24 * 32).reshape(24, 32)
        values = {"I;16": (65535 * ramp).astype(np.uint16), "F": ramp.astype(np.float32)}[mode]
        Picture.fromarray(values).save(folder / f"a.{suffix}", **options)
        return folder / f"a.{suffix}"

    return Format(make, IMAGE)


ID3 = b"ID3\x04\x00\x00\x00\x00\x00\x14" + b"TIT2\x00\x00\x00\x05\x00\x00\x00tone".ljust(20, b"\0")
FORMATS = {
    "png": _picture("png"),
    "png of 16 bits": _deep("png", "I;16"),
    "apng": _picture("apng"),
    "jpeg": _picture("jpg"),
    "mpo": _picture("mpo"),
    "webp": _picture("webp", lossless=True),
    "avif": _picture("avif"),
    "jpeg 2000": _picture("jp2"),
    "bmp": _picture("bmp"),
    "tga": _picture("tga", compression="tga_rle"),
    "ppm": _picture("ppm"),
    "tiff": _picture("tiff", compression="tiff_lzw"),
    "tiff of floats": _deep("tiff", "F"),
    "wav": Format(_sound("wav"), SOUND),
    "flac": Format(_sound("flac"), SOUND),
    "ogg": Format(_sound("ogg"), SOUND),
    "wav of floats, joined": _written("wav", "WAV", "FLOAT", parts=2),
    "rifx": _written("wav", "WAV", "PCM_16", endian="BIG"),
    "rf64": _written("rf64", "RF64", "PCM_16"),
    "wave64": _written("w64", "W64", "PCM_16"),
    "aiff": _written("aiff", "AIFF", "PCM_24"),
    "au": _written("au", "AU", "ULAW", samples=100),
    "caf": _written("caf", "CAF", "PCM_16"),
    "ogg of three streams": _written("ogg", "OGG", "VORBIS", parts=3),
    "opus of two streams": _written("opus", "OGG", "OPUS", parts=2),
    "mp3 of two streams": _written("mp3", "MP3", "MPEG_LAYER_III", parts=2),
    "flac behind ID3": _written("flac", "FLAC", "PCM_16", parts=2, before=ID3),
}
