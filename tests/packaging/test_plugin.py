"""examples/plugin: what it brings is found, named, saved and reopened; its modality, order and metric in values."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.packaging.trained import DUS, trained
from tests.sampling.test_values import Table, trace
from tokenmask.evaluation import evaluate
from tokenmask.sampling import Categorical, Sampler
from tokenmask.streams import StreamSpec, TokenStream
from tokenmask.testing import check_component, check_schedule

HERE = Path(__file__).parent
PLUGIN = HERE.parents[1] / "examples" / "plugin"


def test_a_modality_of_another_package_takes_part(site, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(site)}
    called = [sys.executable, str(HERE / "plugin_job.py"), str(tmp_path)]
    result = subprocess.run(called, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0 and result.stdout.endswith("done\n"), result.stdout + result.stderr


def test_a_modality_is_a_folder_of_four_small_files():
    files = sorted((PLUGIN / "src/tokenmask_example/dna").glob("*.py"))
    assert [file.name for file in files] == ["__init__.py", "media.py", "tokenizer.py", "view.py"]
    assert sum(len(file.read_text().splitlines()) for file in files) <= 175


def test_every_component_keeps_its_contract(installed):
    from tokenmask_example.dilated import Dilated
    from tokenmask_example.gidd import Ancestral, GiddBound, Hybrid
    from tokenmask_example.pairs import PairDivergence
    from tokenmask_example.running_confidence import FillAll, Remask, RunningConfidence
    from tokenmask_example.uncage import ContrastiveAttention

    parts = [Hybrid(), Hybrid(0.0), Hybrid(0.5, gamma=2.0), Ancestral(Hybrid(0.2)), PairDivergence(), FillAll()]
    parts += [GiddBound(weights) for weights in ("elbo", "clip", "dynamic")]
    parts += [Remask(), RunningConfidence(), RunningConfidence("entropy"), RunningConfidence("margin")]
    parts += [Dilated(), ContrastiveAttention(((0, 1), (2,))), ContrastiveAttention(((0,),), blur=0.0)]
    for part in parts:
        assert len(check_component(part)) >= 8
    assert check_schedule(Dilated(8)) and check_schedule(Dilated(7, base=3))


def published_levels(length: int, base: int, skip: int = 1) -> list[list[int]]:
    """The rule as its authors state it: multiples of a falling stride, what is left, the small last level merged."""
    stride, found, levels = length // base**skip, set(), []
    while stride >= 1:
        level = [place for place in range(length) if place % stride == 0 and place not in found]
        levels += [level] if level else []
        found |= set(level)
        stride //= base
    if rest := [place for place in range(length) if place not in found]:
        levels.append(rest)
    if len(levels) > 1 and len(levels[-1]) < len(levels[-2]):
        levels[-2:] = [sorted(levels[-2] + levels[-1])]
    return levels


def test_dilated_levels(installed):
    from tokenmask_example.dilated import Dilated

    assert Dilated(8).levels() == [0, 2, 1, 2, 0, 2, 1, 2]
    assert Dilated(32).plan(32, 1) == [30, 28, 24, 16, 0]  # 2, 2, 4, 8, 16 at once: log2(32) calls
    assert Dilated(4).plan(6, 9) == [4, 2, 1, 0]  # a block of 2 + 2, then the first half of one
    assert Dilated(8).steps(0, 5) == 1 and Dilated(8).plan(0, 5) == [0]
    for block in range(1, 129):
        for base in (2, 3, 4):
            levels = Dilated(block, base).levels()
            places = [[n for n in range(block) if levels[n] == level] for level in range(max(levels) + 1)]
            assert places == published_levels(block, base), (block, base)


def test_dilated_order_reveals_level_by_level(installed):
    from tokenmask_example.dilated import Dilated

    dus = Sampler(99, order=Dilated(4), schedule=Dilated(4), pick=Categorical(0.0))
    steps = trace(dus, Table(torch.full((6, 4), 0.25)), slots=6)
    assert [[n for n, code in enumerate(row) if code >= 0] for row in steps] == [
        [0, 2],
        [0, 1, 2, 3],
        [0, 1, 2, 3, 4],
        [0, 1, 2, 3, 4, 5],
    ]


def test_dilated_is_named_trained_saved_and_reopened(installed, corpus, tmp_path):
    from tokenmask_example.dilated import Dilated

    run = trained(tmp_path, corpus, DUS, steps=4)
    assert run.recipe.sampler.order == run.recipe.sampler.schedule == Dilated(8)
    text = (tmp_path / "run/recipe.yaml").read_text()
    assert text.count("class_path: tokenmask_example.dilated.Dilated") == 2
    lines = (PLUGIN / "src/tokenmask_example/dilated.py").read_text().splitlines()
    assert len(lines) <= 40


def test_divergence_by_hand(installed):
    from tokenmask_example.pairs import divergence, pairs

    spec = StreamSpec("text", (4,), ("index",))
    one, two = (pairs(TokenStream(spec, torch.tensor(codes)[:, None].int())) for codes in ([0, 1, 0, 1, 2], [0, 1, 3]))
    assert one == {(0, 1): 2, (1, 0): 1, (1, 2): 1} and two == {(0, 1): 1, (1, 3): 1}
    assert pairs(_stream(spec, [])) == pairs(_stream(spec, [2])) == {}
    assert divergence([one], [one, one]) == 0 and divergence([one], [pairs(_stream(spec, [3, 3]))]) == 1
    # p = 1/2, 1/4, 1/4; q = 1/2, 1/2; H of the middle = 1/2 + 2 * 3/8 + 1/2; less (1.5 + 1) / 2
    assert divergence([one], [two]) == pytest.approx(1.75 - 1.25)


def _stream(spec, codes):
    return TokenStream(spec, torch.tensor(codes)[:, None].int())


def test_a_metric_is_found_by_its_entry_point(installed, corpus, tmp_path):
    run = trained(tmp_path, corpus, DUS, steps=2)
    figures = {figure.name: figure for figure in evaluate(run, samples=4, draws=1).streams[0].figures}
    found = figures["divergence of neighbouring codes of text"]
    assert 0 < found.value <= 1 and found.count == 4 and "training streams" in found.beside
