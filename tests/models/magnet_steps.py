"""Our loop around a small MAGNeT, and the numbers that it draws, which audiocraft's loop is given too."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from tests.models import small_magnet as small
from tokenmask.batch import GIVEN, Batch, Sequence, collate
from tokenmask.layout import Layout
from tokenmask.models.magnet import MagnetConfig
from tokenmask.models.magnet_network import MagnetNetwork
from tokenmask.models.wrapped import WrappedModel
from tokenmask.ops import Purpose
from tokenmask.ops.philox import draw_reference
from tokenmask.run.wrapping_sounds import sampler_of
from tokenmask.sampling import SamplerState
from tokenmask.scores import slot_counters
from tokenmask.streams import StreamSpec, TokenStream

CASES: dict[str, dict[str, Any]] = {
    "text": {"text": "3 9 4", "prompt": 0, "steps": small.STEPS},
    "another text": {"text": "12 30 7 7 2", "prompt": 0, "steps": small.STEPS},
    "no text": {"text": None, "prompt": 0, "steps": (6, 2)},
    "prompt": {"text": "3 9 4", "prompt": 6, "steps": small.STEPS},
}
AUDIO = StreamSpec("audio", (small.CODES,) * small.LEVELS, ("time",), rate_hz=float(small.FRAMES))
TEXT = StreamSpec("text", (40,), ("index",))
LAYOUT = Layout({"audio": AUDIO, "text": TEXT})
SEED = 11


def model() -> WrappedModel:
    """Around the small network, with texts in the place of T5's vectors."""
    network = MagnetNetwork(small.weights(), small.HEADS, small.REACH)
    return WrappedModel(MagnetConfig(network, small.Texts(), 0, small.FRAMES), LAYOUT)


def _row(text: str | None, prompt: int, frames: int) -> Sequence:
    codes = small.codes()[1, :frames].clamp(max=small.CODES - 1).int()
    roles = torch.full((frames, small.LEVELS), 2, dtype=torch.int8)
    roles[:prompt] = GIVEN
    streams = {"audio": TokenStream(AUDIO, codes)}
    if text is not None:
        pieces = [*map(int, text.split()), 0]
        streams["text"] = TokenStream(TEXT, torch.tensor(pieces, dtype=torch.int32)[:, None])
    told: dict[str, Any] = {"audio": roles} | ({"text": GIVEN} if text is not None else {})
    return LAYOUT.pack(streams, roles=told)


def batch(*rows: tuple[str | None, int, int]) -> Batch:
    """Rows of (text, frames that are given, frames); the other codes are to be filled."""
    return collate([_row(*row) for row in rows], multiple=1)


def first(row: Batch) -> int:
    """Where the sound begins."""
    return int((row.stream == LAYOUT.index("audio")).int().argmax(1)[0])


def draws(step: int, level: int, row: Batch | None = None) -> Tensor:
    """float64 [1, FRAMES], the uniform numbers with which our step draws codes of a level."""
    row = batch(("0", 0, small.FRAMES)) if row is None else row
    counters = slot_counters((row.sample_ids << 16) | step, *row.shape[1:])
    own = counters[:, first(row) : first(row) + small.FRAMES, level]
    seeds = torch.full((own.numel(),), SEED)
    words = draw_reference(seeds, torch.zeros(own.numel()).long(), Purpose.code, own.flatten())
    return ((words[0].double() * 2.0**32 + words[1].double()) / 2.0**64).view(own.shape)


def ours(text: str | None, prompt: int, steps: tuple[int, ...]) -> dict[str, Any]:
    """The inputs of every pass with the text, as MASK is the number behind the codes, and the codes in the end."""
    made, seen = model(), []
    network = made.backbone.network  # type: ignore[attr-defined]
    hook = network.register_forward_pre_hook(lambda _, given: seen.append(given[0][:1].tolist()))
    sampler = sampler_of(small.LEVELS, 3)
    stages = tuple(type(stage)(number, stage.levels) for stage, number in zip(sampler.stages, steps, strict=True))
    state = SamplerState.start(batch((text, prompt, small.FRAMES)), LAYOUT, torch.tensor([SEED]))
    done = replace(sampler, stages=stages).run({"main": made}, LAYOUT, state)
    hook.remove()
    at = first(done.batch)
    codes = LAYOUT.codes_of(done.batch.ids[:, at : at + small.FRAMES]).tolist()
    return {"inputs": seen, "codes": codes}
