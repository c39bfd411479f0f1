"""Formats whose readers are fed damaged files: of our own, of media, of folders as other people lay them out."""

from tests.faults.formats import films, folders, media, ours, recordings
from tests.faults.formats.format import Format, reason_of

FORMATS: dict[str, Format] = {**ours.FORMATS, **media.FORMATS, **recordings.FORMATS, **films.FORMATS, **folders.FORMATS}

__all__ = ["FORMATS", "Format", "reason_of"]
