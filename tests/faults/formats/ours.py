"""Formats of our own: runs, tokenizers, recipes, tokens, shards, manifests."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.faults.formats.format import Format, items, media


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


def _model(folder: Path) -> Path:
    """A small one: reading a run anew for each of thousands of files takes too long."""
    from tokenmask.layout import Layout
    from tokenmask.models import MaskedModel, TransformerConfig
    from tokenmask.streams import StreamSpec

    layout = Layout({"text": StreamSpec("text", (30,), ("index",), end_code=0, fingerprint="1" * 64)})
    MaskedModel.create(TransformerConfig(width=64, depth=1, heads=2), layout).save(folder / "main.safetensors")
    return folder / "main.safetensors"


def load_model(path: Path) -> Any:
    from tokenmask.models import MaskedModel

    return MaskedModel.load(path)


def _note(folder: Path) -> Path:
    (folder / "a.txt").write_text("In the beginning was the word, naïve ☃.\n" * 3)
    return folder / "a.txt"


def _recipe(folder: Path) -> Path:
    from tokenmask.recipes import list_recipes

    return Path(shutil.copy(list_recipes()["captions"], folder / "mine.yaml"))


def load_recipe(path: Path) -> Any:
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
    from tokenmask.cli import sources

    return sources.items([path], {"text": "text", "image": "image"})


def _embedding(suffix: str) -> Callable[[Path], Path]:
    """A manifest whose cells hold the pictures."""

    def make(folder: Path) -> Path:
        import base64
        import io

        from PIL import Image

        held = io.BytesIO()
        Image.new("RGB", (4, 4), (60, 30, 200)).save(held, "PNG")
        cell = base64.b64encode(held.getvalue()).decode()
        cells = [cell, {"bytes": cell, "path": "a.png"}, list(held.getvalue()), f"data:image/png;base64,{cell}"]
        rows = [{"image": cell, "text": [{"raw": "a"}, "b"]} for cell in cells]
        text = json.dumps(rows, indent=1) if suffix == "json" else "\n".join(map(json.dumps, rows))
        (folder / f"m.{suffix}").write_text(text)
        return folder / f"m.{suffix}"

    return make


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
    "model": Format(_model, load_model),
    "run.json": _in_run("run.json"),
    "layout.json": _in_run("layout.json"),
    "recipe.yaml of a run": _in_run("recipe.yaml"),
    "recipe": Format(_recipe, load_recipe),
    "tokenizer.json": Format(_copy("tokenizers/image/tokenizer.json"), _tokenizer),
    "tokenizer weights": Format(_copy("tokenizers/motion/weights.safetensors"), _tokenizer),
    "sentencepiece": Format(_copy("tokenizers/text/text.model"), _tokenizer),
    "tokens": Format(_tokens, _load_tokens),
    "shard": Format(_shard, _load_shard),
    "manifest jsonl": Format(_manifest("jsonl"), _load_manifest),
    "manifest csv": Format(_manifest("csv"), _load_manifest),
    "manifest parquet": Format(_manifest("parquet"), _load_manifest),
    "manifest json of files": Format(_embedding("json"), items({"text": "text", "image": "image"})),
    "manifest jsonl of files": Format(_embedding("jsonl"), items({"text": "text", "image": "image"})),
    "text": Format(_note, media("text", "Text")),
}
