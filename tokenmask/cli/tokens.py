"""``tokenmask fit``, ``encode`` and ``decode``: tokenizers and token files."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenmask.cli.learning import learn, parse_options, report
from tokenmask.cli.media import File, Loader, files, is_held_out, lines, readable, suffix_of
from tokenmask.cli.show import failures, say
from tokenmask.fitting import progress_bar
from tokenmask.recipes.learners import fit_options, learner
from tokenmask.streams import TokenStream
from tokenmask.tokenizer import Tokenizer, check_free, load_tokenizer

SUFFIX = ".tokens"
Failed = list[tuple[str, str]]


def fit(arguments: argparse.Namespace) -> int:
    """Trains a tokenizer and prints its figures on the items that were held out."""
    out, modality = Path(arguments.out), arguments.modality
    kind = learner(modality)
    words = [*arguments.option, *([] if arguments.steps is None else [f"steps={arguments.steps}"])]
    options = fit_options(kind, parse_options(words))
    found = files(arguments.data, modality)
    if modality == "text" and arguments.per == "line":
        numbered = [(file.name, *entry) for file in found for entry in lines(file.path)]
        named = [(f"{name}:{number}", line, Loader(kind.media, line)) for name, number, line in numbered]
    else:
        # The group of a file is that of `corpus build`, so both hold out the same files.
        named = [(f.name, f.name.removesuffix(f.path.suffix), Loader(kind.media, f.path)) for f in found]
    groups = {loader: group for _, group, loader in named}
    good, failed = readable([(name, loader) for name, _, loader in named], f"reading {modality}")
    training = [loader for loader in good if not is_held_out(groups[loader])]
    held_out = [loader for loader in good if is_held_out(groups[loader])]
    if not training:  # so few that the hash took all of them
        training, held_out = held_out, []
    if not training:
        failures(failed, len(named))
        raise ValueError(f"a tokenizer needs items to learn from, but none of {len(named)} is left; give more data")
    tokenizer = learn(kind, training, options, seed=arguments.seed, folder=out / "fit")
    check_free(out, tokenizer.spec.fingerprint)
    report(out, tokenizer, training, held_out)
    tokenizer.save(out)
    return failures(failed, len(named))


def encode(arguments: argparse.Namespace) -> int:
    """Encodes files one by one; what fails is listed at the end."""
    tokenizer, out = load_tokenizer(arguments.tokenizer), Path(arguments.out)
    found = files(arguments.paths, tokenizer.spec.modality)
    failed: Failed = []
    done = 0
    with progress_bar("encoding", len(found), 0, True) as show:
        for number, (file, target) in enumerate(zip(found, _targets(found, out), strict=True), 1):
            try:
                stream = None if _is_done(target, tokenizer) else _encoded(tokenizer, file.path)
            except _Unusable as reason:
                failed.append((str(file.path), str(reason)))
            else:
                done += stream is None
                if stream is not None:
                    _save(stream, target)
            show(number, None)
    say(f"{len(found) - done - len(failed)} encoded, {done} done before, {len(failed)} failed: {out}")
    return failures(failed, len(found))


def decode(arguments: argparse.Namespace) -> int:
    """Decodes token files one by one; what fails is listed at the end."""
    tokenizer, out = load_tokenizer(arguments.tokenizer), Path(arguments.out)
    suffix = arguments.suffix or suffix_of(tokenizer.spec.modality)
    if not suffix.startswith("."):
        raise ValueError(f"a suffix starts with a point, got {suffix!r}")
    found = files(arguments.paths, "token file", (SUFFIX,))
    failed: Failed = []
    targets = [out / Path(file.name).with_suffix(suffix) for file in found]
    _check_different(found, targets)
    with progress_bar("decoding", len(found), 0, len(found) > 20) as show:
        for number, (file, target) in enumerate(zip(found, targets, strict=True), 1):
            try:
                check_new(target, arguments.force)
                media = tokenizer.decode(TokenStream.load(file.path))
            except (ValueError, TypeError) as error:
                failed.append((str(file.path), str(error)))
            else:
                media.save(target)
                say(str(target))
            show(number, None)
    return failures(failed, len(found))


def check_new(path: Path, force: bool) -> None:
    """ValueError if the file exists and may not be overwritten."""
    if path.exists() and not force:
        raise ValueError(f"{path} exists; choose another name or add --force")


def _save(stream: TokenStream, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    stream.save(target)


class _Unusable(Exception):
    """Why a file cannot be encoded."""


def _encoded(tokenizer: Tokenizer, path: Path) -> TokenStream:
    kind: Any = tokenizer.media
    try:
        return tokenizer.encode(kind.load(path))
    except (ValueError, TypeError, OSError) as error:
        raise _Unusable(str(error)) from error


def _is_done(target: Path, tokenizer: Tokenizer) -> bool:
    """Whether the token file is there; one of another tokenizer is neither taken nor overwritten."""
    if not target.exists():
        return False
    try:
        made_by = TokenStream.load(target).spec
    except ValueError as error:
        raise _Unusable(str(error)) from error
    if made_by != tokenizer.spec:
        raise _Unusable(f"{target} was made by another tokenizer; delete it or choose another folder")
    return True


def _targets(found: Sequence[File], out: Path) -> list[Path]:
    """x.png -> x.tokens, in folders like those of the media; x.png beside x.jpg -> x.png.tokens and x.jpg.tokens."""
    short = [out / Path(file.name).with_suffix(SUFFIX) for file in found]
    long = [out / (file.name + SUFFIX) for file in found]
    counts: dict[Path, int] = {}
    for path in short:
        counts[path] = counts.get(path, 0) + 1
    targets = [one if counts[one] == 1 else other for one, other in zip(short, long, strict=True)]
    _check_different(found, targets)
    return targets


def _check_different(found: Sequence[File], targets: Sequence[Path]) -> None:
    seen: dict[Path, Path] = {}
    for file, target in zip(found, targets, strict=True):
        other = seen.setdefault(target, file.path)
        if other is not file.path:
            raise ValueError(
                f"{other} and {file.path} would both become {target}; "
                "name the folder above them, or use two calls with two --out folders"
            )
