"""What of a run is shared: its own files, written anew, without its data and without anything that could run.

Arrow: Run --**stage**--> folder of what is sent. Does not know: hubs.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path, PurePosixPath

from tokenmask.analysis.figures import FILE as FIGURES
from tokenmask.run.card import Card
from tokenmask.run.folder import LENGTHS
from tokenmask.run.run import Run
from tokenmask.sharing.card import CARD_FILE, measured

_RUNS = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib", ".py", ".so", ".dll", ".sh")
_PICKLES = tuple(bytes((0x80, protocol)) for protocol in range(2, 6))
_SHARED = ("recipe.yaml", "layout.json", "run.json", LENGTHS, FIGURES, CARD_FILE)  # with models, tokenizers and samples


def stage(run: Run, folder: Path, card: Card | None = None) -> list[str]:
    """Writes what is shared of a run into a folder, and returns the names of its files.

    Corpora, their paths, checkpoints, losses and reports stay at home. The README.md of the run's folder is taken as it
    is where ``card`` is None; else one is made.

    Raises:
        ValueError: something among it could run a program when it is read, such as a pickle of a foreign tokenizer; a
            tokenizer that refers to a folder of this machine.
    """
    own, run = run.folder / CARD_FILE, _without_paths(run)
    if card is None and own.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(own, folder / CARD_FILE)
        if (run.folder / "samples").is_dir():
            shutil.copytree(run.folder / "samples", folder / "samples")
    card = card or Card()
    run.save(folder, card=card if card.title else replace(card, title=run.folder.resolve().name))
    if (run.folder / FIGURES).is_file() and measured(run):
        shutil.copyfile(run.folder / FIGURES, folder / FIGURES)
    names = files_of(folder)
    for name in names:
        check_harmless(folder / name, name)
    return names


def _without_paths(run: Run) -> Run:
    """The run whose recipe names folders of this machine by their last part; ValueError where a tokenizer needs one."""
    for name, tokenizer in run.tokenizers.items():
        source = str(getattr(getattr(tokenizer, "config", None), "source", ""))
        if Path(source).is_absolute():
            raise ValueError(
                f"a shared run must open elsewhere, but its tokenizer of {name!r} refers to {source}; swap it for the "
                "same with keep=weights"
            )
    streams = {}
    for name, options in run.recipe.streams.items():
        source = str((options.fit or {}).get("source", ""))
        if Path(source).is_absolute():
            options = replace(options, fit={**options.fit, "source": Path(source).name})
        streams[name] = options
    return replace(run, recipe=replace(run.recipe, streams=streams))


def files_of(folder: Path) -> list[str]:
    """Names of all files below a folder, relative to it, with slashes, in order."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def belongs(name: str) -> bool:
    """Whether a file of a repository is one that a shared run has; others are neither sent nor fetched."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or any(part.startswith(".") for part in path.parts):
        return False
    if len(path.parts) == 1:
        return name in _SHARED
    home = path.parts[0]
    return home in ("tokenizers", "samples") or (home == "models" and path.suffix == ".safetensors")


def check_harmless(path: Path, name: str) -> None:
    """Refuses what could run a program when it is read.

    Raises:
        ValueError: by its ending, or because it begins as a pickle or a script does.
    """
    with path.open("rb") as file:
        head = file.read(2)
    if path.suffix.lower() in _RUNS or head in _PICKLES or head == b"#!":
        raise ValueError(
            f"a shared run holds data only, but {name} may run a program when it is read; "
            "save that part as safetensors or JSON"
        )
