"""Wire: media in JSON and out as files.

Arrow: words, {"base64", "ending"} --**Wire.media**--> media; media --**file_of**--> bytes. Does not know: HTTP, queues.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenmask.files import passing_files
from tokenmask.medium import said
from tokenmask.play.limits import check_media, inside
from tokenmask.run import Run
from tokenmask.serving.limits import Refused
from tokenmask.streams import TokenStream

_MOST_TOLD, _LONGEST_TOLD = 10, 500  # sentences, and letters of one
CODES = ".tokens"  # the ending of a file of codes, of any stream
TYPES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".wav": "audio/wav",
    ".flac": "audio/flac",
    ".txt": "text/plain; charset=utf-8",
}


@dataclass(frozen=True)
class Wire:
    """What the streams of a run look like in a request.

    Args:
        run: whose streams they are.
        folder: for files while they are read and written.
    """

    run: Run
    folder: Path

    def given(self, values: Mapping[str, Any] | None) -> dict[str, Any]:
        """What is given of each stream, as media or codes.

        Raises:
            ValueError, TypeError: see :meth:`media`.
        """
        return {name: self.media(name, value) for name, value in (values or {}).items()}

    def media(self, name: str, value: Any) -> Any:
        """Words, or {"base64": the bytes of a file, "ending": ".wav"} -> media, or a TokenStream of a file of codes.

        Raises:
            ValueError: neither, a file that cannot be read, or more than the limits.
        """
        self.run.inputs.check(name)
        kind: Any = self.run.tokenizers[name].media
        if isinstance(value, str) and said(kind, "words"):
            check_media(name, kind(value))
            return kind(value)
        if not (isinstance(value, Mapping) and set(value) == {"base64", "ending"}):
            what = "words" if said(kind, "words") else "a file"
            raise ValueError(
                f'{name} is given as {what}, or as {{"base64": ..., "ending": ...}} of a file, got '
                f"{str(value)[:60]!r}; write one of these"
            )
        ending, endings = str(value["ending"]).lower(), (*said(kind, "suffixes"), CODES)
        if ending not in endings:
            raise ValueError(f"a file of {name} ends in one of {', '.join(endings)}, got {ending!r}; name its ending")
        with tempfile.TemporaryDirectory(dir=self.folder) as place:
            path = Path(place) / f"{name}{ending}"
            try:
                path.write_bytes(base64.b64decode(value["base64"], validate=True))
            except (binascii.Error, TypeError, ValueError) as error:
                raise ValueError(f"base64 of {name} must be the bytes of a file ({error}); encode it again") from error
            try:
                if ending == CODES:
                    return _checked(TokenStream.load(path), self.run, name)
                media = self.run.inputs.media(name, inside(self.folder, path))
            except ValueError as error:  # who asked knows no folder of this machine
                raise ValueError(str(error).replace(f"{path.parent}{os.sep}", "")) from error
        check_media(name, media)
        return media

    def ending(self, name: str, asked: str | None) -> str:
        """The ending of the files of a stream: what is asked for, else its usual one.

        Raises:
            ValueError: one that cannot be written.
        """
        kind: Any = self.run.tokenizers[name].media
        endings = (*said(kind, "written_suffixes"), CODES)
        if asked is not None and asked.lower() not in endings:
            raise ValueError(f"{name} is written as one of {', '.join(endings)}, got {asked!r}; name one of these")
        return str(asked.lower() if asked is not None else endings[0])

    def warnings(self, told: Sequence[str]) -> list[str]:
        """What is told of a request, each sentence once, without folders of this machine, in a header's length."""
        folder = re.compile(re.escape(f"{self.folder}{os.sep}") + rf"(?:[^{os.sep}\s]*{os.sep})*")
        sentences = list(dict.fromkeys(folder.sub("", one) for one in told))
        kept = [one if len(one) <= _LONGEST_TOLD else f"{one[:_LONGEST_TOLD]} ..." for one in sentences[:_MOST_TOLD]]
        more = len(sentences) - len(kept)
        return [*kept, f"{more} more"] if more else kept

    def file_of(self, media: Any, ending: str) -> bytes:
        """The bytes of the file that media, or their codes, are saved as."""
        path = self.folder / f"{uuid.uuid4().hex}{ending}"
        try:
            with passing_files():
                (media.stream if ending == CODES else media).save(path)
            return path.read_bytes()
        finally:
            path.unlink(missing_ok=True)


def _checked(codes: TokenStream, run: Run, name: str) -> TokenStream:
    if codes.spec != run.layout.streams[name]:
        raise ValueError(f"codes of {name} must be of this run's tokenizer, got others; encode the media again")
    return codes


def type_of(ending: str) -> str:
    """The content type of a file."""
    return TYPES.get(ending, "application/octet-stream")


def as_json(files: list[bytes], ending: str) -> dict[str, Any]:
    """Several files as one object."""
    return {"samples": [{"ending": ending, "base64": base64.b64encode(one).decode()} for one in files]}


def refused(error: Exception) -> Refused:
    """What a person who asked wrongly is told; a mistake of this program is not theirs, and says less."""
    if isinstance(error, Refused):
        return error
    if isinstance(error, ValueError | TypeError):
        return Refused(400, " ".join(str(error).split()))
    if isinstance(error, MemoryError):
        return Refused(503, "there is not enough memory for this now; ask for less, or later")
    return Refused(500, f"the server failed ({type(error).__name__}); its own output says more")
