"""encode --shards: many small files as records of one corpus, decoded from there, with several processes too."""

import warnings
from functools import partial

import pytest
import torch
from PIL import Image as pillow

from tests.worlds import emoji, tokenizers
from tokenmask.cli.media import is_held_out
from tokenmask.corpus import Corpus, CorpusWriter, Item, Record, build_corpus
from tokenmask.modalities.image import Image


def test_shards_hold_what_token_files_hold_and_decode_alike(pictures, run, tmp_path, call, capsys):
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    tokenizer = run.tokenizers["image"]
    words = ("encode", pictures, tmp_path / "broken.png", "--tokenizer", run.folder / "tokenizers/image")
    assert call(*words, "--out", tmp_path / "shards", "--shards") == 1
    printed = capsys.readouterr()
    assert (
        "40 records written, 0 there before, 1 failed" in printed.out and "failed: broken.png: must be" in printed.err
    )
    assert [path.name for path in (tmp_path / "shards").iterdir()] == ["shard-000000.parquet"]
    records = {record.key: record for record in Corpus(tmp_path / "shards")}
    assert sorted(records) == [f"{number:02}.png" for number in range(40)]
    for number in (0, 17, 39):
        record = records[f"{number:02}.png"]
        assert list(record.streams) == ["image"] and (record.split == "held-out") == is_held_out(f"{number:02}")
        wanted = tokenizer.encode(Image.load(pictures / f"{number:02}.png"))
        assert torch.equal(record.streams["image"].codes, wanted.codes)
    assert call(*words, "--out", tmp_path / "shards", "--shards") == 1
    assert "0 records written, 40 there before, 1 failed" in capsys.readouterr().out
    back = ("decode", tmp_path / "shards", "--tokenizer", run.folder / "tokenizers/image", "--out", tmp_path / "back")
    assert call(*back) == 0 and len(list((tmp_path / "back").iterdir())) == 40
    made = Image.load(tmp_path / "back/17.png")
    assert made == tokenizer.decode(records["17.png"].streams["image"])
    capsys.readouterr()
    assert call(*back) == 2 and "add --force" in capsys.readouterr().err


def test_names_that_meet_and_codes_of_others_are_refused(pictures, run, tmp_path, refusal):
    words = ("--tokenizer", run.folder / "tokenizers/image", "--out", tmp_path / "shards", "--shards")
    (tmp_path / "other").mkdir()
    (tmp_path / "other/07.png").write_bytes((pictures / "08.png").read_bytes())
    said = refusal("encode", pictures / "07.png", tmp_path / "other/07.png", *words)
    assert "would both be the record '07.png'" in said and not (tmp_path / "shards").exists()
    build_corpus(
        [Item("a", {"image": Image(torch.from_numpy(emoji()[0].pixels))})],
        {"image": run.tokenizers["image"]},
        tmp_path / "made",
        progress=False,
    )
    tokenizers()["text"].save(tmp_path / "text")
    said = refusal("decode", tmp_path / "made", "--tokenizer", tmp_path / "text", "--out", tmp_path / "back")
    assert "its streams (image) were made by others" in said


def test_keys_that_are_no_paths_are_refused_alone(run, tmp_path, call, capsys):
    """In a new corpus, in a tar archive, and in a corpus that has them from before."""
    pixels = torch.from_numpy(emoji()[0].pixels)
    odd = ("../x", "/etc/x", "a\0b", ".", "a/../../b")
    image = {"image": run.tokenizers["image"]}
    items = [Item(key, {"image": Image(pixels)}) for key in ("one", *odd, "two")]
    summary = build_corpus(items, image, tmp_path / "made", progress=False)
    assert summary.written == 2 and [key for key, _ in summary.failed] == list(odd)
    assert all("a key must be the path of a file below a folder, got " in reason for _, reason in summary.failed)
    with pytest.MonkeyPatch.context() as patch, CorpusWriter(tmp_path / "old", {"image": image["image"].spec}) as old:
        patch.setattr("tokenmask.corpus.writer.check_key", lambda key: None)  # as corpora were written before
        for key in ("one", "../x", "/etc/x"):
            old.add(Record(key, {"image": image["image"].encode(Image(pixels))}))
    words = ("--tokenizer", run.folder / "tokenizers/image", "--out", tmp_path / "back")
    assert call("decode", tmp_path / "old", *words) == 1
    said = capsys.readouterr()
    assert [path.name for path in (tmp_path / "back").rglob("*.png")] == ["one.png"]
    assert f"failed: {tmp_path}/old#../x: a key must be" in said.err and "old#/etc/x: a key must be" in said.err


def test_keys_of_old_corpora_in_two_spellings_do_not_stop_the_others(run, tmp_path, call, capsys):
    """What is one path in two spellings is decoded once; alone, another spelling is decoded as ever."""
    image = run.tokenizers["image"]
    codes = image.encode(Image(torch.from_numpy(emoji()[0].pixels)))
    with pytest.MonkeyPatch.context() as patch, CorpusWriter(tmp_path / "old", {"image": image.spec}) as old:
        patch.setattr("tokenmask.corpus.writer.check_key", lambda key: None)  # as corpora were written before
        for key in ("a//b", "a/b", "a/./b", "c//d"):
            old.add(Record(key, {"image": codes}))
    words = ("--tokenizer", run.folder / "tokenizers/image", "--out", tmp_path / "back")
    assert call("decode", tmp_path / "old", *words) == 1
    assert capsys.readouterr().err.count("is another spelling of 'a/b', which is there too; take one out") == 2
    found = sorted(str(path.relative_to(tmp_path / "back")) for path in (tmp_path / "back").rglob("*.png"))
    assert found == ["a/b.png", "c/d.png"]


def test_what_readers_tell_in_processes_is_told_here_once(run, tmp_path):
    """Of four pictures two say something; each of them once, and codes do not depend on the number of processes."""
    for number in range(4):
        Image(torch.full((8, 8, 3), 60 * number, dtype=torch.uint8)).save(tmp_path / f"{number}.png")
    for number in (1, 3):
        pages = [pillow.new("L", (8, 8), 60 * number)] * 2
        pages[0].save(tmp_path / f"{number}.tif", save_all=True, append_images=pages[1:])
    items = [Item(path.name, {"image": partial(Image.load, path)}) for path in sorted(tmp_path.glob("[0-9].*"))]
    pair = {"image": run.tokenizers["image"]}
    for workers in (1, 2):
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("default")
            build_corpus(items, pair, tmp_path / f"of-{workers}", workers=workers, progress=False)
        said = sorted(str(one.message) for one in told)
        assert said == [f"{tmp_path / f'{number}.tif'} has 2 frames or pages; the first is taken" for number in (1, 3)]
    one, two = ({r.key: r.streams["image"].codes for r in Corpus(tmp_path / f"of-{n}")} for n in (1, 2))
    assert one.keys() == two.keys() and all(torch.equal(one[key], two[key]) for key in one)
