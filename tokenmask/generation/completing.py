"""Completing: a text that is cut anywhere becomes codes that are given and words that what follows must start with.

Arrow: words + a tokenizer that spells its codes --**prompt_of**--> Prompt --> what a run is asked. Does not know:
models, runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from tokenmask.sampling import AllOf, AllowAll, Sampler, StartsWith, UniformSchedule
from tokenmask.scores.arguments import whole
from tokenmask.streams import TokenStream


@dataclass(frozen=True, eq=False)
class Prompt:
    """A text to be continued.

    Args:
        kept: the codes that are given, or None where none is left.
        left: the words behind them, a letter for each byte, that what is filled in starts with.
        pieces: what each code says, in the same letters.
        places: how many codes were taken back.
    """

    kept: TokenStream | None
    left: str
    pieces: tuple[str, ...]
    places: int

    def sampler(self, sampler: Sampler, stream: str, length: int) -> Sampler:
        """The sampler with the constraint, and a slot a step so that it can always be kept.

        Args:
            sampler: any, without stages of its own.
            stream: name of the stream.
            length: codes that are filled in.
        """
        ours = StartsWith(self.left, self.pieces, stream)
        both = ours if sampler.constraint == AllowAll() else AllOf((sampler.constraint, ours))
        return replace(sampler, steps=length, stages=(), schedule=UniformSchedule(), constraint=both)


def prompt_of(tokenizer: Any, media: Any, backtrack: int = 3) -> Prompt:
    """Takes the last codes of a text back, so that a word that is cut can be coded as one that is whole.

    Source: token alignment, arXiv:2403.08688; ``backtrack`` 1 and codes that start with the rest alone are the token
    healing of others.

    Args:
        tokenizer: one that spells its codes (``code_bytes`` or ``code_texts``).
        media: the text.
        backtrack: codes that are taken back, as far as there are so many.

    Raises:
        TypeError: a tokenizer that does not.
    """
    whole("backtrack", backtrack, least=0)
    pieces = pieces_of(tokenizer)
    stream = tokenizer.encode(media)
    codes = stream.codes[:, 0].tolist()
    kept = max(0, len(codes) - backtrack)
    return Prompt(
        None if kept == 0 else replace(stream, codes=stream.codes[:kept]),
        "".join(pieces[code] for code in codes[kept:]),
        pieces,
        len(codes) - kept,
    )


def pieces_of(tokenizer: Any) -> tuple[str, ...]:
    """What each code of level 0 says, a letter for each of its bytes (latin-1), as constraints compare them.

    Codes of which the tokenizer knows half a character only say nothing, and such constraints never draw them.

    Raises:
        TypeError: a tokenizer whose codes do not stand for text.
    """
    exact: Sequence[bytes] | None = getattr(tokenizer, "code_bytes", None)
    if exact is not None:
        return tuple(one.decode("latin-1") for one in exact)
    texts: Sequence[str] | None = getattr(tokenizer, "code_texts", None)
    if texts is None:
        raise TypeError(
            f"codes must stand for pieces of text, but {type(tokenizer).__name__} has neither code_bytes nor "
            "code_texts; name a stream of text"
        )
    return tuple("" if "\ufffd" in one else spelled(one) for one in texts)


def spelled(words: str) -> str:
    """Words in the letters of :func:`pieces_of`: one for each byte of UTF-8. Plain English stays as it is."""
    return words.encode().decode("latin-1")


def said(codes: torch.Tensor, pieces: Sequence[str]) -> str:
    """What codes int [n] say, decoded; bytes that form no character become U+FFFD."""
    return "".join(pieces[code] for code in codes.tolist()).encode("latin-1").decode(errors="replace")
