"""Streams longer than a model sees: windows by hand, and codes beside those of single windows."""

from dataclasses import replace

import pytest
import torch

import tokenmask as tm
from tokenmask.generation import Filling, Request, fill_any, sees
from tokenmask.generation.long import window_seed, windows
from tokenmask.run import complete
from tokenmask.run.drawing import Drawing
from tokenmask.streams import TokenStream


def hole(size: int, first: int, stop: int) -> torch.Tensor:
    return (torch.arange(size) >= first) & (torch.arange(size) < stop)


@pytest.mark.parametrize(
    ("size", "first", "stop", "steps", "expected"),
    [
        (10, 0, 10, 5, [(0, 5), (3, 8), (5, 10)]),  # two steps of each are known, three in the last
        (11, 0, 11, 5, [(0, 5), (3, 8), (6, 11)]),
        (20, 4, 9, 5, [(2, 7), (5, 10), (6, 11)]),  # the last holds two steps of what follows
        (20, 1, 2, 5, [(0, 5)]),
        (20, 19, 20, 5, [(15, 20)]),
        (3, 0, 3, 5, [(0, 3)]),
        (4, 0, 4, 1, [(0, 1), (1, 2), (2, 3), (3, 4)]),  # nothing fits beside a single step
    ],
)
def test_windows_cover_a_hole_and_see_what_is_known(size, first, stop, steps, expected):
    assert windows(hole(size, first, stop), steps) == expected


@pytest.mark.parametrize(
    ("stream", "places", "window", "expected"),
    [
        ("motion", 225, None, None),  # 256 fit
        ("motion", 225, "most", None),
        ("motion", 225, "early", ("time", 16)),  # a fifth are 45, of which training saw 16
        ("motion", 60, "early", ("time", 15)),  # 2 seconds of 7.5 a second
        ("motion", 15, "early", None),
        ("motion", 225, 10, ("time", 10)),
        ("motion", 300, "most", ("time", 16)),  # as training cut it
        ("motion", 300, 20, ("time", 16)),
        ("audio", 1500, "early", ("time", 100)),
        ("text", 200, "early", ("index", 40)),
        ("text", 150, "early", ("index", 32)),
        ("text", 32, "early", None),
        ("text", 150, 150, None),
    ],
)
def test_windows_are_as_long_as_was_asked_and_as_the_model_sees(run, stream, places, window, expected):
    asked = Request.blank(run.layout, stream, (places,))
    assert sees(asked, run.layout, run.recipe.packing, window) == expected


def test_what_is_given_makes_no_early_window_longer(run):
    clip = run.generate_tokens("motion", length=100, steps=1)[0]
    asked = Request.blank(run.layout, "motion", (200,), prefix=clip)
    packing = replace(run.recipe.packing, budgets={})
    assert sees(asked, run.layout, packing, "early") == ("time", 20)


def test_a_text_in_short_windows_ends_in_the_last_one_alone(run):
    for seed in range(3):
        asked = {"steps": 1, "seed": seed, "length": 200}
        assert len(run.generate_tokens("text", window=40, **asked)[0].codes) > 200 - 24  # new ones of the last window
    seen = []
    both = run.generate_tokens("text", [{}, {"text": "sun"}], window=40, on_step=seen.append, **asked)
    assert both[0] == run.generate_tokens("text", window=40, **asked)[0]
    assert both[1] == run.generate_tokens("text", {"text": "sun"}, window=40, **asked)[0]
    last = {one.request: one.stream.codes for one in seen}  # behind an end stands what was never decided
    assert all(torch.equal(last[number][: len(made.codes)], made.codes) for number, made in enumerate(both))


def test_words_that_are_completed_are_said_once_however_long_the_text(run):
    made = complete(run, "in the beginn", length=60, window=20, steps=1, seed=0)[0].text
    assert made.startswith("in the beginn") and made.count("beginn") == 1 and len(made) > 60


@pytest.mark.parametrize(
    ("stream", "window", "sentence"),
    [
        (
            "image",
            4,
            r"a window says how much of a stream that can grow is filled together, but 'image' always has 8 x 8",
        ),
        ("text", 0, "window must be at least 1, got 0"),
        ("text", "soon", "window must be one of early, most, got 'soon'; choose one of these"),
    ],
)
def test_windows_that_are_none_are_refused(run, stream, window, sentence):
    with pytest.raises(ValueError, match=sentence):
        run.generate(stream, length=None if stream == "image" else 8, window=window)


@pytest.fixture(scope="module")
def run():
    return tm.load()


def test_each_step_is_filled_once_in_its_own_window_and_with_its_own_draws(run):
    """A model that answers the number of its window, beside another request that fits."""
    spec = run.layout.streams["audio"]
    blank = Request.blank(run.layout, "audio", (300,), seed=1)
    short = Request.blank(run.layout, "audio", (20,), seed=2)
    seen = []

    def numbered(some, placed, bar):
        assert not bar
        numbers = [
            one(Filling(0, 1, 1, asked.canvas, ~asked.hole)).request for one, asked in zip(placed, some, strict=True)
        ]
        seen.append([(one.canvas.grid[0], int(one.hole[:, 0].sum()), one.seed, one.cut) for one in some])
        codes = [torch.where(one.hole, torch.tensor(len(seen)), one.canvas.codes).int() for one in some]
        assert numbers == ([1] if len(seen) == 1 else [0])
        return [TokenStream(spec, now) for now in codes]

    long, other = fill_any([blank, short], run.layout, run.recipe.packing, numbered)
    step = 0x1E3779B97F4A7C15
    assert seen == [
        [(20, 20, 2, False)],
        *[[(100, filled, (1 + number * step) % 2**63, True)] for number, filled in enumerate((100, 60, 60, 60, 20))],
    ]
    assert other.codes.unique().tolist() == [1]
    assert long.codes[:, 0].tolist() == [2] * 100 + [3] * 60 + [4] * 60 + [5] * 60 + [6] * 20


def test_seven_seconds_begin_as_two_do_and_go_on_from_what_is_there(run):
    asked = {"given": {"text": "seven"}, "steps": 1, "seed": 4}
    long = run.generate_tokens("audio", duration_seconds=7.0, **asked)[0]
    assert long.grid == (350,) and long.duration_seconds == 7.0
    first = run.generate_tokens("audio", length=100, **asked)[0]
    assert torch.equal(long.codes[:100], first.codes)
    start = run.tokenizers["text"].encode(tm.Text("seven"))
    known = torch.cat([long.codes[60:100], torch.zeros(60, 7, dtype=torch.int32)])
    canvas = TokenStream(long.spec, known, 60 / 50)  # the clock goes on
    second = Request("audio", canvas, hole(100, 40, 100)[:, None].expand(100, 7), {"text": start}, seed=4, cut=True)
    drawing = Drawing.of(run, "audio", {"steps": 1})
    with_own_draws = replace(second, seed=window_seed(4, 1))
    again = drawing.fill([with_own_draws])[0]
    assert torch.equal(long.codes[100:160], again.codes[40:])
    other = drawing.fill([second])[0]
    assert not torch.equal(other.codes[40:], again.codes[40:])


def test_long_requests_are_the_same_alone_and_together(run):
    given = [{"text": "seven"}, {"text": "one"}]
    asked = {"steps": 1, "seed": 0, "duration_seconds": 5.5}
    together = run.generate_tokens("audio", given, **asked)
    assert together == [run.generate_tokens("audio", one, **asked)[0] for one in given]
    assert together[0] != together[1]


def test_a_long_motion_and_its_watchers(run):
    seen = []
    clip = run.generate("motion", {"text": "walk"}, duration_seconds=40.0, steps=1, on_step=seen.append)[0]
    assert clip.duration_seconds == pytest.approx(40.0, abs=0.2) and clip.rotations.isfinite().all()
    assert {one.request for one in seen} == {0} and {one.stream.grid for one in seen} == {clip.stream.grid}
    size, (count,) = clip.stream.grid[0], {one.steps for one in seen}
    assert [one.step for one in seen] == list(range(1, count + 1)) and count == len(seen) > 10
    shares = [float(one.decided.float().mean()) for one in seen]
    assert shares == sorted(shares) and shares[-1] == 1 and shares[0] <= 16 / size + 1e-6
    assert torch.equal(seen[-1].stream.codes, clip.stream.codes)
    middle = seen[count // 2]
    assert torch.equal(middle.stream.codes[middle.decided], clip.stream.codes[middle.decided])


def test_a_long_generation_has_one_bar_of_its_windows(run, capsys):
    run.generate_tokens("audio", {"text": "seven"}, duration_seconds=7.0, steps=1, progress=True)
    assert [line for line in capsys.readouterr().err.splitlines() if line] == [
        f"generating: window {number} of 6" for number in range(1, 7)
    ]


def test_windows_shrink_beside_long_conditions(run):
    """180 codes of text leave 256 - 192 places to the sound, of which training shows 100 at once."""
    text = TokenStream(run.layout.streams["text"], torch.arange(180, dtype=torch.int32)[:, None] + 300)
    seen = []
    made = run.generate_tokens("audio", {"text": text}, duration_seconds=3.0, steps=1, on_step=seen.append)[0]
    beside = run.recipe.packing.positions(run.layout, {"text": text})
    steps = run.recipe.packing.window(run.layout, "audio", made, {"text": text})
    own = run.layout.arrangement("audio").positions
    assert steps[0] == "time" and own(steps[1], 7) + beside <= 256 < own(steps[1] + 1, 7) + beside
    assert made.grid == (150,) and {one.steps for one in seen} == {7 * 3}  # windows of 7 levels


def test_a_long_text_has_the_length_that_is_asked_for_or_ends_before(run):
    made = run.generate_tokens("text", {"text": "In the beginning"}, length=300, steps=2, seed=1)[0]
    prefix = run.tokenizers["text"].encode(tm.Text("In the beginning")).codes
    assert torch.equal(made.codes[: len(prefix)], prefix) and len(prefix) < len(made.codes) <= 300 + len(prefix)
    assert not (made.codes == made.spec.end_code).any()


@pytest.mark.parametrize("regions", [[(1, 4)], [(0.1, 0.2), (7, 7.5)], [(0, 8)]])
def test_long_and_scattered_holes_are_filled_and_nothing_else_changes(run, regions):
    """Windows in which nothing is open are not asked for."""
    clip = run.generate("audio", {"text": "seven"}, duration_seconds=8, steps=1)[0]
    made = run.edit(clip, regions, steps=1, seed=5)[0].stream.codes
    changed = (made != clip.stream.codes).any(1)
    inside = torch.zeros(400, dtype=torch.bool)
    for start, stop in regions:
        inside[round(50 * start) : round(50 * stop)] = True
    assert not changed[~inside].any() and changed[inside].float().mean() > 0.8


def test_a_long_sound_drifts_in_its_coarsest_level_and_finer_ones_follow(run):
    """Five seconds of which four drift, window by window; without a mask a step opens a tenth of each window."""
    clip = run.generate("audio", {"text": "seven"}, duration_seconds=5, steps=1)[0]
    made = run.edit(clip, [(0.5, 4.5)], drift=0.1, steps=2, seed=5)[0].stream.codes
    changed = made != clip.stream.codes
    assert not changed[:25].any() and not changed[225:].any()
    assert 0 < int(changed[:, 0].sum()) <= 2 * (0.1 * 200 + 4) and changed[25:225, 1:].float().mean() > 0.8


def test_a_long_hole_in_a_text_is_filled_and_what_follows_stays(run):
    text = "word " * 300
    made = run.edit(text, [(100, 1400)], stream="text", steps=1, seed=1)[0].text
    assert made.startswith(text[:90]) and made.endswith(text[1410:]) and made != text


def test_a_request_with_nothing_to_fill_comes_back(run):
    picture = run.generate("image", steps=1)[0]
    assert run.generate_tokens("image", {"image": picture}, steps=1)[0] == picture.stream


def test_a_size_is_said_once(run):
    with pytest.raises(ValueError, match="size of 'audio' is said once, got length and duration_seconds; take one"):
        run.generate("audio", length=20, duration_seconds=2.0)
