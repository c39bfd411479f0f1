"""Damaged files by the thousand: each format's reader must refuse with a sentence or return something valid, soon.

Run as a program, in a process of its own, it prints a JSON line for each format: what was read, refused, and wrong.
A crash or a hang ends the process, with a traceback on stderr; memory is limited.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import io
import json
import random
import resource
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LIMIT_SECONDS = 30  # for one file, on a busy machine
LIMIT_BYTES = 12 << 30  # of address space, most of which torch only reserves
WORDS = ["-1", "0", "nan", "1e999", "99999999999999999999", "null", "[]", "{}", '"', "}", "{", "\x00", "\ud7ff", "true"]
NUMBERS = [0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 1 << 62, (1 << 64) - 1]


@dataclass(frozen=True)
class Format:
    """One kind of file.

    Args:
        make: writes a whole one (or a folder of files) below a folder and returns the file that is to be damaged.
        read: opens it, and all that belongs to it, given that file.
    """

    make: Callable[[Path], Path]
    read: Callable[[Path], Any]


def mutated(data: bytes, draw: random.Random) -> bytes:
    """The bytes with one to four faults in them."""
    for _ in range(draw.choice([1, 1, 1, 2, 4])):
        size = len(data)
        # Headers stand at the beginning or at the end, so most faults do too.
        place = draw.choice(
            [draw.randrange(size + 1), draw.randrange(min(size, 200) + 1), size - draw.randrange(min(size, 200) + 1)]
        )
        span = draw.choice([1, 2, 4, 8, 64, 1000])
        kind = draw.randrange(8)
        if kind == 0 and place < size:
            data = data[:place] + bytes([data[place] ^ (1 << draw.randrange(8))]) + data[place + 1 :]
        elif kind == 1:
            data = data[:place]
        elif kind == 2:
            data = data[:place] + data[place + span :]
        elif kind == 3:
            data = data[:place] + data[place : place + span] + data[place:]
        elif kind == 4:
            data = data[:place] + draw.randbytes(span) + data[place + span :]
        elif kind == 5:
            width = draw.choice([1, 2, 4, 8])
            number = (draw.choice(NUMBERS) % (1 << 8 * width)).to_bytes(width, draw.choice(["little", "big"]))
            data = data[:place] + number + data[place + width :]
        elif kind == 6:
            data = data[:place] + draw.choice(WORDS).encode() + data[place + draw.choice([0, 1, 3]) :]
        else:
            data = _another_number(data, draw)
    return data


def _another_number(data: bytes, draw: random.Random) -> bytes:
    """One of the first numbers in a text becomes another word."""
    import re

    found = list(re.finditer(rb"-?\d+(\.\d+)?", data[:20_000]))
    if not found:
        return data
    one = draw.choice(found)
    return data[: one.start()] + draw.choice(WORDS).encode() + data[one.end() :]


def try_once(read: Callable[[Path], Any], path: Path) -> str:
    """ "read", "refused", or what was wrong; ends this process with a traceback if it takes too long."""
    faulthandler.dump_traceback_later(LIMIT_SECONDS, exit=True)
    try:
        read(path)
    except (ValueError, OSError) as error:
        text = str(error).strip()
        told = len(text) >= 20 and "\n" not in text and not isinstance(error, UnicodeError)
        return "refused" if told else f"no sentence: {type(error).__name__}: {text[:200]}"
    except Exception as error:  # noqa: BLE001 - that it is another kind is what is looked for
        return f"{type(error).__name__}: {str(error)[:200]}"
    finally:
        faulthandler.cancel_dump_traceback_later()
    return "read"


def limited() -> None:
    """Limits this process, so that what asks for too much memory fails at once; a crash prints where it was."""
    import torch

    torch.set_num_threads(1)
    resource.setrlimit(resource.RLIMIT_AS, (LIMIT_BYTES, resource.RLIM_INFINITY))
    faulthandler.enable()
    warnings.simplefilter("ignore")


def try_format(name: str, kind: Format, count: int, seed: int) -> dict[str, Any]:
    """Reads ``count`` damaged files of a format."""
    result: dict[str, Any] = {"format": name, "read": 0, "refused": 0, "wrong": [], "slowest": 0.0}
    with tempfile.TemporaryDirectory() as scratch:
        path = kind.make(Path(scratch))
        whole = path.read_bytes()
        kind.read(path)  # the whole file can be read
        draw = random.Random(f"{name} {seed}")
        for number in range(count):
            path.write_bytes(mutated(whole, draw))
            started = time.monotonic()
            outcome = try_once(kind.read, path)
            result["slowest"] = max(result["slowest"], round(time.monotonic() - started, 2))
            if outcome in ("read", "refused"):
                result[outcome] += 1
            else:
                result["wrong"].append([number, outcome])
        path.write_bytes(whole)
        kind.read(path)  # and nothing was broken by the others
    return result


# Formats --------------------------------------------------------------------------------------------------------------


def _copy(part: str) -> Callable[[Path], Path]:
    """A copy of the run that ships, of which one file is to be damaged."""

    def make(folder: Path) -> Path:
        from tokenmask.run import SHIPPED

        shutil.copytree(SHIPPED, folder / "run")
        return folder / "run" / part

    return make


def _run(path: Path) -> Any:
    from tokenmask.run import Run

    folder = next(parent for parent in path.parents if parent.name == "run")
    return Run.load(folder)


def _tokenizer(path: Path) -> Any:
    from tokenmask.tokenizer import load_tokenizer

    return load_tokenizer(path.parent)


def _in_run(part: str) -> Format:
    return Format(_copy(part), _run)


def _media(module: str, name: str) -> Callable[[Path], Any]:
    def read(path: Path) -> Any:
        import importlib

        return getattr(importlib.import_module(f"tokenmask.modalities.{module}"), name).load(path)

    return read


def _sound(suffix: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        import torch

        from tokenmask.modalities.audio import AudioClip

        seconds = torch.arange(4000) / 8000
        AudioClip((0.3 * (3000 * seconds).sin())[None].expand(2, -1).contiguous(), 8000).save(folder / f"a.{suffix}")
        return folder / f"a.{suffix}"

    return make


def _picture(suffix: str, **options: Any) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        import numpy as np
        from PIL import Image as Picture

        draw = np.random.default_rng(0)
        frames = [Picture.fromarray(draw.integers(0, 256, (24, 32, 3), np.uint8)) for _ in range(3)]
        more = {"save_all": True, "append_images": frames[1:], "duration": 50} if suffix == "gif" else {}
        frames[0].save(folder / f"a.{suffix}", **options, **more)
        return folder / f"a.{suffix}"

    return make


def _bvh(folder: Path) -> Path:
    from tests.cli.foreign import bvh

    (folder / "a.bvh").write_text(bvh(8))
    return folder / "a.bvh"


def _motion(folder: Path) -> Path:
    from tokenmask.modalities.motion import MotionClip

    MotionClip.load(_bvh(folder)).save(folder / "a.safetensors")
    return folder / "a.safetensors"


def _recording(suffix: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        from tests.cli.foreign import eeg
        from tokenmask.modalities.eeg.media import EegRecording

        eeg(folder, 1)
        if suffix != "edf":
            EegRecording.load(folder / "rest-0.edf").save(folder / f"a.{suffix}")
        return folder / ("rest-0.edf" if suffix == "edf" else f"a.{suffix}")

    return make


def _note(folder: Path) -> Path:
    (folder / "a.txt").write_text("In the beginning was the word, naïve ☃.\n" * 3)
    return folder / "a.txt"


def _recipe(folder: Path) -> Path:
    from tokenmask.recipes import list_recipes

    return Path(shutil.copy(list_recipes()["captions"], folder / "mine.yaml"))


def _load_recipe(path: Path) -> Any:
    from tokenmask.recipes import load_recipe

    return load_recipe(path)


def _tokens(folder: Path) -> Path:
    import torch

    from tokenmask.streams import StreamSpec, TokenStream

    spec = StreamSpec("eeg", (40, 50), ("channel", "time"), rate_hz=16.0, fingerprint="1" * 64)
    codes = torch.arange(2 * 30 * 2, dtype=torch.int32).view(2, 30, 2) % 40
    TokenStream(spec, codes, 0.5, {"channel": ("Cz", "O1")}).save(folder / "a.tokens")
    return folder / "a.tokens"


def _load_tokens(path: Path) -> Any:
    from tokenmask.streams import TokenStream

    return TokenStream.load(path)


def _shard(folder: Path) -> Path:
    from tokenmask.corpus import CorpusWriter, Record

    stream = _load_tokens(_tokens(folder))
    with CorpusWriter(folder / "corpus", {"eeg": stream.spec}, row_group=8) as writer:
        for number in range(20):
            writer.add(Record(f"record {number}", {"eeg": stream}, {"number": number}, "train"))
    return folder / "corpus/shard-000000.parquet"


def _load_shard(path: Path) -> Any:
    from tokenmask.corpus import Corpus, CorpusWriter, statistics

    corpus = Corpus(path.parent, "train")
    records, _ = list(corpus), statistics(corpus)
    CorpusWriter(path.parent, corpus.specs).close()
    return records


def _manifest(suffix: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        import pyarrow as pa
        import pyarrow.parquet as pq

        rows = [{"key": f"k{n}", "text": f"number {n}", "image": f"{n}.png", "split": "train"} for n in range(9)]
        path = folder / f"m.{suffix}"
        if suffix == "parquet":
            pq.write_table(pa.Table.from_pylist(rows), path)
        elif suffix == "jsonl":
            path.write_text("\n".join(map(json.dumps, rows)))
        else:
            path.write_text("\n".join([",".join(rows[0]), *(",".join(row.values()) for row in rows)]))
        return path

    return make


def _load_manifest(path: Path) -> Any:
    from tokenmask.cli.sources import items

    return items([path], {"text": "text", "image": "image"})


def _checkpoint(folder: Path) -> Path:
    import torch

    from tokenmask.tensor_files import save_tensors

    save_tensors(folder / "a.safetensors", {"weight": torch.arange(100.0)}, {"step": 3, "task": {"data": [1, 2]}})
    return folder / "a.safetensors"


def _load_checkpoint(path: Path) -> Any:
    from tokenmask.tensor_files import load_tensors

    return load_tensors(path)


FORMATS = {
    "safetensors": Format(_checkpoint, _load_checkpoint),
    "model": _in_run("models/main.safetensors"),
    "run.json": _in_run("run.json"),
    "layout.json": _in_run("layout.json"),
    "recipe.yaml of a run": _in_run("recipe.yaml"),
    "recipe": Format(_recipe, _load_recipe),
    "tokenizer.json": Format(_copy("tokenizers/image/tokenizer.json"), _tokenizer),
    "tokenizer weights": Format(_copy("tokenizers/motion/weights.safetensors"), _tokenizer),
    "sentencepiece": Format(_copy("tokenizers/text/text.model"), _tokenizer),
    "tokens": Format(_tokens, _load_tokens),
    "shard": Format(_shard, _load_shard),
    "manifest jsonl": Format(_manifest("jsonl"), _load_manifest),
    "manifest csv": Format(_manifest("csv"), _load_manifest),
    "manifest parquet": Format(_manifest("parquet"), _load_manifest),
    "text": Format(_note, _media("text", "Text")),
    "png": Format(_picture("png"), _media("image", "Image")),
    "jpeg": Format(_picture("jpg"), _media("image", "Image")),
    "webp": Format(_picture("webp", lossless=True), _media("image", "Image")),
    "wav": Format(_sound("wav"), _media("audio", "AudioClip")),
    "flac": Format(_sound("flac"), _media("audio", "AudioClip")),
    "ogg": Format(_sound("ogg"), _media("audio", "AudioClip")),
    "bvh": Format(_bvh, _media("motion", "MotionClip")),
    "motion": Format(_motion, _media("motion", "MotionClip")),
    "edf": Format(_recording("edf"), _media("eeg", "EegRecording")),
    "npz": Format(_recording("npz"), _media("eeg", "EegRecording")),
    "recording": Format(_recording("safetensors"), _media("eeg", "EegRecording")),
    "gif": Format(_picture("gif"), _media("video", "VideoClip")),
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("count", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--format", action="append")
    arguments = parser.parse_args()
    limited()
    for name in arguments.format or FORMATS:
        with contextlib.redirect_stdout(io.StringIO()):
            result = try_format(name, FORMATS[name], arguments.count, arguments.seed)
        sys.stdout.write(json.dumps(result) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
