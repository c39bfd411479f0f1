"""092 Token alignment: what may be drawn behind a text that is cut, and the laws with and without weights."""

import itertools
import math
import re

import pytest
import torch

from tests.worlds import tiny_run, tokenizers
from tokenmask.batch import collate
from tokenmask.generation import pieces_of, prompt_of, spelled
from tokenmask.generation.completing import said
from tokenmask.layout import Layout
from tokenmask.modalities.text import Text
from tokenmask.run import complete
from tokenmask.sampling import (
    MatchesPattern,
    Particles,
    Restricted,
    Sampler,
    SamplerState,
    SlotContext,
    StartsWith,
    UniformSchedule,
)
from tokenmask.scores import Progress, RandomScore, RasterScore
from tokenmask.streams import StreamSpec, TokenStream

PIECES = ("a", "b", "ab", "ba")
SPEC = StreamSpec("text", (4,), ("index",))
LAYOUT = Layout({"text": SPEC})
OFFSET = LAYOUT.range("text").offset
FIRST = torch.tensor([0.3, 0.1, 0.5, 0.1])
NEXT = torch.tensor([[0.1, 0.1, 0.1, 0.7], [0.4, 0.2, 0.2, 0.2], [0.05, 0.85, 0.05, 0.05], [0.1, 0.6, 0.2, 0.1]])


class Words:
    """A code follows from the one before it; asked from left to right."""

    def logits(self, inputs, queries, t=None, **more):
        codes = inputs.ids[:, 1:, 0].long() - OFFSET
        length = codes.shape[1]
        law = FIRST.expand(len(codes), length, 4).clone()
        law[:, 1:] = NEXT[codes[:, :-1].clamp(max=3)]
        row = torch.div(queries.slots, length + 1, rounding_mode="floor")
        yield 0, torch.arange(len(queries)), law[row, queries.slots % (length + 1) - 1].log()


def start(rows: int, length: int, size: int = 4) -> SamplerState:
    layout = LAYOUT if size == 4 else Layout({"text": StreamSpec("text", (size,), ("index",), end_code=size - 1)})
    spec = layout.streams["text"]
    packed = layout.pack({"text": TokenStream(spec, torch.zeros(length, 1, dtype=torch.int32))})
    batch = collate([packed] * rows, torch.arange(rows), multiple=1)
    return SamplerState.start(batch, layout, torch.full((rows,), 6))


def text_of(codes) -> str:
    return "".join(PIECES[code] for code in codes)


def probability(codes: tuple[int, ...]) -> float:
    steps = math.prod(float(NEXT[one, two]) for one, two in itertools.pairwise(codes))
    return float(FIRST[codes[0]]) * steps


def laws(prefix: str, length: int) -> tuple[dict[tuple[int, ...], float], dict[tuple[int, ...], float]]:
    """The law given the prefix, and the local one: each code in proportion among those that agree."""
    exact, local = {}, {}
    for codes in itertools.product(range(4), repeat=length):
        if not text_of(codes).startswith(prefix):
            continue
        exact[codes] = probability(codes)
        share = 1.0
        for place, code in enumerate(codes):
            left = prefix[len(text_of(codes[:place])) :]
            law = FIRST if place == 0 else NEXT[codes[place - 1]]
            free = [one for one in range(4) if PIECES[one].startswith(left) or left.startswith(PIECES[one])]
            share *= float(law[code]) / sum(float(law[one]) for one in free)
        local[codes] = share
    total = sum(exact.values())
    return {codes: share / total for codes, share in exact.items()}, local


def seen(particles, prefix: str, length: int, rows: int) -> dict[tuple[int, ...], float]:
    sampler = Sampler(
        length,
        order=RasterScore(),
        schedule=UniformSchedule(),
        pick=Restricted(),
        constraint=StartsWith(prefix, PIECES),
        particles=particles,
    )
    done = sampler.run({"main": Words()}, LAYOUT, start(rows, length))
    found: dict[tuple[int, ...], float] = {}
    for codes in (done.batch.ids[:, 1:, 0] - OFFSET).tolist():
        assert text_of(codes).startswith(prefix)
        found[tuple(codes)] = found.get(tuple(codes), 0.0) + 1 / rows
    return found


def distance(one, other) -> float:
    return sum(abs(one.get(codes, 0.0) - other.get(codes, 0.0)) for codes in {*one, *other}) / 2


def test_the_local_law_is_another_one_and_particles_mend_it():
    exact, local = laws("abab", 4)
    assert sum(local.values()) == pytest.approx(1.0) and distance(exact, local) > 0.15
    plain = seen(None, "abab", 4, 500)
    assert distance(plain, local) < 0.08 and distance(plain, exact) > 0.12
    assert distance(seen(Particles(12), "abab", 4, 500), exact) < 0.11


def context(codes: list[int], size: int = 4) -> SlotContext:
    """A row in which some codes stand (-1 where one is open), asked at every open slot."""
    state = start(1, len(codes), size)
    layout = LAYOUT if size == 4 else Layout({"text": StreamSpec("text", (size,), ("index",), end_code=size - 1)})
    for place, code in enumerate(codes):
        if code >= 0:
            state.batch.ids[0, place + 1, 0] = layout.range("text").offset + code
            state.is_open[0, place + 1, 0] = False
    slots = state.is_open.flatten().nonzero().squeeze(1)
    return SlotContext(layout, state, torch.ones_like(state.is_open), Progress(0, 1), slots, layout.head("text"))


@pytest.mark.parametrize("prefix", ["", "a", "ba", "abba", "aab"])
def test_allowed_codes_are_those_with_which_some_filling_agrees(prefix):
    for codes in itertools.product((-1, 0, 2, 3), repeat=3):
        fits = [
            tuple(one if one >= 0 else own for one, own in zip(codes, every, strict=True))
            for every in itertools.product(range(4), repeat=3)
        ]
        fits = [one for one in fits if text_of(one).startswith(prefix)]
        told = context(list(codes))
        found = StartsWith(prefix, PIECES).allowed(told)
        for row, slot in zip(found, told.slots.tolist(), strict=True):
            assert row.tolist() == [any(one[slot - 1] == code for one in fits) for code in range(4)]


@pytest.mark.parametrize("pattern", ["a*", "(ab)*b?", "[ab]{3}", "a.*b", "b+a+b*"])
def test_a_pattern_is_kept_whatever_stands_and_the_end_ends_it(pattern):
    """Pieces a, b, ab, nothing and the end: brute force over every filling of three places."""
    pieces, size = ("a", "b", "ab", "", ""), 5

    def good(codes) -> bool:
        text = codes[: codes.index(4)] if 4 in codes else codes
        return 3 not in text and re.fullmatch(pattern, "".join(pieces[code] for code in text)) is not None

    for codes in itertools.product((-1, 1, 2, 4), repeat=3):
        fits = [
            tuple(one if one >= 0 else own for one, own in zip(codes, every, strict=True))
            for every in itertools.product(range(size), repeat=3)
        ]
        fits = [one for one in fits if good(one)]
        told = context(list(codes), size)
        found = MatchesPattern(pattern, pieces).allowed(told)
        for row, slot in zip(found, told.slots.tolist(), strict=True):
            assert row.tolist() == [any(one[slot - 1] == code for one in fits) for code in range(size)]


def test_patterns_hold_in_any_order_where_a_step_reveals_a_slot():
    for order in (RasterScore(), RandomScore()):
        pattern = MatchesPattern("(ab|b)+a", PIECES)
        sampler = Sampler(5, order=order, schedule=UniformSchedule(), constraint=pattern)
        done = sampler.run({"main": Words()}, LAYOUT, start(20, 5))
        texts = [text_of(codes) for codes in (done.batch.ids[:, 1:, 0] - OFFSET).tolist()]
        assert all(re.fullmatch("(ab|b)+a", text) for text in texts) and len(set(texts)) > 3


def test_a_prompt_gives_back_its_last_codes():
    tokenizer = tokenizers()["text"]
    pieces = pieces_of(tokenizer)
    text = Text("the moon and thé ☃ snow")
    codes = tokenizer.encode(text).codes[:, 0].tolist()
    assert "".join(pieces[code] for code in codes) == spelled(text.text) and pieces[-1] == ""
    for backtrack in (0, 1, 3, 99):
        prompt = prompt_of(tokenizer, text, backtrack)
        kept = [] if prompt.kept is None else prompt.kept.codes[:, 0].tolist()
        assert kept == codes[: max(0, len(codes) - backtrack)] and prompt.places == min(backtrack, len(codes))
        assert "".join(pieces[code] for code in kept) + prompt.left == spelled(text.text)
    assert said(torch.tensor(codes), pieces) == text.text


def test_a_text_cut_anywhere_begins_what_comes_out(tmp_path):
    run = tiny_run(tmp_path / "run", "aligned")
    for cut in ("th", "the m", "a sn", "é"):
        for backtrack in (1, 3):
            found = complete(run, cut, length=3, backtrack=backtrack, seed=len(cut), num_samples=2)
            assert [one.text.startswith(cut) for one in found] == [True, True]
    plain = complete(run, "the ", length=2, backtrack=0, seed=1)[0]
    assert plain.text.startswith("the ")
    with pytest.raises(ValueError, match="must have at least one character"):
        complete(run, "", length=3)


def test_wrong_words_are_named():
    with pytest.raises(ValueError, match=r"StartsWith\.pieces must have a string for each of 4 codes of 'text', got 1"):
        StartsWith("a", ("a",)).allowed(context([-1]))
    with pytest.raises(ValueError, match="a bracket that closes the group"):
        MatchesPattern("(a")
    with pytest.raises(TypeError, match="codes must stand for pieces of text, but ImageTokenizer has neither"):
        pieces_of(tokenizers()["image"])
    with pytest.raises(ValueError, match="StartsWith must answer at least one code for each slot"):
        seen(None, "abababab", 2, 1)
