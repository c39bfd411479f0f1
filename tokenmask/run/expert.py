"""A run as an expert: what it finds probable weighs what another run fills.

Arrow: codes of another run --decode, encode--> codes of its own --> log-probability. Does not know: particles, orders.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from tokenmask.run.judging import likelihoods
from tokenmask.sampling import Expert
from tokenmask.scores.arguments import number
from tokenmask.streams import TokenStream
from tokenmask.tokenizer import Tokenizer

if TYPE_CHECKING:
    from tokenmask.run.run import Run

_KEPT = 65536  # beginnings whose probability is remembered


@dataclass(frozen=True, eq=False)
class RunExpert(Expert):
    """The probability of the media that codes say, by a causal run with a vocabulary of its own.

    Args:
        judge: whose probability it is.
        tokenizer: of the codes that are filled.
        stream: which the other run fills.
        power: of the probability.
        own: the judge's stream.
    """

    judge: Run
    tokenizer: Tokenizer
    stream: str
    power: float
    own: str
    _known: dict[tuple[int, ...], float] = field(default_factory=dict, repr=False)

    def says(self, beginnings: Sequence[tuple[int, ...]]) -> Tensor:
        """Nats of what the codes decode to; the end of it is not counted, and nothing at all has probability 1."""
        new = [one for one in dict.fromkeys(beginnings) if one not in self._known]
        streams = [TokenStream(self.tokenizer.spec, torch.tensor(one, dtype=torch.int32)[:, None]) for one in new]
        media = [self.tokenizer.decode(stream) if len(stream.codes) else None for stream in streams]
        said = dict.fromkeys(new, 0.0)
        filled = [(one, item) for one, item in zip(new, media, strict=True) if item is not None and _holds(item)]
        try:
            scores = likelihoods(self.judge, [item for _, item in filled], self.own, None, 1, 0)
        except ValueError as error:
            raise ValueError(
                f"an expert must be able to read what is filled, but cannot ({error}); fill less, or take another"
            ) from error
        said |= {one: score.nats for (one, _), score in zip(filled, scores, strict=True)}
        answer = torch.tensor([self._known[one] if one in self._known else said[one] for one in beginnings])
        self._known.update(said if len(self._known) + len(said) <= _KEPT else {})
        return answer.double()


def _holds(item: object) -> bool:
    """Whether media say anything: an empty text does not."""
    text = getattr(item, "text", None)
    return text is None or bool(cast(str, text))


def expert_of(judge: Run, other: Run, stream: str | None, power: float) -> RunExpert:
    """See :meth:`tokenmask.run.Run.expert`."""
    number("power", power, least=-1e6, most=1e6)
    main = judge.models["main"]
    if not main.causal:
        raise ValueError(
            f"an expert must be causal, as its probabilities are exact, but {main.config.describe()} fills holes; wrap "
            "or convert a causal language model, or train one with pattern Causal and model.style.reads_before"
        )
    own = next(iter(judge.layout.streams))
    name = own if stream is None else stream
    if name not in other.layout.streams:
        raise ValueError(f"stream must be one of {', '.join(other.layout.streams)}, got {name!r}")
    spec = other.layout.streams[name]
    theirs, ours = other.tokenizers[name].media, judge.tokenizers[own].media
    if theirs is not ours or len(spec.axes) != 1 or spec.num_levels != 1:
        raise ValueError(
            f"an expert of {ours.__name__} reads streams of one level of it, got {name!r} of {theirs.__name__}; name "
            "another stream"
        )
    return RunExpert(judge, other.tokenizers[name], name, power, own)
