"""Spark and Dask map the same function, as docs/engines.md has it; each is skipped where it is not installed."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.corpus.engines import check_mapped
from tests.worlds import tokenizers
from tokenmask.corpus import TableEncoder


@pytest.fixture(autouse=True)
def _global_random_states_are_untouched() -> None:
    """Not here: Spark's and Dask's own code draws from them."""


@pytest.fixture
def spark(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    pytest.importorskip("pyspark", reason="pyspark is not installed (pip install pyspark)")
    if shutil.which("java") is None:
        pytest.skip("Spark needs a Java machine, and java is not on the path")
    from pyspark.sql import SparkSession

    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    monkeypatch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
    options = {"spark.ui.enabled": "false", "spark.sql.execution.arrow.maxRecordsPerBatch": "16"}
    session = SparkSession.builder.master("local[1]").config(map=options).getOrCreate()
    yield session
    session.stop()


@pytest.mark.slow
def test_spark_maps_it(spark: Any, tmp_path: Path) -> None:
    from pyspark.sql.pandas.types import from_arrow_schema

    def mapped(encode: TableEncoder, table: pa.Table) -> list[pa.Table]:
        items = spark.createDataFrame(table).coalesce(2)
        made = items.mapInArrow(encode.batches, from_arrow_schema(encode.schema))
        return [made.toArrow()]

    check_mapped(mapped, tokenizers()["text"], tmp_path)


def test_dask_maps_it(tmp_path: Path) -> None:
    dask = pytest.importorskip("dask", reason="dask is not installed (make ray)")

    def mapped(encode: TableEncoder, table: pa.Table) -> list[pa.Table]:
        parts = [dask.delayed(encode)(table.slice(start, 9)) for start in range(0, len(table), 9)]
        return list(dask.compute(*parts, scheduler="threads"))

    check_mapped(mapped, tokenizers()["text"], tmp_path)
