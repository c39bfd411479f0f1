"""Tensor files: tensors and a description in one file that says when it was damaged.

Arrow: (tensors, JSON values) --**save_tensors**--> .safetensors --**load_tensors**--> the same. Does not know: what the
tensors are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from tokenmask.files import no_tensors, writing_atomically
from tokenmask.tokenizer import fingerprint

_FORMAT = 1
_HEADER = "tokenmask"


def save_tensors(path: str | Path, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
    """Writes tensors and a JSON description as one safetensors file, atomically.

    The header holds a format version, ``about`` and a SHA-256 over the description and every tensor's name, dtype,
    shape and bytes. Equal contents give equal files.

    Args:
        path: the file; its folder is made if it does not exist.
        tensors: any dtypes and devices; views and tensors that share memory are stored as copies.
        about: JSON values only, without NaN.

    Raises:
        OSError: the file could not be written; nothing is left behind.
        ValueError: ``about`` is not JSON.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    stored = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    seen: set[int] = set()
    for name, tensor in stored.items():
        storage = tensor.untyped_storage()
        if storage.data_ptr() in seen or storage.nbytes() != tensor.nbytes:
            stored[name] = tensor.clone()
        seen.add(storage.data_ptr())
    text = canonical_json(about)
    header = {"format": _FORMAT, "sha256": fingerprint({"text": text}, stored), "about": text}
    with writing_atomically(path) as partial:
        try:
            save_file(stored, partial, metadata={_HEADER: json.dumps(header)})
        except SafetensorError as error:
            raise OSError(str(error)) from error


def load_tensors(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Reads what :func:`save_tensors` wrote, to the CPU, and verifies its hash.

    Returns:
        (tensors, about); fresh tensors.

    Raises:
        ValueError: the file is missing, cut short, changed by a byte, of a newer format or not ours.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if not path.is_file():
        raise ValueError(f"a tensor file was expected at {path}, but there is none; check the path")
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {})[_HEADER])
            version, digest, text = header["format"], header["sha256"], header["about"]
            # Copies: the file's own memory map would be lost or change when the file is replaced.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 (not a mapping)
        about = json.loads(text)
    except (SafetensorError, KeyError, TypeError, ValueError, OSError) as error:
        raise ValueError(
            f"{path} is not a whole tokenmask tensor file ({no_tensors(error)}); use a backup or make it anew"
        ) from error
    if version != _FORMAT:
        raise ValueError(
            f"{path} has format {version}, but this tokenmask reads format {_FORMAT}; use the version that wrote it"
        )
    if fingerprint({"text": text}, tensors) != digest:
        raise ValueError(f"{path} must have the SHA-256 noted in its header, but its contents changed; use a backup")
    return tensors, about


def description_of(path: str | Path) -> dict[str, Any] | None:
    """The description in the header of a safetensors file; {} of another program's, None if it cannot be read."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            header = json.loads((file.metadata() or {}).get(_HEADER, "{}"))
            about = json.loads(header.get("about", "{}"))
    except (SafetensorError, OSError, ValueError, AttributeError, TypeError):
        return None
    return about if isinstance(about, dict) else None


def canonical_json(value: Any) -> str:
    """JSON text that equal values share: sorted keys, no spaces, no NaN.

    Raises:
        ValueError: the value is not JSON.
    """
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"a stored description must hold JSON values only ({error}); convert it first") from error
