"""encode: folders and manifests of every kind, one tokenizer or several, one process or several."""

import csv
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tokenmask.corpus import Corpus
from tokenmask.modalities.image import Image
from tokenmask.run import SHIPPED
from tokenmask.streams import TokenStream
from tokenmask.tokenizer import load_tokenizer


@pytest.fixture
def options(run, tmp_path):
    return ("--tokenizer", run.folder / "tokenizers/image", "--out")


def token_files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_manifests_of_every_kind_name_the_same_files(pictures, run, options, tmp_path, call):
    rows = [json.loads(line) for line in (pictures / "manifest.jsonl").read_text().splitlines()]
    rows = [{**row, "image": str(pictures / row["image"])} for row in rows] + [{"image": rows[0]["image"]}]
    rows[-1]["image"] = str(pictures / "00.png")  # named twice, encoded once
    with (tmp_path / "m.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["key", "text", "year", "image"])
        writer.writeheader()
        writer.writerows(rows)
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "m.parquet")
    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "m.txt").write_text("\n\n".join(row["image"] for row in rows) + "\n")
    assert call("encode", pictures, *options, tmp_path / "folder") == 0
    wanted = token_files(tmp_path / "folder")
    assert len(wanted) == 40
    for suffix in ("csv", "parquet", "jsonl", "txt"):
        assert call("encode", tmp_path / f"m.{suffix}", *options, tmp_path / suffix) == 0
        assert token_files(tmp_path / suffix) == wanted


def test_words_of_a_manifest_are_encoded_by_key(run, tmp_path, call, refusal, capsys):
    (tmp_path / "m.csv").write_text('key,text\na,"one, two"\n,three\n')
    words = ("encode", "--tokenizer", run.folder / "tokenizers/text", "--out", tmp_path / "tokens")
    assert call(*words, tmp_path / "m.csv") == 0
    assert sorted(token_files(tmp_path / "tokens")) == ["a.tokens", "m.tokens"]
    (tmp_path / "m.csv").write_text("key,text\n../../up,one\n")
    assert "m.csv: a key must be the path of a file below a folder, got '../../up'" in refusal(
        *words, tmp_path / "m.csv"
    )
    (tmp_path / "m.csv").write_text("key,text\n/tmp/up,one\nb,four\n")
    assert call(*words, tmp_path / "m.csv") == 1  # the others are encoded
    said = capsys.readouterr()
    assert "failed: m.csv:2: line 2 of " in said.err and "got '/tmp/up'; write one without .." in said.err
    assert sorted(token_files(tmp_path / "tokens")) == ["a.tokens", "b.tokens", "m.tokens"]


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("m.csv", b"image\na.png,b\n", "at most the 1 cells"),
        ("m.csv", b'image\n"a.png\n', "m.csv opens a quote that is not closed"),
        ("m.csv", b"picture\na.png\n", "must have one of image"),
        ("m.csv", b"\xff\xfa", "UTF-8"),
        ("m.parquet", b"PAR1 and no more", "whole Parquet table"),
        ("m.jsonl", b"[" * 100_000, "JSON object"),
        ("m.jsonl", b'{"image": 3}', "got int"),
        ("m.txt", b"\n\n", "no image was found"),
    ],
)
def test_a_broken_manifest_is_refused(name, content, why, options, tmp_path, refusal):
    (tmp_path / name).write_bytes(content)
    assert why in refusal("encode", tmp_path / name, *options, tmp_path / "tokens")
    assert not (tmp_path / "tokens").exists()


def test_the_tokenizer_that_ships_is_found_by_the_files(pictures, tmp_path, call):
    one = next(pictures.glob("*.png"))
    for number, words in enumerate((["shipped"], ["image=shipped"])):
        assert call("encode", one, "--tokenizer", *words, "--out", tmp_path / str(number)) == 0
    kept = [TokenStream.load(tmp_path / str(number) / f"{one.stem}.tokens") for number in range(2)]
    wanted = load_tokenizer(SHIPPED / "tokenizers/image").encode(Image.load(one))
    assert kept == [wanted, wanted]


def test_paired_data_become_a_corpus_and_workers_change_nothing(pictures, run, tmp_path, call, capsys):
    named = [
        word for name in ("text", "image") for word in ("--tokenizer", f"{name}={run.folder / 'tokenizers' / name}")
    ]
    (tmp_path / "broken.csv").write_text("text,image\nno such file,none.png\n")
    sources = (pictures / "manifest.jsonl", tmp_path / "broken.csv")
    for workers in (1, 2):
        assert call("encode", *sources, *named, "--out", tmp_path / str(workers), "--workers", workers) == 1
        output = capsys.readouterr()
        assert "40 records written, 0 there before, 1 failed" in output.out
        assert "failed: broken.csv:2: " in output.err and "none.png" in output.err
    assert call("encode", *sources, *named, "--out", tmp_path / "2") == 1
    assert "0 records written, 40 there before, 1 failed" in capsys.readouterr().out
    assert token_files(tmp_path / "1") == token_files(tmp_path / "2")
    assert call("corpus", "build", pictures / "manifest.jsonl", *named, "--out", tmp_path / "built") == 0
    assert list(Corpus(tmp_path / "built")) == list(Corpus(tmp_path / "1"))


def test_token_files_of_several_workers_and_what_was_left_by_a_killed_one(
    pictures, options, tmp_path, call, refusal, run
):
    assert call("encode", pictures, *options, tmp_path / "one", "--workers", 1) == 0
    (tmp_path / "two").mkdir()
    gone = tmp_path / "two/.07.tokens.4194305.partial"  # above the largest process id
    living = tmp_path / "two/.07.tokens.1.partial"
    gone.write_bytes(b"half")
    living.write_bytes(b"half")
    assert call("encode", pictures, *options, tmp_path / "two", "--workers", 2) == 0
    assert living.exists() and not gone.exists()
    living.unlink()
    assert token_files(tmp_path / "one") == token_files(tmp_path / "two")
    (tmp_path / "two/03.tokens").write_bytes(b"short")
    assert call("encode", pictures, *options, tmp_path / "two") == 1
    text = run.folder / "tokenizers/text"
    both = ("--tokenizer", text, *options, tmp_path / "three")
    assert "several tokenizers are given as NAME=FOLDER" in refusal("encode", pictures, *both)
