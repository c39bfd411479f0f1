"""What is said of damaged media is in our words: no words of a library, the file's name, and what to do."""

from __future__ import annotations

import random
import re
import warnings
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
        assert str(caught.value) == (
            f"{path} must be what its ending says, but is nothing, it has no bytes; copy it again"
        )


def test_bare_samples_are_asked_for_as_wav(tmp_path: Path) -> None:
    (tmp_path / "a.raw").write_bytes(bytes(1000))
    with pytest.raises(ValueError, match=r"a\.raw must be .* bare samples, which do not say their rate: save them as"):
        AudioClip.load(tmp_path / "a.raw")


def test_too_many_pixels_are_counted_not_called_a_bomb(tmp_path: Path) -> None:
    pillow.new("1", (20_000, 20_000)).save(tmp_path / "a.png")
    with pytest.raises(ValueError) as caught:
        Image.load(tmp_path / "a.png")
    assert str(caught.value) == (
        f"an image may have up to 67108864 pixels, but {tmp_path}/a.png announces 400000000; shrink it first"
    )


def test_objects_in_an_archive_are_not_recommended(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", samples=np.array([{}]), sample_rate_hz=1, channels=["a"])
    with pytest.raises(ValueError, match="it holds objects of Python, which are not read; save arrays of numbers"):
        EegRecording.load(tmp_path / "a.npz")


def test_numbers_beyond_float32_are_refused_without_a_word_of_numpy(tmp_path: Path) -> None:
    wide, names = np.full((2, 500), 1e39), ("Fz", "Cz")
    np.savez(tmp_path / "a.npz", samples=wide, sample_rate_hz=250.0, channels=np.array(names))
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        with pytest.raises(ValueError, match=r"a\.npz must be .* \(samples must be finite, but channel Fz holds"):
            EegRecording.load(tmp_path / "a.npz")
        for make in (lambda: EegRecording(wide, 250.0, names), lambda: AudioClip(wide, 8000)):
            with pytest.raises(ValueError, match="must be finite"):
                make()
