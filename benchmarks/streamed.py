"""How soon media come, and how large the seams of windows are: python benchmarks/streamed.py [--kind motion].

Each kind of media is made in pieces by the model that ships (a film by it with a video tokenizer put around the one of
pictures), 30 seconds or 400 codes of text, in windows as long as the model sees ("most") and in those of ``Run.stream``
("early"). "first" is the share of the CPU time after which the first piece is there. A seam is where codes of two
windows meet. What is measured there stands beside the same where other codes meet, and in all of the media that ship,
as the median and, in brackets, the 99th of a hundred: mm a frame by which a joint's velocity jumps (the largest of a
body), the jump of a sample of EEG in standard deviations of its channel, the mean change of a log-mel band from one
frame of 128 samples to the next, the mean change of a pixel (0 to 255), and nats a character under an n-gram of the
training verses, of four characters.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import tokenmask as tm
from tokenmask import data
from tokenmask.demo import items
from tokenmask.files import write_text_atomic
from tokenmask.generation import sees
from tokenmask.generation.long import windows
from tokenmask.modalities.audio.mel import log_mel, spectrum
from tokenmask.modalities.video import VideoClip, VideoTokenizer
from tokenmask.run import Run
from tokenmask.run.asked import Wish, asked_of

OUT = Path(__file__).parent / "results" / "streamed.json"
ASKED: dict[str, tuple[dict[str, str], dict[str, Any]]] = {
    "audio": ({"text": "seven"}, {"duration_seconds": 30.0}),
    "motion": ({"text": "walk"}, {"duration_seconds": 30.0}),
    "eeg": ({"label": "eyes shut"}, {"duration_seconds": 30.0}),
    "text": ({}, {"length": 400}),
    "video": ({"text": "sun"}, {"duration_seconds": 30.0}),
}
HOP, BEHIND = 128, 4  # samples; characters


def films() -> Run:
    """The model that ships with a stream of films; what it draws there is as good as unlearned."""
    run = tm.load()
    pixels = torch.from_numpy(data.emoji()[0].pixels)
    clip = VideoClip(torch.stack([pixels.roll(4 * number, 1) for number in range(6)]), 12.0)
    tokenizer = VideoTokenizer.around(run.tokenizers["image"], frame_rate_hz=12.0, step=3)
    return run.swap_tokenizer("video", tokenizer, media=[clip])


def of_motion(clip: Any) -> Tensor:
    return torch.nn.functional.pad(clip.joint_positions().diff(n=2, dim=0).norm(dim=-1).amax(1) * 1000, (1, 1))


def of_eeg(recording: Any) -> Tensor:
    samples = recording.samples
    return torch.nn.functional.pad((samples.diff(dim=1).abs() / samples.std(1, keepdim=True)).mean(0), (1, 0))


def of_audio(clip: Any) -> Tensor:
    mel = torch.as_tensor(np.asarray(log_mel(spectrum(clip.samples, 4 * HOP, HOP), 80, clip.sample_rate_hz)[0]))
    return torch.nn.functional.pad(mel.diff(dim=0).abs().mean(1), (1, 0))


def of_video(clip: Any) -> Tensor:
    return torch.nn.functional.pad(clip.frames.float().diff(dim=0).abs().mean((1, 2, 3)), (1, 0))


class Spelling:
    """A character model of order 3 that falls back on shorter ones, of the training verses."""

    def __init__(self) -> None:
        self.seen = Counter[str]()
        for verse in (one.media["text"].text for one in items.corpora()["verses"] if one.split == "train"):
            for at in range(len(verse)):
                self.seen.update(verse[max(0, at - size) : at + 1] for size in range(4))
                self.seen.update("\0" + verse[max(0, at - size) : at] for size in range(4))

    def nats(self, text: str) -> Tensor:
        """Of each character; Witten and Bell's half for what is shorter."""
        found = []
        for at in range(len(text)):
            chance = 1 / 256
            for size in range(4):
                before = "\0" + text[max(0, at - size) : at]
                known = self.seen[before]
                if known:
                    chance = 0.5 * chance + 0.5 * self.seen[text[max(0, at - size) : at + 1]] / known
            found.append(-np.log(chance))
        return torch.tensor(found)


def joined(pieces: Sequence[Any]) -> Any:
    """One medium of pieces."""
    name, along = {
        "AudioClip": ("samples", 1), "EegRecording": ("samples", 1), "VideoClip": ("frames", 0), "Text": ("text", 0)
    }.get(type(pieces[0]).__name__, ("rotations", 0))  # fmt: skip
    if name == "text":
        return replace(pieces[0], text="".join(one.text for one in pieces))
    whole = {name: torch.cat([getattr(one, name) for one in pieces], along)}
    if name == "rotations":
        whole["root_positions"] = torch.cat([one.root_positions for one in pieces])
    return replace(pieces[0], **whole)


def streamed(run: Run, kind: str, window: str, seed: int) -> tuple[Any, float, float]:
    """Media, and CPU seconds to the first piece and to the end."""
    given, size = ASKED[kind]
    begun, first, pieces = time.process_time(), 0.0, []
    for piece in run.stream(kind, given, window=window, seed=seed, **size):
        first = first or time.process_time() - begun
        pieces.append(piece)
    return joined(pieces), first, time.process_time() - begun


def seams(run: Run, kind: str, window: str) -> tuple[list[int], int]:
    """Codes before each seam, and all codes."""
    given, size = ASKED[kind]
    sizes = {"length": None, "grid": None, "duration_seconds": None} | size
    (asked,) = asked_of(run.inputs, Wish(kind, given, invariant=True, keep_original=None, options={}, **sizes))
    one = asked.request
    piece = sees(one, run.layout, run.recipe.packing, window)
    along = one.canvas.spec.axes.index(piece[0]) if piece else 0
    total = one.canvas.grid[along]
    if piece is None:
        return [], total
    return [stop for _, stop in windows(torch.ones(total, dtype=torch.bool), piece[1])[:-1]], total


def measured(run: Run, kind: str, window: str, seeds: int, measure: Callable[[Any], Tensor]) -> dict[str, Any]:
    """A row of the table."""
    where, total = seams(run, kind, window)
    at_seams, inside, shares, seconds = [], [], [], []
    for seed in range(seeds):
        made, first, whole = streamed(run, kind, window, seed)
        shares.append(first / whole)
        seconds.append(whole)
        values, begins = measure(made), begins_of(run, kind, window, seed, made, total)
        for number, begin in enumerate(begins[1:], 1):
            near = values[begin : begin + BEHIND] if kind == "text" else values[begin - 1 : begin + 1]
            (at_seams if number in where else inside).append(near)
    return {
        "kind": kind,
        "window": window,
        "windows": len(where) + 1,
        "seeds": seeds,
        "first": float(np.mean(shares)),
        "seconds": float(np.mean(seconds)),
        "at seams": _spread(at_seams),
        "inside": _spread(inside),
    }


def begins_of(run: Run, kind: str, window: str, seed: int, made: Any, total: int) -> list[int]:
    """Where the media of each code begin: a frame, a sample, a character."""
    if kind != "text":
        size = {"audio": lambda: 1 + made.samples.shape[1] // HOP, "eeg": lambda: made.samples.shape[1]}
        frames = size.get(kind, lambda: len(made.rotations if kind == "motion" else made.frames))()
        return [round(frames * code / total) for code in range(total)]
    codes = run.generate_tokens("text", ASKED["text"][0], window=window, seed=seed, length=total)[0].codes
    words = [
        run.tokenizers["text"].decode(tm.TokenStream(run.layout.streams["text"], one)).text for one in codes.split(1)
    ]
    return [0, *itertools.accumulate(map(len, words))][:-1]


def _spread(found: Sequence[Tensor]) -> list[float] | None:
    """Mean, median and the 99th of a hundred."""
    if not found:
        return None
    values = torch.cat(list(found)).double()
    middle, high = torch.quantile(values[:1_000_000], torch.tensor([0.5, 0.99], dtype=torch.float64)).tolist()
    return [float(values.mean()), middle, high]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("--kind", choices=list(ASKED), nargs="+", default=list(ASKED), help="default all")
    parser.add_argument("--seeds", type=int, default=3, help="of each row, default 3")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    spelling = Spelling()
    measures: dict[str, Callable[[Any], Tensor]] = {
        "audio": of_audio, "motion": of_motion, "eeg": of_eeg, "video": of_video,
        "text": lambda text: spelling.nats(text.text),
    }  # fmt: skip
    rows = json.loads(OUT.read_text())["rows"] if OUT.is_file() else []
    shipped, with_films = tm.load(), films()
    for kind in asked.kind:
        ordinary = None
        if kind == "text":
            ordinary = [one.media["text"] for one in items.corpora()["verses"] if one.split == "held-out"][:200]
        elif kind != "video":
            found = items.media(kind, "held-out")
            ordinary = [one.resample(30) if kind == "motion" else one for one in found][:60]
        usual = _spread([measures[kind](one)[1:] for one in ordinary]) if ordinary else None
        run = with_films if kind == "video" else shipped
        rows = [row for row in rows if row["kind"] != kind]
        for window in ("most", "early"):
            if window == "early" and seams(run, kind, window) == seams(run, kind, "most"):
                rows[-1]["window"] = "both"
                continue
            rows.append({**measured(run, kind, window, asked.seeds, measures[kind]), "ordinary": usual})
        write_text_atomic(OUT, json.dumps({"rows": rows}, indent=1) + "\n")
    print("| media | windows | first piece after | CPU s in all | at seams | inside | media that ship |")
    print("|---|---|---|---|---|---|---|")
    for row in rows:
        spreads = [
            row[name] and f"{row[name][1]:.3g} ({row[name][2]:.3g})" for name in ("at seams", "inside", "ordinary")
        ]
        told = f"{row['first']:.0%} | {row['seconds']:.3g} | " + " | ".join(one or "" for one in spreads)
        print(f"| {row['kind']} | {row['windows']}, {row['window']} | {told} |")


if __name__ == "__main__":
    main()
