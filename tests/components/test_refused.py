"""What a file could not hold is refused in a sentence, before anything is written or trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import InitVar, dataclass, field, replace
from typing import Any

import pytest
import torch

import tokenmask as tm
from tokenmask.components import component, plain
from tokenmask.recipes import load_recipe
from tokenmask.sampling import Categorical, Pick, PickContext, Revoke, Sampler
from tokenmask.scores import RandomScore, Score


class Loose(RandomScore):
    def __init__(self, *parts: float, **weights: float) -> None:
        self.parts, self.weights = parts, weights


@dataclass(frozen=True)
class Once(RandomScore):
    scale: InitVar[float] = 1.0
    inner: float = 0.0


@dataclass(frozen=True)
class Keyed(RandomScore):
    weights: Mapping[Any, float] = field(default_factory=dict)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (Loose(1.0, a=2.0), r"Loose must name each of its arguments to be written to a file, but it takes \*parts"),
        (Once(5.0), "Once must keep scale to be written to a file; make it a field"),
        (Keyed({0: 3.0}), "a file holds mappings whose keys are words, got the key 0; write it as a word"),
    ],
)
def test_what_would_be_lost_is_refused(value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plain(value)


@pytest.mark.parametrize("name", ["objective", "procedure", "pattern", "packing", "training.optimiser"])
def test_a_part_that_is_null_is_refused(name: str) -> None:
    last = name.rpartition(".")[2]
    with pytest.raises(ValueError, match=rf"{last} must not be null; leave it out"):
        load_recipe("captions", overrides=[f"{name}=null"])
    with pytest.raises(ValueError, match=r"Sampler\.order must be a Score, got None; give one"):
        load_recipe("maskgit", overrides=["sampler.order=null"])
    assert load_recipe("captions", overrides=["head=null"]).head is None


class OpenAll(Revoke):
    def __call__(self, context: Any) -> torch.Tensor:
        return torch.ones_like(context.inside)


def test_a_revocation_opens_nothing_that_is_given() -> None:
    run = tm.load()
    heart = run.generate("image", {"text": "red heart"}, steps=2)[0]
    sampler = replace(run.recipe.sampler_of("image"), steps=3, stages=(), revoke=OpenAll())
    edited = run.edit(heart, [(32, 0, 64, 64)], sampler=sampler)[0]
    assert torch.equal(edited.stream.codes[:, :4], heart.stream.codes[:, :4])


@dataclass(frozen=True)
class Shifted(Pick):
    by: int = 0
    long: bool = False

    def __call__(self, logits: Any, uncond: Any, context: PickContext) -> Any:
        codes, *statistics = Categorical(0.0)(logits, uncond, context)
        codes = torch.full_like(codes, self.by)
        return codes.long() if self.long else codes, *statistics


@pytest.mark.parametrize(
    ("pick", "message"),
    [
        (Shifted(1 << 20), r"Shifted must answer codes in 0\.\.1023, got 1048576\.\.1048576; mend its __call__"),
        (Shifted(-1), r"Shifted must answer codes in 0\.\.1023, got -1\.\.-1; mend its __call__"),
        (Shifted(0, True), r"Shifted must answer codes int32 \[\d+\], got int64 \[\d+\]; mend its __call__"),
    ],
)
def test_a_pick_that_answers_no_codes_is_named(pick: Pick, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tm.load().generate_tokens("image", sampler=Sampler(2, pick=pick))


def test_a_field_beside_the_class_path_is_refused() -> None:
    values = {"class_path": "SpanScore", "init_args": {"span": 2}, "span": 5}
    with pytest.raises(ValueError, match="beside class_path a Score has init_args only, got span; move it there"):
        component(values, Score, "tokenmask.scores")
