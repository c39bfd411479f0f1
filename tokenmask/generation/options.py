"""Options of a drawing: written once, taken alike by generate, edit and the command line.

Arrow: options + Sampler --**drawn_with**--> Sampler. Does not know: streams, media, requests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypedDict

from tokenmask.generation.watching import Filling
from tokenmask.sampling import Sampler


class DrawOptions(TypedDict, total=False):
    """What may be said of a drawing; what is left out is as the recipe has it, or nothing.

    Keys:
        steps: of the sampler's longest stage; others keep their ratio to it.
        guidance: s of u + s (c - u); 1 is none. The strongest, where it moves from step to step.
        temperature: 0 takes the best code. The first, where it moves from step to step.
        seed: of every request, 0 if left out; for several requests also one for each.
        num_samples: samples of each request, 1 if left out; they differ, and the first is the one that 1 gives.
        negative: stream name -> what guidance pushes away from, instead of from no condition.
        also: further conditions, (stream name -> what is given, weight w) each: the logits gain w (c - u).
        sampler: replaces the recipe's; the options above change it.
        progress: a bar on stderr.
        on_step: called after each step of each request with a :class:`tokenmask.generation.Filling`.
    """

    steps: int | None
    guidance: float | None
    temperature: float | None
    seed: int | Sequence[int] | None
    num_samples: int | None
    negative: Mapping[str, Any] | None
    also: Sequence[tuple[Mapping[str, Any], float]] | None
    sampler: Sampler | None
    progress: bool
    on_step: Callable[[Filling], None] | None


_DEFAULTS: Mapping[str, Any] = {"seed": 0, "num_samples": 1}


def check_options(options: Mapping[str, Any], others: Sequence[str]) -> tuple[int | Sequence[int], int]:
    """Refuses a misspelt option, and says those that have a value of their own when left out or None.

    Args:
        options: by name.
        others: names of what the caller takes besides, for the sentence.

    Returns:
        seed and num_samples.

    Raises:
        TypeError: a name that is no option.
        ValueError: num_samples below 1.
    """
    known = [*others, *DrawOptions.__annotations__]
    unknown = [name for name in options if name not in DrawOptions.__annotations__]
    if unknown:
        raise TypeError(
            f"a drawing has the options {', '.join(known)}, got {', '.join(unknown)}; write one of these names, or "
            "leave it out"
        )
    seed, samples = (default if options.get(name) is None else options[name] for name, default in _DEFAULTS.items())
    if samples < 1:
        raise ValueError(f"num_samples must be at least 1, got {samples}; ask for one or more, or leave it out")
    return seed, samples


def drawn_with(sampler: Sampler, options: DrawOptions) -> Sampler:
    """The sampler with what the options say of it; ``sampler`` is the recipe's.

    Raises:
        ValueError: a negative condition where no stage pushes away from one, or further conditions and a guidance
            that takes none.
    """
    sampler = options.get("sampler") or sampler
    weights = tuple(weight for _, weight in options.get("also") or ())
    steps, guidance, temperature = options.get("steps"), options.get("guidance"), options.get("temperature")
    sampler = sampler.adapted(steps, guidance, temperature, weights or None)
    if options.get("negative") and not any(one.pushes_away for one in sampler.guidances):
        raise ValueError("a negative condition needs guidance to push away from it; pass guidance=2.0 or so")
    return sampler
