"""What is said of damaged media is in our words: no words of a library, the file's name, and what to do."""

from __future__ import annotations

import random
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as pillow

from tests.faults.formats import FORMATS
from tests.faults.mutations import mutated
from tokenmask.modalities.audio import AudioClip
from tokenmask.modalities.eeg import EegRecording
from tokenmask.modalities.image import Image
from tokenmask.modalities.motion import MotionClip
from tokenmask.modalities.video import VideoClip

THEIRS = re.compile(
    r"SF_INFO|pipe|Error |error|opening|bomb|DOS attack|not processed|could not|cannot identify|convert string"
    r"|invalid literal|base 10|codec can't|Errno|magic|pickle|Truncated|decoder object|NoneType|Traceback"
)
KINDS = {
    **{name: Image for name in ("png", "png of 16 bits", "jpeg", "webp", "avif", "jpeg 2000", "bmp", "tga", "ppm")},
    **{name: AudioClip for name in ("wav", "flac", "ogg", "rf64", "wave64", "aiff", "au", "caf", "mp3 of two streams")},
    **{"gif": VideoClip, "animated webp": VideoClip, "bvh": MotionClip, "npz": EegRecording, "edf": EegRecording},
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", KINDS)
def test_sentences_on_damage_are_ours(name: str, tmp_path: Path) -> None:
    path = FORMATS[name].make(tmp_path)
    whole, draw, refused = path.read_bytes(), random.Random(name), 0
    for _ in range(25):
        path.write_bytes(mutated(whole, draw))
        try:
            FORMATS[name].read(path)
        except ValueError as error:
            refused += 1
            said = str(error)
            assert not THEIRS.search(re.sub(r"'[^']*'|\"[^\"]*\"", "", said)), said
            assert str(path) in said and "; " in said
    assert refused or name == "edf"


def test_an_empty_file_of_each_kind(tmp_path: Path) -> None:
    for media, suffix in ((Image, ".png"), (AudioClip, ".wav"), (VideoClip, ".gif"), (EegRecording, ".npz")):
        (path := tmp_path / f"a{suffix}").touch()
        with pytest.raises(ValueError) as caught:
            media.load(path)
        assert str(path) in str(caught.value) and not THEIRS.search(str(caught.value)), caught.value


def test_too_many_pixels_are_counted_not_called_a_bomb(tmp_path: Path) -> None:
    pillow.new("1", (20_000, 20_000)).save(tmp_path / "a.png")
    with pytest.raises(ValueError) as caught:
        Image.load(tmp_path / "a.png")
    assert str(caught.value) == (
        f"an image may have up to 67108864 pixels, but {tmp_path}/a.png announces 400000000; shrink it first"
    )


def test_a_row_of_a_motion_that_holds_a_word_is_counted(tmp_path: Path) -> None:
    path = FORMATS["bvh"].make(tmp_path)
    lines = path.read_text().splitlines()
    first = next(at for at, line in enumerate(lines) if line.startswith("Frame Time")) + 1
    for row, word in ((1, "null"), (3, "12,5x"), (len(lines) - first, "--")):
        changed = list(lines)
        changed[first + row - 1] = " ".join([word, *lines[first + row - 1].split()[1:]])
        path.write_text("\n".join(changed))
        with pytest.raises(ValueError, match=rf"cannot be read \(its row {row} must hold numbers, got '{word}'\)"):
            MotionClip.load(path)
    path.write_text("\n".join(lines).replace("OFFSET", "OFFSET zero", 1))
    with pytest.raises(ValueError, match=r"its OFFSET 'zero .*' must be three numbers"):
        MotionClip.load(path)


def test_objects_in_an_archive_are_not_recommended(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", samples=np.array([{}]), sample_rate_hz=1, channels=["a"])
    with pytest.raises(ValueError, match="it holds objects of Python, which are not read: save arrays of numbers"):
        EegRecording.load(tmp_path / "a.npz")
