"""The Python of docs/engines.md; its other forms are those of tests/corpus/test_spark.py and test_ray.py."""

import re
from pathlib import Path

import pytest

from tests.worlds import tokenizers
from tokenmask.corpus import Corpus

PAGE = Path(__file__).parents[2] / "docs/engines.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)


def test_the_function_and_dask_make_corpora(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tokenizers()["text"].save("tokenizers/text")
    names: dict[str, object] = {}
    exec(BLOCKS[0], names)
    assert names["summary"].written == 2 and [record.key for record in Corpus("corpora/words")] == ["a", "b"]
    pytest.importorskip("dask", reason="dask is not installed (make ray)")
    exec(BLOCKS[2], names)
    assert names["summary"].skipped == 2


def test_every_block_can_be_compiled() -> None:
    assert len(BLOCKS) == 4
    for block in BLOCKS:
        compile(block, str(PAGE), "exec")
