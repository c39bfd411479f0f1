"""Reports: one file with everything inside, whatever a run has."""

import base64
import io
import re
from html.parser import HTMLParser

import pytest
import soundfile
import torch
from PIL import Image as Picture
from PIL import ImageSequence

import tokenmask as tm
from tests.report.conftest import media
from tokenmask.demo.showing import held_out_media, prompts
from tokenmask.modalities.audio import AudioClip
from tokenmask.modalities.image import Image
from tokenmask.modalities.text import Text
from tokenmask.modalities.video import VideoClip
from tokenmask.report import Change, Prompt, edit_section, write_report
from tokenmask.report.charts import Line, line_chart
from tokenmask.report.edits import edits_of
from tokenmask.report.page import Section, make_page
from tokenmask.report.training import read_metrics
from tokenmask.report.views import View, view_of

VOID = {"meta", "link", "img", "input", "line", "br"}


class Page(HTMLParser):
    """What a page holds; refuses elements that are left open or closed twice."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[tuple[str, dict[str, str]]] = []
        self.feed(text)
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.found.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, tag

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.found if name == tag]

    @property
    def sections(self) -> list[str]:
        return [attributes["id"] for attributes in self.all("section")]


def content(address: str) -> bytes:
    kind, data = re.fullmatch(r"data:([a-z/]+);base64,(.*)", address, re.S).groups()
    assert kind in ("image/png", "image/webp", "audio/wav")
    return base64.b64decode(data, validate=True)


def check(text: str) -> Page:
    """Nothing from outside; media decode; everything has a name; anchors lead somewhere."""
    whole = Page(text)
    assert not re.search(r"https?://|//[a-z]+\.|@import|url\(", text)
    for _, attributes in whole.found:
        for name in ("src", "href"):
            assert attributes.get(name, "#").startswith(("data:", "#"))
    for image in whole.all("img"):
        assert image["alt"].strip()
        with Picture.open(io.BytesIO(content(image["src"]))) as picture:
            picture.load()
            assert picture.size == (int(image["width"]), int(image["height"]))
    for sound in whole.all("audio"):
        assert "controls" in sound and sound["aria-label"].strip()
        samples, rate = soundfile.read(io.BytesIO(content(sound["src"])))
        assert len(samples) > 0 and rate > 0
    for tag in ("svg", "canvas", "input", "button"):
        assert all(one["aria-label"].strip() for one in whole.all(tag))
    ids = [attributes["id"] for _, attributes in whole.found if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {one["href"][1:] for one in whole.all("a")} == set(whole.sections) <= set(ids)
    return whole


def test_a_page_of_every_kind_of_media(plain_page):
    text = plain_page.read_text(encoding="utf-8")
    whole = check(text)
    assert whole.sections == ["edits", "tokenizer-swap"]
    assert len(whole.all("audio")) == 2 and len(whole.all("canvas")) == 1 and len(whole.all("img")) == 10
    assert "the <mark>moon</mark> &lt;b&gt;rose&lt;/b&gt; &amp; shone" in text
    assert "Every other row was kept." in text and 'style="top:25.00%;left:12.50%;height:50.00%;width:50.00%"' in text
    assert len([one for one in whole.all("rect") if one["class"] == "span"]) == 1


def test_a_report_of_two_streams(small_run, small_report):
    text = small_report.read_text(encoding="utf-8")
    whole = check(text)
    assert whole.sections == [
        "training",
        "held-out-scores",
        "text",
        "image",
        "filled-step-by-step",
        "edits",
        "code-usage",
    ]
    assert not list(small_report.parent.glob(".*partial"))
    titles = {one.get("alt", "") for one in whole.all("img")}
    assert {"original: image 1", "from its codes: image 3"} <= titles
    assert sum(title.startswith("image for") for title in titles) == 32  # 8 prompts, 4 samples each
    assert "<mark>" in text and len(whole.all("polyline")) == 2
    again = write_report(small_run, small_report.with_name("again.html"), media={"image": media()["image"]})
    fewer = check(again.read_text(encoding="utf-8"))
    assert len(fewer.all("img")) == len(whole.all("img")) - 2
    assert "image: a box of 10 x 10 pixels" in text


def test_the_run_that_ships_has_no_corpora(tmp_path):
    run = tm.load()
    found = {name: some[:1] for name, some in held_out_media(run).items()}
    wanted = {name: some[:1] for name, some in prompts(run).items()}
    assert set(wanted) == {"text", "image", "audio", "motion", "eeg"} == set(found)
    fast = {name: [Prompt(one.given, one.options) for one in some] for name, some in wanted.items()}
    path = write_report(run, tmp_path / "report.html", media=found, prompts=fast)
    whole = check(path.read_text(encoding="utf-8"))
    assert whole.sections == ["text", "image", "audio", "motion", "eeg", "filled-step-by-step", "edits", "code-usage"]
    assert len(whole.all("audio")) == 5 and len(whole.all("canvas")) == 2
    assert path.stat().st_size < 1_000_000


def test_changes_of_unknown_media_say_so(changes):
    assert "no picture of smell" in edit_section([Change("smell", 1, 2, "a change")]).body
    assert edit_section([]) is None


def test_edits_change_what_is_marked_and_nothing_else(small_run):
    edits = edits_of(small_run, {**media(), "text": [Text("the sun and the moon and the stars")]})
    assert [one.modality for one in edits] == ["image", "text"]  # the run has no other streams
    image, text = edits
    (top, left, bottom, right), ((start, end),) = image.spans[0], text.spans
    stride = small_run.tokenizers["image"].config.stride
    outside = torch.ones(32, 32, dtype=torch.bool)
    outside[int(top) // stride * stride : -(-int(bottom) // stride) * stride] = False
    assert torch.equal(image.before.pixels[outside], image.after.pixels[outside]) and image.before != image.after
    assert left < right and text.after.text[: int(start)] == text.before.text[: int(start)]
    assert text.before.text.endswith(text.after.text[int(end) :])


def test_every_view_shows_every_way():
    for one, other in media().values():
        view = view_of(type(one))
        assert isinstance(view, View)
        for text in (view.single(one, "label"), view.brief(one, "label"), view.pair((one, other), ("a", "b"), "label")):
            Page(text)
            assert "label" in text
    large = Image(torch.zeros(600, 300, 3, dtype=torch.uint8))
    assert 'width="128" height="256"' in view_of(Image).single(large, "large")


def test_a_film_plays_above_its_frames():
    """Frame n is grey of 20 n: the film has all of them at their rate, the strip eight, and a mark has its share."""
    clip = media()["video"][0]
    text = view_of(VideoClip).single(clip, "label", [(0.125, 0.25)])
    film, strip = (
        Picture.open(io.BytesIO(base64.b64decode(one["src"].partition(",")[2]))) for one in Page(text).all("img")
    )
    assert (film.n_frames, film.size) == (12, (24, 16))
    for number, frame in enumerate(ImageSequence.Iterator(film)):
        assert abs(frame.convert("RGB").getpixel((12, 8))[0] - 20 * number) <= 3 and film.info["duration"] == 42
    assert [strip.getpixel((12 + 24 * at, 8))[0] // 20 for at in range(8)] == [0, 2, 3, 5, 6, 8, 9, 11]
    assert 'style="left:25.00%;width:25.00%"' in text
    large = VideoClip(torch.zeros(200, 90, 360, 3, dtype=torch.uint8), 24.0)  # 8.3 s
    text = view_of(VideoClip).single(large, "long")
    assert 'width="128" height="32"' in text and 'width="512" height="16"' in text and "frames of 6.0 s" in text


def test_the_middle_of_media_with_a_clock():
    view, clip = view_of(AudioClip), AudioClip(torch.zeros(1, 32000), 16000)
    region = view.middle(clip, 12.5)
    assert region == (pytest.approx(0.7), pytest.approx(1.3))
    assert view.told(region, clip, clip) == ("0.70 to 1.30 s", [region])
    assert view.middle(clip, 1.5) is None and view.middle(clip, None) is None  # 3 steps have no middle
    assert view.interest(clip) == 2.0 and view.added(clip, None) == ()
    words = view_of(Text)
    assert words.added(Text("the sun rose"), Text("the")) == [(3.0, 12.0)]
    text = "one two three four five six seven eight"
    assert words.middle(Text(text), None) == (14, 23) and words.middle(Text("one"), None) is None
    assert view_of(Image).middle(Image(torch.zeros(20, 40, 3, dtype=torch.uint8)), None) == (14, 7, 26, 13)


def test_charts_survive_constants_and_single_points():
    for values in ([2.0], [3.0, 3.0], [0.0, 0.0], list(map(float, range(1000)))):
        drawn = line_chart([Line("a", list(range(len(values))), values)], across="x", up="y", label="chart")
        assert "nan" not in drawn and drawn.count("<polyline") == 1 and len(drawn) < 10_000


def test_wrong_pages_are_refused(monkeypatch):
    with pytest.raises(ValueError, match="need different titles"):
        make_page("a", "", [], [Section("One", "", ""), Section("one", "", "")], "")
    monkeypatch.setattr("tokenmask.report.page.LARGEST_BYTES", 100)
    with pytest.raises(ValueError, match="may take 100 bytes, got"):
        make_page("a", "", [], [], "")


def test_metrics_that_were_cut_short(tmp_path):
    path = tmp_path / "metrics.jsonl"
    assert read_metrics(path) == []
    path.write_text('{"step": 0, "loss": 1.0}\n{"step": 1, "lo')
    assert read_metrics(path) == [{"step": 0, "loss": 1.0}]
