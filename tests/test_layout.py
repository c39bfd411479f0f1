"""Layout, Sequence and Batch: exact inverses, ranges that survive a swap, coordinates that align."""

import json
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenmask.batch import ABSENT, FILL, GIVEN, PAD, collate
from tokenmask.layout import Delay, Flatten, Layout, Parallel
from tokenmask.streams import StreamSpec, TokenStream

TEXT = StreamSpec("text", (20,), ("index",), end_code=19, fingerprint="t")
IMAGE = StreamSpec("image", (16,), ("row", "column"), grid=(3, 4), fingerprint="i")
AUDIO = StreamSpec("audio", (8, 8, 6), ("time",), rate_hz=50.0, fingerprint="a")
EEG = StreamSpec("eeg", (5, 5), ("channel", "time"), rate_hz=8.0, fingerprint="e")
SPECS = {"text": TEXT, "image": IMAGE, "audio": AUDIO, "eeg": EEG}


def stream(spec: StreamSpec, grid: tuple[int, ...], seed: int = 0, **options: object) -> TokenStream:
    generator = torch.Generator().manual_seed(seed)
    highest = [size - 1 if spec.end_code is not None else size for size in spec.codebook_sizes]
    levels = [torch.randint(size, grid, generator=generator, dtype=torch.int32) for size in highest]
    return TokenStream(spec, torch.stack(levels, dim=-1), **options)  # type: ignore[arg-type]


def record(seed: int = 0, text: int = 5, frames: int = 7, ticks: int = 4) -> dict[str, TokenStream]:
    return {
        "text": stream(TEXT, (text,), seed),
        "image": stream(IMAGE, (3, 4), seed + 1),
        "audio": stream(AUDIO, (frames,), seed + 2, start_seconds=1.5),
        "eeg": stream(EEG, (2, ticks), seed + 3, labels={"channel": ("Fz", "Cz")}),
    }


ARRANGEMENTS = [Parallel(), Flatten(), Delay()]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 9), st.integers(1, 9), st.integers(0, 9), st.integers(0, 5), st.sampled_from(ARRANGEMENTS))
def test_unpack_is_the_exact_inverse_of_pack(seed, text, frames, ticks, arrangement):
    eeg = arrangement if not isinstance(arrangement, Delay) else Flatten()
    layout = Layout(SPECS, arrangements={"audio": arrangement, "eeg": eeg})
    packed = record(seed, text, frames, ticks)
    sequence = layout.pack(packed, lengths={"text": text + seed})
    assert layout.unpack(sequence) == packed
    assert sequence.segments[0].start == 1
    assert len(sequence) == 1 + sum(segment.length for segment in sequence.segments)


def test_ids_are_pad_then_controls_then_one_range_and_mask_per_level():
    layout = Layout(SPECS)
    assert layout.control("BOS") == 1
    taken = [PAD, *range(1, 5)]
    for r in layout.ranges:
        taken += [*range(r.offset, r.offset + r.size), r.mask_id]
    assert taken == list(range(layout.num_ids))
    ids = torch.tensor([PAD, 1, layout.range("audio", 2).offset + 3, layout.range("text").mask_id])
    assert layout.head_of(ids).tolist() == [-1, -1, layout.head("audio", 2), layout.head("text")]
    assert layout.mask_of(ids.int()).tolist() == [0, 1, layout.range("audio", 2).mask_id, layout.range("text").mask_id]
    assert layout.first_of(ids.int()).tolist() == [0, 1, layout.range("audio", 2).offset, layout.range("text").offset]
    assert layout.depth_of(ids).tolist() == [-1, -1, layout.depths()[layout.head("audio", 2)], 0]


def test_replace_keeps_every_other_row_and_goes_back():
    layout = Layout(SPECS)
    swapped = layout.replace("image", StreamSpec("image", (64,), ("row", "column"), fingerprint="new"))
    for name in ("text", "audio", "eeg"):
        for level in range(SPECS[name].num_levels):
            assert swapped.range(name, level) == layout.range(name, level)
    assert swapped.range("image").offset == layout.num_ids
    assert swapped.replace("image", IMAGE) == layout
    smaller = layout.replace("image", StreamSpec("image", (9,), ("row", "column"), fingerprint="small"))
    assert smaller.range("image").offset == layout.range("image").offset
    assert smaller.num_ids == layout.num_ids


def test_streams_come_and_go_and_ranges_stay():
    """Ids: PAD, four controls, then a 5 .. 8 and its MASK, b 10 .. 12 and 14 .. 17 with theirs, c 19 .. 22."""
    a, b, c = (
        StreamSpec("text", (4,), ("index",)),
        StreamSpec("audio", (3, 4), ("time",)),
        StreamSpec("text", (4,), ("index",)),
    )
    layout = Layout({"a": a, "b": b}, arrangements={"b": Delay()}).add("c", c)
    assert [(r.stream, r.level, r.offset, r.size) for r in layout.ranges] == [
        ("a", 0, 5, 4),
        ("b", 0, 10, 3),
        ("b", 1, 14, 4),
        ("c", 0, 19, 4),
    ]
    less = layout.remove("b")
    assert [r.offset for r in less.ranges] == [5, 19] and less.arrangements == {"c": Parallel()}
    assert layout.remove("a").arrangements == {"b": Delay(), "c": Parallel()}
    # Nine ids are free between a and c: two levels of 3 and 4 codes with their MASKs fit, of 4 and 4 do not.
    assert [r.offset for r in less.add("d", b).ranges] == [5, 19, 10, 14]
    assert [r.offset for r in less.add("d", replace(b, codebook_sizes=(4, 4))).ranges] == [5, 19, 24, 29]
    with pytest.raises(ValueError, match="'a' can't be removed: it is the only one"):
        Layout({"a": a}).remove("a")
    with pytest.raises(ValueError, match="'a' can't be removed: c shares its ranges"):
        Layout({"a": a, "b": b, "c": c}, shares={"c": "a"}).remove("a")


def test_labels_stay_with_a_stream_that_is_not_cut():
    words = StreamSpec("text", (9,), ("channel",), end_code=8)
    layout, labels = Layout({"x": words}), {"channel": ("Fz", "Cz")}
    two = TokenStream(words, torch.tensor([[3], [4]], dtype=torch.int32), labels=labels)
    assert layout.unpack(layout.pack({"x": two}))["x"].labels == labels
    assert layout.unpack(layout.pack({"x": two}, lengths={"x": 3}))["x"].labels == {}


def test_json_round_trip():
    layout = Layout(SPECS, arrangements={"audio": Delay(), "eeg": Parallel("concat")}, ticks_per_second=25.0)
    assert Layout.from_json(json.loads(json.dumps(layout.to_json()))) == layout
    assert Layout.from_json(json.loads(json.dumps(layout.to_json(), sort_keys=True))).names == layout.names
    assert Layout(dict(reversed(SPECS.items())), ranges=layout.ranges) != Layout(SPECS)
    again = layout.replace("audio", StreamSpec("audio", (99,), ("time",), rate_hz=10.0))
    assert Layout.from_json(json.loads(json.dumps(again.to_json()))) == again


def test_two_streams_can_share_ranges():
    fine = StreamSpec("image", (16,), ("row", "column"), grid=(6, 8), fingerprint="i")
    layout = Layout({"coarse": IMAGE, "fine": fine}, shares={"fine": "coarse"})
    assert layout.head("fine") == layout.head("coarse") == 0
    both = {"coarse": stream(IMAGE, (3, 4)), "fine": stream(fine, (6, 8))}
    assert layout.unpack(layout.pack(both)) == both


def test_coordinates_of_streams_with_clocks_align():
    layout = Layout(SPECS, ticks_per_second=100.0)
    streams = record(frames=8)
    streams["audio"] = stream(AUDIO, (8,), start_seconds=1.0)
    streams["eeg"] = stream(EEG, (2, 2), start_seconds=1.0)
    sequence = layout.pack(streams)
    where = {segment.name: segment for segment in sequence.segments}

    def of(name):
        segment = where[name]
        return sequence.coordinates[segment.start : segment.start + segment.length].tolist()

    assert of("text") == [[index, 0, 0] for index in range(5)]
    assert of("image") == [[0, row, column] for row in range(3) for column in range(4)]
    assert of("audio") == [[100 + 2 * frame, 0, 0] for frame in range(8)]
    assert of("eeg") == [[time, channel, 0] for channel in range(2) for time in (100, 112)]


def test_delay_shifts_levels_and_flatten_takes_turns():
    codes = TokenStream(AUDIO, torch.tensor([[1, 2, 3], [4, 5, 0]], dtype=torch.int32))
    offsets = [Layout({"audio": AUDIO}).range("audio", level).offset for level in range(3)]
    a, b, c = offsets
    delayed = Layout({"audio": AUDIO}, arrangements={"audio": Delay()}).pack({"audio": codes})
    assert delayed.ids[1:].tolist() == [[a + 1, 0, 0], [a + 4, b + 2, 0], [0, b + 5, c + 3], [0, 0, c + 0]]
    assert delayed.role[1:].tolist() == [[2, 0, 0], [2, 2, 0], [0, 2, 2], [0, 0, 2]]
    flat = Layout({"audio": AUDIO}, arrangements={"audio": Flatten()}).pack({"audio": codes})
    assert [row[level % 3] for level, row in enumerate(flat.ids[1:].tolist())] == [a + 1, b + 2, c + 3, a + 4, b + 5, c]
    assert int((flat.ids[1:] != PAD).sum()) == 5 + 1


@pytest.mark.parametrize(
    ("arrangement", "codes", "placed", "place"),
    [
        (Parallel(), [[5, 6], [7, 8]], [[5, 6], [7, 8]], [0, 1]),
        (Flatten(), [[5, 6], [7, 8]], [[5, -1], [-1, 6], [7, -1], [-1, 8]], [0, 0, 1, 1]),
        (Delay(), [[5, 6], [7, 8]], [[5, -1], [7, 6], [-1, 8]], [0, 1, 2]),
        (Delay(), [[5, 6]], [[5, -1], [-1, 6]], [0, 1]),
        (Delay(), [], [], []),
        (Flatten(), [], [], []),
    ],
    ids=str,
)
def test_places_of_two_levels(arrangement, codes, placed, place):
    codes = torch.tensor(codes, dtype=torch.int32).view(-1, 2)
    found, where = arrangement.place(codes)
    assert found.tolist() == placed and where.tolist() == place
    assert torch.equal(arrangement.restore(found, 2), codes)
    assert arrangement.positions(len(codes), 2) == len(placed)


def test_end_codes_pad_and_are_cut_again():
    layout = Layout({"text": TEXT})
    text = stream(TEXT, (3,))
    sequence = layout.pack({"text": text}, lengths={"text": 8})
    assert (sequence.ids[4:, 0] == layout.range("text").offset + 19).all()
    assert layout.unpack(sequence) == {"text": text}
    ending = TokenStream(TEXT, torch.tensor([[3], [19]], dtype=torch.int32))
    with pytest.raises(ValueError, match="end code"):
        layout.pack({"text": ending})


def test_batch_pads_with_absent_slots_and_drops_conditions():
    layout = Layout(SPECS)
    short = layout.pack({"text": stream(TEXT, (2,))}, roles={"text": GIVEN})
    long = layout.pack(record())
    batch = collate([short, long], multiple=16)
    assert batch.shape == (2, 48, 3)
    assert (batch.role[0, 3:] == ABSENT).all() and not batch.valid[0, 3:].any()
    assert (batch.ids[batch.role == ABSENT] == PAD).all()
    assert batch.valid[:, 0].all() and (batch.role[:, 0, 0] == GIVEN).all()
    dropped = batch.drop(torch.tensor([[True, False, False, False], [False, True, False, False]]))
    assert dropped.valid[0].tolist() == [True] + [False] * 47
    image = long.segments[1]
    assert not dropped.valid[1, image.start : image.start + image.length].any()
    assert int(dropped.valid[1].sum()) == len(long) - image.length
    assert torch.equal(dropped.ids, batch.ids)
    again = batch.rows(torch.tensor([1, 0, 1]))
    assert torch.equal(again.ids[0], batch.ids[1]) and torch.equal(again.role[2], batch.role[1])


def test_roles_follow_their_slots():
    layout = Layout(SPECS, arrangements={"audio": Delay()})
    role = torch.full((7, 3), GIVEN, dtype=torch.int8)
    role[2, 1] = FILL
    sequence = layout.pack({"audio": record()["audio"]}, roles={"audio": role})
    assert (sequence.role == FILL).nonzero().tolist() == [[1 + 2 + 1, 1]]


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda layout: layout.pack({}), "at least one stream"),
        (lambda layout: layout.pack({"video": record()["image"]}), "has no 'video'"),
        (lambda layout: layout.unpack(hidden(layout)), "hidden slots"),
        (
            lambda layout: layout.pack({"image": stream(StreamSpec("image", (16,), ("index",)), (2,))}),
            r"the tokenizer i of this layout, got codes of \(none\); encode it again",
        ),
        (
            lambda layout: layout.pack({"audio": stream(replace(AUDIO, rate_hz=25.0), (4,))}),
            "stream 'audio' must be .*rate_hz=50.0.*, got .*rate_hz=25.0",  # though the fingerprint is the same
        ),
        (lambda layout: Layout({}), "at least one stream"),
        (lambda layout: Layout(SPECS, shares={"image": "text"}), "same codebook_sizes"),
        (lambda layout: Layout(SPECS, controls=("SEP",)), "begin with 'BOS'"),
        (lambda layout: layout.pack(record(), roles={"text": torch.zeros(2, 1)}), "roles of 'text'"),
        (lambda layout: collate([]), "at least one sequence"),
    ],
)
def test_wrong_input_gets_one_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call(Layout(SPECS))


def hidden(layout):
    sequence = layout.pack(record())
    return replace(sequence, ids=layout.mask_of(sequence.ids))


@pytest.mark.parametrize("levels", [3, 31, 33, 70])
def test_depths_among_slots_are_those_of_the_chosen_ones(levels):
    """More depths than a word has bits, too; groups of levels begin at depth 0 again."""
    spec = StreamSpec(
        "audio", (4,) * levels, ("time",), rate_hz=50.0, level_groups=((*range(levels - 1),), (levels - 1,))
    )
    layout = Layout({"text": StreamSpec("text", (5,), ("index",)), "audio": spec})
    draw = torch.Generator().manual_seed(0)
    ids = torch.randint(layout.num_ids, (6, 4, 5), generator=draw, dtype=torch.int32)
    depth = layout.depth_of(ids)
    chosen = (torch.rand(ids.shape, generator=draw) < 0.4) & (depth >= 0)
    chosen[5] = False
    found = layout.depths_among(ids, chosen)
    assert found.shape == (6, levels - 1) and found.dtype == torch.bool
    for row in range(6):
        assert found[row].nonzero().squeeze(1).tolist() == sorted(set(depth[row][chosen[row]].tolist()))


def test_codes_of_ids_are_those_of_their_own_range():
    layout = Layout({"text": StreamSpec("text", (4,), ("index",)), "audio": StreamSpec("audio", (3, 2), ("time",))})
    first, coarse, fine = (one.offset for one in layout.ranges)
    ids = torch.tensor([first, first + 3, first + 4, coarse + 2, fine + 1, fine + 2, 0], dtype=torch.int32)
    codes = layout.codes_of(ids)
    assert codes.tolist() == [0, 3, 4, 2, 1, 2, 0] and codes.dtype == torch.int64  # 4 and the last 2 are MASK
