"""A busy machine: generate, edit, encode, fit and train, beside processes that keep a core each busy.

"Ours" is the job on the machine as it is, the peers are the same job beside one and two such processes, so "x ours" is
what they cost. "As torch is" is the idle machine without tokenmask.threads, which must not cost more than without. Wall
time of several threads on an idle machine, with nothing about OpenMP in the environment.
"""

from __future__ import annotations

import atexit
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from harness import Case, Peer

from tokenmask import data
from tokenmask.corpus import Item, build_corpus, encode_items
from tokenmask.recipes import load_recipe
from tokenmask.run import Run, load, prepare
from tokenmask.threads import SETTINGS, WAITS

from .common import equal

# It ends with this process however that ends (prctl PR_SET_PDEATHSIG), also while it is stopped.
SPINNER = "import ctypes, signal\nctypes.CDLL(None).prctl(1, signal.SIGKILL)\nwhile True: pass"
PICTURES = 64


@cache
def spinners() -> list[subprocess.Popen[bytes]]:
    """Two processes that keep a core busy each, stopped until they are wanted; they end with this one."""
    team = [subprocess.Popen([sys.executable, "-c", SPINNER]) for _ in range(2)]
    for process in team:
        process.send_signal(signal.SIGSTOP)
        atexit.register(process.kill)
    return team


@contextmanager
def load_of(count: int) -> Iterator[None]:
    for process in spinners()[:count]:
        process.send_signal(signal.SIGCONT)
    try:
        yield
    finally:
        for process in spinners()[:count]:
            process.send_signal(signal.SIGSTOP)


def beside(count: int, job: Callable[[], Any]) -> Any:
    with load_of(count):
        return job()


def as_torch_is(job: Callable[[], Any]) -> Any:
    os.environ[WAITS[1]] = "set"  # too late for OpenMP, but tokenmask.threads keeps out
    try:
        return job()
    finally:
        del os.environ[WAITS[1]]


def on_one_thread(job: Callable[[], Any]) -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return job()
    finally:
        torch.set_num_threads(before)


# Jobs: each returns tensors or numbers that must be the same in every way of running it -------------------------------


@cache
def shipped() -> Run:
    return load()


@cache
def pictures() -> list[Any]:
    image = type(shipped().generate("image", given={"text": "sun"}, steps=1)[0])
    return [image(torch.from_numpy(entry.pixels)) for entry in data.emoji()[:PICTURES]]


def generate() -> Any:
    """The model that ships says a word: 12 steps for each of seven levels."""
    options = {"given": {"text": "seven"}, "duration_seconds": 0.8, "steps": 12, "seed": 0}
    return shipped().generate("audio", **options)[0].stream.codes


def edit() -> Any:
    """The right half of a picture, 12 steps."""
    made = shipped().edit(pictures()[0], [(16, 0, 32, 32)], given={"text": "sun"}, steps=12, seed=0)
    return made[0].stream.codes


def encode() -> Any:
    """Pictures as for a corpus, in this process."""
    items = [Item(str(index), {"image": picture}) for index, picture in enumerate(pictures())]
    found = list(encode_items(items, {"image": shipped().tokenizers["image"]}))
    return [streams["image"].codes for _, streams in found if not isinstance(streams, Exception)]


def fit() -> Any:
    """15 steps of an image tokenizer."""
    tokenizer = type(shipped().tokenizers["image"]).fit(pictures(), steps=15, progress=False)  # type: ignore[attr-defined]
    return [tokenizer.encode(picture).codes for picture in pictures()[:4]]


def train() -> Any:
    """12 steps of a small model of captions and pictures: the loss of each."""
    recipe = load_recipe("captions", tiny=True, overrides=["training.steps=12"])
    used = {name: shipped().tokenizers[name] for name in recipe.streams}
    with tempfile.TemporaryDirectory() as folder:
        trainer = prepare(Path(folder) / "run", recipe, used, [(corpus(), 1.0)])
        return torch.tensor([metrics["loss"] for metrics in trainer.fit(progress=False)])


@cache
def corpus() -> Path:
    scratch = tempfile.TemporaryDirectory()
    atexit.register(scratch.cleanup)
    pair = {name: shipped().tokenizers[name] for name in ("text", "image")}
    names = [entry.name for entry in data.emoji()[:PICTURES]]
    items = [
        Item(name, {"text": pair["text"].decode(shipped().inputs.tokens("text", name)), "image": picture})
        for name, picture in zip(names, pictures(), strict=True)
    ]
    build_corpus(items, pair, Path(scratch.name) / "corpus", progress=False, on_error="raise")
    return Path(scratch.name) / "corpus"


# Codes of what is drawn and encoded are promised for any number of threads, and small tokenizers are fitted by one (by
# more, as torch is, they differ); sums of gradients in training for this number alone.
EXACT = {"generate": generate, "edit": edit, "encode": encode, "fit": fit}
FITTED = {"train": train}


def busy_case(name: str) -> Case:
    job = {**EXACT, **FITTED}[name]
    if torch.get_num_threads() == 1 or any(name in os.environ for name in SETTINGS):
        raise ValueError(f"busy cases need --threads 2 or more and none of {', '.join(SETTINGS)} in the environment")
    peers = [Peer(f"beside {count} busy process(es)", partial(beside, count, job), equal) for count in (1, 2)]
    peers.append(Peer("alone, as torch is", partial(as_torch_is, job), equal))
    reference = partial(on_one_thread, job) if name in EXACT else job
    return Case(f"busy machine, {name}", Peer("alone", job, equal), reference, tuple(peers))


CASES: dict[str, Callable[[], Case]] = {f"busy_{name}": partial(busy_case, name) for name in (*EXACT, *FITTED)}
