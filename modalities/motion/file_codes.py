"""Files of motion as codes and back, in pieces: memory grows with codes and the root's path alone.

Arrow: LongMotion --**features_of_file**--> features; frames that are made --**write_made**--> .bvh or .safetensors.
Does not know: codes, networks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tokenmask.modalities.keeping import check_keep, length_of, places_of, places_taken
from tokenmask.modalities.motion.bvh import write_bvh
from tokenmask.modalities.motion.joining import kept_of_parts, still_joints
from tokenmask.modalities.motion.long import (
    LongMotion,
    at_rate,
    features_of,
    filled_up,
    joined_pieces,
    on_body,
    packed,
    unpacked,
)
from tokenmask.modalities.motion.media import MotionClip, frames_at
from tokenmask.modalities.motion.network import MotionTokenizerConfig
from tokenmask.modalities.motion.prepare import changes, check_length, lateral_of
from tokenmask.modalities.telling import tell
from tokenmask.tokenizer import Show


def features_of_file(
    path: str | Path, config: MotionTokenizerConfig, **options: Any
) -> tuple[Iterator[Tensor], int, float]:
    """Features float32 [frames, features] of a file in pieces, how many frames, filled up to whole codes, and seconds.

    Args:
        path: of a motion; files of other kinds than .bvh are held in memory.
        config: of the tokenizer.
        options: of :meth:`MotionClip.load`.
    """
    motion = LongMotion(path, config.skeleton(), config.frame_rate_hz, **options)
    check_length(motion.frames, config, motion.described)
    tell(str(path), changes(motion.source, config), "this MotionTokenizer")
    missing = -motion.frames % config.stride
    pieces, frames = filled_up(motion.pieces(), missing), motion.frames + missing
    features = features_of(pieces, frames, config.frame_rate_hz, motion.skeleton, lateral_of(config))
    return features, frames, motion.frames / config.frame_rate_hz


def write_made(
    path: str | Path,
    made: Iterable[Tensor],
    codes: int,
    config: MotionTokenizerConfig,
    groups: Sequence[Sequence[int]],
    kept: tuple[str | Path, Tensor] | None,
    check: Callable[[int, float, int], None],
    show: Show,
) -> None:
    """Writes what was made of codes, joined with what is kept of another file.

    Args:
        path: of the .bvh or .safetensors file to write.
        made: frames, packed, in pieces.
        codes: how many.
        config: of the tokenizer.
        groups: the levels of each body part.
        kept: a file, and bool [codes], [codes, levels] or [frames], what is copied from it.
        check: refuses a file of so many frames at a rate for so many that are made.
        show: called with seconds done and seconds in all.
    """
    skeleton, rate, frames = config.skeleton(), config.frame_rate_hz, codes * config.stride
    if kept is not None:
        given, keep = kept
        source = LongMotion(given)
        own, body = source.frame_rate_hz, source.skeleton
        check(source.frames, own, frames)
        coded = frames_at(rate, source.frames, own)
        rate_hz = rate / config.stride
        size = length_of(source.frames, own, coded, frames, rate, rate_hz)
        check_keep(keep, (size,), (codes,), (codes, sum(map(len, groups))))
        parts = kept_of_parts(keep, groups) if keep.dim() == 2 else keep[:, None]
        if len(keep) != size or keep.dim() == 2:
            taken = places_taken(coded, rate, rate_hz)
            parts = parts[places_of(size, own, rate_hz, len(keep), own=source.frames, taken=taken)]
        parts = parts.clone()
        parts[source.frames :] = False
        made = on_body(made, rate, skeleton, body)
        if own != rate or size != frames:
            made = at_rate(made, frames, rate, body, own, size)
        frames, rate, skeleton = size, own, body
        padding = filled_up(source.pieces(), max(0, size - source.frames))
        still = still_joints(parts, skeleton) if parts.shape[1] > 1 else None
        made = joined_pieces(made, padding, parts.all(1), rate, skeleton, skeleton.lateral_axis(), still)

    def shown() -> Iterator[MotionClip]:
        done = 0
        for piece in made:
            yield unpacked(piece, rate, skeleton)
            done += len(piece)
            show(done / rate, frames / rate)

    if Path(path).suffix.lower() == ".bvh":
        write_bvh(path, shown(), skeleton, frames, rate)
    else:
        unpacked(torch.cat([packed(clip) for clip in shown()]), rate, skeleton).save(path)
