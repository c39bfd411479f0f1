"""A real cluster of Ray with two nodes on this machine: the corpus of one process, whatever is killed."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.corpus.engines import SHARDS, check, check_mapped, words
from tests.worlds import tokenizers
from tokenmask.corpus import Corpus, Item, RayCluster, TableEncoder, build_corpus
from tokenmask.tokenizer import Tokenizer

ray = pytest.importorskip("ray", reason="ray is not installed (make ray)")


@pytest.fixture(autouse=True)
def _global_random_states_are_untouched() -> None:
    """Not here: Ray itself draws its ids from them."""


@pytest.fixture(scope="module")
def text() -> Tokenizer:
    return tokenizers()["text"]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head and a node of one CPU each."""
    from ray.cluster_utils import Cluster

    running = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    running.add_node(num_cpus=1)
    yield running
    ray.shutdown()
    running.shutdown()


def test_a_cluster_makes_the_corpus_of_one_process(cluster: Any, text: Tokenizer, tmp_path: Path) -> None:
    check(RayCluster(cluster.address), text, tmp_path)


def test_a_cluster_that_does_not_answer_is_told_and_ends_no_process(text: Tokenizer, tmp_path: Path) -> None:
    for address in ("127.0.0.1:1", "ray://127.0.0.1:1"):
        with pytest.raises(ValueError, match=f"a cluster of Ray must answer at {address}, but did not .*refused"):
            build_corpus(words(3), {"text": text}, tmp_path, engine=f"ray:{address}", progress=False)


def test_a_node_that_is_killed_costs_nothing(cluster: Any, text: Tokenizer, tmp_path: Path) -> None:
    things = words(150)
    build_corpus(things, {"text": text}, tmp_path / "local", progress=False, **SHARDS)
    lost: list[str] = []

    def losing() -> Iterator[Item]:
        for number, item in enumerate(things):
            if number == 100:
                victim = next(iter(cluster.worker_nodes))
                cluster.remove_node(victim, allow_graceful=False)
                lost.append(victim.node_id)
            if number == 140:
                cluster.add_node(num_cpus=1)
            yield item

    engine = RayCluster(cluster.address, workers=2)
    summary = build_corpus(losing(), {"text": text}, tmp_path / "own", engine=engine, progress=False, **SHARDS)
    assert len(lost) == 1 and (summary.written, summary.failed) == (150, [])
    assert list(Corpus(tmp_path / "own")) == list(Corpus(tmp_path / "local"))


def test_ray_data_maps_the_same_function(cluster: Any, text: Tokenizer, tmp_path: Path) -> None:
    def mapped(encode: TableEncoder, table: pa.Table) -> list[pa.Table]:
        context = ray.data.DataContext.get_current()
        context.execution_options.preserve_order = True
        context.enable_progress_bars = False
        made = ray.data.from_arrow(table).repartition(4).map_batches(encode, batch_format="pyarrow", batch_size=8)
        return list(made.iter_batches(batch_format="pyarrow", batch_size=None))

    ray.init(address=cluster.address, log_to_driver=False)
    check_mapped(mapped, text, tmp_path)
    ray.shutdown()


def test_a_second_cluster_is_refused(cluster: Any, text: Tokenizer, tmp_path: Path) -> None:
    ray.init(address=cluster.address, log_to_driver=False)
    with pytest.raises(ValueError, match="is connected to a cluster of Ray already, got the address 'auto' besides"):
        build_corpus(words(3), {"text": text}, tmp_path, engine="ray:auto", progress=False)
    ray.shutdown()


@pytest.mark.slow
def test_a_head_that_is_killed_leaves_whole_shards_from_which_another_build_goes_on(
    text: Tokenizer, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "tests.corpus.ray_head", str(tmp_path)]
    patience = os.environ | {"RAY_gcs_rpc_server_reconnect_timeout_s": "5"}  # Ray's own is a minute
    root = Path(__file__).parents[2]
    done = subprocess.run(command, cwd=root, env=patience, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode, done.stdout
    kept = len(Corpus(tmp_path)) if any(tmp_path.glob("*.parquet")) else 0
    assert 20 <= kept < 150
    summary = build_corpus(words(150), {"text": text}, tmp_path, progress=False, **SHARDS)
    assert (summary.written, summary.skipped, summary.failed) == (150 - kept, kept, [])
    assert [record.key for record in Corpus(tmp_path)] == [item.key for item in words(150)]
