"""Completing a text with a run, wherever it is cut.

Arrow: Run + words --**complete**--> texts that start with them. Does not know: how anything is filled.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tokenmask.generation import DrawOptions, drawn_with, prompt_of
from tokenmask.scores.arguments import whole

if TYPE_CHECKING:
    from typing import Unpack

    from tokenmask.run.run import Run


def complete(
    run: Run,
    text: Any,
    *,
    length: int,
    stream: str = "text",
    backtrack: int = 3,
    given: Mapping[str, Any] | None = None,
    **options: Unpack[DrawOptions],
) -> list[Any]:
    """Continues a text that may end within a word; every result starts with it, byte for byte.

    The last codes of the text are taken back and drawn anew under the constraint that they say the same, and perhaps
    more (token alignment, arXiv:2403.08688). With ``particles`` the law goes to that of the model given the words, the
    more nearly the more there are; without, each code is drawn among those that agree with them.

    Args:
        run: with a stream of text.
        text: words, or media of that stream.
        length: codes behind those that stand for the text.
        stream: name of the stream.
        backtrack: codes that are taken back; 0 continues behind the codes of the text as they are.
        given: stream name -> media, words, a path or a TokenStream: other conditions.
        options: as for ``Run.generate``.

    Raises:
        ValueError: no such stream, or a length of less than 1.
        TypeError: a stream whose codes do not stand for text.
    """
    run.inputs.check(stream)
    prompt = prompt_of(run.tokenizers[stream], run.inputs.media(stream, text), backtrack)
    sampler = drawn_with(run.recipe.sampler_of(stream, options.get("budget")), options)
    places = whole("length", length) + prompt.places
    kept = {} if prompt.kept is None else {stream: prompt.kept}
    in_sampler = ("sampler", "budget", "steps", "temperature", "guidance", "top_k", "top_p", "min_p", "order")
    more = {name: value for name, value in options.items() if name not in in_sampler}
    more["sampler"] = prompt.sampler(sampler, stream, places)
    return run.generate(stream, {**(given or {}), **kept}, length=places, **more)  # type: ignore[arg-type]
