"""Folders of others: where one is, its configuration, its tensors, and what to say of one that is not as it must be.

Arrow: folder or name in the user's hub cache --> JSON values, tensors. Does not know: what they are of.
Weights are safetensors; pickles, which can run any program, are never opened. Nothing is downloaded unasked.
"""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

CONFIG_FILE = "config.json"
WANTED = ("*.json", "*.safetensors")  # of what is downloaded
_HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.tar", "*.jit")
_STEMS = ("model", "diffusion_pytorch_model")
_PIP = "pip install 'tokenmask[hub]'"


def needed(library: str, who: str) -> Any:
    """A library of the extra ``hub``, imported; ImportError in one sentence where it is not installed."""
    try:
        return importlib.import_module(library)
    except ImportError as error:
        reason = "" if isinstance(error, ModuleNotFoundError) and error.name == library else f" ({error})"
        raise ImportError(f"{who} needs the library {library}, which cannot be imported{reason}; {_PIP}") from error


def located(source: str | Path, who: str, *, download: bool = False, wanted: tuple[str, ...] = WANTED) -> Path:
    """The folder of a source.

    Args:
        source: a local folder, or the name of a repository in the hub cache.
        who: for messages.
        download: fetches what is not in the cache.
        wanted: patterns of the files that are fetched.

    Raises:
        ValueError: neither a folder nor in the cache.
        ImportError: the cache cannot be asked without huggingface_hub.
    """
    path = Path(source).expanduser()
    if path.is_dir():
        return path
    if path.is_file():
        raise ValueError(f"{who} is opened from a folder, but {source} is a file; name the folder that holds it")
    advice = f"name a folder with {' and '.join(wanted)}, or pass download=True"
    if not _HUB_NAME.fullmatch(str(source)) or str(source).startswith("."):
        raise ValueError(f"{who} is opened from a folder, but {source} is none; check the path")
    hub = needed(
        "huggingface_hub", f"{source}, which is no folder here, may be in the hub cache, and to look there {who}"
    )
    try:
        return Path(hub.snapshot_download(str(source), allow_patterns=list(wanted), local_files_only=not download))
    except (OSError, ValueError, needed("huggingface_hub.errors", who).HfHubHTTPError) as error:
        if download:
            reason = " ".join(str(error).split())[:200]
            raise ValueError(f"{source} must be a repository of the hub, but was not downloaded ({reason})") from error
        cache = needed("huggingface_hub.constants", who).HF_HUB_CACHE
        raise ValueError(
            f"{source} is neither a folder here nor in the hub cache {cache}, and nothing is downloaded "
            f"unasked; {advice}"
        ) from error


def json_of(path: Path, who: str) -> dict[str, Any]:
    """The values of a JSON file of a folder; ValueError in a sentence where it is missing or damaged."""
    if not path.is_file():
        parts = sorted(part.parent.name for part in path.parent.glob(f"*/{path.name}"))
        hint = f"name one of its parts ({', '.join(parts)})" if parts else "name the folder that save_pretrained wrote"
        raise ValueError(f"{who} is opened from a folder with {path.name}, but {path.parent} has none; {hint}")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} must be JSON, but cannot be read ({error}); copy it again") from error
    if not isinstance(values, dict):
        raise ValueError(f"{path} must hold a JSON object, got {type(values).__name__}; copy it again")
    return values


def json_if_there(path: Path, who: str) -> dict[str, Any]:
    """The same of a file that a folder may lack, with no values then."""
    return json_of(path, who) if path.is_file() else {}


def tensors_of(folder: Path, prefixes: tuple[str, ...] = ("",), convert: str = "", how: str = "") -> dict[str, Tensor]:
    """The tensors of a folder, as they are stored, whether in one file or in several.

    Args:
        folder: with ``model.safetensors`` or an index of parts, as ``save_pretrained`` writes.
        prefixes: only tensors whose names begin with one of them, without it.
        convert: class path that reads weights of other kinds, for the sentence that says how to convert them.
        how: a line of Python that does it, where no class has ``save_pretrained``.

    Raises:
        ValueError: no such file, or a damaged one.
    """
    for stem in _STEMS:
        if (folder / f"{stem}.safetensors").is_file():
            return _read([folder / f"{stem}.safetensors"], prefixes)
        index = folder / f"{stem}.safetensors.index.json"
        if index.is_file():
            places = json_of(index, stem).get("weight_map")
            if not isinstance(places, Mapping):
                raise ValueError(f"{index} must say where tensors are (weight_map), but does not; copy it again")
            wanted = {str(file) for name, file in places.items() if name.startswith(prefixes)}
            return _read([folder / Path(file).name for file in sorted(wanted)], prefixes)
    pickles = sorted(path.name for pattern in _PICKLES for path in folder.glob(pattern))
    if pickles:
        library, _, kind = convert.rpartition(".")
        how = how or (
            f"from {library} import {kind}; {kind}.from_pretrained({str(folder)!r}, use_safetensors=False)"
            ".save_pretrained('converted')"
        )
        raise ValueError(
            f"{folder} has its weights as pickle only ({', '.join(pickles)}), which can run any program when it is "
            f"read and is never opened; convert it once, where you trust it: {how}"
        )
    raise ValueError(
        f"{folder} must hold weights as safetensors ({', '.join(f'{stem}.safetensors' for stem in _STEMS)}), but "
        "has none; copy or download them too"
    )


def _read(paths: list[Path], prefixes: tuple[str, ...]) -> dict[str, Tensor]:
    from safetensors import SafetensorError, safe_open

    found: dict[str, Tensor] = {}
    for path in paths:
        try:
            with safe_open(path, framework="pt") as file:
                names = [name for name in file.keys() if name.startswith(prefixes)]  # noqa: SIM118 (not a mapping)
                # Copies: the file's own memory map would change with the file.
                found |= {_without(name, prefixes): file.get_tensor(name).clone() for name in names}
        except (SafetensorError, OSError) as error:
            reason = " ".join(str(error).split())
            raise ValueError(
                f"{path} must be a whole safetensors file, but is not ({reason}); copy it again"
            ) from error
    if not found:
        raise ValueError(
            f"{paths[0].parent} must hold tensors named {' or '.join(prefixes)}..., but has none; name another folder"
        )
    return found


def _without(name: str, prefixes: tuple[str, ...]) -> str:
    return next(name.removeprefix(prefix) for prefix in prefixes if name.startswith(prefix))
