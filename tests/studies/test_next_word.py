"""NextWord: where texts are cut, what is asked, and what counts as right, with a tokenizer of a few pieces."""

from types import SimpleNamespace

import pytest
import torch

from tokenmask.evaluation.metrics import NextWord, next_word
from tokenmask.evaluation.part import Part
from tokenmask.streams import StreamSpec, TokenStream

PIECES = [b"the", b"re", b" ", b"is", b"l", b"and"]
SPEC = StreamSpec("text", (6,), ("index",))


def part(*texts: list[int], samples: int = 100) -> Part:
    streams = [{"text": TokenStream(SPEC, torch.tensor(codes, dtype=torch.int32)[:, None])} for codes in texts]
    tokenizer = SimpleNamespace(code_bytes=PIECES)
    run = SimpleNamespace(tokenizers={"text": tokenizer}, layout=SimpleNamespace(index=lambda name: 0))
    return Part(run, "text", [], streams, samples, 0, 1)  # type: ignore[arg-type]


@pytest.mark.parametrize("goes_on", ["as it stood", "longer", "shorter", "otherwise"])
def test_words_are_right_as_a_whole(monkeypatch, goes_on):
    whole, asked = "there is land", []

    def complete(run, text, **options):
        asked.append((text, options["backtrack"], options["temperature"]))
        rest = whole[len(text) :]
        word = rest.split(" ")[0]
        made = {"as it stood": word + " more", "longer": word + "s", "shorter": word[:-1], "otherwise": "x"}[goes_on]
        return [SimpleNamespace(text=text + made)]

    monkeypatch.setattr(next_word, "complete", complete)
    figures = NextWord(2)(part([0, 1, 2, 3, 2, 4, 5], [0, 1, 2, 3, 2, 4, 5]))
    assert [one.name for one in figures] == list(NextWord.begins)
    assert [one.value for one in figures] == [float(goes_on == "as it stood")] * 2 and {
        one.count for one in figures
    } == {2}
    inside, between = {text for text, *_ in asked[::2]}, {text for text, *_ in asked[1::2]}
    assert inside <= {"t", "th", "ther", "there i", "there is la", "there is lan"}
    assert between <= {"the", "there is l"} and {one[1:] for one in asked} == {(2, 0.0)}


def test_each_text_is_cut_once_and_as_many_as_are_asked_for(monkeypatch):
    monkeypatch.setattr(next_word, "complete", lambda run, text, **options: [SimpleNamespace(text=text)])
    figures = NextWord()(part([0, 1], [3], [0, 1], [0, 1], samples=2))
    assert [one.count for one in figures] == [2, 2]
    inside, between = NextWord()(part([3, 2, 3]))
    assert inside.count == 1 and between.value is None and between.note == "no held-out text has such a place"


def test_what_is_no_text_is_not_measured():
    own = part([0])
    own.run.tokenizers["text"] = object()
    assert list(NextWord()(own)) == []
    with pytest.raises(ValueError, match="backtrack must be at least 0, got -1"):
        NextWord(-1)
