"""Which files of a folder are found, what is said of those that are not, and which endings are refused in time."""

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image as Picture

from tests.worlds import emoji
from tokenmask.cli import main
from tokenmask.cli.folders import look_through, not_looked_at, visible_files
from tokenmask.cli.media import files, modalities_in, suffixes_of, written_suffixes_of
from tokenmask.run import Run

IMAGES = ("a.png", "b.gif", "c.jfif", "d.webp", "e.ppm")


def put(folder, *names):
    for name in names:
        picture = Picture.fromarray(emoji()[0].pixels)
        picture.save(folder / name, format="JPEG" if name.endswith("jfif") else None)


def film(path):
    frames = [Picture.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=100)


def test_every_ending_that_is_read_is_found_and_the_rest_is_counted(tmp_path, run, call, capsys):
    folder = tmp_path / "pictures"
    folder.mkdir()
    put(folder, *IMAGES)
    (folder / "notes.md").write_text("x")
    (folder / "sound.opus").write_bytes(b"x")
    (folder / "no_ending").write_bytes(b"x")
    (folder / ".hidden").write_bytes(b"x")
    one = ("--tokenizer", run.folder / "tokenizers/image")
    assert call("encode", folder, *one, "--out", tmp_path / "tokens") == 0
    said = "0 failed, 3 files not looked at (.md, .opus, none): "
    assert capsys.readouterr().out.splitlines()[-1].startswith(f"5 encoded, 0 done before, {said}")
    assert len(list((tmp_path / "tokens").glob("*.tokens"))) == 5
    named = ("--tokenizer", f"image={run.folder / 'tokenizers/image'}")
    assert call("corpus", "build", folder, *named, "--out", tmp_path / "corpus") == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith(f"5 records written, 0 there before, {said}")


def test_sounds_of_every_ending_are_found(tmp_path):
    sound = np.sin(np.arange(4800) / 20)
    soundfile.write(tmp_path / "a.wav", sound, 48000)
    soundfile.write(tmp_path / "b.opus", sound, 48000, format="OGG", subtype="OPUS")
    soundfile.write(tmp_path / "c.caf", sound, 48000, format="CAF")
    assert [file.name for file in files([tmp_path], "audio")] == ["a.wav", "b.opus", "c.caf"]
    assert not_looked_at([tmp_path], [tmp_path / "a.wav", tmp_path / "c.caf"]) == ", 1 file not looked at (.opus)"


def test_a_moving_picture_is_a_film_where_both_are_looked_for(tmp_path):
    film(tmp_path / "moves.gif")
    put(tmp_path, "still.gif")
    assert [file.name for file in files([tmp_path], "image")] == ["moves.gif", "still.gif"]
    assert [file.name for file in files([tmp_path], "image", among=["video"])] == ["still.gif"]
    assert [file.name for file in files([tmp_path], "video", among=["image"])] == ["moves.gif"]
    (tmp_path / "moves.gif").unlink()
    assert modalities_in(tmp_path, ["image", "video", "text"]) == {"image"}


def test_arrays_of_another_program_are_no_recording(tmp_path):
    np.savez(tmp_path / "other.npz", weights=np.zeros(3))
    assert modalities_in(tmp_path, ["eeg"]) == set()


def test_links_that_lead_nowhere_fail_by_name(tmp_path, run, call, capsys):
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "gone.png").symlink_to("nowhere.png")
    words = ("--tokenizer", run.folder / "tokenizers/image", "--out", tmp_path / "tokens")
    assert call("encode", folder, *words) == 2
    output = capsys.readouterr()
    assert "0 encoded, 0 done before, 1 failed:" in output.out
    assert "gone.png: must lead to a file, but is a link to nowhere.png, which is not there" in output.err
    put(folder, "a.png")
    (folder / "a.txt").symlink_to("nowhere.txt")
    assert call("encode", folder, *words) == 1
    assert "1 encoded, 0 done before, 1 failed, 1 file not looked at (.txt):" in capsys.readouterr().out
    both = [w for name in ("text", "image") for w in ("--tokenizer", f"{name}={run.folder / 'tokenizers' / name}")]
    assert call("corpus", "build", folder, *both, "--out", tmp_path / "corpus") == 2
    assert "a link to nowhere.txt" in capsys.readouterr().err  # a caption is not lost in silence either


@pytest.mark.parametrize("modality", ["text", "image", "audio", "motion", "eeg", "video"])
def test_every_medium_names_its_endings(modality):
    read, written = suffixes_of(modality), written_suffixes_of(modality)
    assert read and written and all(suffix.startswith(".") and suffix == suffix.lower() for suffix in read + written)
    assert set(written) - set(read) <= {".png"}  # a strip of a film looks like a picture


def test_what_cannot_be_written_is_refused_before_anything_is_drawn(run, tmp_path, refusal, monkeypatch):
    monkeypatch.setattr(Run, "generate", lambda *_, **__: pytest.fail("it was drawn"))
    monkeypatch.setattr(Run, "edit", lambda *_, **__: pytest.fail("it was drawn"))
    put(tmp_path, "a.png")
    words = ("--run", run.folder, "--out", tmp_path / "late.qoi")
    for command in (("generate", "image"), ("edit", tmp_path / "a.png")):
        assert "must end in .png, .jpg" in refusal(*command, *words)
    tokens = tmp_path / "tokens"
    assert (
        main(["encode", str(tmp_path), "--tokenizer", str(run.folder / "tokenizers/image"), "--out", str(tokens)]) == 0
    )
    decode = ("decode", tokens, "--tokenizer", run.folder / "tokenizers/image", "--out", tmp_path / "back")
    assert "must end in .png, .jpg" in refusal(*decode, "--suffix", ".qoi")


def test_a_modality_that_is_not_installed_has_no_endings(tmp_path):
    (tmp_path / "a.fasta").write_text("ACGT")
    assert suffixes_of("protein") == written_suffixes_of("protein") == ()
    assert modalities_in(tmp_path, ["protein", "image"]) == set()


def test_linked_folders_are_followed_and_loops_are_said(tmp_path, run, call, capsys):
    folder, elsewhere = tmp_path / "pictures", tmp_path / "elsewhere"
    for place in (folder / "real", elsewhere / "deep"):
        place.mkdir(parents=True)
        put(place, "a.png")
    put(elsewhere, "b.png")
    (elsewhere / "back").symlink_to(elsewhere)  # a folder that is here already
    (folder / "linked").symlink_to(elsewhere)
    (folder / "again").symlink_to(folder / "real")  # the same files by another name: once is enough
    (folder / "loop").symlink_to(".")
    (folder / "up").symlink_to("..")
    names = ["again/a.png", "linked/b.png", "linked/deep/a.png", "real/a.png"]
    assert [name.as_posix() for name in visible_files(folder)] == names[1:]
    assert call("encode", folder, "--tokenizer", run.folder / "tokenizers/image", "--out", tmp_path / "tokens") == 0
    said = capsys.readouterr().out.splitlines()[-1]
    assert said.startswith("3 encoded, 0 done before, 0 failed, passed over: ") and said.count("passed over") == 2
    assert all(f"{folder / name} is a link to a folder above it" in said for name in ("loop", "up"))
    assert (tmp_path / "tokens/linked/deep/a.tokens").is_file()
    by_link = tmp_path / "by_link"
    by_link.symlink_to(folder)  # the folder that is named may be a link itself
    assert [file.name for file in files([by_link], "image")] == names[1:]


def test_pipes_are_said(tmp_path):
    (tmp_path / "a.txt").write_text("words")
    os.mkfifo(tmp_path / "b.txt")
    (tmp_path / "c.txt").mkdir()
    seen = look_through(tmp_path)
    assert seen.files == [Path("a.txt")] and seen.passed == [f"{tmp_path / 'b.txt'} is neither a file nor a folder"]
    assert not_looked_at([tmp_path], [tmp_path / "a.txt"]).startswith(f", passed over: {tmp_path / 'b.txt'} is neither")


def test_a_folder_without_what_is_wanted_says_what_it_holds(tmp_path):
    (tmp_path / "notes.md").write_text("x")
    with pytest.raises(ValueError, match=r"no image was found in .* \(1 file not looked at \(\.md\)\)"):
        files([tmp_path], "image")
