"""Serving: requests that wait together, drawn by one call of the sampler as `tokenmask serve` does, beside one by one.

The same codes either way, which is checked. The model that ships; prompts and seeds all differ. What HTTP adds, and
what a command for each request costs, measures benchmarks/serving.py.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

from harness import Case, Peer

from tokenmask.run import Run, load

from .common import equal

WORDS = ("blue heart", "red heart", "sun", "full moon", "pizza", "grinning face", "seven", "kick")
SIZES: dict[str, dict[str, Any]] = {"text": {"length": 8}, "image": {}, "motion": {"duration_seconds": 1.4}}
REQUESTS = {"text": 64, "image": 16, "motion": 16}


@cache
def shipped() -> Run:
    return load()


def given(count: int) -> list[dict[str, str]]:
    return [{"text": WORDS[number % len(WORDS)]} for number in range(count)]


def together(stream: str) -> list[Any]:
    count = REQUESTS[stream]
    drawn = shipped().generate_tokens(stream, given(count), seed=list(range(count)), **SIZES[stream])
    return [one.codes for one in drawn]


def one_by_one(stream: str) -> list[Any]:
    return [
        shipped().generate_tokens(stream, one, seed=seed, **SIZES[stream])[0].codes
        for seed, one in enumerate(given(REQUESTS[stream]))
    ]


def serving_case(stream: str) -> Case:
    ours = Peer("together", partial(together, stream), equal)
    alone = Peer("one by one", partial(one_by_one, stream), equal)
    return Case(f"{REQUESTS[stream]} requests, {stream}", ours, partial(one_by_one, stream), (alone,))


CASES: dict[str, Callable[[], Case]] = {f"serve_{stream}": partial(serving_case, stream) for stream in SIZES}
