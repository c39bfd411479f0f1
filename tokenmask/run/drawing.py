"""A drawing: requests for one stream filled by the models of a run, as one call asks for it.

Arrow: Request --**Drawing.fill**, **Drawing.in_turn**--> TokenStream. Does not know: media, tokenizers.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from tokenmask.generation import (
    DrawOptions,
    Filling,
    Placed,
    Request,
    constrained,
    drawn_lengths,
    drawn_with,
    fill,
    fill_any,
    fill_in_turn,
    grows,
    length_scores,
    sees,
)
from tokenmask.layout import Layout
from tokenmask.models import MaskedModel
from tokenmask.sampling import (
    AllOf,
    Constraint,
    ForbidCodes,
    MatchesPattern,
    RevokeRandom,
    Sampler,
    Stage,
    UniformSchedule,
)
from tokenmask.scores.arguments import number
from tokenmask.streams import TokenStream
from tokenmask.telling import tell
from tokenmask.training import Packing

if TYPE_CHECKING:
    from tokenmask.run.run import Run


@dataclass(frozen=True, eq=False)
class Drawing:
    """How one call fills requests.

    Args:
        layout, models, packing: of the run.
        sampler: of the stream, as the options have it.
        options: what is shown of it: ``progress`` and ``on_step``.
        invariant: see :func:`tokenmask.generation.fill`.
        before: requests of the same call that were filled before these, which count in what ``on_step`` is told.
    """

    layout: Layout
    models: Mapping[str, MaskedModel]
    packing: Packing
    sampler: Sampler
    options: DrawOptions
    invariant: bool = True
    before: int = 0

    @classmethod
    def of(cls, run: Run, stream: str, options: DrawOptions, invariant: bool = True) -> Drawing:
        """That of a stream by the run's recipe, with what the options say of it.

        Raises:
            ValueError: options that do not go together, see :func:`tokenmask.generation.drawn_with`; a window of a
                stream that always has one size.
        """
        spec = run.layout.streams[stream]
        if options.get("window") is not None and not grows(spec):
            raise ValueError(
                f"a window says how much of a stream that can grow is filled together, but {stream!r} always has "
                f"{' x '.join(map(str, spec.grid))} places; leave it out"
            )
        sampler = drawn_with(run.recipe.sampler_of(stream, options.get("budget")), options)
        sampler = constrained(sampler, options, run.tokenizers[stream], stream)
        return cls(run.layout, run.models, run.recipe.packing, sampler, options, invariant)

    def fill(self, requests: Sequence[Request]) -> list[TokenStream]:
        """Requests of any length, in order."""
        self._look_at_pattern(requests)
        bar = self.options.get("progress", False)
        return fill_any(requests, self.layout, self.packing, self._some, bar, self.options.get("window"))

    def in_turn(self, request: Request) -> Iterator[TokenStream]:
        """One request in pieces along its axis, each as soon as it is decided."""
        self._look_at_pattern([request])
        return fill_in_turn(request, self.layout, self.packing, self._some, self.options.get("window"))

    def _look_at_pattern(self, requests: Sequence[Request]) -> None:
        """ValueError where a pattern is asked for that a request cannot match."""
        pattern = self.options.get("matches")
        if pattern is None:
            return
        if any(one.cut or not self.at_once(one) for one in requests):
            raise ValueError(
                f"a pattern holds for the whole of a text, but {requests[0].target!r} is longer here than what "
                "is filled at once; ask for fewer codes, or a larger window"
            )
        ours = next(one for one in _each(self.sampler.constraint) if getattr(one, "pattern", None) == pattern)
        assert isinstance(ours, MatchesPattern)
        for one in requests:
            codes = torch.where(one.hole, -1, one.canvas.codes)[:, 0].tolist()
            if not ours.can_hold(codes, one.canvas.spec.end_code):
                raise ValueError(
                    f"a text must match {pattern!r} as a whole, but no {codes.count(-1)} codes "
                    "beside what is given do so; ask for more codes, or mend the pattern"
                )

    def tell_unguided(self, requests: Sequence[Request]) -> None:
        """Warns of guidance that was asked for and has nothing to push away from."""
        scale, one_each = self.options.get("guidance"), [one for one in requests if one.sample == 0]
        if scale is None or scale == 1:
            return
        idle = [one for one in one_each if not any(guidance.changes(*_has(one)) for guidance in self.sampler.guidances)]
        if idle:
            which = f" in {len(idle)} of {len(one_each)} requests" if len(one_each) > 1 else ""
            tell(
                f"guidance={scale:g} changes nothing{which}: it pushes away from what the model says without "
                f"conditions, and {idle[0].target!r} is given none; give one (given=..., --given NAME=VALUE), or leave "
                "guidance out"
            )

    def never_ending(self, stream: str) -> Drawing:
        """The same without the code that ends the stream, so that what is filled is as long as its hole."""
        end, owner = self.layout.streams[stream].end_code, self.layout.range(stream).stream
        if end is None:
            return self
        constraint = AllOf((self.sampler.constraint, ForbidCodes({owner: (end,)})))
        return replace(self, sampler=replace(self.sampler, constraint=constraint))

    def drifting(self, share: float, depths: Sequence[int]) -> Drawing:
        """The same for requests whose coarsest codes stand at first: in each step a share of them is drawn anew.

        Finer codes follow in their own stages, as ever. Source: mask-free editing of Muse, arXiv:2301.00704, section
        3.2.4, and with finer codes MoMask's, arXiv:2312.00063, published code.

        Args:
            share: of the codes of the coarsest level, above 0 and at most 1.
            depths: levels that are filled, coarse to fine.

        Raises:
            ValueError: another share, or a sampler that can't open what stands. TypeError: no number.
        """
        if not 0 < number("drift", share) <= 1:
            raise ValueError(f"drift must lie above 0 and at most at 1, got {share!r}; it is a share of the region")
        sampler = self.sampler
        own = {level: stage for stage in sampler.stages for level in stage.levels or ()}
        stages = [replace(own.get(depth, Stage(sampler.steps)), levels=(depth,)) for depth in depths]
        # The first step of a stage finds nothing open; every other one fills what was opened before it.
        stages[0] = replace(stages[0], steps=stages[0].steps + 1, schedule=UniformSchedule(), block=None)
        return replace(self, sampler=replace(sampler, stages=tuple(stages), revoke=RevokeRandom(share)))

    def at_once(self, request: Request) -> bool:
        """Whether all of it is filled together."""
        return sees(request, self.layout, self.packing, self.options.get("window")) is None

    def lengths(self, requests: Sequence[Request], least: int, samples: int) -> list[int]:
        """A length of the hole for each sample: the likeliest where best codes are taken, else drawn.

        Args:
            requests: the same text with each length, the least one first.
            least: the length of the first.
            samples: how many.

        Raises:
            ValueError: the longest is cut, or more than the model sees.
        """
        if requests[-1].cut or not self.at_once(requests[-1]):
            raise ValueError(
                f"a length is chosen by all that stands around the hole, but {requests[-1].target!r} is longer than "
                f"what is filled at once with {least + len(requests) - 1} codes in it; write a smaller most, one "
                "length or a larger window"
            )
        sampler, stage = self.sampler, self.sampler.stages[0] if self.sampler.stages else None
        law = sampler.process or (stage and stage.schedule) or sampler.schedule
        model = self.models[stage.model if stage else "main"]
        scores = length_scores(requests, self.layout, self.packing, model, law.time)
        pick = (stage and stage.pick) or sampler.pick
        return drawn_lengths(scores, least, requests[0].seed, samples, pick.is_greedy)

    def _some(self, some: Sequence[Request], placed: Sequence[Placed], bar: bool) -> list[TokenStream]:
        """Requests that fit; windows of one kind are drawn alike, whatever others stand beside them."""
        kinds = dict[tuple[bool, bool], list[int]]()
        for at, one in enumerate(some):
            kinds.setdefault((one.follows, one.goes_on), []).append(at)
        filled = dict[int, TokenStream]()
        for (follows, goes_on), own in kinds.items():
            drawing = self.never_ending(some[0].target) if goes_on else self
            sampler = drawing.sampler
            if follows:
                sampler = replace(sampler, constraint=sampler.constraint.later())
            alike, where = [some[at] for at in own], [placed[at] for at in own]
            filled |= zip(own, self._alike(alike, where, sampler, bar), strict=True)
        return [filled[at] for at in range(len(some))]

    def _alike(
        self, some: Sequence[Request], placed: Sequence[Placed], sampler: Sampler, bar: bool
    ) -> list[TokenStream]:
        on_step = self.options.get("on_step")

        def shown(now: Filling) -> None:
            if on_step is not None:
                here = placed[now.request](now)
                on_step(replace(here, request=self.before + here.request))

        return fill(
            some,
            layout=self.layout,
            models=self.models,
            sampler=sampler,
            packing=self.packing,
            invariant=self.invariant,
            progress=bar,
            on_step=shown if on_step is not None else None,
        )


def _each(constraint: Constraint) -> Iterator[Constraint]:
    """A constraint, or those that it is made of."""
    parts = constraint.parts if isinstance(constraint, AllOf) else ()
    yield from itertools.chain.from_iterable(map(_each, parts)) if parts else (constraint,)


def _has(request: Request) -> tuple[bool, bool]:
    """Whether a request has conditions of any kind, and whether a part of what it fills is given."""
    return bool(request.given or request.negative or any(request.further)), not bool(request.hole.all())
