"""What a person asks of a run as requests, and the media that are continued.

Arrow: **Wish** --**asked_of**--> Asked --fill--> TokenStream --**Asked.decoded**--> media. Does not know: drawing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from torch import Tensor

from tokenmask.generation import DrawOptions, Inputs, Request, check_options, growing_axis, length_range, resized
from tokenmask.medium import Timed
from tokenmask.streams import TokenStream
from tokenmask.telling import tell
from tokenmask.tokenizer import Continues, Tokenizer

_WHOLE = 1e-6  # of a place: a length in seconds is rounded


@dataclass(frozen=True, eq=False)
class Wish:
    """What a call of :meth:`Run.generate` says; each as there."""

    stream: str
    given: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None
    length: int | tuple[int, int] | None
    grid: tuple[int, ...] | None
    duration_seconds: float | None
    invariant: bool
    keep_original: bool | None
    options: DrawOptions


@dataclass(frozen=True, eq=False)
class Asked:
    """A request, and what is passed through.

    Args:
        request: to fill.
        source: media of the target that come back as they are, with what is made behind them; None where there are
            none, or where they are decoded from their codes like the rest.
        keep: bool [*grid], the places of ``source``, also one that it ends in.
    """

    request: Request
    source: Any = None
    keep: Tensor | None = None

    def marked(self, stream: TokenStream) -> TokenStream:
        """What was filled, knowing which of its codes were."""
        return marked(stream, self.request.hole)

    def resized(self, length: int) -> Asked:
        """With a hole of so many codes, which what it is in ends behind."""
        canvas, hole = resized(self.request.canvas, self.request.hole, length)
        return replace(self, request=replace(self.request, canvas=canvas, hole=hole, ended=True))

    def sampled(self, sample: int) -> Asked:
        """Another sample of the same."""
        return replace(self, request=replace(self.request, sample=sample))

    def decoded(self, tokenizer: Tokenizer, stream: TokenStream) -> Any:
        """The media of what was filled."""
        if self.source is None or self.keep is None:
            return tokenizer.decode(stream)
        return tokenizer.decode(stream, given=self.source, keep=self.keep[tuple(slice(size) for size in stream.grid)])


def asked_of(inputs: Inputs, wish: Wish) -> list[Asked]:
    """The requests of a wish, those of one request's samples in turn; see :meth:`Run.generate`."""
    if not isinstance(wish.invariant, bool):
        raise TypeError(f"invariant must be True or False, got {wish.invariant!r}; write one of these")
    stream, given, options, keep_original = wish.stream, wish.given, wish.options, wish.keep_original
    seed, samples = check_options(options, ("length", "grid", "duration_seconds", "invariant", "keep_original"))
    if isinstance(given, str) or not isinstance(given, Mapping | Sequence | None):
        raise TypeError(f"given must be a mapping of stream names, or a list of them, got {given!r}; write a dict")
    if not isinstance(keep_original, bool | None):
        raise TypeError(f"keep_original must be True, False or None, got {keep_original!r}; write one of these")
    inputs.check(stream)
    bounds = length_range(wish.length)
    length = cast("int | None", wish.length) if bounds is None else bounds[1]
    if bounds is not None and inputs.layout.streams[stream].end_code is None:
        raise ValueError(
            f"a stream that says itself where it ends, such as text, can leave its length to the model, got length="
            f"{bounds} for {stream!r}; write one number, or duration_seconds=..."
        )
    wanted = [given or {}] if given is None or isinstance(given, Mapping) else list(given)
    seeds = [seed] * len(wanted) if isinstance(seed, int) else list(seed)
    if not wanted:
        raise ValueError("given must be a mapping, or a list of at least one, got an empty list; write None")
    if len(seeds) != len(wanted):
        raise ValueError(
            f"generate needs one seed, or one for each of {len(wanted)} requests, got {len(seeds)}; "
            "pass a number, or a list of that length"
        )
    others = inputs.companions(options)
    found = []
    for one, its_seed in zip(wanted, seeds, strict=True):
        source, streams = None, dict(one) if isinstance(one, Mapping) else one
        if isinstance(streams, dict) and stream in streams and not isinstance(streams[stream], TokenStream):
            source = streams[stream] = inputs.media(stream, streams[stream])
        conditions = inputs.conditions(streams)
        prefix = conditions.pop(stream, None)
        size = inputs.grid(stream, prefix, length, wish.grid, wish.duration_seconds, conditions)
        names = inputs.names(stream, prefix, size)
        request = Request.blank(
            inputs.layout, stream, size, prefix=prefix, labels=names, given=conditions, seed=its_seed, **others
        )
        keep = ~request.hole.any(-1)
        is_own = source is not None and getattr(source, "stream", None) is prefix
        goes_on = isinstance(inputs.tokenizers[stream], Continues)
        if goes_on and prefix is not None and isinstance(source, Timed) and not is_own and size != prefix.grid:
            request = replace(request, hole=_with_the_rest(request.hole, source, prefix))
        if keep_original is False or (keep_original is None and (is_own or not goes_on)):
            source = None
        found += [Asked(request, source, keep).sampled(sample) for sample in range(samples)]
    return found


def tell_whole(asked: Sequence[Asked], stream: str) -> None:
    """Warns of requests that are about to be drawn and leave nothing to fill."""
    requests = [one.request for one in asked if one.request.sample == 0]
    whole = sum(not bool(request.hole.any()) for request in requests)
    if whole:
        which = f" in {whole} of {len(requests)} requests" if len(requests) > 1 else ""
        tell(
            f"nothing is to be filled{which}: all codes of {stream!r} are given and come back as they are; give it to "
            "edit (run.edit, tokenmask edit) with what is to be made anew, or leave it out of what is given"
        )


def _with_the_rest(hole: Tensor, source: Timed, prefix: TokenStream) -> Tensor:
    """The hole with the last place of a beginning that ends inside of it: its code says that silence follows."""
    axis, rate = growing_axis(prefix.spec), prefix.spec.rate_hz
    if rate is None:
        return hole
    known = math.floor(source.duration_seconds * rate + _WHOLE)
    hole = hole.clone()
    hole.narrow(axis, known, max(prefix.grid[axis] - known, 0)).fill_(True)
    return hole


def marked(stream: TokenStream, hole: Tensor) -> TokenStream:
    """A stream that knows what of it was filled; a text may have ended before its hole does."""
    return stream.with_filled(hole[tuple(slice(size) for size in stream.grid)])
