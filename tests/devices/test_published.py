"""Networks of ours that hold published tensors, and experts, on a device that refuses tensors of the CPU."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

import tokenmask as tm
from tests.modalities import small_cosmos, small_eeg
from tests.models.magnet_steps import batch, model
from tests.models.test_magnet import asked
from tokenmask.modalities.eeg import EegRecording
from tokenmask.modalities.image import Image
from tokenmask.sampling import Expert, Particles


def waves() -> EegRecording:
    return EegRecording(small_eeg.waves(), 200.0, ("Fz", "Cz", "O1"))


def grey() -> Image:
    return Image(torch.full((8, 8, 3), 99, dtype=torch.uint8))


CASES: dict[str, tuple[Any, dict[str, Any], Any]] = {
    "labram": (small_eeg.labram_weights, {"num_heads": 4}, waves),
    "neurorvq": (small_eeg.neurorvq_weights, {}, waves),
    "cosmos": (small_cosmos.weights, {"levels": small_cosmos.LEVELS}, grey),
}


@pytest.mark.parametrize("kind", list(CASES))
def test_codes_and_media_are_those_of_the_cpu(kind: str, pretend: torch.device, tmp_path: Path) -> None:
    weights, settings, media = CASES[kind]
    save_file(weights(), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(settings))
    options = {"size": 32} if kind == "cosmos" else {}
    here, there = (tm.tokenizer(kind, tmp_path, **options) for _ in range(2))
    moved: Any = there.to(pretend)  # type: ignore[attr-defined]
    stream = here.encode(media())
    assert moved.device == pretend and moved.encode(media()) == stream
    made, other = here.decode(stream), moved.decode(stream)
    one, two = (getattr(item, "samples", getattr(item, "pixels", None)) for item in (made, other))
    torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-4)


def test_a_magnet_answers_as_on_the_cpu(pretend: torch.device) -> None:
    rows, here, there = batch(("3 9 4", 3, 24), (None, 3, 15)), model(), model().to(pretend)
    queries = asked(rows)
    answers = there.logits(rows.to(pretend), queries.to(pretend))
    for mine, own in zip(answers, here.logits(rows, queries), strict=True):
        torch.testing.assert_close(mine.logits.cpu(), own.logits, rtol=1e-5, atol=1e-5)


@dataclass(frozen=True)
class Short(Expert):
    """Likes low numbers."""

    stream: str = "text"
    power: float = 1.0

    def says(self, beginnings: Sequence[tuple[int, ...]]) -> torch.Tensor:
        return torch.tensor([-0.01 * sum(codes) for codes in beginnings])


def test_an_expert_weighs_as_on_the_cpu(run: tm.Run, pretend: torch.device) -> None:
    sampler = replace(run.recipe.sampler_of("text"), constraint=Short(), particles=Particles(3))
    options: dict[str, Any] = {"length": 5, "steps": 3, "seed": 0, "sampler": sampler}
    mine, theirs = (one.generate_tokens("text", **options)[0] for one in (run, run.to(pretend)))
    assert torch.equal(mine.codes, theirs.codes)
    plain = run.generate_tokens("text", **{**options, "sampler": run.recipe.sampler_of("text")})[0]
    assert not torch.equal(plain.codes, mine.codes)
