"""Samples: where what was drawn goes, checked before anything is computed, and how it is handed over.

Arrow: arguments --**free_paths**--> files; media --**deliver**--> files or lines. Does not know: runs, samplers.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenmask.cli.media import check_written, is_words, suffix_of
from tokenmask.cli.names import SUFFIX, check_new
from tokenmask.cli.show import say


def free_paths(
    arguments: argparse.Namespace, stream: str, modality: str, prompts: int | None = None
) -> list[Path] | None:
    """Where samples will be saved, none of which is there yet unless --force; None prints them, as text without --out.

    Args:
        arguments: with ``out``, ``seed``, ``num_samples`` and ``force``.
        stream: what is drawn.
        modality: of it.
        prompts: requests of a file of prompts, whose samples are numbered by prompt first; None without one.

    Raises:
        ValueError: a file is in the way, or its ending cannot be written.
    """
    if arguments.out is None and is_words(modality):
        return None
    paths = _paths(arguments, stream, modality, prompts)
    for path in paths:
        check_new(path, arguments.force)
        above = next((one for one in path.parents if one.exists()), Path())
        if not above.is_dir():
            raise ValueError(f"{path} must lie in a folder, but {above} is a file; choose another --out")
        if not os.access(above, os.W_OK):
            raise ValueError(f"{path} cannot be written, because {above} is closed; choose another --out")
    return paths


def deliver(media: Sequence[Any], paths: Sequence[Path] | None) -> None:
    """Saves samples, or their codes where the file ends so, and names the files; or prints what they say."""
    if paths is None:
        for one in media:
            say(str(one))
        return
    for path, one in zip(paths, media, strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        (one.stream if path.suffix.lower() == SUFFIX else one).save(path)
        say(str(path))


def _paths(arguments: argparse.Namespace, stream: str, modality: str, prompts: int | None) -> list[Path]:
    """A file for each sample; several are numbered."""
    samples = [str(number) for number in range(arguments.num_samples)]
    text = arguments.out or "."
    out = Path(text)
    if out.is_dir() or not out.suffix or text.endswith(os.sep):
        suffix = suffix_of(modality)
        labels = samples if prompts is None else [f"{one}-{sample}" for one in range(prompts) for sample in samples]
        return [out / f"{stream}-{arguments.seed}-{label}{suffix}" for label in labels]
    if out.suffix.lower() != SUFFIX:
        check_written(out, modality, (SUFFIX,))
    if prompts is None:
        return [out] if len(samples) == 1 else [out.with_name(f"{out.stem}-{label}{out.suffix}") for label in samples]
    numbers = [str(one) for one in range(prompts)]
    labels = numbers if len(samples) == 1 else [f"{one}-{sample}" for one in numbers for sample in samples]
    return [out.with_name(f"{out.stem}-{label}{out.suffix}") for label in labels]
