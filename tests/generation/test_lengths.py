"""Lengths of holes: the law of a world of words is enumerated, and what is filled in follows it, length and all."""

import itertools
from collections import Counter
from dataclasses import replace

import pytest
import torch

from tests.worlds import tiny_run
from tokenmask.cli import main
from tokenmask.generation import Request, drawn_lengths, fill, length_range, length_scores, resized
from tokenmask.layout import Layout
from tokenmask.masking import Linear
from tokenmask.modalities.text import Text
from tokenmask.sampling import Categorical, Sampler, UniformSchedule
from tokenmask.scores import RandomScore
from tokenmask.streams import StreamSpec, TokenStream
from tokenmask.training import Packing

PLACES, END = 6, 2  # words of a and b, of one to five letters, with end codes behind them
SPEC = StreamSpec("text", (3,), ("index",), end_code=END)
LAYOUT = Layout({"text": SPEC})
PACKING = Packing(max_positions=16, end_multiple=PLACES)
WORDS = {
    "".join(word): (1 + 3 * "".join(word).count("ab")) * (1 + size % 3)
    for size in range(1, PLACES)
    for word in itertools.product("ab", repeat=size)
}
CODES = torch.tensor([["ab.".index(one) for one in word.ljust(PLACES, ".")] for word in WORDS])
WEIGHTS = torch.tensor([float(weight) for weight in WORDS.values()], dtype=torch.float64)


class Words(torch.nn.Module):
    """The true conditionals."""

    def __init__(self):
        super().__init__()
        self.none = torch.nn.Parameter(torch.zeros(1))
        self.asked = 0

    def logits(self, inputs, queries, t=None, **more):
        offset, length = LAYOUT.range("text").offset, inputs.shape[1]
        codes = torch.where(inputs.ids == LAYOUT.mask_of(inputs.ids), -1, inputs.ids - offset)[:, 1 : PLACES + 1, 0]
        row = torch.div(queries.slots, length, rounding_mode="floor")
        self.asked += len(row)
        fits = ((codes[:, None] == CODES) | (codes[:, None] < 0)).all(2).double() * WEIGHTS
        law = torch.stack([(fits[:, :, None] * (code == CODES)[None]).sum(1) for code in range(3)], 2)
        yield 0, torch.arange(len(row)), law[row, queries.slots % length - 1].log().clamp(min=-1e4).float()


def requests(left: str, right: str, lengths) -> list[Request]:
    made = []
    codes = torch.tensor([["ab".index(one)] for one in f"{left}a{right}"], dtype=torch.int32)
    chosen = torch.zeros(codes.shape, dtype=torch.bool)
    chosen[len(left)] = True
    for length in lengths:
        canvas, hole = resized(TokenStream(SPEC, codes), chosen, length)
        made.append(Request("text", canvas, hole, seed=3, ended=not right))
    return made


def law(left: str, right: str, lengths) -> dict[str, float]:
    """Of the words that stand around a hole of one of the lengths."""
    sizes = [len(left) + length + len(right) for length in lengths]
    found = {
        word: float(weight)
        for word, weight in WORDS.items()
        if len(word) in sizes and word.startswith(left) and word.endswith(right)
    }
    return {word: weight / sum(found.values()) for word, weight in found.items()}


@pytest.mark.parametrize(
    ("left", "right", "lengths"), [("a", "b", (1, 2, 3)), ("", "ab", (1, 2)), ("ba", "", (1, 2, 3))]
)
def test_scores_are_the_law_of_the_length(left, right, lengths):
    scores = length_scores(requests(left, right, lengths), LAYOUT, PACKING, Words(), Linear().time)
    exact = [0.0 for _ in lengths]
    for word, share in law(left, right, lengths).items():
        exact[lengths.index(len(word) - len(left) - len(right))] += share
    assert scores.softmax(0).tolist() == pytest.approx(exact, abs=1e-5)


def test_what_is_filled_in_follows_the_law_of_words_of_every_length():
    """Total variation of 3000 words from the law; as many draws of the law itself lie about .03 from it."""
    lengths, samples, model = (1, 2, 3), 3000, Words()
    asked = requests("a", "b", lengths)
    scores = length_scores(asked, LAYOUT, PACKING, model, Linear().time)
    drawn = drawn_lengths(scores, 1, 3, samples, best=False)
    sampler = Sampler(3, order=RandomScore(), schedule=UniformSchedule(each=1), pick=Categorical())
    filled = fill(
        [replace(asked[length - 1], sample=number) for number, length in enumerate(drawn)],
        layout=LAYOUT,
        models={"main": model},
        sampler=sampler,
        packing=PACKING,
        max_rows=512,
    )
    words = Counter("".join("ab."[code] for code in one.codes[:, 0].tolist()) for one in filled)
    exact = law("a", "b", lengths)
    assert set(words) <= set(exact)
    assert sum(abs(words[word] / samples - share) for word, share in exact.items()) / 2 < 0.05


def test_lengths_are_drawn_by_seed_and_sample_or_the_best_is_taken():
    scores = torch.tensor([0.1, 0.6, 0.3], dtype=torch.float64).log()
    drawn = drawn_lengths(scores, 4, 7, 4000, best=False)
    shares = [drawn.count(length) / 4000 for length in (4, 5, 6)]
    assert shares == pytest.approx([0.1, 0.6, 0.3], abs=0.03)
    assert drawn[:50] == drawn_lengths(scores, 4, 7, 50, best=False) != drawn_lengths(scores, 4, 8, 50, best=False)
    assert drawn_lengths(scores, 4, 7, 3, best=True) == [5, 5, 5]


@pytest.mark.parametrize(
    ("length", "sentence"),
    [
        ((3, 2), "from the least to the most codes, got 3 to 2; write 2 to 3"),
        ((0, 2), "at least 1"),
        ((1, 2, 3), "the least and the most, got"),
        ((1, 400), "at most 256 numbers of codes to choose among, got 1 to 400; write a most of 256 or less"),
    ],
)
def test_wrong_ranges_are_named(length, sentence):
    with pytest.raises(ValueError, match=sentence):
        length_range(length)
    assert length_range(4) is None and length_range(None) is None and length_range([2, 2]) == (2, 2)


def test_where_nothing_follows_nothing_tells_the_length():
    (alone,) = requests("a", "", (2,))
    with pytest.raises(ValueError, match="nothing does in 'text'; write one length"):
        length_scores([replace(alone, ended=False)], LAYOUT, PACKING, Words(), Linear().time)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return tiny_run(tmp_path_factory.mktemp("lengths") / "tiny", "captions")


def test_an_edit_lets_the_model_say_how_many(run, capsys):
    text, tokenizer = "blue heart with ribbon", run.tokenizers["text"]
    codes = tokenizer.encode(Text(text)).codes[:, 0].tolist()
    options, seen = {"stream": "text", "length": (1, 5), "steps": 2, "seed": 1, "temperature": 1.0}, []
    made = run.edit(text, [(5, 10)], num_samples=6, on_step=lambda now: seen.append((now.request, now.step)), **options)
    for request in range(6):  # numbered over all lengths, and each from its first step on
        steps = [step for one, step in seen if one == request]
        assert len(steps) >= 2 and steps == list(range(1, len(steps) + 1))
    fixed = run.edit(text, [(5, 10)], stream="text", length=3, steps=2, seed=1)[0].stream.codes
    replaced = len(codes) - (len(fixed) - 3)
    sizes = {len(one.stream.codes) - (len(codes) - replaced) for one in made}
    assert len(sizes) > 1 and sizes <= set(range(1, 6))
    for one in made:
        assert one.text.startswith("blue ") and one.text.endswith(" with ribbon")
    again = run.edit(text, [(5, 10)], num_samples=2, **options)
    assert [one.text for one in again] == [one.text for one in made[:2]]
    words = ["edit", text, "--run", str(run.folder), "--stream", "text", "--regenerate", "5:10", "--length", "1:5"]
    code = main([*words, "--seed", "1", "--num-samples", "2", "--steps", "2", "--temperature", "1.0"])
    printed = capsys.readouterr().out
    assert code == 0 and all(one.text in printed for one in again)


def test_a_text_lets_the_model_say_how_long_it_is(run, capsys):
    options = {"length": (1, 5), "steps": 2, "temperature": 1.0}
    made = run.generate("text", {"text": "blue"}, num_samples=12, seed=1, **options)
    begins = len(run.tokenizers["text"].encode(Text("blue")).codes)
    sizes = [len(one.stream.codes) - begins for one in made]
    assert len(set(sizes)) > 1 and set(sizes) <= set(range(1, 6)) and all(one.text.startswith("blue") for one in made)
    assert len({one.text for one in made}) > len(set(sizes))  # samples of one length differ, too
    both = run.generate_tokens("text", [{"text": "red"}, {"text": "blue"}], seed=[4, 1], num_samples=3, **options)
    assert [one.codes.tolist() for one in both[3:]] == [one.stream.codes.tolist() for one in made[:3]]
    (best,) = {len(one.codes) for one in run.generate_tokens("text", length=(1, 5), temperature=0, num_samples=4)}
    scores = length_scores(
        [replace(Request.blank(run.layout, "text", (size,)), ended=True) for size in range(1, 6)],
        run.layout,
        run.recipe.packing,
        run.models["main"],
        run.recipe.sampler_of("text").schedule.time,
    )
    assert best == 1 + int(scores.argmax())
    words = ["generate", "text", "--run", str(run.folder), "--given", "text=blue", "--length", "1:5", "--seed", "1"]
    assert main([*words, "--num-samples", "2", "--steps", "2", "--temperature", "1.0"]) == 0
    printed = capsys.readouterr().out
    assert all(one.text in printed for one in made[:2])
    with pytest.raises(ValueError, match=r"text, can leave its length to the model, got length=\(1, 5\) for 'image'"):
        run.generate("image", length=(1, 5))
    with pytest.raises(ValueError, match="is longer than what is filled at once with 200 codes in it; write"):
        run.generate("text", {"text": "blue " * 20}, length=(1, 200))
