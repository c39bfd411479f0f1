"""Members of a tar shard: what follows the first point is the ending, and which of several pictures is the picture."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.laid_out import BOTH, png, shard, words_of
from tokenmask.cli.sources import items, media

MASKS = {"a.png": png(0), "a.seg.png": png(1), "a.txt": "red", "b.seg.png": png(2), "b.caption.txt": "own"}


def test_another_picture_of_a_sample_is_not_the_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shard(tmp_path / "s.tar", MASKS)
    assert words_of(items([tmp_path / "s.tar"], BOTH)) == {"s/a": ("red", 0)}
    said = capsys.readouterr().out
    assert "s.tar: 2 more of image not looked at (seg.png); --map image=ENDING takes one in place of png\n" in said
    assert "s.tar: 1 members not looked at (.txt)" in said
    assert [one.name.partition("/")[2] for one in media([tmp_path], "image")] == ["s/a"]


def test_an_ending_is_named_by_map(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shard(tmp_path / "s.tar", MASKS)
    wanted = {"s/a": (None, 1), "s/b": ("own", 2)}
    mapped = {"image": "seg.png", "text": "caption.txt"}
    assert words_of(items([tmp_path / "s.tar"], BOTH, columns=mapped)) == wanted
    assert (
        "1 more of image not looked at (png); --map image=ENDING takes one in place of seg.png"
        in capsys.readouterr().out
    )
    assert words_of(items([tmp_path], BOTH, columns=mapped)) == wanted  # a folder of shards
    chosen = media([tmp_path / "s.tar"], "image", columns={"image": "seg.png"})
    assert [(one.name, tuple(one.loader().pixels[0, 0].tolist())) for one in chosen] == [
        ("s.tar/s/a", (20, 200, 60)),
        ("s.tar/s/b", (10, 10, 250)),
    ]
    with pytest.raises(ValueError, match=r"needs manifests with a column 'depth\.png', but they have .*png, seg\.png"):
        items([tmp_path / "s.tar"], BOTH, columns={"image": "depth.png"})


def test_pictures_with_longer_endings_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shard(tmp_path / "one.tar", {"a.rgb.png": png(0), "b.rgb.png": png(1)})
    assert words_of(items([tmp_path / "one.tar"], BOTH)) == {"one/a": (None, 0), "one/b": (None, 1)}
    assert "one.tar: image is rgb.png; --map image=ENDING takes one alone\n" in capsys.readouterr().out
    shard(tmp_path / "two.tar", {"a.1.png": png(0), "a.2.png": png(1), "a.json": '{"title": "red"}'})
    found = words_of(items([tmp_path / "two.tar"], BOTH, columns={"text": "title"}))
    assert found == {"two/a.1.png": ("red", 0), "two/a.2.png": ("red", 1)}
    assert (
        "two.tar: image is 1.png, 2.png, a record each; --map image=ENDING takes one alone" in capsys.readouterr().out
    )


def test_members_that_lead_out_are_named_and_others_read(tmp_path: Path) -> None:
    """Their bytes are read where they lie, and nothing is written; but a key is a path below a folder."""
    held = {"../e.png": png(1), "../e.txt": "out", "/abs/f.png": png(2), "sub/../g.png": png(3), "a.png": png(0)}
    shard(tmp_path / "s.tar", held | {"./b.png": png(1)})
    for source in (tmp_path / "s.tar", tmp_path):
        good, wrong = [], []
        for item in items([source], BOTH):
            try:
                good += [(item.key.rpartition("/")[2], item.media["image"]().pixels[0, 0].tolist())]
            except ValueError as error:
                wrong.append(str(error))
        assert good == [("a", [200, 30, 40]), ("b", [20, 200, 60])]
        told = "must be a name below a folder, but leads out of it; rename it in the archive"
        names = ("../e.png", "/abs/f.png", "sub/../g.png")
        assert wrong == [f"{name!r} in {tmp_path / 's.tar'} {told}" for name in names]


@pytest.mark.parametrize(
    ("about", "why"),
    [
        ('{"caption": "a", "caption": "b"}', "must be JSON (it says 'caption' twice; keep one)"),
        ('{"caption": "a\\u0000b"}', "words must be without characters of code 0, but 'a\\x00b' has one"),
    ],
)
def test_what_a_member_of_json_says_twice_fails_alone(tmp_path: Path, about: str, why: str) -> None:
    shard(tmp_path / "s.tar", {"a.png": png(0), "a.json": about, "b.png": png(1), "b.json": '{"caption": "good"}'})
    one, two = items([tmp_path / "s.tar"], BOTH)
    assert words_of([two]) == {"s/b": ("good", 1)}
    with pytest.raises(ValueError) as caught:
        for loader in one.media.values():
            loader()
    assert why in str(caught.value)


def test_json_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    shard(tmp_path / "s.tar", {"a.png": png(0), "a.json": "\ufeff" + '{"caption": "good"}'})
    assert words_of(items([tmp_path / "s.tar"], BOTH)) == {"s/a": ("good", 0)}
