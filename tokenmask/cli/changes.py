"""``tokenmask edit`` and ``swap``: a part of media is made anew, a part of a run is exchanged."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from tokenmask.cli.asked import Reading, asked
from tokenmask.cli.corpora import tokenizer_place
from tokenmask.cli.device import computing
from tokenmask.cli.drawing import conditions, drawing_options, keep_steps, loaded
from tokenmask.cli.learning import keep_figures
from tokenmask.cli.media import in_pieces, is_words, suffixes_of
from tokenmask.cli.names import SUFFIX
from tokenmask.cli.printed import after_swap
from tokenmask.cli.samples import deliver, free_paths
from tokenmask.cli.show import say, waiting
from tokenmask.generation import read_region
from tokenmask.medium import file_and_record
from tokenmask.progress import seconds_shown
from tokenmask.run import Run, load
from tokenmask.streams import TokenStream
from tokenmask.tokenizer import WritesFiles, tokenizer_at


def edit(arguments: argparse.Namespace) -> int:
    """Fills regions of media and saves or prints what comes out."""
    run = load(arguments.run, computing(arguments))
    codes = TokenStream.load(arguments.media) if arguments.media.lower().endswith(SUFFIX) else None
    name = arguments.stream or (_stream_of(run, arguments.media) if codes is None else run.inputs.stream_of(codes))
    if name not in run.tokenizers:
        raise ValueError(f"{run.folder} has the streams {', '.join(run.tokenizers)}, got {name!r}; name one of them")
    modality = run.tokenizers[name].spec.modality
    media: Any = arguments.media
    reading = Reading(asked(arguments))
    if codes is not None:
        media = codes
    elif not is_words(modality):
        media = loaded(reading.of(_kind(run, name), Path(media)))
    elif media.startswith("@"):
        media = media[1:] if media.startswith("@@") else _kind(run, name).load(media[1:])
    paths = free_paths(arguments, name, modality)
    regions = [read_region(text) for text in arguments.regenerate] or None
    where: dict[str, Any] = {"levels": arguments.level, "channels": arguments.channel, "parts": arguments.part}
    where = {part: said or None for part, said in where.items()} | {
        "strength": arguments.strength,
        "drift": arguments.drift,
    }
    options = drawing_options(run, arguments, name, reading)
    given = conditions(run, arguments.given, reading)
    reading.check()
    if arguments.outpaint is not None:
        if regions or arguments.length is not None or any(said is not None for said in where.values()):
            raise ValueError("--outpaint leaves all of a picture as it is, so it goes with no region, level or length")
        beyond = dict(zip(("left", "top", "right", "bottom"), arguments.outpaint, strict=True))
        made = run.outpaint(media, stream=name, given=given, **beyond, **options)
        keep_steps(options, arguments.record)
        deliver(made, paths)
        return 0
    pieces = in_pieces(run.tokenizers[name], media) if isinstance(media, Path) else None
    if paths and arguments.length is None and isinstance(pieces, WritesFiles):
        with seconds_shown(f"editing {Path(media).name}") as show:
            run.edit_file(media, paths, regions, stream=name, given=given, show=show, **where, **options)
        keep_steps(options, arguments.record)
        for path in paths:
            say(str(path))
        return 0
    made = run.edit(media, regions, stream=name, length=arguments.length, given=given, **where, **options)
    keep_steps(options, arguments.record)
    deliver(made, paths)
    return 0


def swap(arguments: argparse.Namespace) -> int:
    """Writes a run with other tokenizers for some of its streams."""
    run = load(arguments.run, "cpu")
    out = Path(arguments.out)
    if (out / "run.json").exists():
        raise ValueError(f"{out} holds a run already; choose another folder")
    if not (arguments.tokenizer or arguments.remove):
        raise ValueError(
            "a swap needs NAME=FOLDER, the stream and its new tokenizer, or --remove NAME; write one of the two"
        )
    changed = run
    with waiting("relating the codes"):
        for word in arguments.tokenizer:
            name, equals, folder = word.partition("=")
            if not (name and equals and folder):
                raise ValueError(
                    f"a swap has the form NAME=FOLDER, got {word!r}; "
                    "write the folder of the new tokenizer behind the sign"
                )
            changed = changed.swap_tokenizer(name, tokenizer_at(tokenizer_place(name, folder)), seed=arguments.seed)
        for name in arguments.remove:
            changed = changed.swap_tokenizer(name, None)
        saved = changed.save(out, [(path, 1.0) for path in arguments.corpus])
        swapped = {name: tokenizer_place(name, folder) for name, _, folder in map(_parted, arguments.tokenizer)}
        for name in saved.tokenizers:
            keep_figures(Path(swapped.get(name, run.folder / "tokenizers" / name)), out / "tokenizers" / name)
    say(repr(saved))
    others = [name for name in saved.layout.names if name not in saved.fresh]
    kept = f"All other streams draw the same codes as in {run.folder}. " if others else ""
    if not saved.fresh:
        say(kept.rstrip())
        return 0
    where = "these corpora" if arguments.corpus else "your data (SOURCE)"
    say(f"{kept}Let the new rows learn from {where}:")
    say(after_swap(saved, arguments.corpus))
    return 0


def _parted(word: str) -> tuple[str, str, str]:
    return word.partition("=")


def _kind(run: Run, name: str) -> Any:
    return run.tokenizers[name].media


def _stream_of(run: Run, media: str) -> str:
    """The one stream whose files end like this one."""
    suffix = file_and_record(media)[0].suffix.lower()
    found = [
        name
        for name, tokenizer in run.tokenizers.items()
        if suffix and name not in run.layout.shares and suffix in suffixes_of(tokenizer.spec.modality)
    ]
    if len(found) != 1 or is_words(run.tokenizers[found[0]].spec.modality):
        raise ValueError(
            f"say what {media!r} is with --stream, one of {', '.join(run.tokenizers)}; add it to the command"
        )
    return found[0]
