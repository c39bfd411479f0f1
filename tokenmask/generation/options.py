"""Options of a drawing: written once, taken alike by generate, edit and the command line.

Arrow: options + Sampler --**drawn_with**--> Sampler. Does not know: streams, media, requests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, replace
from functools import partial
from numbers import Integral
from typing import Any, TypedDict

from tokenmask.arguments import one_of, string
from tokenmask.generation.completing import pieces_of
from tokenmask.generation.long import Window
from tokenmask.generation.watching import Filling
from tokenmask.sampling import (
    AllOf,
    AllowAll,
    Categorical,
    MatchesPattern,
    Particles,
    Pick,
    Restricted,
    Sampler,
    UniformSchedule,
)
from tokenmask.sampling.plan import MOST_STEPS
from tokenmask.scores import RasterScore, Score
from tokenmask.scores.arguments import MOST, is_a, number, whole


class DrawOptions(TypedDict, total=False):
    """What may be said of a drawing; what is left out is as the recipe has it, or nothing.

    Keys:
        budget: most passes of a request through the model; takes the settings that were found for it, see
            :func:`tokenmask.tuning.tune`. The options below change them.
        steps: of the sampler's longest stage; others keep their ratio to it.
        guidance: s of u + s (c - u); 1 is none. The strongest, where it moves from step to step.
        temperature: 0 takes the best code of each slot. An order with noise still draws by the seed which slots come
            first; one without gives the same codes for every seed: ``order=ConfidenceScore()``. The first, where it
            moves from step to step.
        top_k, top_p, min_p: draw among the ``top_k`` likeliest codes, among the likeliest that together have the mass
            ``top_p``, among those of at least ``min_p`` of the best one's probability; in every stage, see
            :class:`tokenmask.sampling.Categorical`.
        order: which slots are revealed first, in every stage: a :class:`tokenmask.scores.Score`.
        seed: of every request, 0 if left out; for several requests also one for each.
        num_samples: samples of each request, 1 if left out; they differ, and the first is the one that 1 gives.
        negative: stream name -> what guidance pushes away from, instead of from no condition.
        also: further conditions, (stream name -> what is given, weight w) each: the logits gain w (c - u).
        matches: a regular expression (:class:`tokenmask.sampling.MatchesPattern`) that the whole text matches, what is
            given of it too; a code a step, each drawn among those with which the rest can still match.
        particles: so many generations of each sample, weighed by how much the constraint left of the model's own
            probabilities, of which one comes out: with more of them, the law is the model's given the constraint.
            From left to right where the order would read what was drawn.
        window: most places along the axis on which the stream grows that are filled together; each window begins with
            the end of the one before, 40 % of it. "most" is as many as the model sees, and is meant where nothing is
            said, but for :meth:`tokenmask.run.Run.stream`, which takes "early": a fifth of what is made, no fewer than
            2 seconds or 32 places and no more than training showed at once, so that the first is there soon. Other
            windows give other codes.
        sampler: replaces the recipe's; the options above change it.
        progress: a bar on stderr.
        on_step: called after each step of each request with a :class:`tokenmask.generation.Filling`.
    """

    budget: int | None
    steps: int | None
    guidance: float | None
    temperature: float | None
    top_k: int | None
    top_p: float | None
    min_p: float | None
    order: Score | None
    seed: int | Sequence[int] | None
    num_samples: int | None
    negative: Mapping[str, Any] | None
    also: Sequence[tuple[Mapping[str, Any], float]] | None
    matches: str | None
    particles: int | None
    window: Window
    sampler: Sampler | None
    progress: bool
    on_step: Callable[[Filling], None] | None


def check_options(options: Mapping[str, Any], others: Sequence[str]) -> tuple[int | list[int], int]:
    """Refuses options that are none and values that are none of theirs, and says those that are never left out.

    Args:
        options: by name; None is as left out.
        others: names of what the caller takes besides, for the sentence.

    Returns:
        seed (or seeds) and num_samples.

    Raises:
        TypeError: a name that is no option, or a value of another type than the option's.
        ValueError: a number that is none of those asked for: infinite, NaN, too small, too large.
    """
    known = [*others, *DrawOptions.__annotations__]
    unknown = [name for name in options if name not in DrawOptions.__annotations__]
    if unknown:
        ours = _ELSEWHERE.get(unknown[0])
        hint = (
            f"{ours} is what is called {unknown[0]} elsewhere" if ours else "write one of these names, or leave it out"
        )
        raise TypeError(f"a drawing has the options {', '.join(known)}, got {', '.join(unknown)}; {hint}")
    said = {name: value for name, value in options.items() if value is not None}
    for name, check in _CHECKS.items():
        if name in said:
            check(name, said[name])
    seed = said.get("seed", 0)
    return (
        [whole("seed", one, *_SEEDS) for one in seed] if _is_list(seed) else whole("seed", seed, *_SEEDS),
        whole("num_samples", said.get("num_samples", 1), most=_MOST_SAMPLES),
    )


_SEEDS = (-(1 << 63), MOST)
_MOST_PULL = 1e6  # times a logit, this is far from the largest float32
_MOST_SAMPLES = 1 << 23  # so many have draws of their own, see SamplerState.keys


def _is_list(value: Any) -> bool:
    return isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping)


def _seeds(name: str, value: Any) -> None:
    if not (_is_list(value) or isinstance(value, Integral)):
        raise TypeError(f"{name} must be a whole number, or one for each request, got {value!r}; write ints")


def _given(name: str, value: Any) -> None:
    if not isinstance(value, Mapping):
        raise TypeError(f"{name} must be a mapping of stream names to what is given, got {value!r}; write a dict")


def _pairs(name: str, value: Any) -> None:
    if not (isinstance(value, list | tuple) and all(isinstance(one, list | tuple) and len(one) == 2 for one in value)):
        raise TypeError(f"{name} must be pairs (what is given, weight), got {value!r}; write [({{...}}, 1.0)]")
    for one, weight in value:
        _given(f"each condition of {name}", one)
        _pull(f"each weight of {name}", weight)


def _steps(name: str, value: Any) -> None:
    whole(name, whole(name, value), most=MOST_STEPS)


def _window(name: str, value: Any) -> None:
    if isinstance(value, str):
        one_of(name, value, ("early", "most"))
    else:
        whole(name, value)


def _pull(name: str, value: Any) -> None:
    number(name, number(name, value), -_MOST_PULL, _MOST_PULL)


def _truth(name: str, value: Any) -> None:
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, got {value!r}; write one of these")


def _called(name: str, value: Any) -> None:
    if not callable(value):
        raise TypeError(f"{name} must be called with a Filling after each step, got {value!r}; pass a function")


def _ascii(name: str, value: Any) -> None:
    if not string(name, value).isascii():
        raise ValueError(
            f"{name} compares bytes, so it must be a pattern of ASCII, got {value!r}; write . for each byte of another "
            "character"
        )


_CUTS = ("top_k", "top_p", "min_p")
_ELSEWHERE = {
    **dict.fromkeys(("guidance_scale", "cfg", "cfg_scale", "cfg_coef", "cond_scale"), "guidance"),
    **dict.fromkeys(("num_inference_steps", "num_steps", "timesteps"), "steps"),
    **dict.fromkeys(("prompt", "prompts", "condition", "conditions"), "given"),
    **dict.fromkeys(("num_return_sequences", "num_images_per_prompt", "n"), "num_samples"),
    **dict.fromkeys(("max_new_tokens", "max_length", "gen_length"), "length"),
    **dict.fromkeys(("duration", "seconds"), "duration_seconds"),
    "negative_prompt": "negative",
    "generator": "seed",
    "regex": "matches",
    "callback": "on_step",
}  # diffusers, transformers, audiocraft and their like
_CHECKS: Mapping[str, Callable[[str, Any], object]] = {
    "budget": whole,
    "steps": _steps,
    "guidance": _pull,
    "temperature": partial(number, least=0.0),
    "top_k": whole,
    "top_p": partial(number, least=0.0, most=1.0),
    "min_p": partial(number, least=0.0, most=1.0),
    "order": partial(is_a, kind=Score),
    "seed": _seeds,
    "negative": _given,
    "also": _pairs,
    "matches": _ascii,
    "particles": whole,
    "window": _window,
    "sampler": partial(is_a, kind=Sampler),
    "progress": _truth,
    "on_step": _called,
}


def drawn_with(sampler: Sampler, options: DrawOptions) -> Sampler:
    """The sampler with what the options say of it; ``sampler`` is the recipe's.

    Raises:
        ValueError: a negative condition where no stage pushes away from one, or further conditions and a guidance
            that takes none; a sampler and a budget; codes cut off where a pick is no Categorical.
    """
    if options.get("sampler") is not None and options.get("budget") is not None:
        raise ValueError("a sampler says all of a drawing, so it leaves a budget nothing to say; give one of the two")
    sampler = options.get("sampler") or sampler
    cuts = {name: value for name, value in options.items() if name in _CUTS and value is not None}
    order = options.get("order")
    sampler = sampler if order is None else sampler.ordered(order)
    sampler = with_picks(sampler, lambda pick: cut_off(pick, cuts)) if cuts else sampler
    weights = tuple(weight for _, weight in options.get("also") or ())
    steps, guidance, temperature = options.get("steps"), options.get("guidance"), options.get("temperature")
    sampler = sampler.adapted(steps, guidance, temperature, weights or None)
    if options.get("negative") and not any(one.pushes_away for one in sampler.guidances):
        raise ValueError("a negative condition needs guidance to push away from it; pass guidance=2.0 or so")
    return sampler


def with_picks(sampler: Sampler, change: Callable[[Pick], Pick]) -> Sampler:
    """The sampler with every pick changed; a stage that says that it takes the best codes still does."""
    stages = tuple(
        replace(one, pick=change(one.pick)) if one.pick is not None and not one.pick.is_greedy else one
        for one in sampler.stages
    )
    return replace(sampler, pick=change(sampler.pick), stages=stages)


def cut_off(pick: Pick, cuts: Mapping[str, Any]) -> Pick:
    """The pick among fewer codes: ``cuts`` are fields of a Categorical."""
    if not isinstance(pick, Categorical):
        raise ValueError(
            f"top_k, top_p and min_p are of the pick Categorical, but this run draws by {type(pick).__name__}; leave "
            "them out, or set its own fields (sampler=..., --set pick.init_args.FIELD=VALUE)"
        )
    return replace(pick, **cuts)


def constrained(sampler: Sampler, options: DrawOptions, tokenizer: Any, stream: str) -> Sampler:
    """The sampler with the pattern and the particles that the options ask for.

    Args:
        sampler: as :func:`drawn_with` has it.
        options: of the drawing.
        tokenizer: of the stream; for a pattern one that spells its codes.
        stream: that is filled.

    Raises:
        TypeError: a pattern for codes that stand for no text.
        ValueError: no regular expression, or particles where no constraint makes them unlike.
    """
    pattern, count = options.get("matches"), options.get("particles")
    if pattern is not None:
        ours = MatchesPattern(pattern, pieces_of(tokenizer), stream)
        both = ours if sampler.constraint == AllowAll() else AllOf((sampler.constraint, ours))
        sampler = replace(sampler, stages=(), schedule=UniformSchedule(each=1), constraint=both)
    if count is None:
        return sampler
    pick, reads = sampler.pick, any(order.reads_predictions for order in (sampler.order, *_orders(sampler)))
    if type(pick) is Categorical:
        pick = Restricted(**{one.name: getattr(pick, one.name) for one in fields(pick)})
    if sampler.constraint == AllowAll() or not (pick.weighs or sampler.constraint.reweighs):
        raise ValueError(
            f"particles are weighed by what a constraint leaves, got {sampler.constraint} and {type(pick).__name__}; "
            "give a pattern (matches=..., --matches), or a sampler with a constraint and a pick that weighs"
        )
    sampler = sampler.ordered(RasterScore()) if reads else sampler
    stages = tuple(replace(stage, pick=None) for stage in sampler.stages)
    return replace(sampler, stages=stages, pick=pick, particles=Particles(count))


def _orders(sampler: Sampler) -> list[Score]:
    return [stage.order for stage in sampler.stages if stage.order is not None]
