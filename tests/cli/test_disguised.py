"""Files that are not what their ending says: pointers, pages, nothing at all, other formats."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tokenmask.cli.sources import items
from tokenmask.medium import load_media
from tokenmask.tokenizer import load_tokenizer_class

POINTER = (
    "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1\nsize 12345\n"
)
MEDIA = {"image": ".png", "audio": ".wav", "motion": ".bvh", "eeg": ".edf", "video": ".mp4", "text": ".txt"}
FETCH = r"must hold its content, but is a pointer of Git LFS; fetch it with `git lfs pull`"


def doors(modality: str) -> list[Callable[[Path], Any]]:
    """What reads a file: commands, and whoever has the class."""
    kind = load_tokenizer_class(modality).media
    return [partial(load_media, kind), kind.load]


def test_words_may_be_a_page(tmp_path: Path) -> None:
    (path := tmp_path / "a.txt").write_bytes(b"<html>\xff")
    for door in doors("text"):
        with pytest.raises(ValueError, match=r"a\.txt must be text in UTF-8"):
            door(path)


@pytest.mark.parametrize("modality", MEDIA)
def test_a_pointer_of_git_lfs_is_no_content(modality: str, tmp_path: Path) -> None:
    """A caption would be read without a word: its pointer is text."""
    (path := tmp_path / f"a{MEDIA[modality]}").write_text(POINTER)
    for door in doors(modality):
        with pytest.raises(ValueError, match=rf"a\{MEDIA[modality]} {FETCH}"):
            door(path)


@pytest.mark.parametrize("name", ["m.csv", "m.jsonl", "m.tsv"])
def test_a_manifest_that_is_a_pointer(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(POINTER)
    with pytest.raises(ValueError, match=FETCH):
        items([tmp_path / name], {"text": "text"})


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "nothing, it has no bytes; copy it again"),
        (b"\n<!DOCTYPE html><html>404</html>", "a page of HTML, as servers send in place of a file; fetch it again"),
        (b"<HTML>Sign in", "a page of HTML, as servers send in place of a file; fetch it again"),
        (b"\0\0\0\x18ftypheic" + bytes(50), "HEIC; convert it to PNG or JPEG"),
        (b"\0\0\0\x20ftypM4A " + bytes(50), "MPEG-4 sound; convert it, with ffmpeg -i FILE new.wav"),
        (b"\0\0\0\x20ftypdash" + bytes(50), "MPEG-4, a film or sound; convert it, with ffmpeg -i FILE new.wav"),
        (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11" + bytes(50), "ASF, as WMA and WMV are; convert it"),
        (b"\x0b\x77" + bytes(50), "AC-3; convert it"),
        (b"\x1aE\xdf\xa3" + bytes(50), "Matroska or WebM; convert it, with ffmpeg -i FILE new.wav"),
        (b"%PDF-1.7\n" + bytes(50), "a PDF document; export its pages as pictures"),
        (b'<?xml version="1.0"?>\n<svg xmlns="x">', "SVG, which is lines and no pixels; export it as PNG"),
        (
            b'<?xml version="1.0"?><Error><Code>AccessDenied',
            "XML, as servers answer in place of a file; fetch it again",
        ),
        (b'{"message": "not found"}', "JSON, as servers answer in place of a file; fetch it again"),
        (b"\x1f\x8b\x08" + bytes(50), "packed by gzip; unpack it"),
        (b"PK\3\4" + bytes(50), "a zip archive; unpack it"),
    ],
)
@pytest.mark.parametrize("modality", ["image", "audio", "motion", "eeg"])
def test_what_a_file_is_instead_is_said(modality: str, content: bytes, told: str, tmp_path: Path) -> None:
    (path := tmp_path / f"a{MEDIA[modality]}").write_bytes(content)
    for door in doors(modality):
        with pytest.raises(ValueError, match=rf"a\{MEDIA[modality]} must be what its ending says, but is {told}"):
            door(path)


@pytest.mark.parametrize(
    ("modality", "name", "content"),
    [
        ("eeg", "a.npz", b"PK\3\4"),
        ("image", "a.avif", b"\0\0\0\x20ftypavif"),
        ("video", "a.mp4", b"\0\0\0\x20ftypisom"),
        ("video", "a.mkv", b"\x1a\x45\xdf\xa3"),
    ],
)
def test_damaged_files_that_are_what_their_ending_says(
    modality: str, name: str, content: bytes, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content + bytes(50))
    with pytest.raises(ValueError, match=r"a\.\w+ must be a whole \w+"):
        load_media(load_tokenizer_class(modality).media, tmp_path / name)


def test_other_damage_keeps_its_sentence(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    with pytest.raises(ValueError, match=r"a\.png must be a whole image file, but cannot be read"):
        load_media(load_tokenizer_class("image").media, tmp_path / "a.png")


@pytest.mark.parametrize(
    ("named", "file", "begin", "why"),
    [
        ("eeg=shipped", "x.vhdr", b"BrainVision Data Exchange Header File", "export it as EDF"),
        ("audio=shipped", "x.m4a", b"\0\0\0\x20ftypM4A ", "is MPEG-4 sound"),
    ],
)
def test_a_file_of_another_ending_meets_the_reader(
    named: str, file: str, begin: bytes, why: str, tmp_path: Path, call: Any, capsys: Any
) -> None:
    """And is no source of records, whatever the name before the tokenizer."""
    (tmp_path / file).write_bytes(begin + bytes(50))
    assert call("encode", tmp_path / file, "--tokenizer", named, "--out", tmp_path / "out") == 2
    assert why in capsys.readouterr().err
