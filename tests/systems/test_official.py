"""Our loop beside official ones: every input of every step and the codes, as the official code made them.

What theirs did stands in ``recorded/``, written by ``benchmarks/parity/NAME.py FOLDER --record``, which also compares
with a checkout that is there. Both sides ask one small random network and draw by the same numbers.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import pytest

PARITY = Path(__file__).parents[2] / "benchmarks" / "parity"
RECORDED = Path(__file__).parent / "recorded"
NAMES = sorted(path.stem for path in PARITY.glob("*.py") if "\nCASES" in path.read_text(encoding="utf-8"))  # loops


@pytest.fixture(scope="module")
def beside(request):
    """The module of a comparison, found as a command finds it."""
    sys.path.insert(0, str(PARITY))
    yield importlib.import_module
    sys.path.remove(str(PARITY))
    for name in [*NAMES, "common"]:
        sys.modules.pop(name, None)


def test_each_comparison_has_its_numbers():
    assert sorted(path.stem for path in RECORDED.glob("*.json")) == NAMES and len(NAMES) >= 8


@pytest.mark.parametrize("name", NAMES)
def test_every_step_is_equal(name, beside):
    module, recorded = beside(name), json.loads((RECORDED / f"{name}.json").read_text(encoding="utf-8"))
    assert set(recorded) == set(module.CASES)
    for case, options in module.CASES.items():
        found, expected = module.ours(**options), recorded[case]
        for step, (one, two) in enumerate(zip(found["inputs"], expected["inputs"], strict=True)):
            assert one == two, f"{name} {case}: the input of step {step} is another"
        assert found["codes"] == expected["codes"], f"{name} {case}"


@pytest.mark.parametrize("name", NAMES)
def test_without_a_checkout_a_comparison_says_so(name, beside, tmp_path):
    module = beside(name)
    for options in module.CASES.values():
        with pytest.raises(
            SystemExit, match=r"^skipped: .* is not there; give the folder of the (official )?checkout$"
        ):
            module.theirs(tmp_path, **options)
