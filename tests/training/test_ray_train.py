"""examples/nodes/ray_train.py on a real Ray of this machine: two workers train the run of one."""

import importlib.util
from pathlib import Path

import pytest

from tests.training.test_parallel import metrics
from tests.worlds import tokenizers
from tokenmask import data
from tokenmask.cli import main
from tokenmask.corpus import Item, build_corpus
from tokenmask.modalities.text import Text

ray = pytest.importorskip("ray", reason="ray is not installed (make ray)")
SCRIPT = Path(__file__).parents[2] / "examples/nodes/ray_train.py"


@pytest.fixture(autouse=True)
def _global_random_states_are_untouched() -> None:
    """Not here: Ray itself draws its ids from them."""


@pytest.mark.slow
def test_two_workers_of_ray_train_the_run_of_one_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray.train.torch", reason="ray.train is not installed (make ray)", exc_type=ImportError)
    spec = importlib.util.spec_from_file_location("ray_train", SCRIPT)
    assert spec is not None and spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    monkeypatch.chdir(tmp_path)
    text = tokenizers()["text"]
    text.save("text")
    verses = [Item(f"{number}", {"text": Text(verse)}) for number, verse in enumerate(data.gospel_verses()[:100])]
    build_corpus(verses, {"text": text}, "corpus", progress=False)
    words = ["llada", "--tiny", "--corpus", "corpus", "--tokenizer", "text=text", "--set", "training.steps=5"]
    assert main(["train", *words, "--out", "one"]) == 0
    ray.init(num_cpus=3, include_dashboard=False, log_to_driver=False)
    try:
        script.start([*words, "--out", "two"], workers=2, gpu=False, failures=0)
    finally:
        ray.shutdown()
    one, two = metrics(tmp_path / "one"), metrics(tmp_path / "two")
    assert len(one) == len(two) == 5
    for step, (expected, found) in enumerate(zip(one, two, strict=True)):
        assert found == pytest.approx(expected, rel=2e-5), step
