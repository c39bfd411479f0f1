"""``tokenmask report`` and ``tokenmask show``: a run, or a generation that was recorded, as one HTML file."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenmask.cli.asked import ask_items, asked_of_data
from tokenmask.cli.media import LazyMedia
from tokenmask.cli.show import say, waiting
from tokenmask.cli.sources import items, unseen
from tokenmask.corpus import HELD_OUT
from tokenmask.generation import Recording
from tokenmask.report import FILE, write_recording, write_report
from tokenmask.run import Run, load


def report(arguments: argparse.Namespace) -> int:
    """Writes the report and says where it is."""
    run = load(arguments.run, "cpu")
    path = Path(arguments.out) if arguments.out else (run.folder if arguments.run else Path()) / FILE
    if path.is_dir() or path.suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"a report is a file that ends in .html, got {str(path)!r}; name one with --out FILE.html")
    if not path.parent.is_dir():
        raise ValueError(f"{path.parent} is not a folder; make it, or choose another place with --out FILE.html")
    from tokenmask.demo.showing import held_out_media, prompts

    wanted = asked_of_data(arguments)
    media = media_of(run, arguments.data, wanted) if arguments.data else held_out_media(run)
    with waiting("drawing samples"):
        write_report(run, path, media=media, prompts={} if run.corpora else prompts(run), seed=arguments.seed)
    say(f"{path} ({path.stat().st_size / 1e6:.1f} MB)")
    return 0


def show(arguments: argparse.Namespace) -> int:
    """Writes a page of a recorded generation and says where it is."""
    recording, run = Recording.load(arguments.recording), load(arguments.run, "cpu")
    path = Path(arguments.out or f"{Path(arguments.recording).with_suffix('')}.html")
    if path.is_dir() or path.suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"a page is a file that ends in .html, got {str(path)!r}; name one with --out FILE.html")
    if not path.parent.is_dir():
        raise ValueError(f"{path.parent} is not a folder; make it, or choose another place with --out FILE.html")
    known = [tokenizer.spec for tokenizer in run.tokenizers.values()]
    foreign = sorted({one.stream.spec.modality for one in recording if one.stream.spec not in known})
    if foreign:
        raise ValueError(
            f"{arguments.recording} holds codes of {', '.join(foreign)} that no tokenizer of {run.folder} decodes; "
            "name the run that drew it with --run"
        )
    write_recording(recording, path, run.tokenizers)
    say(f"{path} ({path.stat().st_size / 1e6:.1f} MB)")
    return 0


def media_of(run: Run, sources: Sequence[str], wanted: dict[str, Any]) -> dict[str, Sequence[Any]]:
    """Media of each stream in a person's own data: those that are held out, all of a stream that has none.

    ``wanted`` are options of reading, see :func:`tokenmask.cli.asked.asked`.
    """
    found = items(sources, {name: tokenizer.spec.modality for name, tokenizer in run.tokenizers.items()})
    ask_items(found, wanted)
    say(f"{len(found)} items found{unseen(sources, found)}")
    media: dict[str, Sequence[Any]] = {}
    for name in run.tokenizers:
        having = [item for item in found if name in item.media]
        chosen = [item for item in having if item.split == HELD_OUT] or having
        if chosen:
            media[name] = LazyMedia([item.media[name] for item in chosen])
    return media
