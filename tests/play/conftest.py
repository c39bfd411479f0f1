"""The model that ships, and a browser where there is one."""

import importlib.util

import pytest

from tests.report.conftest import BROWSER
from tokenmask.play.actions import Actions
from tokenmask.play.swaps import Swaps
from tokenmask.run import load


def pytest_collection_modifyitems(config, items):
    """Without a browser or gradio the tests of the page are not there, so that none is counted as passed or skipped."""
    if BROWSER and importlib.util.find_spec("playwright") and importlib.util.find_spec("gradio"):
        return
    gone = [item for item in items if item.get_closest_marker("browser")]
    items[:] = [item for item in items if item not in gone]
    if gone:
        config.hook.pytest_deselected(items=gone)


@pytest.fixture(scope="session")
def run():
    return load()


@pytest.fixture
def actions(run, tmp_path):
    folder = tmp_path / "uploads"
    folder.mkdir()
    return Actions(run, folder, Swaps(run, {}))
