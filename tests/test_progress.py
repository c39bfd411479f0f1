"""Progress: a bar of HTML in a notebook, lines elsewhere."""

import sys
from types import ModuleType, SimpleNamespace

import pytest

from tokenmask import progress
from tokenmask.progress import in_notebook, progress_bar


@pytest.fixture
def notebook(monkeypatch):
    """A stand-in for IPython in a kernel; what is displayed and updated, in turn."""
    seen: list[tuple[str, dict[str, str]]] = []
    whole, display = ModuleType("IPython"), ModuleType("IPython.display")
    whole.get_ipython = lambda: SimpleNamespace(kernel=object())

    def shown(bundle, *, raw, display_id):
        assert raw and display_id
        seen.append(("new", bundle))
        return SimpleNamespace(update=lambda bundle, *, raw: seen.append(("update", bundle)))

    display.display = shown
    monkeypatch.setitem(sys.modules, "IPython", whole)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    return seen


def test_a_notebook_gets_one_bar_that_is_drawn_anew(notebook, monkeypatch, capsys):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with progress_bar("learning <a>", 100, 20, True) as show:
        for step in range(21, 101):
            now[0] += 0.125
            show(step, 1.5)
    kinds = [kind for kind, _ in notebook]
    assert kinds[0] == "new" and set(kinds[1:]) == {"update"} and len(kinds) == 41  # every 0.25 s
    assert notebook[0][1]["text/plain"] == "learning <a>: step 20 of 100"
    assert 'value="20" max="100"' in notebook[0][1]["text/html"] and "&lt;a&gt;" in notebook[0][1]["text/html"]
    assert notebook[-1][1]["text/plain"] == "learning <a>: step 100 of 100, loss 1.5, 0:10"
    middle = notebook[len(notebook) // 2][1]["text/plain"]
    step, left = int(middle.split()[3]), int(middle.split()[-2].removeprefix("0:"))
    assert left == pytest.approx(0.125 * (100 - step), abs=0.51)
    assert capsys.readouterr().err == ""


def test_what_is_not_wanted_is_not_shown(notebook):
    with progress_bar("learning", 3, 0, False) as show:
        show(1, None)
    with progress_bar("learning", 3, 3, True) as show:
        show(3, None)
    assert notebook == []


def test_elsewhere_there_are_lines(monkeypatch, capsys):
    whole = ModuleType("IPython")
    whole.get_ipython = lambda: SimpleNamespace()  # IPython on a terminal has no kernel
    monkeypatch.setitem(sys.modules, "IPython", whole)
    assert not in_notebook()
    with progress_bar("learning", 20, 0, True) as show:
        for step in range(1, 21):
            show(step, None)
    assert capsys.readouterr().err.splitlines()[:2] == ["learning: step 2 of 20", "learning: step 4 of 20"]


def test_long_times_have_hours():
    assert [progress._clock(seconds) for seconds in (0.4, 59.6, 3600, 7325)] == ["0:00", "1:00", "1:00:00", "2:02:05"]
