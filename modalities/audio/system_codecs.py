"""Speech codecs of the system as tokenizers: Codec 2 and LPCNet, where the library libcodec2 is installed.

Arrow: AudioClip --encode--> TokenStream [time, level], a level for each field of the codec's frame, and back.
Does not know: shared ids, models, other modalities. Nothing is vendored: the library is found through ctypes, and what
needs it says in one sentence when it, or a codec in it, is absent.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import math
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from tokenmask.modalities.audio.codec_frames import CODEC2_MODES, LPCNET_MODES, Frame
from tokenmask.modalities.audio.joining import joined
from tokenmask.modalities.audio.judging import judged
from tokenmask.modalities.audio.media import AudioClip
from tokenmask.modalities.audio.telling import tell_changes
from tokenmask.modalities.keeping import kept
from tokenmask.modalities.windows import cut
from tokenmask.stored_tokenizer import FolderTokenizer
from tokenmask.streams import StreamSpec, TokenStream
from tokenmask.tokenizer import check_media, check_stream, fingerprint


@dataclass(frozen=True)
class SystemCodecConfig:
    """Which codec.

    Args:
        mode: of the codec.
        library_version: of the library file, "1.0" for libcodec2.so.1.0; other versions may code otherwise.
    """

    mode: str
    library_version: str


class SystemCodec(FolderTokenizer):
    """A codec of libcodec2 as a tokenizer; see :class:`tokenmask.tokenizer.Tokenizer`.

    Every field of the codec's frame is a level, in the order of the frame; spare bits are dropped and written as zeros.
    Fields that are stages of one vector quantiser are a group of levels, coarse to fine.

    Channels are averaged and other rates resampled. A clip of n samples at the codec's rate gives
    ceil((n + delay) / samples of a frame) frames, and decoding takes the delay off, so that decoded sound is where the
    original's was. Each clip goes through a process of its own, because the library keeps state from one to the next.

    The codecs look back as far as they like (pitch tracking, prediction), so pieces do not have the codes of the whole.
    """

    config_class: ClassVar[type] = SystemCodecConfig
    media: ClassVar[type] = AudioClip
    continues: ClassVar[bool] = True
    context_seconds: ClassVar[float | None] = None
    modes: ClassVar[dict[str, Frame]]
    symbols: ClassVar[tuple[str, ...]]
    """Functions that the library must have."""

    def __init__(self, mode: str, library: str | Path | None = None) -> None:
        """Args:
        mode: one of ``modes``.
        library: path of the library, None to look for libcodec2 where the system keeps libraries.

        Raises:
            ValueError: an unknown mode, or a library whose frames differ from those known here.
            ImportError: no library, or one without this codec.
        """
        if mode not in self.modes:
            raise ValueError(f"mode of {type(self).__name__} must be one of {', '.join(self.modes)}, got {mode!r}")
        self._library, version = find_library(self.name, self.symbols, library)
        self.config, self.frame = SystemCodecConfig(mode, version), self.modes[mode]
        own = f"{self.frame.samples} {self.frame.bits}"
        sizes = self._run("tell_sizes", b"").decode()
        if sizes != own:
            raise ValueError(
                f"frames of {self.name} {mode} must have {own} samples and bits, but {self._library} says {sizes}; "
                "use another version of the library"
            )
        about = {"tokenizer": self.name, "mode": mode, "library_version": version}
        self._spec = StreamSpec(
            "audio",
            tuple(self.frame.levels.values()),
            ("time",),
            rate_hz=self.frame.sample_rate_hz / self.frame.samples,
            level_groups=self.frame.groups,
            fingerprint=fingerprint(about),
        )

    def encode(self, media: AudioClip) -> TokenStream:
        """The codes of a clip; see :meth:`encode_many`."""
        return self.encode_many([media])[0]

    def encode_many(self, items: Sequence[AudioClip]) -> list[TokenStream]:
        """The codes of many clips.

        Returns:
            Streams of codes int32 [frames, fields].

        Raises:
            TypeError: not an AudioClip.
        """
        for item in items:
            check_media(self, item)
        for item in items:
            tell_changes(item, self.frame.sample_rate_hz, f"this {type(self).__name__}")
        return [self._encoded(self._prepared(item)) for item in items]

    def _encoded(self, samples: Tensor) -> TokenStream:
        frame = self.frame
        count = math.ceil((len(samples) + frame.delay_samples) / frame.samples)
        whole = (cut(samples, 0, count * frame.samples) * 32768).round().clamp(-32768, 32767).to(torch.int16)
        raw = torch.frombuffer(bytearray(self._run("encode", whole.numpy().tobytes())), dtype=torch.uint8)
        rows = raw.view(count, -1)
        if rows.shape[1] != frame.bits:  # packed into bytes, the first bit on top
            rows = ((rows[:, :, None] >> torch.arange(7, -1, -1, dtype=torch.uint8)) & 1).flatten(1)[:, : frame.bits]
        return TokenStream(self._spec, frame.codes(rows))

    def decode(self, stream: TokenStream, *, given: AudioClip | None = None, keep: Tensor | None = None) -> AudioClip:
        """The sound of any codes.

        Args:
            stream: codes of this tokenizer, at least as many frames as the delay takes.
            given: the clip that kept parts come from, of any rate and channels.
            keep: bool [frames] or bool [samples of the result], what is copied from ``given``.

        Returns:
            An AudioClip of one channel and frames * (samples of a frame) - delay samples that keeps the stream; with
            ``given`` one of its rate, channels and length, or longer where the stream is.

        Raises:
            TypeError: ``given`` is no AudioClip.
            ValueError: the codes of another tokenizer; too few frames; only one of given and keep; a keep of another
                shape.
        """
        check_stream(self, stream)
        frame, frames = self.frame, len(stream.codes)
        least = frame.delay_samples // frame.samples + 1
        if frames < least:
            raise ValueError(f"{self.name} decodes streams of {least} frame(s) or more, got {frames}; lengthen it")
        bits = frame.pack(stream.codes)
        if self.name == "codec2":
            padded = torch.nn.functional.pad(bits, (0, -frame.bits % 8)).view(frames, -1, 8)
            bits = (padded << torch.arange(7, -1, -1, dtype=torch.uint8)).sum(2).to(torch.uint8)
        raw = torch.frombuffer(bytearray(self._run("decode", bits.numpy().tobytes())), dtype=torch.int16)
        samples = raw[frame.delay_samples :].float() / 32768
        made, pair = AudioClip(samples[None], frame.sample_rate_hz, stream), kept(given, keep)
        if pair is None:
            return made
        check_media(self, pair[0])
        return joined(made, *pair, fade_seconds=0.0)

    def evaluate(self, items: Sequence[AudioClip], train_items: Sequence[AudioClip] = ()) -> dict[str, float]:
        """How well clips are coded, without spare bits; see :func:`tokenmask.modalities.audio.judging.judged`."""
        return judged(self, items, train_items)

    @classmethod
    def load(cls, folder: str | Path, library: str | Path | None = None, **others: Any) -> Self:
        """Reads what :meth:`save` wrote, ``tokenizer.json`` alone; the codec stays where it is installed.

        Raises:
            ValueError: a damaged folder, or a library of another version than the one that made it.
            ImportError: no library, or one without this codec.
        """
        return super().load(folder, library=library, **others)

    @classmethod
    def read_files(
        cls, config: SystemCodecConfig, folder: Path, identity: str, library: str | Path | None = None, **others: Any
    ) -> Self:
        """With the library of the system, or the one named; ``library`` as for a new one."""
        tokenizer = cls(config.mode, library)
        if tokenizer.config.library_version != config.library_version:
            raise ValueError(
                f"{folder} was made with version {config.library_version} of {tokenizer._library}, but version "
                f"{tokenizer.config.library_version} is installed; install that one or encode anew"
            )
        return tokenizer

    def _prepared(self, clip: AudioClip) -> Tensor:
        """float32 [time] at the codec's rate."""
        return clip.mono().resample(self.frame.sample_rate_hz).samples[0]

    def _run(self, direction: str, given: bytes) -> bytes:
        """What ``codec_process.py`` makes of the given bytes."""
        script = Path(__file__).with_name("codec_process.py")
        options = [self._library, self.name, str(self.frame.number), direction]
        done = subprocess.run([sys.executable, "-I", "-S", str(script), *options], input=given, capture_output=True)
        if done.returncode:
            told = done.stderr.decode(errors="replace").split("\n")
            reason = next((line for line in reversed(told) if line.strip()), f"exit status {done.returncode}")
            raise OSError(f"{self.name} of {self._library} failed to {direction} ({reason}); reinstall it")
        return done.stdout


class Codec2Tokenizer(SystemCodec):
    """Codec 2, a vocoder of 700 to 3200 bit/s at 8 kHz; see :class:`SystemCodec` and ``CODEC2_MODES``."""

    name: ClassVar[str] = "codec2"
    modes: ClassVar[dict[str, Frame]] = CODEC2_MODES
    symbols: ClassVar[tuple[str, ...]] = ("codec2_create", "codec2_encode", "codec2_decode")

    def __init__(self, mode: str = "1300", library: str | Path | None = None) -> None:
        super().__init__(mode, library)


class LpcnetTokenizer(SystemCodec):
    """LPCNet, a vocoder with a synthesis network, 1733 bit/s at 16 kHz; see :class:`SystemCodec` and ``LPCNET_MODES``.

    "direct" suits masked modelling: a frame that is replaced does not change what the next ones mean. Decoding takes
    about half as long as the sound.
    """

    name: ClassVar[str] = "lpcnet"
    modes: ClassVar[dict[str, Frame]] = LPCNET_MODES
    symbols: ClassVar[tuple[str, ...]] = ("lpcnet_freedv_create", "lpcnet_enc", "lpcnet_dec")

    def __init__(self, mode: str = "direct", library: str | Path | None = None) -> None:
        super().__init__(mode, library)


def find_library(codec: str, symbols: Sequence[str], path: str | Path | None = None) -> tuple[str, str]:
    """A library that has a codec.

    Args:
        codec: for messages.
        symbols: functions that it must have.
        path: of the library, None to look for libcodec2 where the system keeps libraries.

    Returns:
        (name or path to open it by, version in its file name).

    Raises:
        ImportError: in one sentence, when there is none, or it lacks a function.
    """
    need, install = f"{codec} needs the system library libcodec2", "install it (Debian: libcodec2-1.0) or pass its path"
    name = str(path) if path is not None else ctypes.util.find_library("codec2")
    if name is None:
        raise ImportError(f"{need}, but none was found; {install}")
    try:
        library: Any = ctypes.CDLL(name)
    except OSError as error:
        raise ImportError(f"{need}, but it cannot be opened ({error}); {install}") from error
    missing = [symbol for symbol in symbols if not hasattr(library, symbol)]
    if missing:
        raise ImportError(f"{need}, built with {codec}, but {name} has no {missing[0]}; {install}")
    version = re.search(r"\.so\.(\d[\d.]*)$", str(Path(name).resolve()) if Path(name).exists() else name)
    if version is None:
        raise ImportError(f"{need} under a name with its version (libcodec2.so.1.0), got {name}; {install}")
    return name, version[1]
