"""Files made to hurt: declared sizes, numbers beyond all measure, contents that lie with a right checksum.

Run as a program it reads each in a process of little memory and prints a JSON line; see :mod:`tests.faults.mutations`.
"""

from __future__ import annotations

import json
import struct
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.faults.formats import FORMATS, Format
from tests.faults.formats.format import media
from tests.faults.formats.ours import load_recipe
from tests.faults.mutations import limited, try_once

Case = tuple[Callable[[Path], Path], Callable[[Path], Any]]
IMAGE, SOUND = media("image", "Image"), media("audio", "AudioClip")
MOTION, EEG, VIDEO = media("motion", "MotionClip"), media("eeg", "EegRecording"), media("video", "VideoClip")


def _bytes(name: str, data: bytes) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / name).write_bytes(data)
        return folder / name

    return make


def _changed(kind: Format, *changes: tuple[int, bytes]) -> Callable[[Path], Path]:
    """A whole file with some bytes replaced."""

    def make(folder: Path) -> Path:
        path = kind.make(folder)
        data = bytearray(path.read_bytes())
        for place, new in changes:
            data[place : place + len(new)] = new
        path.write_bytes(data)
        return path

    return make


def _png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(bytes(10_000_000), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def _safetensors(header: dict[str, Any], size: int | None = None) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text) if size is None else size) + text + bytes(64)


def _rate(rate: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        from tests.cli.foreign import bvh

        (folder / "a.bvh").write_text(bvh(8, step=rate))
        return folder / "a.bvh"

    return make


def _resampled(path: Path) -> Any:
    return MOTION(path).resample(30)


def _many_joints(folder: Path) -> Path:
    opening = "".join("JOINT j\n{\nOFFSET 0 1 0\nCHANNELS 1 Xrotation\n" for _ in range(200_000))
    (folder / "a.bvh").write_text(
        f"HIERARCHY\nROOT r\n{{\nOFFSET 0 0 0\nCHANNELS 0\n{opening}{'}' * 200_001}\nMOTION\n"
    )
    return folder / "a.bvh"


def _lying(name: str, tensors: Callable[[], dict[str, Any]], about: dict[str, Any]) -> Callable[[Path], Path]:
    """A tensor file whose checksum is right and whose description is not."""

    def make(folder: Path) -> Path:
        from tokenmask.tensor_files import save_tensors

        save_tensors(folder / name, tensors(), about)
        return folder / name

    return make


def _lying_model(**changes: Any) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        from tokenmask.tensor_files import load_tensors, save_tensors

        path = FORMATS["model"].make(folder)
        tensors, about = load_tensors(path)
        about["model"]["config"]["init_args"] |= changes
        save_tensors(path, tensors, about)
        return path

    return make


def _load_model(path: Path) -> Any:
    from tokenmask.models import MaskedModel

    return MaskedModel.load(path)


def _lying_layout(folder: Path) -> Path:
    from tokenmask.tensor_files import load_tensors, save_tensors

    path = FORMATS["model"].make(folder)
    tensors, about = load_tensors(path)
    about["model"]["layout"]["ranges"][0]["size"] = 1 << 40
    save_tensors(path, tensors, about)
    return path


def _lying_tokenizer(name: str, **changes: Any) -> Callable[[Path], Path]:
    """A tokenizer whose fingerprint is right for a configuration that its weights do not fit."""

    def make(folder: Path) -> Path:
        from tokenmask.run import SHIPPED
        from tokenmask.tensor_files import load_tensors
        from tokenmask.tokenizer import describe, fingerprint, read_description

        home = SHIPPED / "tokenizers" / name
        weights = (home / "weights.safetensors").read_bytes()
        (folder / "weights.safetensors").write_bytes(weights)
        config = read_description(home)["config"] | changes
        print_ = fingerprint({"tokenizer": name, **config}, load_tensors(home / "weights.safetensors")[0])
        (folder / "tokenizer.json").write_text(describe(name, config, print_))
        return folder / "tokenizer.json"

    return make


def _load_tokenizer(path: Path) -> Any:
    from tokenmask.tokenizer import load_tokenizer

    return load_tokenizer(path.parent)


def _tokens(spec: dict[str, Any]) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        import torch
        from safetensors.torch import save_file

        whole = {"modality": "text", "codebook_sizes": [9], "axes": ["index"], "grid": [None], "level_groups": [[0]]}
        about = {"spec": whole | spec, "start_seconds": 0.0, "labels": {}}
        codes = torch.zeros(3, 1, dtype=torch.int32)
        save_file({"codes": codes}, folder / "a.tokens", metadata={"tokenmask_stream": json.dumps(about)})
        return folder / "a.tokens"

    return make


def _recipe(change: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = FORMATS["recipe"].make(folder)
        path.write_text(path.read_text() + change)
        return path

    return make


def _zeros() -> dict[str, Any]:
    import torch

    return {"samples": torch.zeros(2, 300)}


def _edf_header(**fields: str) -> tuple[tuple[int, bytes], ...]:
    places = {"records": (236, 8), "duration": (244, 8), "signals": (252, 4), "header": (184, 8)}
    return tuple((places[name][0], value.ljust(places[name][1]).encode()) for name, value in fields.items())


BOMB = "\n".join([f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9) if n else 'x'}]" for n in range(12)])
CASES: dict[str, Case] = {
    "safetensors with a header of 2**63 bytes": (
        _bytes("a.safetensors", _safetensors({}, 1 << 63)),
        FORMATS["safetensors"].read,
    ),
    "safetensors with a tensor of 2**60 numbers": (
        _bytes(
            "a.safetensors",
            _safetensors({"x": {"dtype": "F32", "shape": [1 << 30, 1 << 30], "data_offsets": [0, 1 << 62]}}),
        ),
        FORMATS["safetensors"].read,
    ),
    "a description nested 100,000 deep": (
        _bytes("a.safetensors", _safetensors({"__metadata__": {"tokenmask": "[" * 100_000}})),
        FORMATS["safetensors"].read,
    ),
    "png of 60,000 x 60,000 pixels": (_bytes("a.png", _png(60_000, 60_000)), IMAGE),
    "png of 2**31 - 1 pixels a side": (_bytes("a.png", _png((1 << 31) - 1, (1 << 31) - 1)), IMAGE),
    "png of no pixels": (_bytes("a.png", _png(0, 0)), IMAGE),
    "gif of 65,535 x 65,535 pixels": (_changed(FORMATS["gif"], (6, b"\xff" * 4)), VIDEO),
    "wav that declares 4 GiB": (
        _changed(FORMATS["wav"], (4, b"\xff" * 4), (40, b"\xff" * 4), (76, b"\xff" * 4)),
        SOUND,
    ),
    "wav of 65,535 channels": (_changed(FORMATS["wav"], (22, b"\xff\xff")), SOUND),
    "wav at 4 GHz, resampled": (_changed(FORMATS["wav"], (24, b"\xff" * 4)), lambda path: SOUND(path).resample(16000)),
    "wav at 1 Hz, resampled": (
        _changed(FORMATS["wav"], (24, b"\x01\x00\x00\x00")),
        lambda path: SOUND(path).resample(1 << 30),
    ),
    "flac of 2**36 - 1 samples": (_changed(FORMATS["flac"], (21, b"\xff" * 5)), SOUND),
    "bvh of 10**18 frames": (lambda folder: _frames(folder, "9" * 18), MOTION),
    "bvh at 1e-30 frames a second, resampled": (_rate("1e30"), _resampled),
    "bvh at 1e30 frames a second, resampled": (_rate("1e-30"), _resampled),
    "bvh of 200,000 joints": (_many_joints, MOTION),
    "edf of 9,999 signals": (_changed(FORMATS["edf"], *_edf_header(signals="9999")), EEG),
    "edf of 99,999,999 records": (_changed(FORMATS["edf"], *_edf_header(records="99999999")), EEG),
    "edf of records without length": (_changed(FORMATS["edf"], *_edf_header(duration="0")), EEG),
    "edf of records of 1e-9 seconds that begin a second apart": (
        _changed(FORMATS["edf"], *_edf_header(duration="1e-9")),
        EEG,
    ),
    "edf with a header of 99,999,999 bytes": (_changed(FORMATS["edf"], *_edf_header(header="99999999")), EEG),
    "recording without a rate": (
        _lying("a.safetensors", _zeros, {"media": "EegRecording", "channels": ["a", "b"]}),
        EEG,
    ),
    "recording at a rate of words": (
        _lying("a.safetensors", _zeros, {"media": "EegRecording", "sample_rate_hz": "x", "channels": ["a", "b"]}),
        EEG,
    ),
    "recording whose channels are numbers": (
        _lying("a.safetensors", _zeros, {"media": "EegRecording", "sample_rate_hz": 9.0, "channels": [1, 2]}),
        EEG,
    ),
    "motion without a skeleton": (_lying("a.safetensors", _zeros, {"frame_rate_hz": 30}), MOTION),
    "motion with a skeleton of words": (_lying("a.safetensors", _zeros, {"skeleton": "x", "frame_rate_hz": 3}), MOTION),
    "model of width 2**40": (_lying_model(width=1 << 40), _load_model),
    "model of 10**9 blocks": (_lying_model(depth=10**9), _load_model),
    "model of half a head": (_lying_model(heads=0.5), _load_model),
    "model with an unknown field": (_lying_model(depths=3), _load_model),
    "model of 2**40 codes": (_lying_layout, _load_model),
    "model without a config": (_lying("m.safetensors", _zeros, {"model": {}}), _load_model),
    "model that is a list": (_lying("m.safetensors", _zeros, {"model": [1]}), _load_model),
    "tokenizer of width 2**40": (_lying_tokenizer("image", width=1 << 40), _load_tokenizer),
    "tokenizer of 10**9 blocks": (_lying_tokenizer("audio", encoder_blocks=10**7, kernel=1), _load_tokenizer),
    "tokenizer of words": (_lying_tokenizer("audio", width="wide"), _load_tokenizer),
    "tokenizer with a class path": (
        _bytes("tokenizer.json", b'{"format": 1, "tokenizer": "os:system", "config": {}, "fingerprint": ""}'),
        _load_tokenizer,
    ),
    "tokens of 2**62 codes": (_tokens({"codebook_sizes": [1 << 62]}), FORMATS["tokens"].read),
    "tokens whose axes are numbers": (_tokens({"axes": [3]}), FORMATS["tokens"].read),
    "tokens with another field": (_tokens({"code": "x"}), FORMATS["tokens"].read),
    "tokens whose grid is a word": (_tokens({"grid": "x"}), FORMATS["tokens"].read),
    "recipe with a python tag": (_recipe("about: !!python/object/apply:os.system ['true']\n"), load_recipe),
    "recipe with a python name": (_recipe("model: !!python/name:os.system\n"), load_recipe),
    "recipe that names os.system": (
        _recipe("pattern: {class_path: os.system, init_args: {command: 'true'}}\n"),
        load_recipe,
    ),
    "recipe that names a function of tokenmask": (_recipe("pattern: {class_path: tokenmask.run.load}\n"), load_recipe),
    "recipe that names a module through tokenmask": (
        _recipe("pattern: {class_path: tokenmask.run.folder.json.loads}\n"),
        load_recipe,
    ),
    "recipe that unfolds to 9**12 words": (_bytes("a.yaml", BOMB.encode()), load_recipe),
    "recipe nested 100,000 deep": (_bytes("a.yaml", b"[" * 100_000), load_recipe),
    "recipe with a number of 10,000 digits": (_recipe(f"training: {{steps: {'9' * 10_000}}}\n"), load_recipe),
    "recipe that is its own base": (_recipe("base: captions\n"), load_recipe),
}


def _frames(folder: Path, count: str) -> Path:
    path = FORMATS["bvh"].make(folder)
    path.write_text(path.read_text().replace("Frames: 8", f"Frames: {count}"))
    return path


def main() -> None:
    import tempfile

    limited()
    for name, (make, read) in CASES.items():
        with tempfile.TemporaryDirectory() as scratch:
            result = {"case": name, "outcome": try_once(read, make(Path(scratch)))}
        sys.stdout.write(json.dumps(result) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
