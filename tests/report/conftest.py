"""Pages to look at: one of plain media of every kind, and the report of a hardly trained run."""

import importlib.util
import shutil
from pathlib import Path

import pytest
import torch

from tests.worlds import emoji, tiny_run
from tokenmask import data
from tokenmask.demo import items
from tokenmask.modalities.audio import AudioClip
from tokenmask.modalities.image import Image
from tokenmask.modalities.text import Text
from tokenmask.modalities.video import VideoClip
from tokenmask.report import Change, edit_section, swap_section, write_report
from tokenmask.report.page import make_page

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def pytest_collection_modifyitems(config, items):
    """Without a browser its tests are not there, so that none is counted as passed or skipped."""
    if BROWSER and importlib.util.find_spec("playwright"):
        return
    gone = [item for item in items if item.get_closest_marker("browser")]
    items[:] = [item for item in items if item not in gone]
    if gone:
        config.hook.pytest_deselected(items=gone)


def media():
    """Two media of each modality, real ones, short."""
    clip = AudioClip.load(data.speech()[0].path)
    short = AudioClip(clip.samples[:, : round(0.4 * clip.sample_rate_hz)], clip.sample_rate_hz)
    motions = [one.held_out for one in items.motions()[:2]]
    recordings = [one for one, _, _ in items.recordings()[:2]]
    frames = torch.arange(12, dtype=torch.uint8).view(12, 1, 1, 1).expand(12, 16, 24, 3) * 20
    return {
        "image": [Image(torch.from_numpy(e.pixels)) for e in emoji()[:2]],
        "audio": [short, AudioClip(short.samples.flip(1), short.sample_rate_hz)],
        "motion": motions,
        "eeg": recordings,
        "video": [VideoClip(frames.clone(), 24.0), VideoClip(frames.flip(0), 24.0)],
        "text": [Text("the sun <b>rose</b> & shone"), Text("the moon <b>rose</b> & shone")],
    }


SPANS = {
    "image": [(8.0, 4.0, 24.0, 20.0)],
    "audio": [(0.1, 0.2)],
    "motion": [(0.1, 0.2)],
    "eeg": [(0.25, 0.5)],
    "video": [(0.125, 0.25)],
    "text": [(4.0, 8.0)],
}


@pytest.fixture(scope="session")
def changes() -> list[Change]:
    return [Change(kind, *pair, f"a change of {kind}", SPANS[kind]) for kind, pair in media().items()]


@pytest.fixture(scope="session")
def plain_page(tmp_path_factory, changes) -> Path:
    path = tmp_path_factory.mktemp("page") / "page.html"
    swaps = [Change("image", *media()["image"], "\u201csun\u201d", group="image")]
    sections = [edit_section(changes), swap_section(swaps, ["Every other row was kept."])]
    path.write_text(make_page("A page", "What changed.", [("Streams", "five")], sections, "The end."), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def small_run(tmp_path_factory):
    return tiny_run(tmp_path_factory.mktemp("run"), "captions", steps=4)


@pytest.fixture(scope="session")
def small_report(small_run) -> Path:
    pictures = [Image(torch.from_numpy(e.pixels)) for e in emoji()[:3]]
    return write_report(small_run, small_run.folder / "report.html", media={"image": pictures})
