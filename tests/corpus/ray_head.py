"""``python -m tests.corpus.ray_head FOLDER``: builds a corpus on a cluster of Ray whose head is killed on the way."""

import sys
from collections.abc import Iterator
from pathlib import Path

from tests.corpus.engines import SHARDS, words
from tests.worlds import tokenizers
from tokenmask.corpus import Item, RayCluster, build_corpus


def main(folder: Path) -> None:
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})

    def losing() -> Iterator[Item]:
        for number, item in enumerate(words(150)):
            if number == 100:
                cluster.head_node.kill_all_processes(check_alive=False, allow_graceful=False)
            yield item

    engine = RayCluster(cluster.address, workers=1)
    build_corpus(losing(), {"text": tokenizers()["text"]}, folder, engine=engine, progress=False, **SHARDS)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
