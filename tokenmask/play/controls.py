"""Controls: what can be asked for of a stream, with what a run does by itself.

Arrow: Run --**Controls.of**--> names, words, limits; values of a page --**Asked**--> arguments of generate and edit.
Does not know: pages, how codes are drawn. What options mean is said by :class:`tokenmask.generation.DrawOptions` alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import tokenmask.scores
from tokenmask.demo.showing import prompts
from tokenmask.docstrings import args_of
from tokenmask.generation import DrawOptions
from tokenmask.medium import said
from tokenmask.play import limits
from tokenmask.run import Run
from tokenmask.sampling import Sampler
from tokenmask.scores.arguments import number, whole

ORDERS = ("ConfidenceScore", "MarginScore", "EntropyScore", "RandomScore", "HaltonScore", "QLDSScore")
_USUAL_SECONDS, _USUAL_CODES = 1.0, 24


@cache
def told() -> Mapping[str, str]:
    """Option of a drawing -> its words."""
    return {name: words.rstrip(".") for name, words in args_of(DrawOptions.__doc__, "Keys").items()}


def is_words(run: Run, stream: str) -> bool:
    """Whether a stream holds words."""
    return bool(said(run.tokenizers[stream].media, "words"))


@dataclass(frozen=True)
class Controls:
    """What a page offers for a stream.

    Args:
        stream: its name.
        size: "duration_seconds", "length" or "" for a stream that always has one size.
        usual_size: what is asked for where a person says nothing; 0 where there is one size.
        steps, guidance, temperature: of the run's own sampler.
        order: the class of its order.
        guided: whether it is pushed towards its conditions.
        prompt: the stream of words that is given, and what it may be, for example.
    """

    stream: str
    size: str
    usual_size: float
    steps: int
    guidance: float
    temperature: float
    order: str
    guided: bool
    prompt: tuple[str, str]

    @classmethod
    def of(cls, run: Run, stream: str) -> Controls:
        """Those of a stream of the run."""
        run.inputs.check(stream)
        spec, sampler = run.layout.streams[stream], run.recipe.sampler_of(stream)
        example = next(iter(prompts(run).get(stream, ())), None)
        fixed = None not in spec.grid
        size = "" if fixed else "duration_seconds" if spec.rate_hz is not None else "length"
        usual = {"": 0.0, "length": float(_USUAL_CODES), "duration_seconds": _usual_seconds(run, stream)}[size]
        if example is not None:
            usual = float(example.options.get(size, usual))
        spoken = [name for name in run.tokenizers if is_words(run, name)]
        others = [name for name in spoken if name != stream] or spoken
        given = ("", "") if not spoken else (others[0], "")
        if example is not None and example.given:
            name, value = next(iter(example.given.items()))
            given = (name, str(value))
        return cls(
            stream,
            size,
            usual,
            max((stage.steps for stage in sampler.stages), default=sampler.steps),
            float(getattr(sampler.guidance, "start", 1.0)),
            float(getattr(sampler.pick, "temperature", 1.0)),
            type(sampler.order).__name__,
            any(one.pushes_away for one in sampler.guidances),
            given,
        )


def _usual_seconds(run: Run, stream: str) -> float:
    """A second, or less where the model sees less at once."""
    budget, rate = run.recipe.packing.budgets.get(stream), run.layout.streams[stream].rate_hz or 1.0
    return _USUAL_SECONDS if budget is None else max(1 / rate, min(_USUAL_SECONDS, budget / rate))


@dataclass(frozen=True)
class Asked:
    """What a person asks for of a stream; None is as the run has it.

    Args:
        stream: what is drawn.
        given, negative: stream name -> words, or the path of a file.
        size: seconds or codes, see ``Controls.size``.
        steps, guidance, temperature, seed: see :class:`tokenmask.generation.DrawOptions`.
        order: the class of a score, one of ``ORDERS``.

    Raises:
        ValueError, TypeError: a value beyond what :mod:`tokenmask.play.limits` allows.
    """

    stream: str
    given: Mapping[str, Any] = field(default_factory=dict)
    negative: Mapping[str, Any] = field(default_factory=dict)
    size: float | None = None
    steps: int | None = None
    guidance: float | None = None
    temperature: float | None = None
    order: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for values in (self.given, self.negative):
            for name, value in values.items():
                if isinstance(value, str):
                    limits.words(f"what is given of {name!r}", value)
        if self.steps is not None:
            limits.count("steps", self.steps, limits.MOST_STEPS)
        if self.guidance is not None and not abs(number("guidance", self.guidance)) <= _MOST_GUIDANCE:
            raise ValueError(f"guidance may be {_MOST_GUIDANCE:g} at most, got {self.guidance:g}; ask for less")
        if self.temperature is not None:
            number("temperature", self.temperature, least=0.0)
        if self.order is not None and self.order not in ORDERS:
            raise ValueError(f"order must be one of {', '.join(ORDERS)}, got {self.order!r}; choose one of these")
        whole("seed", self.seed, 0)

    def arguments(self, run: Run, *, sized: bool) -> dict[str, Any]:
        """Keywords of :meth:`Run.generate`, or of :meth:`Run.edit` if not ``sized``, without those that are as usual.

        Raises:
            ValueError: a size beyond the limits.
        """
        own, found = Controls.of(run, self.stream), dict[str, Any]()
        given = {name: value for name, value in self.given.items() if sized or name != self.stream}
        if given:
            found["given"] = given
        if sized and own.size:
            asked = own.usual_size if self.size is None else self.size
            found[own.size] = _sized(own.size, asked)
        if self.negative:
            found["negative"] = dict(self.negative)
        for name, value in (("steps", self.steps), ("guidance", self.guidance), ("temperature", self.temperature)):
            if value is not None and not math.isclose(value, getattr(own, name)):
                found[name] = int(value) if name == "steps" else value
        if self.order is not None and self.order != own.order:
            found["sampler"] = self.sampler(run)
        return {**found, "seed": int(self.seed)}

    def sampler(self, run: Run) -> Sampler:
        """The run's own with the order that is asked for."""
        sampler = run.recipe.sampler_of(self.stream)
        return sampler if self.order is None else sampler.ordered(getattr(tokenmask.scores, self.order)())


_MOST_GUIDANCE = 50.0


def _sized(name: str, value: float) -> float | int:
    if name == "length":
        return limits.count("length", float(value), limits.MOST_CODES)
    return limits.seconds(name, value)
