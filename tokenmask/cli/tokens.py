"""``tokenmask fit``, ``encode`` and ``decode``: tokenizers and token files."""

from __future__ import annotations

import argparse
import errno
import os
import tempfile
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from tokenmask.cli.asked import ask_media, asked
from tokenmask.cli.columns import mapped
from tokenmask.cli.corpora import build_named, is_named, one_tokenizer, shipped_for
from tokenmask.cli.device import CPU, encoding, on
from tokenmask.cli.engine import engine_asked
from tokenmask.cli.learning import learn, parse_options, report, split_in_two, unusable
from tokenmask.cli.manifests import SUFFIXES
from tokenmask.cli.media import Broken, Loader, check_written, files, in_pieces, readable, suffix_of, suffixes_of
from tokenmask.cli.names import SUFFIX, check_new
from tokenmask.cli.shards import from_shards, into_shards, is_sharded
from tokenmask.cli.show import failures, say
from tokenmask.cli.sources import Medium, media, unseen_by
from tokenmask.cli.spool import Spool
from tokenmask.corpus import Engine, Item, encode_items, usual_workers
from tokenmask.corpus.encoding import sentence
from tokenmask.corpus.keys import path_below
from tokenmask.progress import progress_bar, seconds_shown
from tokenmask.recipes.learners import fit_options, learner
from tokenmask.streams import TokenStream
from tokenmask.tokenizer import ReadsFiles, Tokenizer, WritesFiles

LONG_CODES = 1 << 17  # of a stream, from which on it is decoded in pieces; some minutes of sound
_OF_NAMES = {
    errno.ENAMETOOLONG: "shorten the name",
    **dict.fromkeys(
        (errno.EEXIST, errno.ENOTDIR, errno.EISDIR), "one name is that of a file and of a folder, rename one"
    ),
    **dict.fromkeys((errno.EILSEQ, errno.EINVAL), "this file system has no such names, rename it"),
}
Failed = list[tuple[str, str]]


def fit(arguments: argparse.Namespace) -> int:
    """Trains a tokenizer and prints its figures on the items that were held out."""
    out, modality = Path(arguments.out), arguments.modality
    kind = learner(modality)
    words = [*arguments.option, *([] if arguments.steps is None else [f"steps={arguments.steps}"])]
    options = fit_options(kind, parse_options(words))
    found = ask_media(
        media(arguments.data, modality, arguments.per, mapped(arguments.map, [modality])), asked(arguments)
    )
    say(f"{len(found)} items of {modality} found{unseen_by(arguments.data, found)}")
    files, held = Spool(one.loader for one in found), bytes(one.held_out for one in found)
    good, failed = readable(((one.name, one.loader) for one in found), len(found), f"reading {modality}")
    training, held_out = split_in_two(files, held, good)
    odd = unusable(kind, files, good, training or held_out, options)
    failed += [(files[number].source, reason) for number, reason in odd.items()]
    training, held_out = split_in_two(files, held, (number for number in good if number not in odd))
    if not training:  # so few that the hash took all of them
        training, held_out = held_out, Spool()
    if not training:
        failures(failed, len(found))
        raise ValueError(f"a tokenizer needs items to learn from, but none of {len(found)} is left; give more data")
    try:
        tokenizer = learn(kind, training, options, seed=arguments.seed, folder=out / "fit")
    except ValueError:
        failures(failed, len(found))  # without which there may be too few
        raise
    tokenizer.save(out)
    report(out, tokenizer, training, held_out)
    return failures(failed, len(found))


def encode(arguments: argparse.Namespace) -> int:
    """Encodes media into token files or shards or, with named tokenizers, records into a corpus; failures come last."""
    out, engine = Path(arguments.out), engine_asked(arguments)
    device, workers = encoding(arguments) if engine is None else (CPU, arguments.workers)
    named = [word for word in arguments.tokenizer if is_named(word)]
    if len(arguments.tokenizer) == len(named) == 1 and _are_files(arguments.paths, named[0].partition("=")[0]):
        named = []  # which are no records of several streams
    if named:  # with --shards or without: records of several streams are written as shards in any case
        return build_named(
            arguments.tokenizer, arguments.paths, arguments.map, out, workers, asked(arguments), device, engine
        )
    if len(arguments.tokenizer) > 1:
        raise ValueError(
            f"several tokenizers are given as NAME=FOLDER each, got {', '.join(arguments.tokenizer)}; "
            "their streams go into a corpus together"
        )
    tokenizer = on(one_tokenizer(shipped_for(arguments.tokenizer[0], arguments.paths)), device)
    modality = tokenizer.spec.modality
    several = ask_media(media(arguments.paths, modality, columns=mapped(arguments.map, [modality])), asked(arguments))
    if arguments.shards:
        return into_shards(several, tokenizer, out, workers, arguments.paths, engine)
    return _token_files(arguments.paths, several, tokenizer, out, workers, engine)


def _are_files(paths: Sequence[str], name: str) -> bool:
    """Whether all paths are files of media, not sources of records: of the stream's modality, or of no known ending."""
    others = (*SUFFIXES, ".tar", ".txt")
    endings = [Path(path).suffix.lower() if Path(path).is_file() else ".txt" for path in paths]
    return all(ending in suffixes_of(name) or ending not in others for ending in endings)


def _token_files(
    paths: Sequence[str],
    found: Sequence[Medium],
    tokenizer: Tokenizer,
    out: Path,
    workers: int | None,
    engine: Engine | None = None,
) -> int:
    modality = tokenizer.spec.modality
    sources = [one.loader.source for one in found]
    targets = _targets([one.name for one in found], sources, out)
    _remove_partials([one for one in targets if isinstance(one, Path)])
    failed: Failed = []
    todo: list[Item] = []
    left: list[tuple[str, Path]] = []
    long: list[tuple[ReadsFiles, Loader, Path]] = []
    for one, source, target in zip(found, sources, targets, strict=True):
        try:
            if isinstance(target, ValueError):
                raise target
            if isinstance(one.loader, Broken):  # whose name may be that of another, which is done
                one.loader()
            if _is_done(target, tokenizer):
                continue
            pieces = None if one.loader.record else in_pieces(tokenizer, one.loader.value)
            if pieces is not None:
                long.append((pieces, one.loader, target))
            else:
                todo.append(Item(one.name, {modality: one.loader}))
                left.append((source, target))
        except ValueError as error:
            failed.append((source, str(error)))
        except OSError as error:
            failed.append((source, _of_name(error)))
    done, encoded = len(found) - len(todo) - len(long) - len(failed), 0
    for pieces, loader, target in long:
        try:
            with seconds_shown(f"encoding {Path(loader.value).name}") as shown:
                _save(pieces.encode_file(loader.value, show=shown, **dict(loader.options)), target)
            encoded += 1
        except (ValueError, OSError, RuntimeError) as error:
            failed.append((loader.source, sentence(error)))
    with progress_bar("encoding", len(found), len(found) - len(todo), True) as show:
        here = 1 if engine is not None else workers or usual_workers(len(todo))
        results = encode_items(todo, {modality: tokenizer}, workers=here, engine=engine)
        for number, ((source, target), (_, result)) in enumerate(zip(left, results, strict=True), 1):
            if isinstance(result, Exception):
                failed.append((source, sentence(result)))
            else:
                try:
                    _save(result[modality], target)
                    encoded += 1
                except OSError as error:
                    failed.append((source, _of_name(error)))
            show(len(found) - len(todo) + number, None)
    say(f"{encoded} encoded, {done} done before, {len(failed)} failed{unseen_by(paths, found)}: {out}")
    return failures(failed, len(found))


def decode(arguments: argparse.Namespace) -> int:
    """Decodes token files one by one; what fails is listed at the end."""
    tokenizer, out = one_tokenizer(arguments.tokenizer), Path(arguments.out)
    suffix = arguments.suffix or suffix_of(tokenizer.spec.modality)
    if not suffix.startswith("."):
        raise ValueError(f"a suffix starts with a point, got {suffix!r}; write it as .png")
    check_written(f"x{suffix}", tokenizer.spec.modality)
    found: list[tuple[str, str, Callable[[], TokenStream]]] = []  # where codes are, the medium's name, what reads them
    plain = [path for path in arguments.paths if not is_sharded(Path(path))]
    for file in files(plain, "token file", (SUFFIX,)) if plain else ():
        found.append((str(file.path), file.name, partial(TokenStream.load, file.path)))
    for folder in arguments.paths:
        if folder not in plain:
            found += [(f"{folder}#{key}", key, read) for key, read in from_shards(Path(folder), tokenizer)]
    failed: Failed = []
    targets = _below([source for source, *_ in found], [name for _, name, _ in found], suffix, out)
    with progress_bar("decoding", len(found), 0, len(found) > 20) as show:
        for number, ((source, _, read), target) in enumerate(zip(found, targets, strict=True), 1):
            try:
                if isinstance(target, ValueError):
                    raise target
                check_new(target, arguments.force)
                stream = read()
                target.parent.mkdir(parents=True, exist_ok=True)
                if isinstance(tokenizer, WritesFiles) and stream.codes.numel() > LONG_CODES:
                    with seconds_shown(f"decoding {source}") as shown:
                        tokenizer.decode_file(stream, target, show=shown)
                else:
                    tokenizer.decode(stream).save(target)
            except (ValueError, TypeError) as error:
                failed.append((source, str(error)))
            except OSError as error:
                failed.append((source, _of_name(error)))
            else:
                say(str(target))
            show(number, None)
    return failures(failed, len(found))


def _of_name(error: OSError) -> str:
    """What is wrong with the name of one file, which others need not share; any other error goes on its way."""
    if error.errno not in _OF_NAMES:
        raise error
    return f"{error.strerror}: {error.filename}; {_OF_NAMES[error.errno]}" if error.filename else str(error)


def _save(stream: TokenStream, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    stream.save(target)


def _is_done(target: Path, tokenizer: Tokenizer) -> bool:
    """Whether the token file is there.

    Raises:
        ValueError: it is damaged, or of another tokenizer; it is neither taken nor overwritten.
    """
    if not target.exists():
        return False
    if TokenStream.load(target).spec != tokenizer.spec:
        raise ValueError(f"{target} was made by another tokenizer; delete it or choose another folder")
    return True


def _remove_partials(targets: Sequence[Path]) -> None:
    """Takes away what processes that were killed had begun to write; those of living ones stay."""
    for folder in {target.parent for target in targets}:
        for path in folder.glob(f".*{SUFFIX}.*.partial") if folder.is_dir() else ():
            process = path.name.split(".")[-2]
            if process.isdecimal() and not _lives(int(process)):
                path.unlink(missing_ok=True)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


def _targets(names: Sequence[str], sources: Sequence[str], out: Path) -> list[Path | ValueError]:
    """x.png -> x.tokens, in folders like those of the media; x.png beside x.jpg -> x.png.tokens and x.jpg.tokens."""
    return _below(sources, names, SUFFIX, out)


def _below(sources: Sequence[str], names: Sequence[str], suffix: str, out: Path) -> list[Path | ValueError]:
    """Where each goes below ``out``, or why it cannot: keys of a corpus may lead elsewhere."""
    short = [_path(name, suffix, out) for name in names]
    counts = Counter(one for one in short if isinstance(one, Path))
    targets = [
        one if isinstance(one, ValueError) or counts[one] == 1 else out / f"{Path(name)}{suffix}"
        for one, name in zip(short, names, strict=True)
    ]
    same = Counter(one for one in targets if isinstance(one, Path))
    targets = [
        ValueError(f"{name!r} is another spelling of {Path(name).as_posix()!r}, which is there too; take one out")
        if isinstance(one, Path) and same[one] > 1 and name != Path(name).as_posix()
        else one
        for one, name in zip(targets, names, strict=True)
    ]
    _check_different(sources, targets)
    return _unfolded(sources, targets, out)


def _unfolded(sources: Sequence[str], targets: list[Path | ValueError], out: Path) -> list[Path | ValueError]:
    """The same, but where the file system takes "A" and "a" for one, all of such names but the first cannot be."""
    seen: dict[str, int] = {}
    firsts = [seen.setdefault(_folded(one), at) for at, one in enumerate(targets) if isinstance(one, Path)]
    if len(seen) == len(firsts) or not folds_case(out):
        return targets
    made = list(targets)
    for at, one in enumerate(targets):
        if isinstance(one, Path) and (first := seen[_folded(one)]) != at:
            made[at] = ValueError(
                f"it would become {one}, which this file system takes for {targets[first]}, what {sources[first]} "
                "becomes; rename one of the two"
            )
    return made


def _folded(path: Path) -> str:
    return unicodedata.normalize("NFC", str(path)).casefold()


def folds_case(folder: Path) -> bool:
    """Whether the file system of a folder, which is made, takes "A" and "a" for one name."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(prefix=".a", dir=folder) as file:
        return Path(file.name).with_name(Path(file.name).name.upper()).exists()


def _path(name: str, suffix: str, out: Path) -> Path | ValueError:
    try:
        return out / path_below(name).with_suffix(suffix)
    except ValueError as error:
        return error


def _check_different(sources: Sequence[str], targets: Sequence[Path | ValueError]) -> None:
    seen: dict[Path, int] = {}
    for index, target in enumerate(targets):
        other = seen.setdefault(target, index) if isinstance(target, Path) else index
        if other != index:
            raise ValueError(
                f"{sources[other]} and {sources[index]} would both become {target}; "
                "name the folder above them, or use two calls with two --out folders"
            )
