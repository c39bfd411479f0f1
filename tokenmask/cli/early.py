"""Early: paths and names that are wrong are told before torch is imported, in a tenth of a second.

Arrow: arguments --**check_paths**--> nothing, or a sentence. Does not know: what a command does.
Looks only at what a command reads in any case, and refuses only what the command would; what is damaged it leaves to
the command, which says how. Imports nothing outside the standard library.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

SHIPPED = Path(__file__).parents[1] / "weights"
OF_FILES = ("image", "audio", "motion", "eeg", "video")  # modalities whose media are files, never words
ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".wav", ".flac", ".mp3", ".ogg", ".bvh", ".edf", ".mp4", ".tokens")
OF_PROMPTS = (".txt", ".jsonl", ".csv", ".tsv", ".parquet")


def check_paths(arguments: argparse.Namespace) -> None:
    """ValueError for what is named and not there: run, recipe, corpus, source, tokenizer or file, a stream of a run."""
    said = vars(arguments)
    name = said["command"]
    drawn = name in ("generate", "edit")
    for run in (said.get("run"), said.get("start"), said.get("new")):
        if run is not None and not (Path(run) / "run.json").is_file() and not (name == "study" and run == "shipped"):
            raise ValueError(f"a run folder holds run.json, but {run} does not; make one with `tokenmask train`")
    recipe = said["recipe"] if name == "train" else said["name"] if name == "recipes" else None
    if recipe is not None:
        _recipe(recipe)
    if name == "study" and said["new"] is None:
        _study(Path(said["file"]))
    data = said.get("data") if name != "push" else None  # those of push are names and licences
    read = [*_listed(data), *(said["paths"] if name in ("encode", "decode") else []), *said.get("sources", [])]
    for source in [*read, *_listed(said.get("on"))]:
        _there(source, "name a file or a folder that is there")
    tokenizers = said.get("tokenizer") if name in ("fit", "encode", "decode", "train", "corpus", "swap") else None
    for word in [*_listed(tokenizers), *_listed(said.get("swap")), *([said["tokenizer"]] if name == "inspect" else [])]:
        if name not in ("corpus", "swap", "play") or all(word.partition("=")[::2]):  # else the command says the form
            _tokenizer(word)
    for word in [*_listed(said.get("corpus")), *_listed(said.get("folder") if name == "corpus" else None)]:
        _corpus(word)
    into = name in ("fit", "encode", "decode", "train", "swap", "demo") or (name == "corpus" and "out" in said)
    if "://" in str(said.get("out")):
        raise ValueError(f"--out must lie on this machine, got {said['out']}; write it here and copy it there")
    if into and said["out"] is not None and Path(said["out"]).is_file():
        raise ValueError(f"--out must name a folder, but {said['out']} is a file; choose another --out")
    if name == "report" and said["out"] is not None:
        _page(Path(said["out"]))
    if name == "show":
        _there(said["recording"], "name a recording, as --record keeps one")
    if drawn:
        if said["record"] is not None:
            _new_recording(Path(said["record"]), said["force"])
        _streams(Path(said["run"] or SHIPPED), arguments)


def _recipe(source: str) -> None:
    """The name of a recipe that ships, or a file."""
    shipped = sorted(path.stem for path in (SHIPPED.parent / "recipes").glob("*.yaml"))
    if source not in shipped and not Path(source).is_file():
        raise ValueError(
            f"a recipe is one of {', '.join(shipped)} or the path of a YAML file, got {source!r}; "
            "correct the name or the path"
        )


def _study(page: Path) -> None:
    """As the reader of studies has it."""
    if not page.exists():
        raise ValueError(
            f"a study must be a readable YAML file, but {page} is not (No such file or directory); check the path, or "
            "begin one with `tokenmask study FILE --new RUN`"
        )


def _corpus(word: str) -> None:
    """FOLDER or FOLDER=WEIGHT; the address of a store, and a weight that is none, are the command's."""
    folder, equals, weight = word.rpartition("=")
    if equals and not re.fullmatch(r"[0-9.]*[1-9][0-9.]*", weight):
        return
    folder = folder if equals else word
    if "://" not in folder and not Path(folder).is_dir():
        what = f"{folder} is not a folder"
        raise ValueError(f"a corpus is a folder of Parquet shards, but {what}; build the corpus first")


def _page(path: Path) -> None:
    """As the report has it, before anything is drawn."""
    if path.is_dir() or path.suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"a report is a file that ends in .html, got {str(path)!r}; name one with --out FILE.html")
    if not path.parent.is_dir():
        raise ValueError(f"{path.parent} is not a folder; make it, or choose another place with --out FILE.html")


def _new_recording(path: Path, force: bool) -> None:
    """As Recording.save and check_new have it, before anything is drawn."""
    if path.suffix.lower() != ".safetensors":
        raise ValueError(f"a recording's file must end in .safetensors, got {path.name!r}; rename it")
    if path.exists() and not force:
        raise ValueError(f"{path} exists; choose another name or add --force")
    if not path.parent.is_dir():
        raise ValueError(f"{path.parent} is not a folder; make it, or choose another name for the recording")


def _streams(run: Path, arguments: argparse.Namespace) -> None:
    """What is drawn and what is given of it."""
    try:
        streams = dict(json.loads((run / "layout.json").read_text(encoding="utf-8"))["streams"])
        kinds = {str(name): str(spec["modality"]) for name, spec in streams.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return  # a damaged run, of which the command says what is wrong
    wanted = arguments.stream
    if wanted is not None and wanted not in kinds:
        raise ValueError(f"{run} has the streams {', '.join(kinds)}, got {wanted!r}; name one of them")
    for word in [*arguments.given, *arguments.negative, *(one.partition(":")[2] for one in arguments.also)]:
        name, _, value = word.partition("=")
        if value.startswith("@") and not value.startswith("@@") and name in kinds and kinds[name] not in OF_FILES:
            _there(value[1:], f"it is given for {name!r}; name a file that is there, or write words")
        elif kinds.get(name) in OF_FILES and value:
            _there(value, f"it is given for {name!r}; name a file that is there")
    prompts = getattr(arguments, "prompts", None)
    if prompts is not None and Path(prompts).suffix.lower() in OF_PROMPTS:  # else the command says what it takes
        _there(prompts, "name a file of prompts")
    media = getattr(arguments, "media", "")
    if kinds.get(wanted) in OF_FILES or (wanted is None and media.lower().endswith(ENDINGS)):
        _there(media, "name the file that is edited")


def _tokenizer(word: str) -> None:
    """A folder, after NAME= or alone; KIND:SOURCE and `shipped` are the command's."""
    name, equals, folder = word.partition("=")
    place = folder if equals and not Path(word).exists() and "/" not in name and ":" not in name else word
    if ":" in place or place == "shipped" or not place or Path(place).exists():
        return
    named = f"{name}=" if place is not word else ""
    raise ValueError(
        f"a tokenizer folder holds tokenizer.json, but {place} does not; name one that `tokenmask fit` wrote, write "
        f"{named}shipped for the one that ships, or {named}KIND:SOURCE for a published one"
    )


def _there(path: str, advice: str) -> None:
    """ValueError unless there is such a file or folder; of FILE#RECORD the file."""
    if Path(path).exists() or Path(path).is_symlink():
        return
    if any(Path(path[:at]).is_file() for at, letter in enumerate(path) if letter == "#"):
        return
    raise ValueError(f"{path} does not exist; {advice}")


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value or ())
