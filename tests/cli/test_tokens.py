"""fit, encode and decode on files."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image as Picture

import tokenmask
from tests.worlds import emoji, tokenizers
from tokenmask import data
from tokenmask.cli.manifests import lines, rows
from tokenmask.cli.media import LazyMedia, Loader, files, is_held_out
from tokenmask.modalities.image import Image
from tokenmask.modalities.text import Text
from tokenmask.run import load
from tokenmask.streams import TokenStream
from tokenmask.tokenizer import load_tokenizer

FAST = ("--steps", 2, "--option", "config.width=16", "--option", "config.codes=16", "--option", "batch_size=4")


def test_fit_measures_held_out_files_goes_on_and_lists_what_is_broken(pictures, tmp_path, call, capsys):
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    held_out = sum(is_held_out(f"{number:02}") for number in range(40))
    words = ("fit", "image", "--data", pictures, tmp_path / "broken.png", "--out", tmp_path / "image", *FAST)
    assert call(*words) == 1
    output = capsys.readouterr()
    assert f"({held_out} held-out items)" in output.out and f"16 codes, from {40 - held_out} items" in output.out
    assert "failed: broken.png" in output.err
    kept = json.loads((tmp_path / "image/evaluation.json").read_text())
    assert kept["held_out_items"] == held_out > 0 and kept["figures"]["psnr_db"] > 0
    weights = (tmp_path / "image/weights.safetensors").read_bytes()
    assert call(*words) == 1  # the same command again finds everything done
    assert (tmp_path / "image/weights.safetensors").read_bytes() == weights
    assert load_tokenizer(tmp_path / "image").spec.codebook_sizes == (16,)


def test_fit_text_by_line_and_by_file(tmp_path, call, capsys):
    (tmp_path / "in").mkdir()
    verses = data.gospel_verses()
    (tmp_path / "in/b.txt").write_text("\n".join(verses[:200]))
    (tmp_path / "in/d.txt").write_text("\n".join(verses[200:300]))
    few = ("--option", "vocab_size=400")
    assert call("fit", "text", "--data", tmp_path / "in", "--out", tmp_path / "lines", *few) == 0
    held_out = sum(map(is_held_out, verses[:300]))
    assert f"({held_out} held-out items)" in capsys.readouterr().out
    assert call("fit", "text", "--data", tmp_path / "in", "--out", tmp_path / "files", *few, "--per", "file") == 0
    assert "from 2 items" in capsys.readouterr().out


def test_encode_skips_what_is_done_lists_what_is_broken_and_decode_inverts(pictures, run, tmp_path, call, capsys):
    tokenizer = run.folder / "tokenizers/image"
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    words = ("encode", pictures, tmp_path / "broken.png", "--tokenizer", tokenizer, "--out", tmp_path / "tokens")
    assert call(*words) == 1
    output = capsys.readouterr()
    assert "40 encoded, 0 done before, 1 failed" in output.out
    assert "broken.png" in next(line for line in output.err.splitlines() if line.startswith("failed: "))
    assert len(list((tmp_path / "tokens").iterdir())) == 40
    assert call(*words) == 1 and "0 encoded, 40 done before, 1 failed" in capsys.readouterr().out
    stream = TokenStream.load(tmp_path / "tokens/07.tokens")
    assert stream.grid == (8, 8)
    back = ("decode", tmp_path / "tokens/07.tokens", "--tokenizer", tokenizer, "--out", tmp_path / "back")
    assert call(*back) == 0
    decoded = run.tokenizers["image"].media.load(tmp_path / "back/07.png")
    assert torch.equal(decoded.pixels, run.tokenizers["image"].decode(stream).pixels)
    capsys.readouterr()
    assert call(*back) == 2 and "add --force" in capsys.readouterr().err
    assert call(*back, "--force") == 0
    assert call("encode", tmp_path / "broken.png", "--tokenizer", tokenizer, "--out", tmp_path / "none") == 2
    assert not (tmp_path / "none").exists()


def test_token_files_of_another_tokenizer_are_neither_taken_nor_overwritten(tmp_path, call, capsys):
    tokenizers()["text"].save(tmp_path / "one")
    other = type(tokenizers()["text"]).fit([Text(verse) for verse in data.gospel_verses()[:200]], vocab_size=390)
    other.save(tmp_path / "two")
    (tmp_path / "note.txt").write_text("a note")
    words = ("encode", tmp_path / "note.txt", "--out", tmp_path / "tokens", "--tokenizer")
    assert call(*words, tmp_path / "one") == 0
    before = (tmp_path / "tokens/note.tokens").read_bytes()
    assert call(*words, tmp_path / "two") == 2
    assert "made by another tokenizer" in capsys.readouterr().err
    assert (tmp_path / "tokens/note.tokens").read_bytes() == before
    assert call("decode", tmp_path / "tokens", "--tokenizer", tmp_path / "one", "--out", tmp_path / "back") == 0
    assert (tmp_path / "back/note.txt").read_text() == "a note"


def test_files_of_one_name_keep_apart(run, tmp_path, call, refusal):
    for name in ("a/x.png", "b/x.png", "b/x.jpg", ".hidden/x.png", "b/._x.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Picture.fromarray(emoji()[0].pixels).save(tmp_path / name)
    options = ("--tokenizer", run.folder / "tokenizers/image", "--out", tmp_path / "tokens")
    assert call("encode", tmp_path, *options) == 0
    made = sorted(path.relative_to(tmp_path / "tokens").as_posix() for path in (tmp_path / "tokens").rglob("*.tokens"))
    assert made == ["a/x.tokens", "b/x.jpg.tokens", "b/x.png.tokens"]
    assert "would both become" in refusal("encode", tmp_path / "a/x.png", tmp_path / "b/x.png", *options)


def test_lazy_media_reads_when_asked(tmp_path):
    loaders = [Loader(Text, "words"), Loader(Text, tmp_path / "later.txt")]
    media = LazyMedia(loaders)
    assert len(media) == 2 and media[0] == Text("words") and len(media[1:]) == 1
    with pytest.raises(ValueError, match=r"later\.txt"):
        list(media)
    (tmp_path / "later.txt").write_text("now")
    assert list(media) == [Text("words"), Text("now")]


def test_lines_and_suffixes(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes("\ufeffone\r\n\n two\u2028half \n".encode())
    assert list(lines(path)) == [(1, "one"), (3, " two\u2028half ")]
    assert files([tmp_path], "text")[0].name == "a.txt"
    path.write_bytes("one\r\rtwo\r".encode("utf-16"))  # a file without line feeds
    assert list(lines(path)) == [(1, "one"), (3, "two")]


@pytest.mark.parametrize("coding", ["utf-8-sig", "utf-16", "utf-32"])
def test_tables_in_any_coding_and_with_any_separator(coding, tmp_path):
    for separator in (",", ";", "\t", "|"):
        text = f"image{separator} text\r\na.png{separator}caf\u00e9\r\n"
        (tmp_path / "m.csv").write_bytes(text.encode(coding))
        (row,) = rows(tmp_path / "m.csv", ["image", "text"])
        assert row.values == {"image": "a.png", "text": "caf\u00e9"}


def test_separators_are_looked_for_outside_of_quotes_and_where_spreadsheets_say_them(tmp_path):
    for begin in ("", "sep=;\r\n"):
        (tmp_path / "m.csv").write_text(f'{begin}"year, born";text\r\n1;"one, and ; two"\r\n2\r\n', newline="")
        one, two = rows(tmp_path / "m.csv", ["text"])
        assert one.values == {"text": "one, and ; two"} and one.others == {"year, born": "1"}
        last = 4 if begin else 3
        assert two.number == last and two.where.startswith(f"line {last} of ") and two.problem
    (tmp_path / "m.csv").write_text('sep=,\ntext\n"open\n')
    (row,) = rows(tmp_path / "m.csv", ["text"])
    assert row.problem.startswith(f"line 3 of {tmp_path / 'm.csv'} opens a quote")
    (tmp_path / "m.csv").write_text("sep=:\nname:text\na:b, c\n")
    assert next(rows(tmp_path / "m.csv", ["text"])).values == {"text": "b, c"}
    for said in ("sep=||", "sep=", "sep=x"):
        (tmp_path / "m.csv").write_text(f"{said}\nname||text\na||b\n")
        with pytest.raises(ValueError, match=rf"m\.csv must be separated by one sign .* got '{re.escape(said)}'"):
            list(rows(tmp_path / "m.csv", ["text"]))


def test_a_name_that_is_too_long_stops_no_others(tmp_path, call, capsys):
    (tmp_path / "in").mkdir()
    for name in ("a", "n" * 244, "m" * 251):  # with .tokens 251 bytes, which a file can have, and 258
        (tmp_path / "in" / f"{name}.txt").write_text("words")
    shipped = ("--tokenizer", Path(tokenmask.__file__).parent / "weights/tokenizers/text")
    assert call("encode", tmp_path / "in", *shipped, "--out", tmp_path / "out") == 1
    printed = capsys.readouterr()
    assert "2 encoded, 0 done before, 1 failed" in printed.out and "shorten the name" in printed.err
    assert sorted(len(path.name) for path in (tmp_path / "out").iterdir()) == [8, 251]
    assert call("decode", tmp_path / "out", *shipped, "--out", tmp_path / "back") == 0
    assert {path.read_text() for path in (tmp_path / "back").iterdir()} == {"words"}


def test_about_every_tenth_name_is_held_out():
    share = sum(is_held_out(str(number)) for number in range(10_000)) / 10_000
    assert abs(share - 0.1) < 0.012  # four standard errors


def test_what_ships_decodes_by_its_name(tmp_path, call, refusal):
    shipped = load().tokenizers["image"]
    codes = torch.arange(64, dtype=torch.int32).view(*shipped.spec.grid, 1) % shipped.spec.codebook_sizes[0]
    stream = TokenStream(shipped.spec, codes)
    stream.save(tmp_path / "x.tokens")
    assert call("decode", tmp_path / "x.tokens", "--tokenizer", "image=shipped", "--out", tmp_path) == 0
    assert Image.load(tmp_path / "x.png") == replace(shipped.decode(stream), stream=None)
    words = ("decode", tmp_path / "x.tokens", "--tokenizer", "nope=shipped", "--out", tmp_path / "y")
    assert "tokenizers ship for audio, eeg, image, motion, text, got nope=shipped" in refusal(*words)
