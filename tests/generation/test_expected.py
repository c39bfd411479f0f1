"""How long a stream is that is asked for without a length: told by what is given, as the records had it."""

import pytest
import torch

from tokenmask.corpus import Record
from tokenmask.generation import ExpectedLengths, Inputs
from tokenmask.generation.expected import MOST_RECORDS, Seen, Shares
from tokenmask.layout import Layout
from tokenmask.streams import StreamSpec, TokenStream

TEXT = StreamSpec("text", (40,), ("index",), end_code=0)
SOUND = StreamSpec("audio", (5, 4), ("time",), rate_hz=10.0)
PICTURE = StreamSpec("image", (4,), ("row", "column"), (2, 2))
SAID = {1: 5, 2: 9, 3: 14, 4: 2}  # places of sound that a word takes


def stream(spec: StreamSpec, *codes: int) -> TokenStream:
    return TokenStream(spec, torch.tensor(codes, dtype=torch.int32)[:, None].expand(-1, spec.num_levels))


def spoken(words: list[int], key: str, noise: int = 0) -> Record:
    size = sum(SAID.get(word, 7) for word in words) + 3 + noise
    return Record(key, {"text": stream(TEXT, *words), "audio": stream(SOUND, *[0] * size)})


def records(count: int = 200, noise: int = 0) -> list[Record]:
    draw = torch.Generator().manual_seed(5)
    lengths = torch.randint(1, 6, (count,), generator=draw).tolist()
    texts = [torch.randint(1, 5, (length,), generator=draw).tolist() for length in lengths]
    noises = torch.randint(-noise, noise + 1, (count,), generator=draw).tolist()
    return [spoken(text, f"{at}", wrong) for at, (text, wrong) in enumerate(zip(texts, noises, strict=True))]


def expected(lengths: ExpectedLengths, *words: int) -> int | None:
    return lengths.of("audio", SOUND, {"text": stream(TEXT, *words)})


def test_each_code_adds_what_it_takes() -> None:
    lengths = ExpectedLengths.fit(records())
    for words in ([1], [3], [4, 4], [1, 2, 3], [3, 3, 1, 4, 2]):
        assert expected(lengths, *words) == sum(SAID[word] for word in words) + 3
    told = lengths.shares["audio", "text"]
    assert told.error < 0.1 and told.constant == pytest.approx(3, abs=0.1)
    assert (told.every + told.shares).tolist() == pytest.approx([5, 9, 14, 2], abs=0.1)
    noisy = ExpectedLengths.fit(records(noise=3)).shares["audio", "text"]
    assert 1.9 < noisy.error < 2.4  # of -3 to 3, each as likely: 2.0
    held_out = records(400, noise=3)[200:]
    lengths = ExpectedLengths.fit(records(noise=3))
    longer = [
        lengths.of("audio", SOUND, {"text": one.streams["text"]}) - one.streams["audio"].grid[0] for one in held_out
    ]
    assert 0.65 < sum(room >= 0 for room in longer) / 200 < 0.9  # four of five, were the noise normal


def test_codes_that_no_record_has_take_what_any_takes_and_nothing_leaves_what_was_seen() -> None:
    lengths = ExpectedLengths.fit(records())
    told = lengths.shares["audio", "text"]
    assert expected(lengths, 1, 30) == round(told.constant + 2 * told.every + float(told.shares[0]))
    most, least = lengths.seen["audio", "text"].most, lengths.seen["audio", "text"].least
    assert (most, least) == (68, 5)
    assert expected(lengths, *[3] * 30) == most
    assert expected(lengths, 4) == least == SAID[4] + 3


def test_room_is_left_for_what_was_not_told_and_no_length_is_out_of_what_was_seen() -> None:
    told = Shares(torch.tensor([1, 2]), torch.tensor([3.0, -4.0]), every=2.0, constant=10.0, error=10.0)
    pair = ("audio", "text")
    lengths = ExpectedLengths({("audio",): Seen(5, 20, 60), pair: Seen(19, 20, 40)}, {pair: told})
    assert expected(lengths, 1) == 23 == round(10 + 2 + 3 + 0.84 * 10)
    assert expected(lengths, 9, 1, 9) == 27 and expected(lengths, 2) == 19 and expected(lengths, *[1] * 9) == 40


def test_the_error_is_that_of_records_that_were_left_out_one_by_one() -> None:
    found = records(16, noise=3)
    texts = [one.streams["text"].codes[:, 0].long() for one in found]
    sizes = torch.tensor([float(one.streams["audio"].grid[0]) for one in found]).double()
    counts = torch.stack([torch.bincount(text, minlength=5)[1:] for text in texts]).double()
    wide = torch.cat([counts.sum(1, keepdim=True), counts], 1)
    errors = []
    for penalty in (4.0**power for power in range(-3, 9)):
        wrong = []
        for at in range(16):
            others = torch.arange(16) != at
            x, y = wide[others] - wide[others].mean(0), sizes[others] - sizes[others].mean()
            weights = torch.linalg.solve(x.T @ x + penalty * torch.eye(5).double(), x.T @ y)
            wrong.append(sizes[at] - sizes[others].mean() - (wide[at] - wide[others].mean(0)) @ weights)
        errors.append(float(torch.stack(wrong).square().mean().sqrt()))
    assert ExpectedLengths.fit(found).shares["audio", "text"].error == pytest.approx(min(errors), rel=1e-6)


def test_the_stream_that_told_best_counts_and_the_median_where_none_is_given() -> None:
    found = records(80)
    noise = torch.randint(0, 4, (80, 4), generator=torch.Generator().manual_seed(1)).int()
    pictures = [TokenStream(PICTURE, noise[at].reshape(2, 2, 1)) for at in range(80)]
    both = [Record(one.key, {**one.streams, "image": picture}) for one, picture in zip(found, pictures, strict=True)]
    lengths = ExpectedLengths.fit(both)
    assert lengths.shares["audio", "image"].error > 9 > 1 > lengths.shares["audio", "text"].error
    beside = {"image": pictures[0], "text": stream(TEXT, 2, 2)}
    assert lengths.of("audio", SOUND, beside) == 2 * SAID[2] + 3
    sizes = sorted(one.streams["audio"].grid[0] for one in found)
    assert lengths.of("audio", SOUND, {}) == lengths.of("audio", SOUND, {"eeg": pictures[0]}) == sizes[40]
    assert lengths.of("image", PICTURE, {}) is None and ("image",) not in lengths.seen


def test_text_gets_room_for_the_longest_and_its_end() -> None:
    alone = [Record("verse", {"text": stream(TEXT, *[1] * 30)})]
    lengths = ExpectedLengths.fit([*records(), *alone])
    assert lengths.of("text", TEXT, {}) == 31
    assert lengths.of("text", TEXT, {"audio": stream(SOUND, 1, 1)}) == 6
    assert all(name != "text" for name, _ in lengths.shares)


def test_text_gets_no_more_room_than_a_model_sees_at_once() -> None:
    long = [Record("page", {"text": stream(TEXT, *[1] * 900), "audio": stream(SOUND, *[0] * 900)})]
    lengths = ExpectedLengths.fit([*records(), *long], 62)
    assert lengths.of("text", TEXT, {}) == lengths.of("text", TEXT, {"audio": stream(SOUND, 1)}) == 63
    assert lengths.seen["audio",].most == 900  # has no end of its own, and is made in pieces


def test_streams_without_a_place_tell_nothing_wrong() -> None:
    sizes = [3, 5, 8, 9, 10, 11, 12, 13, 20]
    nothing = [Record(f"{size}", {"audio": stream(SOUND, *[0] * size), "text": stream(TEXT)}) for size in sizes]
    assert 10 < (expected(ExpectedLengths.fit(nothing), 1, 1) or 0) <= 20
    silent = [Record(f"{at}", {"audio": stream(SOUND), "text": stream(TEXT, at)}) for at in range(1, 10)]
    lengths = ExpectedLengths.fit(silent)
    assert expected(lengths, 1) == lengths.of("audio", SOUND, {}) == 1


def test_what_only_an_earlier_training_knew_stays() -> None:
    earlier = ExpectedLengths.fit(records())
    later = ExpectedLengths.fit([Record("verse", {"text": stream(TEXT, *[1] * 30)})])
    both = later.over(earlier)
    assert both.of("text", TEXT, {}) == 31 and both.of("text", TEXT, {"audio": stream(SOUND, 1)}) == 6
    assert expected(both, 3, 1) == expected(earlier, 3, 1) and expected(later, 3, 1) is None


def test_few_records_tell_no_shares_and_many_are_thinned_always_alike() -> None:
    assert ExpectedLengths.fit(records(7)).shares == {}
    many = records(MOST_RECORDS + 300, noise=2)
    one, other = (ExpectedLengths.fit(many).shares["audio", "text"] for _ in range(2))
    assert torch.equal(one.shares, other.shares) and one.error == other.error
    late = ExpectedLengths.fit([*many[:MOST_RECORDS], *(spoken([5], f"late {at}") for at in range(300))])
    assert 5 in late.shares["audio", "text"].codes  # not the first ones alone


def test_a_file_holds_them_and_what_is_swapped_is_forgotten(tmp_path) -> None:
    lengths = ExpectedLengths.fit(records())
    lengths.save(tmp_path / "lengths.safetensors")
    again = ExpectedLengths.load(tmp_path / "lengths.safetensors")
    assert again.seen == lengths.seen and set(again.shares) == set(lengths.shares) == {("audio", "text")}
    assert expected(again, 1, 3, 30) == expected(lengths, 1, 3, 30)
    assert again.without(["text"]).seen.keys() == {("audio",)} and not again.without(["text"]).shares
    (tmp_path / "none.safetensors").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"none.safetensors is not a whole tokenmask tensor file"):
        ExpectedLengths.load(tmp_path / "none.safetensors")


def test_inputs_ask_for_them_where_no_size_is_said() -> None:
    inputs = Inputs(Layout({"text": TEXT, "audio": SOUND}), {}, {}, ExpectedLengths.fit(records()))
    given = {"text": stream(TEXT, 3, 1)}
    assert inputs.grid("audio", None, None, None, None, given) == (22,)
    assert inputs.grid("audio", None, 4, None, None, given) == (4,)
    assert inputs.grid("audio", None, None, None, 0.5, given) == (5,)
    with pytest.raises(ValueError, match="'audio' has no fixed size; say how much of it to fill with duration_seconds"):
        inputs.grid("audio", stream(SOUND, 1, 2), None, None, None, given)


def test_rare_codes_of_a_large_vocabulary_take_what_any_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [*records(), *(spoken([1, 5 + at % 30], f"rare {at}") for at in range(30))]
    whole = ExpectedLengths.fit(found).shares["audio", "text"]
    monkeypatch.setattr("tokenmask.generation.expected.MOST_CODES", 4)
    few = ExpectedLengths.fit(found)
    told = few.shares["audio", "text"]
    assert whole.codes.tolist() == list(range(1, 35)) and told.codes.tolist() == [1, 2, 3, 4]
    mean = told.constant + 2 * told.every + float(told.shares[0])
    assert told.length(stream(TEXT, 1, 20)) == pytest.approx(mean) and abs(mean - (5 + 7 + 3)) < 2
