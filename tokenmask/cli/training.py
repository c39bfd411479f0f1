"""``tokenmask train``: from a corpus, or from data whose tokenizers are fitted first."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tokenmask.cli.asked import ask_items, asked, asked_of_data
from tokenmask.cli.columns import mapped
from tokenmask.cli.corpora import build, named_tokenizers, say_left_over, tokenizer_place
from tokenmask.cli.device import computing
from tokenmask.cli.dry_run import dry_run
from tokenmask.cli.found import Items
from tokenmask.cli.learning import keep_figures, learn_for, media_of, report
from tokenmask.cli.names import check_set
from tokenmask.cli.on_machines import Asked
from tokenmask.cli.printed import after_training
from tokenmask.cli.show import say
from tokenmask.cli.sources import digest, items, unseen
from tokenmask.corpus import Corpus
from tokenmask.devices import device_named
from tokenmask.files import write_text_atomic
from tokenmask.fitting import Interrupted
from tokenmask.models import check_shapes, head_of
from tokenmask.processes import Processes
from tokenmask.recipes import Recipe, load_recipe
from tokenmask.recipes.learners import brought_by_others, learner_of
from tokenmask.run import Run, load
from tokenmask.run import train as train_run
from tokenmask.tokenizer import DESCRIPTION_FILE, Tokenizer, load_tokenizer, load_tokenizer_class
from tokenmask.training.scaling import MACHINES

DATA_FILE = "data.json"  # in a run folder: what its tokenizers and its corpus were made from
Corpora = list[tuple[str | Path, float]]


def train(arguments: argparse.Namespace) -> int:
    """Trains a run, or goes on with it."""
    check_set(arguments.set, "the recipe")
    machines = _machines(arguments)
    processes = Processes.join()
    others = _streams_of_others(arguments.recipe) if arguments.data else []
    recipe = load_recipe(arguments.recipe, overrides=[*others, *arguments.set], tiny=arguments.tiny)
    out, code = Path(arguments.out), 0
    words = (word.partition("=")[::2] for word in arguments.tokenizer)
    folders = {name: tokenizer_place(name, folder) for name, folder in words}
    tokenizers = named_tokenizers(arguments.tokenizer)
    for name, tokenizer in tokenizers.items():
        if name not in recipe.streams:
            raise ValueError(
                f"the recipe has the streams {', '.join(recipe.streams)}, got a tokenizer for {name!r}; "
                "name one of these"
            )
        wanted = recipe.streams[name].tokenizer
        if tokenizer.media is not load_tokenizer_class(wanted).media:
            raise ValueError(
                f"stream {name!r} needs a tokenizer of {wanted}, got one of {tokenizer.spec.modality}; "
                "give the folder of such a one"
            )
    start = None if arguments.start is None else Path(arguments.start)
    fresh: list[str] = []
    learned: Collection[str] = ()
    if start is not None:
        begun = load(start, "cpu")
        tokenizers = _started(begun, recipe, tokenizers)
        fresh = [name for name in recipe.streams if name in begun.fresh or name not in begun.layout.streams]
        learned = [name for name in begun.layout.names if name in recipe.streams]
    elif arguments.freeze:
        raise ValueError("--freeze keeps what another run has learned; name that run with --from, or leave it away")
    corpora: Corpora = [_weighted(word) for word in arguments.corpus]
    of_corpora = {name for folder, _ in corpora for name in Corpus(folder).specs}
    found = Items()
    if arguments.data:
        modalities = {name: options.tokenizer for name, options in recipe.streams.items()}
        modalities |= {name: one.spec.modality for name, one in tokenizers.items()}
        columns = mapped(arguments.map, modalities)
        needed = () if recipe.optional_streams else set(tokenizers) - of_corpora  # others are fitted, so refused there
        complete = not recipe.optional_streams
        found = items(arguments.data, modalities, complete=complete, needed=needed, columns=columns)
        ask_items(found, asked(arguments))
        say_left_over(found)
        say(f"{len(found)} items found{unseen(arguments.data, found)}")
    elif arguments.map:
        raise ValueError("--map names columns of manifests, which --data gives; add it, or leave --map away")
    else:
        asked_of_data(arguments)
    if recipe.optional_streams:
        found = _learned(found, of_corpora | set(tokenizers))
        held = of_corpora | found.streams.keys()
        recipe = recipe.of(held.union(learned)) if held else recipe
        tokenizers = {name: one for name, one in tokenizers.items() if name in recipe.streams}
        say(f"streams of these data: {', '.join(name for name in recipe.streams if name in held)}")
        if kept := [name for name in learned if name not in held]:
            say(f"kept as {start} has learned them: {', '.join(kept)}")
        fresh = [name for name in fresh if name in held]
    if arguments.freeze:
        recipe = _frozen(recipe, [name for name in fresh if name in recipe.streams], start)
    if recipe.training.only:
        say(f"only the rows of {', '.join(recipe.training.only)} are trained")
    if arguments.dry_run:
        if processes.size > 1:
            raise ValueError(f"--dry-run is for one process, got {processes.size}; leave torchrun away")
        return dry_run(recipe, tokenizers, corpora, found, start, arguments.workers, machines)
    if found:
        with processes.first_goes_first():
            tokenizers, code = _from_data(recipe, tokenizers, found, out, arguments.workers, builds=processes.first)
        if code == 2:
            return code
        corpora.append((out / "corpus", 1.0))
    device = computing(arguments) if processes.size == 1 else arguments.device
    try:
        run = train_run(out, recipe, tokenizers, corpora, start=start, device=device)
    except Interrupted:
        if processes.first:
            raise
        return 130
    if not processes.first:
        return code
    own = {} if start is None else {name: start / "tokenizers" / name for name in learned}
    for name, folder in (own | folders).items():
        keep_figures(Path(folder), out / "tokenizers" / name)
    say(repr(run))
    for line in after_training(run):
        say(line)
    return code


def _machines(arguments: argparse.Namespace) -> Asked | None:
    """The machines that a dry run is asked for, if it is."""
    if arguments.nodes is None and arguments.gpus is None:
        if arguments.dry_run and arguments.device is not None:
            if (kind := arguments.device.lower()) in MACHINES:
                raise ValueError(
                    f"--device {kind} is of --nodes and --gpus, got it without; add --gpus 1, or as many as there are"
                )
            device_named(arguments.device)
        return None
    if not arguments.dry_run:
        raise ValueError(
            "--nodes and --gpus are of --dry-run, got them without; add it, or start processes with torchrun --nnodes"
        )
    nodes, gpus = arguments.nodes or 1, arguments.gpus or 8
    return Asked("h100" if arguments.device is None else arguments.device.lower(), nodes, gpus)


def _streams_of_others(source: str) -> list[str]:
    """Overrides that give a recipe which leaves out what the data do not hold the media of other packages too."""
    plain = load_recipe(source)
    names = brought_by_others(plain) if plain.optional_streams else []
    return [f"streams.{name}.tokenizer={name}" for name in names]


def _started(run: Run, recipe: Recipe, given: Mapping[str, Tokenizer]) -> dict[str, Tokenizer]:
    """The tokenizers given, and those of the run that is started from: its weights know their codes only.

    What does not fit is refused here, before anything is fitted or encoded.
    """
    other = run.models["main"]
    check_shapes(recipe.model, other.config)
    check_shapes(head_of(recipe.model, recipe.head), other.head, "head")
    own = {name: options for name, options in recipe.streams.items() if options.shares is None}
    theirs = {name: tokenizer for name, tokenizer in run.tokenizers.items() if name in own}
    for name, tokenizer in given.items():
        if name in theirs and theirs[name].spec != tokenizer.spec:
            raise ValueError(
                f"stream {name!r} must have the codes that {run.folder} learned, those of tokenizer "
                f"{theirs[name].spec.fingerprint[:12]}, got {tokenizer.spec.fingerprint[:12]}; leave --tokenizer away"
            )
    return theirs | dict(given)


def _frozen(recipe: Recipe, fresh: Sequence[str], start: Path | None) -> Recipe:
    """The recipe in which only the rows of some streams move."""
    if not fresh:
        raise ValueError(
            f"--freeze trains streams that {start} lacks or whose tokenizer was swapped there, but these data hold "
            "none of them; leave it away, or say which with --set training.only=[NAME]"
        )
    return replace(recipe, training=replace(recipe.training, only=tuple(fresh)))


def _weighted(word: str) -> tuple[str | Path, float]:
    folder, equals, text = word.rpartition("=")
    if not equals:
        return word, 1.0
    try:
        weight = float(text)
    except ValueError:
        weight = math.nan
    if not (folder and 0 < weight < math.inf):
        raise ValueError(
            f"a corpus is given as FOLDER or FOLDER=WEIGHT with a weight above 0, got {word!r}; write it so"
        )
    return folder, weight


# Own data -------------------------------------------------------------------------------------------------------------


def _learned(found: Items, known: Collection[str]) -> Items:
    """Items without the streams that nothing can be learned of, as all their media are held out; these are said.

    Where nothing else is left, all stay: fitting says what is missing.

    Args:
        found: of the user's data.
        known: streams that need no learning from these.
    """
    learned = found.learned.keys() | set(known)
    lost = sorted(found.streams.keys() - learned)
    if not lost:
        return found
    kept = Items(
        replace(item, media={name: one for name, one in item.media.items() if name in learned})
        for item in found
        if item.media.keys() & learned
    )
    if not len(kept):
        return found
    for name in lost:
        count = found.streams[name]
        say(f"left out: the stream {name}, since all of it that these data hold ({count}) is held out; give more of it")
    return kept


def _from_data(
    recipe: Recipe,
    given: Mapping[str, Tokenizer],
    found: Items,
    out: Path,
    workers: int | None,
    *,
    builds: bool = True,
) -> tuple[dict[str, Tokenizer], int]:
    """Tokenizers and a corpus in the run folder, made or found there; every part goes on where it was stopped.

    A process that does not build the corpus must come after one that did.
    """
    own = {name: options for name, options in recipe.streams.items() if options.shares is None}
    fits = {name: dict(options.fit) for name, options in own.items() if name not in given}
    origin = json.dumps({"sha256": digest(found), "fit": fits}, indent=2) + "\n"
    path = out / DATA_FILE
    if path.exists() and path.read_text(encoding="utf-8") != origin:
        raise ValueError(
            f"{out} was started from other data or other fit options ({path} differs); bring those back, or choose "
            "another folder"
        )
    tokenizers: dict[str, Tokenizer] = dict(given)
    for name in fits:
        folder = out / "tokenizers" / name
        if (folder / DESCRIPTION_FILE).is_file():
            tokenizers[name] = load_tokenizer(folder)
            continue
        learner_of(recipe, name)  # wrong options are refused before anything is read
        training, held_out = media_of(name, found, recipe)
        tokenizer = learn_for(recipe, name, training, folder=out / f"fit-{name}")
        write_text_atomic(path, origin)
        tokenizer.save(folder)
        report(folder, tokenizer, training, held_out)
        tokenizers[name] = tokenizer
    write_text_atomic(path, origin)
    shared = {name: tokenizers[options.shares or name] for name, options in recipe.streams.items()}
    code = build(found, shared, out / "corpus", workers) if builds else 0
    if code == 2 and not fits:  # nothing was made from these data, so others may take their place
        path.unlink()
    return tokenizers, code
