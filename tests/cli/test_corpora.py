"""corpus build and show."""

import datetime
import json
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image as Picture

from tests.worlds import emoji
from tokenmask.cli.sources import digest, items
from tokenmask.corpus import Corpus

BOTH = {"text": "text", "image": "image"}


def test_a_folder_and_a_manifest_give_the_same_records(pictures, options, tmp_path, call, capsys):
    assert call("corpus", "build", pictures, "--out", tmp_path / "a", *options) == 0
    assert call("corpus", "build", pictures / "manifest.jsonl", "--out", tmp_path / "b", *options) == 0
    assert "40 records written, 0 there before, 0 failed" in capsys.readouterr().out
    assert call("corpus", "build", pictures / "manifest.jsonl", "--out", tmp_path / "b", *options) == 0
    assert "0 records written, 40 there before" in capsys.readouterr().out
    first, second = list(Corpus(tmp_path / "a")), list(Corpus(tmp_path / "b"))
    assert [record.streams for record in first] == [record.streams for record in second]
    assert [record.split for record in first] == [record.split for record in second]
    assert second[3].key == "k3" and second[3].metadata == {"year": 2020}
    assert call("corpus", "show", tmp_path / "b") == 0
    shown = capsys.readouterr().out
    assert "40 records (35 train, 5 held out)" in shown and "image, 8 row x 8 column, 1 level(s)" in shown
    assert "entropy" in shown and "\x1b" not in shown


def test_lines_of_text_hold_out_by_wording(options, tmp_path, call, capsys):
    words = [f"line {number // 2}" for number in range(200)]
    (tmp_path / "words.txt").write_text("\n\n".join(words))
    assert call("corpus", "build", tmp_path / "words.txt", "--out", tmp_path / "c", *options[:2]) == 0
    records = list(Corpus(tmp_path / "c"))
    assert len(records) == 200 and records[1].key == "words.txt:3"
    splits = [record.split for record in records]
    assert splits[::2] == splits[1::2] and 2 < splits.count("held-out") < 60


def test_bad_items_are_listed_and_the_others_kept(pictures, options, tmp_path, call, capsys):
    folder = tmp_path / "some"
    shutil.copytree(pictures, folder)
    (folder / "07.png").write_bytes((folder / "07.png").read_bytes()[:100])
    (folder / "08.txt").write_text("\n")
    assert call("corpus", "build", folder, "--out", tmp_path / "c", *options) == 1
    output = capsys.readouterr()
    assert "39 records written, 0 there before, 1 failed" in output.out
    assert "failed: some/07.png: " in output.err and "some/08.png" not in output.err
    assert [set(r.streams) for r in Corpus(tmp_path / "c") if r.key == "some/08.png"] == [{"image"}]  # a blank caption
    (tmp_path / "none.jsonl").write_text('{"image": "missing.png"}\n')
    assert call("corpus", "build", tmp_path / "none.jsonl", "--out", tmp_path / "d", *options) == 2
    assert "missing.png" in capsys.readouterr().err and not (tmp_path / "d").exists()


def test_two_pictures_share_a_caption_and_a_split(tmp_path):
    for name in ("x.png", "x.jpg", "y.png", "a/x.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Picture.fromarray(emoji()[0].pixels).save(tmp_path / name)
    (tmp_path / "x.txt").write_text("two\nlines")
    (tmp_path / "readme.txt").write_text("no caption")
    found = {item.key.partition("/")[2]: item for item in items([tmp_path], BOTH)}
    assert set(found) == {"x.png", "x.jpg", "y.png", "a/x.png"}
    assert found["x.png"].media["text"]() == found["x.jpg"].media["text"]() and "text" not in found["a/x.png"].media
    assert found["x.png"].media["text"]().text == "two lines"
    assert found["x.png"].split == found["x.jpg"].split


def test_a_byte_order_mark_is_no_part_of_a_caption(tmp_path):
    Picture.fromarray(emoji()[0].pixels).save(tmp_path / "x.png")
    for content in (b"a red cat", b"\xef\xbb\xbfa red cat\r\n"):
        (tmp_path / "x.txt").write_bytes(content)
        assert items([tmp_path], BOTH)[0].media["text"]().text == "a red cat"
    for blank in (b"", b" \n\t ", b"\xef\xbb\xbf\r\n", "\u3000\n".encode()):
        (tmp_path / "x.txt").write_bytes(blank)
        assert set(items([tmp_path], BOTH)[0].media) == {"image"}
    (tmp_path / "x.txt").write_bytes(b"\xff\x00")  # not UTF-8: its item fails with the reason, as before
    with pytest.raises(ValueError, match="must be text in UTF-8, but byte 1 of its line 1 is 0xff; save it as UTF-8"):
        items([tmp_path], BOTH)[0].media["text"]()


def test_fields_that_are_only_kept_lose_no_record(options, tmp_path, call, capsys):
    rows = (
        '{"text": "one", "score": NaN, "more": {"a": [1, -Infinity, 1e999]}}\n{"text": "two", "key": NaN, "n": 2.5}\n'
    )
    (tmp_path / "m.jsonl").write_text(rows + '{"text": NaN}\n')
    assert call("corpus", "build", tmp_path / "m.jsonl", "--out", tmp_path / "c", *options[:2]) == 1
    assert "failed: m.jsonl:3: line 3 of" in capsys.readouterr().err  # a row without any of the streams
    first, second = Corpus(tmp_path / "c")
    assert first.metadata == {"score": None, "more": {"a": [1, None, None]}}
    assert second.metadata == {"n": 2.5} and second.key == "m.jsonl:2"
    table = pa.table({"text": ["one"], "score": [float("nan")], "when": [datetime.date(2020, 5, 1)]})
    pq.write_table(table, tmp_path / "m.parquet")
    assert call("corpus", "build", tmp_path / "m.parquet", "--out", tmp_path / "d", *options[:2]) == 0
    assert next(iter(Corpus(tmp_path / "d"))).metadata == {"score": None, "when": "2020-05-01"}


def test_a_blank_cell_is_a_picture_without_words(tmp_path):
    (tmp_path / "m.csv").write_text("text,image\n  ,x.png\n,y.png\na cat,z.png\n")
    found = items([tmp_path / "m.csv"], BOTH)
    assert [set(item.media) for item in found] == [{"image"}, {"image"}, {"text", "image"}]


def test_a_digest_tells_when_data_changed(pictures, tmp_path):
    copy = tmp_path / pictures.name
    shutil.copytree(pictures, copy)
    assert digest(items([copy], BOTH)) == digest(items([pictures], BOTH))
    (copy / "03.txt").write_text("another")
    assert digest(items([copy], BOTH)) != digest(items([pictures], BOTH))
    rows = [json.loads(line) for line in (pictures / "manifest.jsonl").read_text().splitlines()]
    rows[0]["text"] = "changed"
    (copy / "manifest.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert digest(items([copy / "manifest.jsonl"], BOTH)) != digest(items([pictures / "manifest.jsonl"], BOTH))


def test_a_caption_that_is_no_utf8_fails_alone_and_says_what_it_may_be(tmp_path, call, run, capsys):
    """Windows-1252 is not guessed: what it would say stands in the sentence, with the command that makes it right."""
    for number, words in enumerate(("un café noir".encode("cp1252"), b"a red cat", "un caf\u00e9".encode())):
        Picture.fromarray(emoji()[number].pixels).save(tmp_path / f"{number}.png")
        (tmp_path / f"{number}.txt").write_bytes(words)
    tokenizers = [f"--tokenizer={name}={run.folder / 'tokenizers' / name}" for name in ("text", "image")]
    assert call("corpus", "build", tmp_path, "--out", tmp_path / "c", *tokenizers) == 1
    said = capsys.readouterr()
    assert "2 records written, 0 there before, 1 failed" in said.out
    assert (
        f"{tmp_path}/0.txt must be text in UTF-8, but byte 7 of its line 1 is 0xe9; if 'un café noir' is right it is "
        "Windows-1252 or Latin-1: convert it with iconv -f WINDOWS-1252 -t UTF-8, else save it as UTF-8"
    ) in said.err + said.out
