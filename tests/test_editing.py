"""Editing: what is outside of a region stays, token for token; what a region touches is stated case by case."""

import math
import warnings

import pytest
import torch

import tokenmask as tm
from tests.worlds import tiny_run
from tokenmask.demo import items
from tokenmask.generation import Request, fill, hole, left_beside, pieces_of
from tokenmask.modalities.image import Image
from tokenmask.modalities.text import Text
from tokenmask.sampling import Categorical, Sampler
from tokenmask.streams import TokenStream


@pytest.fixture(scope="module")
def shipped():
    return tm.load()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return tiny_run(tmp_path_factory.mktemp("edit") / "tiny", "captions")


def changed(before: TokenStream, after: TokenStream) -> torch.Tensor:
    return before.codes != after.codes


def test_a_box_of_an_image(run):
    image = items.media("image", "held-out")[0]
    codes = run.tokenizers["image"].encode(image)
    edited = run.edit(image, [(4, 8, 12, 16)], given={"text": "blue heart"}, steps=3, seed=1)[0]
    different = changed(codes, edited.stream)[..., 0]
    assert different.any() and not different[:2].any() and not different[4:].any()
    assert not different[:, 0].any() and not different[:, 3:].any()
    outside = torch.ones(32, 32, dtype=torch.bool)
    outside[8:16, 4:12] = False
    assert torch.equal(edited.pixels[outside], image.pixels[outside])


def test_a_box_may_end_at_any_whole_number(run):
    image = items.media("image", "held-out")[0]
    with pytest.warns(UserWarning, match="ends outside of 32 x 32 pixels"):
        chosen = hole(run.tokenizers["image"], image, run.tokenizers["image"].encode(image), [(16, 0, 10**20, 4)])
    assert chosen[..., 0].nonzero().tolist() == [[0, column] for column in range(4, 8)]


def test_generated_media_are_edited_from_their_own_codes(run):
    image = run.generate("image", given={"text": "sun"}, steps=3, seed=1)[0]
    edited = run.edit(image, [(0, 0, 16, 16)], steps=3, seed=2)[0]
    assert not changed(image.stream, edited.stream)[4:].any()
    assert edited == run.tokenizers["image"].decode(edited.stream)
    again = run.edit(edited, [(16, 16, 32, 32)], steps=3, seed=3)[0]
    assert torch.equal(again.stream.codes[:4, :4], edited.stream.codes[:4, :4])


def test_seconds_of_audio_motion_and_eeg(shipped):
    clip = items.media("audio", "held-out")[0]
    codes = shipped.tokenizers["audio"].encode(clip)
    edited = shipped.edit(clip, [(0.2, 0.31)], given={"text": "seven"}, steps=2, seed=1)[0]
    rows = changed(codes, edited.stream).any(1).nonzero().squeeze(1).tolist()
    assert rows and set(rows) <= set(range(10, 16))
    fine = shipped.edit(clip, [(0.2, 0.31)], levels=[5, 6], steps=2, seed=1)[0]
    assert changed(codes, fine.stream).any(0).nonzero().squeeze(1).tolist() == [5, 6]

    motion = items.media("motion", "train")[3]
    codes = shipped.tokenizers["motion"].encode(motion)
    edited = shipped.edit(motion, [(0.3, 0.7)], parts=["left_arm"], steps=2, temperature=3.0, seed=1)[0]
    different = changed(codes, edited.stream)
    assert different.any(0).nonzero().squeeze(1).tolist() == [10, 11]
    assert set(different.any(1).nonzero().squeeze(1).tolist()) <= {2, 3, 4, 5}

    recording = items.media("eeg", "held-out")[0]
    codes = shipped.tokenizers["eeg"].encode(recording)
    names = [recording.channels[2].lower(), f"EEG {recording.channels[3].upper()}-REF"]
    edited = shipped.edit(recording, [(0.25, 0.5)], channels=names, steps=2, seed=1)[0]
    different = changed(codes, edited.stream).any(-1)
    assert different.any() and not different[[0, 1, *range(4, 14)]].any()
    assert not different[:, :2].any() and not different[:, 4:].any()  # eight codes a second


def test_words_are_replaced_by_as_many_codes_or_as_asked(run):
    text = Text("the sun and the moon")
    codes = run.tokenizers["text"].encode(text)
    touched = hole(run.tokenizers["text"], text, codes, [(4, 7)])[:, 0]
    first, count = int(touched.nonzero()[0]), int(touched.sum())
    for length in (None, 1, 9):
        edited = run.edit(text, [(4, 7)], stream="text", length=length, steps=3, seed=1)[0]
        tail = len(codes.codes) - first - count
        assert torch.equal(edited.stream.codes[:first], codes.codes[:first])
        assert torch.equal(edited.stream.codes[-tail:], codes.codes[-tail:])
        assert len(edited.stream.codes) == len(codes.codes) - count + (count if length is None else length)
        assert edited.text.endswith(" the moon")


def test_a_region_may_end_after_a_text(run):
    tokenizer, text = run.tokenizers["text"], Text("the sun and the moon")
    codes = tokenizer.encode(text)
    with pytest.warns(UserWarning, match=r"the region \(15, 99\) of the text ends after its 20 characters"):
        touched = hole(tokenizer, text, codes, [(15, 99)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert torch.equal(touched, hole(tokenizer, text, codes, [(15, 20)]))


def test_strength_is_the_share_of_the_region_that_is_made_anew(run):
    image = items.media("image", "held-out")[0]
    codes = run.tokenizers["image"].encode(image)
    box, counts, before = [(0, 0, 32, 16)], [], torch.zeros(8, 8, dtype=torch.bool)
    for strength in (0.01, 0.25, 0.5, 1.0):
        edited = run.edit(image, box, strength=strength, steps=2, seed=1)[0]
        filled = edited.stream.filled[..., 0]
        counts.append(int(filled.sum()))
        assert not filled[4:].any() and not (changed(codes, edited.stream)[..., 0] & ~filled).any()
        assert bool((filled | ~before).all())  # a weaker one's places are those of a stronger one, too
        before = filled
    assert counts == [1, 8, 16, 32]
    assert run.edit(image, box, strength=1.0, steps=2, seed=1) == run.edit(image, box, steps=2, seed=1)
    one, other = (run.edit(image, box, strength=0.25, steps=1, seed=seed)[0].stream.filled for seed in (1, 2))
    assert int(other.sum()) == int(one.sum()) == 8 and not torch.equal(one, other)


def test_what_drifts_is_made_anew_in_parts_beside_all_that_stands(run):
    """A quarter of 32 places is opened by a draw in each step and filled in the next one."""
    image, seen = items.media("image", "held-out")[0], []
    codes, box = run.tokenizers["image"].encode(image), [(0, 0, 32, 16)]
    options = {"temperature": 0.0, "guidance": 1.0, "seed": 1}
    run.edit(image, box, drift=0.25, steps=3, **options, on_step=seen.append)
    assert [int((~now.decided).sum()) for now in seen] == [8, 8, 8, 0]
    first, second = ~seen[0].decided, ~seen[1].decided
    assert not first[4:].any() and not torch.equal(first, second)
    # One step makes of the drawn places what a hole of these alone is filled with.
    once = run.edit(image, box, drift=0.25, steps=1, **options)[0].stream
    request = Request("image", codes, first, seed=9)
    sampler = Sampler(1, pick=Categorical(0.0))
    alone = fill([request], layout=run.layout, models=run.models, sampler=sampler, packing=run.recipe.packing)[0]
    assert torch.equal(once.codes, alone.codes) and once.filled[:4].all() and not once.filled[4:].any()
    assert (changed(codes, once)[..., 0] & first).any()
    assert torch.equal(seen[1].stream.codes[~second], once.codes[~second])


def test_a_character_of_several_bytes_belongs_to_each_of_its_codes(run):
    tokenizer, text = run.tokenizers["text"], Text("a\U0001f600b")
    touched = hole(tokenizer, text, tokenizer.encode(text), [(1, 2)])
    assert int(touched.sum()) == 4  # no piece of the tiny tokenizer holds the character, so its four bytes do


def test_a_long_stream_is_edited_in_a_window(shipped):
    clip = items.media("audio", "train")[0]
    long = type(clip)(clip.samples.repeat(1, 4), clip.sample_rate_hz)
    assert long.samples.shape[1] / long.sample_rate_hz > 3
    codes = shipped.tokenizers["audio"].encode(long)
    edited = shipped.edit(long, [(2.5, 2.6)], steps=1, seed=1)[0]
    rows = changed(codes, edited.stream).any(1).nonzero().squeeze(1).tolist()
    assert rows and set(rows) <= set(range(125, 131))
    wider = shipped.edit(long, [(0.5, 3.0)], steps=1)[0]  # longer than the model sees
    rows = changed(codes, wider.stream).any(1)
    assert rows[25:150].float().mean() > 0.9 and not rows[:25].any() and not rows[150:].any()


@pytest.mark.parametrize("length", [None, 1, 5])
def test_a_long_text_is_edited_in_a_window(run, length):
    text = Text("the sun and the moon and " * 60)
    tokenizer, most = run.tokenizers["text"], run.recipe.packing.max_positions
    codes = tokenizer.encode(text)
    assert len(codes.codes) > 3 * most
    touched = hole(tokenizer, text, codes, [(704, 707)])[:, 0]
    first, count = int(touched.nonzero()[0]), int(touched.sum())
    edited = run.edit(text, [(704, 707)], stream="text", given={"image": emoji_image()}, length=length, steps=1, seed=1)
    made = edited[0].stream.codes[:, 0].tolist()
    room = count if length is None else length
    assert made[:first] == codes.codes[:first, 0].tolist()
    assert made[first + room :] == codes.codes[first + count :, 0].tolist()  # and no end code in between
    assert edited[0].text.startswith(text.text[:690]) and edited[0].text.endswith(text.text[720:])
    anew = run.edit(edited[0], None, stream="text", steps=1)[0]
    assert (anew.stream.codes[: len(made)] != edited[0].stream.codes[: len(anew.stream.codes)]).float().mean() > 0.5


def emoji_image():
    return items.media("image", "held-out")[0]


SUN = Text("the sun")


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda run, image: run.edit(image, [(0, 1)]), r"\(left, top, right, bottom\) in pixels, got \(0, 1\)"),
        (lambda run, image: run.edit(image, [(40, 0, 50, 5)]), "inside of 32 x 32 pixels"),
        (lambda run, image: run.edit(SUN, [(7, 99)], stream="text"), "begins within its 7 characters"),
        (lambda run, image: run.edit(SUN, [(3, math.inf)], stream="text"), "each number of a region"),
        (lambda run, image: run.edit(SUN, stream="text", strength=0), "above 0 and at most at 1, got 0"),
        (lambda run, image: run.edit(SUN, stream="text", strength=0.5, length=2), "write one of the two"),
        (lambda run, image: run.edit(SUN, stream="text", drift=0), "drift must lie above 0 and at most at 1, got 0"),
        (lambda run, image: run.edit(SUN, stream="text", drift=0.5, strength=0.5), "leave length and strength out"),
        (lambda run, image: run.edit(SUN, [(0, 3), (4, 7)], stream="text", length=2), "length goes with one region"),
        (lambda run, image: run.edit("the sun", [(0, 3)]), "say which stream this str is of"),
        (lambda run, image: run.edit(image, [(0, 0, 9, 9)], levels=[1]), r"levels must lie in 0\.\.0, got 1"),
        (lambda run, image: run.edit(image, [(0, 0, 9, 9)], channels=["Fz"]), r"among \(none here\), got Fz"),
        (lambda run, image: run.edit(image, [(0, 0, 9, 9)], parts=["left_arm"]), r"among \(none here\)"),
        (lambda run, image: run.edit(image, [(0, 0, 9, 9)], length=3), "only words"),
        (lambda run, image: run.edit(image, stream=["image"]), r"one of those of this run, .*, got \['image'\]"),
        (lambda run, image: run.generate("image", []), "a list of at least one, got an empty list"),
        (lambda run, image: run.generate("image", steps=10**12), "steps must be in 1..1048576, got 1000000000000"),
        (lambda run, image: run.generate("image", guidance=1e40), r"guidance must be in -1e\+06..1e\+06, got 1e\+40"),
        (lambda run, image: run.edit(image, []), "at least one code"),
        (lambda run, image: run.edit(image, stream="sound"), "got 'sound'"),
    ],
)
def test_wrong_input_gets_one_sentence(run, call, sentence):
    image = Image(torch.zeros(32, 32, 3, dtype=torch.uint8))
    with pytest.raises(ValueError, match=sentence) as caught:
        call(run, image)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("kind", [list, tuple])
def test_an_edit_is_of_one_medium(run, kind):
    image = Image(torch.zeros(32, 32, 3, dtype=torch.uint8))
    for named in ({}, {"stream": "image"}):
        with pytest.raises(TypeError, match=f"edit takes one medium, got a {kind.__name__} of 2; call it for each"):
            run.edit(kind([image, image]), [(0, 0, 8, 8)], **named)


def jumps(clip) -> torch.Tensor:
    """Largest jump of a joint's velocity from one frame to the next, in mm a frame: float32 [frames - 2]."""
    return clip.joint_positions().diff(n=2, dim=0).norm(dim=-1).amax(1) * 1000


def test_in_betweening_joins_as_smoothly_as_clips_move(shipped, capsys):
    """Half a second made anew in the middle of every clip of 1.6 seconds or more, conditioned on its name."""
    rate, inside, seams = 30, [], []
    for number, motion in enumerate(items.motions()):
        clip = motion.train.resample(rate)
        if len(clip) < 48:
            continue
        first = len(clip) // 8 * 4
        stop = first + 16
        edited = shipped.edit(
            clip.cut(0, len(clip) // 4 * 4),
            [(first / rate, stop / rate)],
            given={"text": motion.name},
            steps=4,
            seed=number,
        )[0]
        assert torch.equal(edited.rotations[:first], clip.rotations[:first])
        inside.append(jumps(clip))
        seams.append(jumps(edited)[[first - 2, first - 1, stop - 2, stop - 1]])
    ordinary, at_seams = torch.cat(inside), torch.cat(seams)
    shares = torch.tensor([0.5, 0.99])
    seam, usual = (torch.quantile(values, shares).round().int().tolist() for values in (at_seams, ordinary))
    with capsys.disabled():
        print(f"\nvelocity jumps in mm a frame, median and 99 %: at seams {seam}, in clips {usual}")
    assert seam[0] <= usual[0]
    assert float(at_seams.max()) <= float(torch.quantile(ordinary, 0.99))
    assert len(at_seams) >= 24


WORDS = Text("In the beginning was the wörd")


@pytest.mark.parametrize(
    ("region", "length"), [((4, 9), None), ((8, 9), None), ((9, 11), 6), ((5, 26), 9), ((17, 99), 4)]
)
@pytest.mark.filterwarnings("ignore:the region")
def test_nothing_but_the_characters_that_are_asked_for_changes(run, region, length):
    start, stop = region
    for seed in range(4):
        edited = run.edit(WORDS, [region], stream="text", length=length, temperature=3.0, seed=seed)[0].text
        assert edited.startswith(WORDS.text[:start]) and edited.endswith(WORDS.text[stop:])
        assert len(edited) >= start + len(WORDS.text[stop:])


def test_too_few_codes_for_what_stays_are_refused(run):
    tokenizer = run.tokenizers["text"]
    codes, pieces = tokenizer.encode(WORDS), pieces_of(tokenizer)
    regions = [(start, stop) for start in range(1, 12) for stop in range(start + 1, len(WORDS.text))]
    found = {
        one: left_beside(tokenizer, "text", WORDS, codes, hole(tokenizer, WORDS, codes, [one]), [one])
        for one in regions
    }
    short = [one for one, beside in found.items() if beside is not None and not beside.fits(1)]
    assert short and all(found[one].fits(2) for one in short) and len(pieces) > 100
    with pytest.raises(ValueError, match="1 codes cannot say the words that stay beside the region"):
        run.edit(WORDS, [short[0]], stream="text", length=1)


def test_of_several_regions_codes_are_filled_whole_which_is_told(run):
    with pytest.warns(UserWarning, match="edit one at a time to change nothing else"):
        run.edit(WORDS, [(4, 5), (18, 19)], stream="text", steps=1)


@pytest.mark.parametrize(("at", "inside"), [(0, 0), (3, 1), (6, 0), (11, 1), (29, 0)])
def test_words_are_put_in_between_two_characters(shipped, at, inside):
    """All that was there stands before and behind; between two codes these stay, inside of one it is said again."""
    words, tokenizer = WORDS.text, shipped.tokenizers["text"]
    codes = tokenizer.encode(WORDS)
    touched = hole(tokenizer, WORDS, codes, [(at, at)])
    assert int(touched.sum()) == 1
    made = shipped.edit(WORDS, [(at, at)], stream="text", length=3, seed=5, num_samples=4)
    many = shipped.edit(WORDS, [(at, at)], stream="text", length=(1, 4), seed=3, num_samples=6)
    for one in (*made, *many):
        assert one.text.startswith(words[:at]) and one.text.endswith(words[at:])
        stays = one.stream.codes[~one.stream.filled[:, 0]]
        assert torch.equal(stays, codes.codes if not inside else codes.codes[~touched[:, 0]])
    fresh = [[int(one.stream.filled.sum()) - inside for one in some] for some in (made, many)]
    assert set(fresh[1]) <= {1, 2, 3, 4} and len(set(fresh[1])) > 1
    assert set(fresh[0]) == {3} if at < len(words) else max(fresh[0]) <= 3  # at its end a text may end before
    assert any(len(one.text) > len(words) for one in (*made, *many))


def test_what_cannot_be_put_in_is_refused(shipped):
    for regions, length, sentence in (
        ([(3, 3)], None, "put in between two characters needs a length, got none; say how many codes"),
        ([(3, 3)], 0, "length must be at least 1, got 0"),
        ([(3, 3), (9, 11)], 2, "put in at one place of a text whose codes say their bytes; name that one alone"),
        ([(30, 30)], 2, "begins within its 29 characters"),
    ):
        with pytest.raises(ValueError, match=sentence):
            shipped.edit(WORDS, regions, stream="text", length=length)
    sound = items.media("audio", "held-out")[0]
    with pytest.raises(ValueError, match=r"a region of audio is \(start, end\) in seconds, got \(0.2, 0.2\)"):
        shipped.edit(sound, [(0.2, 0.2)], length=2)
