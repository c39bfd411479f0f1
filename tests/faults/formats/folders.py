"""Formats of folders as other people lay them out: one of their tables or shards is to be damaged."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.faults.formats.format import Format, items

BOTH, SPOKEN = {"text": "text", "image": "image"}, {"text": "text", "audio": "audio"}
MOVED = {"text": "text", "motion": "motion"}


def _png(number: int) -> bytes:
    from PIL import Image as Picture

    held = io.BytesIO()
    Picture.new("RGB", (16, 16), (60 * number, 30, 200)).save(held, "PNG")
    return held.getvalue()


def _wav(number: int) -> bytes:
    import numpy as np
    import soundfile

    held = io.BytesIO()
    soundfile.write(held, np.full(400 + number, 0.25), 16000, format="WAV", subtype="PCM_16")
    return held.getvalue()


def _folder(damaged: str, kind: Callable[[int], bytes], names: str, tables: dict[str, str]) -> Callable[[Path], Path]:
    """Four media, named by number, and tables by their paths."""

    def make(folder: Path) -> Path:
        contents = {names.format(number): kind(number) for number in range(4)}
        contents |= {name: text.encode() for name, text in tables.items()}
        for name, content in contents.items():
            (folder / "d" / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / "d" / name).write_bytes(content)
        return folder / "d" / damaged

    return make


def _tar(folder: Path) -> Path:
    """A shard of WebDataset: pictures, captions, and what else is known of them."""
    (folder / "d").mkdir()
    with tarfile.open(folder / "d/train-0.tar", "w") as archive:
        for number in range(3):
            members = {"png": _png(number), "txt": b"a picture", "json": b'{"year": 1999}', "cls": b"5"}
            for ending, content in members.items():
                info = tarfile.TarInfo(f"a/{number}.{ending}")
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return folder / "d/train-0.tar"


def _table(folder: Path) -> Any:
    import pyarrow as pa

    cells = [{"bytes": _png(number), "path": f"{number}.png"} for number in range(4)]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    labels = pa.array([number % 2 for number in range(4)])
    return pa.table({"image": pa.array(cells, kind), "label": labels, "note": pa.array(["a", "b", "c", "d"])})


_FEATURES = {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}, "image": {"_type": "Image"}}


def _saved(damaged: str) -> Callable[[Path], Path]:
    """A data set that `datasets` saved: a stream of Arrow, beside it two files of JSON."""

    def make(folder: Path) -> Path:
        import pyarrow as pa

        home, table = folder / "d", _table(folder)
        home.mkdir()
        with pa.OSFile(str(home / "data-0.arrow"), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as out:
            out.write_table(table)
        (home / "state.json").write_text(json.dumps({"_data_files": [{"filename": "data-0.arrow"}]}))
        (home / "dataset_info.json").write_text(json.dumps({"features": _FEATURES}))
        return home / damaged

    return make


def _hub(folder: Path) -> Path:
    """A table of a hub with the media in it."""
    import pyarrow.parquet as pq

    (folder / "d/data").mkdir(parents=True)
    about = {b"huggingface": json.dumps({"info": {"features": _FEATURES}})}
    pq.write_table(_table(folder).replace_schema_metadata(about), folder / "d/data/train-0.parquet", row_group_size=2)
    return folder / "d/data/train-0.parquet"


def _bare(folder: Path) -> Path:
    """The same, of bytes without a path."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    (folder / "d/data").mkdir(parents=True)
    table = pa.table({"jpg": pa.array([_png(number) for number in range(4)]), "text": ["a", "b", "c", "d"]})
    pq.write_table(table, folder / "d/data/train-0.parquet", row_group_size=2)
    return folder / "d/data/train-0.parquet"


def _humanml(damaged: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        import numpy as np

        from tests.modalities.test_humanml import walk

        home = folder / "d"
        for part in ("new_joints", "texts"):
            (home / part).mkdir(parents=True)
        for name in ("000001", "000002"):
            np.save(home / f"new_joints/{name}.npy", walk(6).joint_positions().numpy())
            (home / f"texts/{name}.txt").write_text("a man walks.#a/DET man/NOUN#0.0#0.0\nhe turns.#he/PRON#1.0#2.5\n")
        (home / "train.txt").write_text("000001\n")
        (home / "test.txt").write_text("000002\n")
        return home / damaged

    return make


_ROWS = [{"file_name": f"{number}.png", "text": f"picture {number}", "year": number} for number in range(4)]
_CSV = "file_name,text,year\n" + "".join(",".join(map(str, row.values())) + "\n" for row in _ROWS)
_JSONL = "\n".join(map(json.dumps, _ROWS))
_TSV = "client_id\tpath\tsentence\n" + "".join(f"a\t{number}.wav\twords {number}\n" for number in range(4))
_LJ = "".join(f'{number}|In 199{number}, "he" said|In nineteen, "he" said\n' for number in range(4))
_KALDI = {
    "train/wav.scp": "".join(f"u{number} sounds/{number}.wav\n" for number in range(4)),
    "train/text": "".join(f"u{number} hello  there\n" for number in range(4)),
}
_LIBRI = {"dev-clean/1/2/1-2.trans.txt": "".join(f"1-2-{number} SOME WORDS\n" for number in range(4))}
_COCO = {
    "images": [{"id": number, "file_name": f"{number}.png"} for number in range(4)],
    "annotations": [{"id": 9 - number, "image_id": number, "caption": f"one {number}\n"} for number in range(4)],
}
_TOKEN = "".join(f"{number}.png#{one}\twords {one}\n" for number in range(4) for one in range(2))
_CAPTIONS = "image,caption\n" + "".join(f'{number}.png,"a, {one}"\n' for number in range(4) for one in range(2))
_NOTES = {"annotations/captions_train2017.json": json.dumps(_COCO)}


def _tables(
    damaged: str, kind: Callable[[int], bytes], names: str, tables: dict[str, str], kinds: dict[str, str]
) -> Format:
    return Format(_folder(damaged, kind, names, tables), items(kinds, damaged.count("/") + 1))


FORMATS = {
    "shard of WebDataset": Format(_tar, items(BOTH, 1)),
    "single shard of WebDataset": Format(_tar, items(BOTH)),
    "data set in Arrow": Format(_saved("data-0.arrow"), items(BOTH, 1)),
    "state of a data set": Format(_saved("state.json"), items(BOTH, 1)),
    "features of a data set": Format(_saved("dataset_info.json"), items(BOTH, 1)),
    "table of a hub": Format(_hub, items(BOTH, 2)),
    "metadata csv": _tables("train/metadata.csv", _png, "train/{}.png", {"train/metadata.csv": _CSV}, BOTH),
    "metadata jsonl": _tables("metadata.jsonl", _png, "{}.png", {"metadata.jsonl": _JSONL}, BOTH),
    "tsv of Common Voice": _tables("train.tsv", _wav, "clips/{}.wav", {"train.tsv": _TSV}, SPOKEN),
    "metadata of LJSpeech": _tables("metadata.csv", _wav, "wavs/{}.wav", {"metadata.csv": _LJ}, SPOKEN),
    "wav.scp of Kaldi": _tables("train/wav.scp", _wav, "sounds/{}.wav", _KALDI, SPOKEN),
    "text of Kaldi": _tables("train/text", _wav, "sounds/{}.wav", _KALDI, SPOKEN),
    "words of LibriSpeech": _tables(*_LIBRI, _wav, "dev-clean/1/2/1-2-{}.wav", _LIBRI, SPOKEN),
    "captions of COCO": _tables(*_NOTES, _png, "train2017/{}.png", _NOTES, BOTH),
    "tokens of Flickr8k": _tables("t.token.txt", _png, "Images/{}.png", {"t.token.txt": _TOKEN}, BOTH),
    "captions of Flickr8k": _tables("captions.txt", _png, "Images/{}.png", {"captions.txt": _CAPTIONS}, BOTH),
    "bytes of a hub": Format(_bare, items(BOTH, 2)),
    "joints of a folder": Format(_humanml("new_joints/000001.npy"), items(MOVED, 2)),
    "sentences of HumanML3D": Format(_humanml("texts/000001.txt"), items(MOVED, 2)),
    "split of HumanML3D": Format(_humanml("train.txt"), items(MOVED, 1)),
}
