"""Identity: which tokenizer made a stream, and whether media and streams are a tokenizer's own.

Arrow: configuration, weights --**fingerprint**--> 64 hex digits. Does not know: files, any modality.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor

from tokenmask.arguments import what
from tokenmask.streams import TokenStream
from tokenmask.tokenizer.protocol import Tokenizer


def fingerprint(config: Mapping[str, Any], stored: Mapping[str, Tensor] | bytes = b"") -> str:
    """SHA-256, in hex, of a configuration and of weights as they are stored.

    Args:
        config: JSON values; the order of keys does not matter.
        stored: tensors by name (name, dtype, shape and bytes count), or the bytes of a model file.

    Returns:
        64 hex digits.
    """
    digest = hashlib.sha256(json.dumps(config, sort_keys=True, separators=(",", ":"), allow_nan=False).encode())
    if isinstance(stored, bytes):
        digest.update(stored)
        return digest.hexdigest()
    for name in sorted(stored):
        tensor = stored[name].detach().cpu().contiguous()
        digest.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        if tensor.numel():
            digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def fingerprint_of_parts(
    config: Mapping[str, Any], name: str, dtype: torch.dtype, shape: Sequence[int], parts: Iterable[Tensor]
) -> str:
    """The same of one tensor that comes in parts along its first axis, none of which need stay in memory.

    Args:
        config: see :func:`fingerprint`.
        name, dtype, shape: of the whole tensor.
        parts: of it, one after the other.
    """
    digest = hashlib.sha256(json.dumps(config, sort_keys=True, separators=(",", ":"), allow_nan=False).encode())
    digest.update(json.dumps([name, str(dtype), list(shape)]).encode())
    for part in parts:
        digest.update(part.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def check_media(tokenizer: object, media: object) -> None:
    """TypeError in one sentence unless ``media`` is what the tokenizer (an object or a class) encodes."""
    wanted = cast(Any, tokenizer).media
    if not isinstance(media, wanted):
        name = (tokenizer if isinstance(tokenizer, type) else type(tokenizer)).__name__
        form = getattr(wanted, "arrays", "")
        raise TypeError(
            f"{name} encodes {wanted.__name__}, got {what(media)}; "
            f"make one with {wanted.__name__}({form or '...'}) or {wanted.__name__}.load(path)"
        )


def check_stream(tokenizer: object, stream: TokenStream) -> None:
    """TypeError or ValueError in one sentence unless the stream was made by this very tokenizer."""
    name = type(tokenizer).__name__
    if not isinstance(stream, TokenStream):
        raise TypeError(f"{name} decodes a TokenStream, got {type(stream).__name__}; make one with encode")
    mine, theirs = cast(Any, tokenizer).spec, stream.spec
    if mine.fingerprint != theirs.fingerprint or mine.modality != theirs.modality:
        raise ValueError(
            f"this {name} decodes {mine.modality} streams with fingerprint {mine.fingerprint[:16] or '(none)'}, "
            f"got a {theirs.modality} stream with {theirs.fingerprint[:16] or '(none)'}; "
            "decode it with the tokenizer that made it, or encode the media again"
        )


def stream_of(tokenizer: Tokenizer, media: Any) -> TokenStream:
    """The codes of media, without encoding what was generated.

    The stream that media carry is taken if it is of this tokenizer and decodes to these very media; if they were
    changed since, or come from elsewhere, they are encoded.
    """
    stream = getattr(media, "stream", None)
    if isinstance(stream, TokenStream) and stream.spec == tokenizer.spec and tokenizer.decode(stream) == media:
        return stream
    return tokenizer.encode(media)
