"""What decoders in C print about damaged files becomes a sentence with the name; what others print is not lost."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image as pillow

from tokenmask.modalities.audio import AudioClip
from tokenmask.modalities.image import Image
from tokenmask.modalities.overheard import in_words, overheard
from tokenmask.modalities.video import media as video

PRINTED = (
    b"[h264 @ 0x55d34b3eeec0] no frame!\n"
    b"[src/libmpg123/layer3.c:INT123_do_layer3():1804] error: dequantization failed!\n"
    b"[h264 @ 0x55d34b3eeec0] no frame!\nTruncating packet of size 88 to 80\n"
    b"[07:22:08] /github/workspace/src/video/video_reader.cc:83: ERROR opening: x.mp4\n"
    b"Warning: Xing stream size off by more than 1%, fuzzy seeking may be even more fuzzy than by design!\n"
)


def test_lines_of_decoders_are_taken_and_others_passed_on(capfd: pytest.CaptureFixture[str]) -> None:
    with overheard() as lines:
        os.write(2, b"mine [h264 @ 0x5] too\n" + PRINTED)
        with overheard() as inner:
            os.write(2, b"[avi @ 0x1] deep\n")
        os.write(2, b"at the end")
    assert lines == [
        *("no frame!", "dequantization failed!", "Truncating packet of size 88 to 80", "ERROR opening: x.mp4", "deep")
    ]
    assert inner == [] and capfd.readouterr().err == "mine [h264 @ 0x5] too\nat the end"
    assert in_words(lines) == "its decoder says: no frame!, and 4 more" and in_words([]) == ""
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


def test_other_threads_and_failures_leave_stderr_alone(capfd: pytest.CaptureFixture[str]) -> None:
    def run() -> None:
        with overheard() as lines:
            os.write(2, b"[avi @ 0x1] noise\n")
        assert lines == []

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    with pytest.raises(ZeroDivisionError), overheard():
        os.write(2, b"before\n")
        raise ZeroDivisionError
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "[avi @ 0x1] noise\nbefore\nafter\n"


def test_a_damaged_mp3_is_said_by_name(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.mp3"
    soundfile.write(path, 0.3 * np.sin(np.arange(64000) * 2 * np.pi * 440 / 16000), 16000)
    held = bytearray(path.read_bytes())
    middle = len(held) // 2
    start = held.index(held[middle : middle + 64])
    held[start : start + 64] = bytes(range(64))  # no mark of a frame in it
    path.write_bytes(held)
    with pytest.warns(UserWarning, match=r"x\.mp3: .*its decoder says: "):
        assert AudioClip.load(path).samples.shape[1] > 60000
    assert capfd.readouterr().err == ""


def test_a_page_under_the_name_of_an_mp3_prints_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.mp3").write_bytes(b"<!DOCTYPE html><html><body>Not found" + b" " * 300 + b"</body></html>")
    with pytest.raises(ValueError, match=r"x\.mp3 must be what its ending says, but is a page of HTML"):
        AudioClip.load(tmp_path / "x.mp3")
    assert capfd.readouterr().err == ""


def test_what_libtiff_prints_is_in_the_sentence(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    pillow.fromarray(pixels).save(tmp_path / "x.tif", compression="tiff_adobe_deflate")
    held = bytearray((tmp_path / "x.tif").read_bytes())
    held[2000:2500] = b"\xff" * 500
    (tmp_path / "x.tif").write_bytes(held)
    with pytest.raises(
        ValueError, match=r"x\.tif must be a whole image file, .*, its decoder says: ZIPDecode: .*\); export"
    ):
        Image.load(tmp_path / "x.tif")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("words", "plain"),
    [
        (
            "[07:22:08] /github/workspace/src/video/ffmpeg/threaded_decoder.cc:218: Check failed: avcodec_send_packet("
            "dec_ctx_.get(), pkt.get()) >= 0 (-1094995529 vs. 0) Thread worker: Error sending packet.\n\n"
            "Stack trace: 0x7",
            "one of its frames is damaged",
        ),
        ("Error: av_read_frame failed with 1094995529", "one of its frames is damaged"),
        ("Error reading x.mp4...", "it does not begin as a film does, or its index is missing"),
        ("its edit list shows none of its frames", "its edit list shows none of its frames"),
    ],
)
def test_sentences_hold_nothing_of_the_source_of_a_decoder(words: str, plain: str) -> None:
    said = str(video._broken(Path("x.mp4"), words if words == plain else RuntimeError(words)))
    assert said == f"x.mp4 must be a whole video file, but cannot be read ({plain}); export it again"
