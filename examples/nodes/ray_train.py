"""tokenmask train on Ray Train: ``python examples/nodes/ray_train.py --workers 16 --gpu -- captions --out ...``

What stands after ``--`` is what stands after ``tokenmask train``. Ray starts the processes and connects them; where a
worker or a node is lost all are started again, and go on from the last checkpoint. All machines see the run folder.
"""

from __future__ import annotations

import argparse
from typing import Any


def loop(config: dict[str, Any]) -> None:
    """What each worker runs; Ray has made the process group."""
    import os

    import torch
    from ray.train.torch import get_device

    from tokenmask.cli import main

    os.chdir(config["folder"])
    if get_device().type == "cuda":
        torch.cuda.set_device(get_device())
    code = main(["train", *config["words"]])
    if code:
        raise RuntimeError(
            f"tokenmask train must end with 0, got {code}; its sentence stands in the log of this worker"
        )


def start(words: list[str], workers: int, gpu: bool, failures: int = 3) -> None:
    """Runs the training, and returns when it is done.

    Args:
        words: arguments of ``tokenmask train``.
        workers: processes.
        gpu: whether each has a GPU.
        failures: times that it is started again after a worker or node was lost.
    """
    import os

    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    trainer = TorchTrainer(
        loop,
        train_loop_config={"words": words, "folder": os.getcwd()},
        scaling_config=ScalingConfig(num_workers=workers, use_gpu=gpu),
        run_config=RunConfig(failure_config=FailureConfig(max_failures=failures)),
    )
    trainer.fit()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="tokenmask train on Ray Train")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--gpu", action="store_true")
    parser.add_argument("words", nargs="+", help="after --: what stands after `tokenmask train`")
    asked = parser.parse_args()
    start(asked.words, asked.workers, asked.gpu)
