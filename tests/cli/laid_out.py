"""Files as other people lay them out, and what is read of them by key: for tests of layouts."""

import io
import json
import tarfile

import numpy as np
import pyarrow as pa
import soundfile
from PIL import Image as Picture

BOTH = {"text": "text", "image": "image"}
SPOKEN = {"text": "text", "audio": "audio"}
COLOURS = [(200, 30, 40), (20, 200, 60), (10, 10, 250), (90, 90, 90)]


def png(number):
    held = io.BytesIO()
    Picture.new("RGB", (64, 64), COLOURS[number]).save(held, "PNG")
    return held.getvalue()


def wav(number):
    held = io.BytesIO()
    soundfile.write(held, np.full(800 + number, 0.25), 16000, format="WAV", subtype="PCM_16")
    return held.getvalue()


def put(folder, files):
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)


def read(found):
    """By key without the folder's name: words, what tells the medium, and split."""
    result = {}
    for item in found:
        words = item.media["text"]().text if "text" in item.media else None
        other = next((loader() for name, loader in item.media.items() if name != "text"), None)
        if hasattr(other, "pixels"):
            other = COLOURS.index(tuple(other.pixels[0, 0].tolist()))
        elif other is not None:
            other = other.samples.shape[1] - 800
        result[item.key.partition("/")[2]] = (words, other, item.split)
    return result


def words_of(found):
    return {key: (words, other) for key, (words, other, _) in read(found).items()}


def shard(path, members):
    with tarfile.open(path, "w") as archive:
        for name, content in members.items():
            data = content.encode() if isinstance(content, str) else content
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


def saved(folder, table):
    """As `datasets` saves: a stream of Arrow, beside it two files of JSON."""
    folder.mkdir(parents=True)
    with (
        pa.OSFile(str(folder / "data-00000-of-00001.arrow"), "wb") as sink,
        pa.ipc.new_stream(sink, table.schema) as out,
    ):
        out.write_table(table)
    put(folder, {"state.json": json.dumps({"_data_files": [{"filename": "data-00000-of-00001.arrow"}]})})
    put(folder, {"dataset_info.json": json.dumps({"features": FEATURES})})


FEATURES = {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}, "image": {"_type": "Image"}}
MEDIA = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
