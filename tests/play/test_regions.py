"""Painted cells as regions, regions as words, codes as panels."""

import pytest
import torch

from tokenmask.generation.regions import hole
from tokenmask.modalities.audio import AudioClip
from tokenmask.modalities.image import Image
from tokenmask.modalities.text import Text
from tokenmask.play import codes, regions
from tokenmask.play.regions import Surface
from tokenmask.streams import StreamSpec, TokenStream

PICTURE = Surface("picture", 3, 4, (0, 8, 16, 24, 32), (0, 10, 20, 30))
TIME = Surface("time", 1, 5, (0.0, 0.5, 1.0, 1.5, 2.0, 2.5))
WORDS = Surface("words", 1, 3, (0.0, 2.0, 3.0, 6.0, 8.0, 9.0))


@pytest.mark.parametrize(
    ("surface", "cells", "found"),
    [
        (PICTURE, [], []),
        (PICTURE, [0, 1, 4, 5], [(0, 0, 16, 20)]),
        (PICTURE, [5, 4, 1, 0, 0], [(0, 0, 16, 20)]),
        (PICTURE, [0, 2, 3, 6, 7], [(0, 0, 8, 10), (16, 0, 32, 20)]),
        (PICTURE, [3, 4], [(24, 0, 32, 10), (0, 10, 8, 20)]),
        (PICTURE, range(12), [(0, 0, 32, 30)]),
        (TIME, [1, 2, 4], [(0.5, 1.5), (2.0, 2.5)]),
        (WORDS, [0, 1], [(0.0, 6.0)]),
        (WORDS, [2], [(8.0, 9.0)]),
    ],
)
def test_cells_become_as_few_regions(surface, cells, found):
    assert surface.regions(cells) == found


def test_cells_that_there_are_not_are_refused():
    for cell in (-1, 12):
        with pytest.raises(ValueError, match=r"0\.\.11"):
            PICTURE.regions([cell])


def test_regions_of_any_cells_cover_them_and_nothing_else():
    generator = torch.Generator().manual_seed(3)
    for _ in range(20):
        on = torch.rand(3, 4, generator=generator) < 0.5
        covered = torch.zeros(30, 32, dtype=torch.int64)
        for left, top, right, bottom in PICTURE.regions(on.flatten().nonzero().flatten().tolist()):
            covered[int(top) : int(bottom), int(left) : int(right)] += 1
        wanted = on.repeat_interleave(10, 0).repeat_interleave(8, 1).long()
        assert torch.equal(covered, wanted)


@pytest.mark.parametrize("rate_hz", [7.5, 8.0, 12.5, 50.0, 75.0, 86.1328125, 64 / 0.42, 344.53125])
def test_painted_codes_are_filled_and_no_others(rate_hz, recwarn):
    """Edges are rounded for a person to read, to the code that they are of."""
    spec = StreamSpec("audio", (9,), ("time",), rate_hz=rate_hz)
    stream = TokenStream(spec, torch.zeros(61, 1, dtype=torch.int32))
    clip = AudioClip(torch.zeros(1, round(61 / rate_hz * 48000)), 48000)
    surface = Surface.of(clip, stream)
    for first, stop in ((0, 5), (1, 2), (13, 31), (58, 61)):
        (region,) = surface.regions(range(first, stop))
        filled = hole(None, clip, stream, [region])[:, 0].nonzero().flatten().tolist()
        assert filled == list(range(first, stop))
    assert not recwarn.list


def test_surfaces_of_media(run):
    picture = Image(torch.zeros(48, 64, 3, dtype=torch.uint8))
    found = Surface.of(picture, run.inputs.tokens("image", picture))
    assert (found.rows, found.columns, found.edges[1], found.down[1], found.edges[-1]) == (8, 8, 8, 6, 64)
    words = Text("In  the end")
    assert Surface.of(words, run.inputs.tokens("text", words)).edges == (0, 2, 4, 7, 8, 11)
    clip = run.generate("audio", duration_seconds=0.2, steps=1)[0]
    assert Surface.of(clip, clip.stream).edges[:3] == (0.0, 0.02, 0.04)


def test_words_of_regions_are_read_as_they_are_written():
    some = [(0.5, 1.25), (2.0, 3.0)]
    assert regions.written(some) == "0.5:1.25; 2:3" and regions.read("0.5:1.25; 2:3") == some
    assert regions.read(regions.written([(0, 8, 16, 32)])) == [(0, 8, 16, 32)]
    assert regions.read(" ") is None and regions.read(None) is None
    with pytest.raises(ValueError, match="START:END or LEFT"):
        regions.read("here")
    with pytest.raises(ValueError, match="256 regions, got 300"):
        regions.read(";".join(["0:1"] * 300))


def stream(codes_of, *axes, levels):
    spec = StreamSpec("x", (100,) * levels, axes)
    return TokenStream(spec, torch.tensor(codes_of, dtype=torch.int32))


def test_panels_of_codes():
    line = stream([[1], [2], [3]], "index", levels=1)
    assert codes.panels(line) == [{"name": "", "columns": 3, "codes": [1, 2, 3]}]
    hidden = torch.tensor([[True], [False], [True]])
    assert codes.panels(line, hidden)[0]["codes"] == [1, codes.HIDDEN, 3]
    sound = stream([[1, 2], [3, 4], [5, 6]], "time", levels=2)
    assert (codes.panels(sound)[0]["columns"], codes.panels(sound)[0]["codes"]) == (3, [1, 3, 5, 2, 4, 6])
    grid = stream([[[1, 10], [2, 20]], [[3, 30], [4, 40]]], "channel", "time", levels=2)
    assert [one["codes"] for one in codes.panels(grid)] == [[1, 2, 3, 4], [10, 20, 30, 40]]
    film = stream([[[[1], [2]]], [[[3], [4]]]], "time", "row", "column", levels=1)
    assert [one["codes"] for one in codes.panels(film)] == [[1, 2], [3, 4]]


def test_of_a_picture_what_is_not_decided_is_paper(run):
    piece = run.generate_tokens("image", steps=1)[0]
    shown = codes.last(run, "image", piece)
    assert 'alt="image after step 0"' in shown["seen"] and len(shown["panels"][0]["codes"]) == 64
    assert codes.last(run, "text", run.generate_tokens("text", length=2, steps=1)[0])["seen"] == ""
