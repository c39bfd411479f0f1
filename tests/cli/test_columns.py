"""Columns of manifests: which hold streams, what is said of the others, and rows that are no records."""

import json

import pytest

import tokenmask as tm
from tests.cli import foreign
from tests.cli.test_own_data import SMALL, fits
from tests.worlds import emoji
from tokenmask.cli.sources import items
from tokenmask.corpus import Corpus

BOTH = {"text": "text", "image": "image"}


@pytest.fixture
def four(pictures, tmp_path):
    """Writes a table of four pictures with words under a first line."""

    def write(head, name="m.csv", comma=","):
        rows = [comma.join([str(pictures / f"{number:02}.png"), f"a cat {number}", str(number)]) for number in range(4)]
        (tmp_path / name).write_text("\n".join([head, *rows]) + "\n")
        return tmp_path / name

    return write


def test_a_column_that_is_called_otherwise_is_named_and_can_be_mapped(
    four, options, run, tmp_path, call, refusal, capsys
):
    four("file_name,text,year")
    words = ("corpus", "build", tmp_path / "m.csv", "--out", tmp_path / "c", *options)
    assert (
        "files of image in its column 'file_name' (" in (said := refusal(*words))
        and "/00.png), which no stream" in said
    )
    assert not (tmp_path / "c").exists()
    assert "the streams text, image, got 'picture'" in refusal(*words, "--map", "picture=file_name")
    assert "must have the form STREAM=COLUMN, got 'image'" in refusal(*words, "--map", "image")
    assert "add --map image=file_name" in refusal(*words, "--map", "image=name")
    assert call(*words, "--map", "image=file_name") == 0
    records = list(Corpus(tmp_path / "c"))
    assert [set(record.streams) for record in records] == [{"text", "image"}] * 4
    assert [record.metadata for record in records] == [{"year": str(number)} for number in range(4)]
    (tmp_path / "t.csv").write_text("text\na dog\n")  # a stream that another source holds is not lost
    assert call(*words[:3], tmp_path / "t.csv", *words[3:], "--map", "image=file_name") == 0
    assert "1 records written, 4 there before" in capsys.readouterr().out
    one = ("--tokenizer", run.folder / "tokenizers/image", "--out", tmp_path / "tokens")
    assert "got ['file_name', 'text', 'year']" in refusal("encode", tmp_path / "m.csv", *one)
    assert call("encode", tmp_path / "m.csv", *one, "--map", "image=file_name") == 0
    assert "4 encoded" in capsys.readouterr().out


def test_each_manifest_is_looked_at_alone(four, options, tmp_path, refusal):
    named, other = four("image,text,year", "a.csv"), four("file_name,text,year", "b.csv")
    words = ("corpus", "build", named, other, "--out", tmp_path / "c", *options)
    said = refusal(*words)
    assert f"{other} names files of image in its column 'file_name' (" in said and "add --map image=file_name" in said
    assert {len(item.media) for item in items([named, other], BOTH, columns={"image": "file_name"})} == {2}


def test_training_on_own_data_does_not_lose_a_column_of_files(four, tmp_path, call, refusal, capsys):
    words = ("train", "own", "--data", four("file_name,text,year"), "--out", tmp_path / "run", *SMALL)
    assert "add --map image=file_name, or take the column out" in refusal(*words)
    assert not (tmp_path / "run").exists()
    assert call(*words, "--map", "image=file_name", *fits("image"), "--set", "streams.text.fit.vocab_size=280") == 0
    said = capsys.readouterr().out.splitlines()
    assert "columns that no stream takes, only kept with the records (--map STREAM=COLUMN): year" in said
    assert "streams of these data: text, image" in said and "4 items found" in said
    assert list(tm.load(tmp_path / "run").layout.streams) == ["text", "image"]


def test_addresses_and_few_names_are_no_files(tmp_path):
    rows = [{"text": "a", "url": "http://a.b/c.png", "note": "x.png"}, {"text": "b", "note": "y"}]
    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert [set(item.media) for item in items([tmp_path / "m.jsonl"], BOTH)] == [{"text"}, {"text"}]


def test_a_mapped_column_hides_none_and_is_there(four, options, tmp_path, call, refusal, capsys):
    words = ("corpus", "build", four("file_name,text,image"), "--out", tmp_path / "c", *options)
    assert call(*words, "--map", "image=file_name") == 0  # the column image holds numbers
    assert "(--map STREAM=COLUMN): image\n" in capsys.readouterr().out
    records = list(Corpus(tmp_path / "c"))
    assert [record.metadata for record in records] == [{"image": str(number)} for number in range(4)]
    assert [set(record.streams) for record in records] == [{"text", "image"}] * 4
    assert "a column 'nmae', but they have file_name, image, text" in refusal(*words, "--map", "text=nmae")
    crossed = four("text,image,year", "x.csv")
    found = items([crossed], BOTH, columns={"text": "image", "image": "text"})
    assert found[0].media["text"]().text == "a cat 0" and found[0].media["image"].value.name == "00.png"
    assert found[0].metadata == {"year": "0"}


def test_one_column_is_for_one_stream(four, options, run, tmp_path, refusal):
    words = ("corpus", "build", four("file_name,text,year"), "--out", tmp_path / "c", *options)
    twice = ("--map", "image=file_name", "--map", "image=year")
    assert "one column, got 'file_name' and 'year' for 'image'" in refusal(*words, *twice)
    both = ("--map", "image=file_name", "--map", "text=file_name")
    assert "one stream, got 'file_name' for 'image' and 'text'" in refusal(*words, *both)
    without = ("train", "captions", "--corpus", run.folder / "corpus/emoji", "--out", tmp_path / "r")
    assert "which --data gives" in refusal(*without, "--map", "image=file_name")


def test_a_tokenizer_of_pictures_needs_pictures(pictures, options, run, tmp_path, call, refusal, capsys):
    (tmp_path / "words.csv").write_text("text\na cat\na dog\n")
    one = ("--tokenizer", run.folder / "tokenizers/image", "--out", tmp_path / "tokens")
    assert "line 2 of" in (said := refusal("encode", tmp_path / "words.csv", *one)) and "one of image, got ['t" in said
    words = ("corpus", "build", tmp_path / "words.csv", "--out", tmp_path / "c", *options)
    assert f"nothing in {tmp_path / 'words.csv'} has image; leave the stream out" in refusal(*words)
    assert not (tmp_path / "c").exists()
    assert call(*words[:3], pictures, *words[3:]) == 0  # another source holds some
    (tmp_path / "images.csv").write_text(f"image\n{pictures / '00.png'}\n")
    assert call(*words[:2], tmp_path / "images.csv", *words[3:]) == 0  # words may lack, but not in silence
    assert "no item has text\n" in capsys.readouterr().out


def test_fit_and_inspect_take_a_column(tmp_path, call, refusal, capsys):
    foreign.image(tmp_path / "icons")
    rows = "".join(f"icons/{path.name},7\n" for path in sorted((tmp_path / "icons").iterdir()))
    (tmp_path / "m.csv").write_text("file_name,size\n" + rows)
    words = ("fit", "image", "--data", tmp_path / "m.csv", "--out", tmp_path / "t", "--steps", 2)
    words += ("--option", "batch_size=4", "--option", "config={width: 16, codes: 16}")
    assert "name columns with --map STREAM=COLUMN" in refusal(*words)
    assert "--map gives columns to the streams image, got 'text'" in refusal(*words, "--map", "text=file_name")
    assert call(*words, "--map", "image=file_name") == 0
    assert f"{rows.count(chr(10))} items of image found\n" in capsys.readouterr().out
    assert call("inspect", tmp_path / "t", "--on", tmp_path / "m.csv", "--map", "image=file_name") == 0
    assert f"on {rows.count(chr(10))} items\n" in capsys.readouterr().out


def test_files_that_were_not_looked_at_are_counted_by_fit_train_and_inspect(tmp_path, call, capsys):
    foreign.image(tmp_path / "data")
    (tmp_path / "data/notes.md").write_text("x")
    (tmp_path / "data/clip.wmv").write_bytes(b"x")
    said = ", 2 files not looked at (.md, .wmv)"
    words = ("--option", "batch_size=4", "--option", "config={width: 16, codes: 16}")
    assert call("fit", "image", "--data", tmp_path / "data", "--out", tmp_path / "t", "--steps", 2, *words) == 0
    assert f" items of image found{said}\n" in capsys.readouterr().out
    assert call("inspect", tmp_path / "t", "--on", tmp_path / "data") == 0
    assert f" items{said}\n" in capsys.readouterr().out
    given = ("--tokenizer", f"image={tmp_path / 't'}")
    assert call("train", "own", "--data", tmp_path / "data", "--out", tmp_path / "run", *SMALL, *given) == 0
    assert f" items found{said}\n" in capsys.readouterr().out
    foreign.text(tmp_path / "words")
    (tmp_path / "words/b.doc").write_bytes(b"x")
    words = ("fit", "text", "--data", tmp_path / "words", "--out", tmp_path / "w", "--option", "vocab_size=300")
    assert call(*words) == 0  # lines of a file: the file was looked at
    lines = len((tmp_path / "words/sums.txt").read_text().splitlines())
    assert f"{lines} items of text found, 1 file not looked at (.doc)\n" in capsys.readouterr().out


def test_one_row_that_is_no_record_does_not_stop_the_others(pictures, options, tmp_path, call, capsys):
    rows = [json.dumps({"image": str(pictures / "00.png"), "text": "a cat"})]
    rows += ["{oh", '{"text": 3}', '{"year": 1}', '{"text": "b", "split": "holdout"}', '{"text": "a dog"}', "[]"]
    rows += ['{"text": "first", "text": "last"}', r'{"text": "\ud800"}']
    (tmp_path / "m.jsonl").write_text("\n".join(rows))
    assert call("corpus", "build", tmp_path / "m.jsonl", "--out", tmp_path / "c", *options) == 1
    output = capsys.readouterr()
    assert "2 records written, 0 there before, 7 failed" in output.out
    failed = [line for line in output.err.splitlines() if line.startswith("failed: ")]
    assert [line.split(":")[2] for line in failed] == ["2", "3", "4", "5", "7", "8", "9"]
    assert (
        "got int" in failed[1]
        and "must have one of text, image, got ['year']" in failed[2]
        and "'holdout'" in failed[3]
        and "it says 'text' twice; keep one" in failed[5]
        and "must give characters for 'text', but holds a lone surrogate" in failed[6]
    )
    assert [record.key for record in Corpus(tmp_path / "c")] == ["m.jsonl:1", "m.jsonl:6"]
    (tmp_path / "m.csv").write_text("text\na\nb,c\nd\n")
    assert call("corpus", "build", tmp_path / "m.csv", "--out", tmp_path / "d", *options[:2]) == 1
    assert "failed: m.csv:3: line 3 of" in capsys.readouterr().err and len(Corpus(tmp_path / "d")) == 2


def test_tables_with_tabs_and_what_is_wrong_with_a_first_line(four, options, tmp_path, call, refusal):
    table = four("image\ttext\tyear", "m.tsv", "\t")
    table.write_text(table.read_text() + '\t"He said ""yes"""\t\n\t"so" he said\t\n')
    found = items([table], BOTH)
    assert [item.media["text"]().text for item in found[3:]] == ["a cat 3", 'He said "yes"', '"so" he said']
    assert found[0].media["image"]().pixels.shape == emoji()[0].pixels.shape
    assert [item.metadata for item in found[3:5]] == [{"year": "3"}, {}]
    (tmp_path / "double.csv").write_text("text,text\na,b\n")
    words = ("corpus", "build", tmp_path / "double.csv", "--out", tmp_path / "c", *options[:2])
    assert "different names in its first line, got text more than once" in refusal(*words)
    (tmp_path / "unnamed.csv").write_text("text,,\na,1,2\n")
    assert items([tmp_path / "unnamed.csv"], {"text": "text"})[0].metadata == {"column 2": "1", "column 3": "2"}


def test_lists_of_captions_and_usual_names_of_splits_are_taken(tmp_path):
    rows = [
        {"image": "a.png", "text": ["one", " ", "two"], "split": "val"},
        {"image": "b.png", "text": [], "key": "b", "split": "Train"},
        {"image": "c.png", "text": "three", "key": "c", "split": "holdout"},
        {"image": "d.png", "text": ["four", "five"], "key": "d"},
    ]
    (tmp_path / "m.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = list(items([tmp_path / "m.jsonl"], {"image": "image", "text": "text"}))
    words = [item.media["text"]().text if "text" in item.media else None for item in found]
    assert [item.key for item in found] == ["m.jsonl:1", "m.jsonl:1#2", "b", "m.jsonl:3", "d", "d#2"]
    assert words == ["one", "two", None, None, "four", "five"]
    assert [item.split for item in found[:3]] == ["held-out", "held-out", "train"] and found[4].split == found[5].split
    with pytest.raises(ValueError, match=r"line 3 of .*must have the split 'train' or 'held-out' .*got 'holdout'"):
        found[3].media["image"]()
