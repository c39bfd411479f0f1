"""docs/data.md: every ending that a medium reads stands in its first table, every layout in the second and works."""

import json
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.cli import foreign
from tests.cli.laid_out import FEATURES, MEDIA, png, saved, shard, wav
from tests.docs.test_documents import ROOT
from tests.modalities.test_humanml import walk
from tokenmask.cli.layouts import FINDERS
from tokenmask.cli.media import suffixes_of, written_suffixes_of
from tokenmask.cli.sources import items
from tokenmask.tokenizer import TOKENIZERS, load_tokenizer_class

PAGE = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
MEDIA_OF = {load_tokenizer_class(name).media: name for name in reversed(TOKENIZERS)}
ROW = re.compile(r"^\| ([^|]+) \| (`[^|]+`) \|", re.M)
BETWEEN = {part: text for part, text in zip(("files", "folders"), PAGE.split("\n## ")[1:], strict=True)}
LAYOUTS = {name: re.findall(r"`([^`]+)`", files) for name, files in ROW.findall(BETWEEN["folders"])}
IMAGE, AUDIO = {"text": "text", "image": "image"}, {"text": "text", "audio": "audio"}
TABLES = {  # what stands in the files of the small folders that are no media
    "COCO": {
        "annotations/captions_val.json": json.dumps(
            {
                "images": [{"id": 1, "file_name": "1.png"}, {"id": 2, "file_name": "2.png"}],
                "annotations": [{"id": 1, "image_id": 1, "caption": "a"}, {"id": 2, "image_id": 2, "caption": "b"}],
            }
        )
    },
    "Flickr8k": {"Flickr8k.token.txt": "1.png#0\ta\n2.png#0\tb\n"},
    "Captions by name": {"captions.json": '{"1.png": "a", "2.png": "b"}'},
    "Flickr8k, Flickr30k, as tables": {"captions.txt": "image,caption\n1.png,a\n2.png,b\n"},
    "Hugging Face metadata": {"metadata.csv": "file_name,text\n1.png,a\n2.png,b\n"},
    "LJSpeech": {"metadata.csv": "a-1|In 1999|in nineteen\na-2|b|\n"},
    "Kaldi": {"wav.scp": "u1 1.wav\nu2 2.wav\n", "text": "u1 a\nu2 b\n"},
    "LibriSpeech": {"dev-clean/1/2/1-2.trans.txt": "1-2-0 WORDS\n"},
    "Captions in objects beside": {"1.json": '{"caption": "a"}', "2.json": '{"caption": "b"}'},
    "UrbanSound8K": {
        "metadata/UrbanSound8K.csv": "slice_file_name,fold,class\n1-3.wav,1,dog_bark\n2-1.wav,2,car_horn\n"
    },
    "AudioSet": {
        "eval_segments.csv": "# of 2\n# YTID, start_seconds, positive_labels\n"
        '--PJ, 30.000, "/m/1,/m/2"\nxyz, 0.000, "/m/3"\n'
    },
    "Clotho": {"clotho_captions_development.csv": "file_name,caption_1,caption_2\na.wav,a,b\n"},
    "Common Voice": {
        "train.tsv": "client_id\tpath\tsentence\nx\t1.wav\ta\n",
        "test.tsv": "client_id\tpath\tsentence\nx\t2.wav\tb\n",
    },
    "ESC-50": {"meta/esc50.csv": "filename,fold,category\n1-1.wav,1,dog\n1-2.wav,1,cat\n"},
    "AudioCaps": {"train.csv": "audiocap_id,youtube_id,start_time,caption\n1,abc,10,a\n2,def,30,b\n"},
    "BIDS": {
        "dataset_description.json": "{}",
        "participants.tsv": "participant_id\tage\nsub-01\t30\n",
        "sub-01/eeg/sub-01_task-x_events.tsv": "onset\tduration\ttrial_type\n0.5\t1\tgo\n",
    },
    "HumanML3D": {"texts/000001.txt": "a man walks.#a/DET#0.0#0.0\n", "train.txt": "000001\n"},
}
FOUND = {  # layout -> the finder that must take it (None: none), its streams, and how many records
    "Captions beside": (None, IMAGE, 2),
    "ImageFolder": ("class_folders", IMAGE, 2),
    "COCO": ("coco", IMAGE, 2),
    "Flickr8k": ("flickr", IMAGE, 2),
    "Flickr8k, Flickr30k, as tables": ("tables", IMAGE, 2),
    "Captions by name": ("named", IMAGE, 2),
    "Captions in objects beside": ("described", IMAGE, 2),
    "Hugging Face metadata": ("tables", IMAGE, 2),
    "Hugging Face, saved": ("saved_datasets", IMAGE, 1),
    "Hugging Face, Parquet": ("saved_datasets", IMAGE, 2),
    "WebDataset": ("shards", IMAGE, 1),
    "LJSpeech": ("ljspeech", AUDIO, 2),
    "Kaldi": ("kaldi", AUDIO, 2),
    "LibriSpeech": ("librispeech", AUDIO, 1),
    "LibriTTS": ("libritts", AUDIO, 1),
    "UrbanSound8K": ("tables", AUDIO, 2),
    "AudioSet": ("tables", {"audio": "audio"}, 2),
    "Clotho": ("tables", AUDIO, 2),
    "VCTK": ("vctk", AUDIO, 1),
    "Common Voice": ("tables", AUDIO, 2),
    "ESC-50": ("tables", AUDIO, 2),
    "AudioCaps": ("tables", AUDIO, 2),
    "BIDS": ("bids", {"text": "text", "eeg": "eeg"}, 1),
    "HumanML3D": ("humanml3d", {"text": "text", "motion": "motion"}, 1),
}


@pytest.mark.parametrize("medium", sorted(MEDIA_OF.values()))
def test_every_ending_of_a_medium_stands_in_the_table(medium):
    rows = [re.findall(r"`(\.\w+)`", endings) for name, endings in ROW.findall(BETWEEN["files"]) if name == medium]
    told = [ending for row in rows for ending in row]
    assert len(told) == len(set(told))
    found = {*suffixes_of(medium), *({".npy"} if medium == "motion" else ())}  # which is found in HumanML3D alone
    assert set(told) == found
    written = BETWEEN["files"].partition("\nWritten are: ")[2]
    assert written_suffixes_of(medium) and set(written_suffixes_of(medium)) & set(re.findall(r"`(\.\w+)`", written))


def test_what_is_written_of_an_image_is_what_the_page_says():
    rows = next(endings for name, endings in ROW.findall(BETWEEN["files"]) if name == "image")
    told = re.findall(r"`(\.\w+)`", rows)
    assert tuple(told[: told.index(".tga") + 1]) == written_suffixes_of("image")


def test_every_finder_has_a_row():
    assert set(LAYOUTS) == set(FOUND)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"and {len(LAYOUTS) - 1} layouts of data sets by theirs" in readme  # captions beside are none
    assert {finder.__name__ for finder in FINDERS} == {name for name, *_ in FOUND.values() if name}


def make(folder, layout, tmp_path):
    """The small folder of a row, as the page has it."""
    if layout == "Hugging Face, saved":
        saved(folder, pa.table({"image": pa.array([{"bytes": png(0), "path": "0.png"}], MEDIA), "label": [1]}))
        return
    for number, name in enumerate(LAYOUTS[layout]):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name in TABLES.get(layout, {}):
            path.write_text(TABLES[layout][name])
        elif path.suffix == ".txt":
            path.write_text(f"words {number}")
        elif path.suffix == ".png":
            path.write_bytes(png(number % 4))
        elif path.suffix == ".wav":
            path.write_bytes(wav(number))
        elif path.suffix == ".npy":
            np.save(path, walk().joint_positions().numpy())
        elif path.suffix == ".edf":
            foreign.eeg(tmp_path / "files")
            path.write_bytes(sorted((tmp_path / "files").glob("*.edf"))[0].read_bytes())
        elif path.suffix == ".tar":
            shard(path, {"a.png": png(0), "a.txt": "a red one"})
        else:
            assert path.suffix == ".parquet"
            about = {b"huggingface": json.dumps({"info": {"features": FEATURES}})}
            cells = pa.table({"image": pa.array([{"bytes": png(0), "path": "0.png"}], MEDIA), "label": [number % 2]})
            pq.write_table(cells.replace_schema_metadata(about), path)


@pytest.mark.parametrize("layout", FOUND)
def test_a_folder_as_the_page_has_it_is_found(layout, tmp_path, monkeypatch):
    finder, streams, count = FOUND[layout]
    make(tmp_path / "d", layout, tmp_path)
    taken: list[str] = []

    def noted(own):
        def asked(*words):
            found = own(*words)
            taken.extend([own.__name__] * (found is not None and any(entry.media for entry in found.entries)))
            return found

        return asked

    monkeypatch.setattr("tokenmask.cli.layouts.FINDERS", tuple(map(noted, FINDERS)))
    found = items([tmp_path / "d"], streams)
    assert taken == ([finder] if finder else [])
    assert len(found) == count and all(set(item.media) == set(streams) for item in found)
    for item in found:
        assert all(loader() is not None for loader in item.media.values())
