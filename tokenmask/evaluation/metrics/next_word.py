"""Whether a text that was cut inside of a word goes on with the word that stood there, as figures.

Arrow: Part of a stream of text --**NextWord**--> Figures. Does not know: how a text is completed.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tokenmask.analysis.figures import Figure
from tokenmask.analysis.intervals import share_interval
from tokenmask.evaluation.metric import Metric
from tokenmask.evaluation.part import Part
from tokenmask.run import complete
from tokenmask.scores.arguments import whole

_FIRST = 40  # codes of a text in which it is cut
_MORE = 6  # codes behind those that stand for the words that are given
_INSIDE, _BETWEEN = "next word right, cut inside a code", "next word right, cut between codes"


@dataclass(frozen=True)
class NextWord(Metric):
    """How often the rest of a word comes back, of held-out texts that were cut inside of it; the likeliest codes.

    Words are runs of letters. A place inside of a word is one between two codes of the whole text, or inside of one:
    then the codes of what is given are others than those with which the text was learned. Each text is cut at one drawn
    place of either kind, if it has one. Source: token alignment, arXiv:2403.08688, section 4.

    Args:
        backtrack: codes that are taken back, see :func:`tokenmask.run.complete`; 0 continues the codes as they are.
    """

    backtrack: int = 3

    begins: ClassVar[tuple[str, ...]] = (_INSIDE, _BETWEEN)

    def __post_init__(self) -> None:
        whole("NextWord.backtrack", self.backtrack, least=0)

    def __call__(self, part: Part) -> Sequence[Figure]:
        """A share with Wilson's interval for each kind of place."""
        tokenizer = part.run.tokenizers[part.name]
        pieces: Sequence[bytes] | None = getattr(tokenizer, "code_bytes", None)
        if pieces is None:
            return []
        right: dict[str, list[float]] = {_INSIDE: [], _BETWEEN: []}
        rng = part.rng(40)
        for streams in part.held_out:
            codes: list[int] = streams[part.name].codes[:_FIRST, 0].tolist()
            said = b"".join(pieces[code] for code in codes).decode(errors="ignore")
            ends = set(itertools.accumulate(len(pieces[code]) for code in codes))
            places = [at for at in range(1, len(said)) if said[at - 1].isalpha() and said[at].isalpha()]
            for name, is_between in ((_INSIDE, False), (_BETWEEN, True)):
                found = [at for at in places if (len(said[:at].encode()) in ends) == is_between]
                if found and len(right[name]) < part.samples:
                    right[name].append(self._is_right(part, said, int(rng.choice(found))))
        return [
            Figure(name, float(np.mean(found)), share_interval(np.array(found)), len(found), "texts")
            if found
            else Figure(name, None, note="no held-out text has such a place")
            for name, found in right.items()
        ]

    def _is_right(self, part: Part, said: str, cut: int) -> float:
        rest = "".join(itertools.takewhile(str.isalpha, said[cut:]))
        (made,) = complete(
            part.run,
            said[:cut],
            length=_MORE,
            stream=part.name,
            backtrack=self.backtrack,
            temperature=0.0,
            seed=part.seed,
        )
        return float("".join(itertools.takewhile(str.isalpha, made.text[cut:])) == rest)
