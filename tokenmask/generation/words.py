"""Words that an edit leaves although their codes are filled anew: a code may hold characters on both sides of a border.

Arrow: text, codes, hole, region --**left_beside**--> Encloses. Does not know: models, runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from tokenmask.generation.completing import pieces_of
from tokenmask.generation.completing import spelled as _letters
from tokenmask.sampling import AllOf, AllowAll, Encloses, Sampler, UniformSchedule
from tokenmask.streams import TokenStream
from tokenmask.telling import tell


def left_beside(
    tokenizer: Any, name: str, media: Any, stream: TokenStream, chosen: Tensor, regions: Sequence[Any] | None
) -> Encloses | None:
    """What the codes of a hole say beside the one region that is asked for; None where they say nothing there.

    Args:
        tokenizer: of the stream; one that does not spell its codes exactly (``code_bytes``) leaves none.
        name: of the stream.
        media: what the region is measured in, characters of its ``text``.
        stream, chosen: its codes, and bool [index, K], those that are filled anew.
        regions: as asked; of several it is only told where codes are filled whole.
    """
    if getattr(tokenizer, "code_bytes", None) is None or regions is None:
        return None
    pieces, words = pieces_of(tokenizer), media.text
    said = [pieces[code] for code in stream.codes[:, 0].tolist()]
    places = chosen.any(-1).nonzero()[:, 0].tolist()
    if "".join(said) != _letters(words):
        return None
    if len(regions) != 1 or len(places) != places[-1] + 1 - places[0]:
        asked = {at for region in regions for at in range(int(region[0]), min(int(region[1]), len(words)))}
        if sum(len(said[place]) for place in places) > len(_letters("".join(words[at] for at in sorted(asked)))):
            tell(
                f"a region of the text {words[:40]!r} begins or ends inside of a code, and of several regions codes "
                "are filled whole; edit one at a time to change nothing else"
            )
        return None
    first, (start, stop) = len("".join(said[: places[0]])), (int(at) for at in regions[0])
    inside = "".join(said[places[0] : places[-1] + 1])
    before = inside[: len(_letters(words[:start])) - first]
    after = inside[len(_letters(words[:stop])) - first :]
    return Encloses(before, after, pieces, name) if before or after else None


def enclosed(sampler: Sampler, beside: Encloses, places: int) -> Sampler:
    """The sampler with the constraint, and a slot a step so that it can always be kept.

    Raises:
        ValueError: too few codes to say what stays.
    """
    if not beside.fits(places):
        raise ValueError(
            f"{places} codes cannot say the words that stay beside the region in codes with it, "
            f"{said_of(beside.before)!r} and {said_of(beside.after)!r}; ask for a greater length"
        )
    both = beside if sampler.constraint == AllowAll() else AllOf((sampler.constraint, beside))
    return replace(sampler, steps=places, stages=(), schedule=UniformSchedule(), constraint=both)


def said_of(letters: str) -> str:
    """Letters of pieces as the words that they are."""
    return letters.encode("latin-1").decode(errors="replace")
