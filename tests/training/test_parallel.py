"""Two processes are one: the same losses, the same run after any stop, no sample left out or seen twice.

The processes are real ones, started by torchrun, talking by Gloo.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training import worker, worlds
from tokenmask.models import MaskedModel
from tokenmask.processes import Processes
from tokenmask.tensor_files import load_tensors
from tokenmask.training import Training
from tokenmask.training.sharded import newest
from tokenmask.training.trainer import merge

ROOT = Path(__file__).parents[2]
RTOL = 5e-6  # float32: sums over 40 terms in another order, over 12 steps
REDUCTIONS = ("per_token", "per_slot", "per_row", "per_row_slot", "per_sample_mean", "bits")

# Batches of 5 rows are shared as 2 and 3; in step 2 the second process has no target, in step 3 none has.
SAME = [
    {"name": name, "steps": 5, "batch_size": 5, "objective": {"reduction": name}, "masker": "unequal"}
    for name in REDUCTIONS
]
SAME += [
    {"name": "elbo", "steps": 5, "objective": {"weight": "elbo", "reduction": "per_slot", "scope": "hidden"}},
    {"name": "smooth", "steps": 5, "objective": {"scope": "valid", "label_smoothing": 0.1}, "masker": "batch"},
    {"name": "one-row", "steps": 5, "batch_positions": 16},  # the second process has no row
    {"name": "one-row-shards", "steps": 5, "batch_positions": 16, "training": {"sharding": "full"}},
    {"name": "shards", "steps": 5, "batch_size": 5, "masker": "unequal", "training": {"sharding": "full"}},
    {"name": "kept", "steps": 5, "procedure": True, "training": {"ema": 0.5}},
    {"name": "kept-shards", "steps": 5, "procedure": True, "training": {"sharding": "full", "ema": 0.5}},
    {"name": "muon", "steps": 5, "training": {"muon": True}},
    {"name": "parts", "steps": 5, "batch_size": 5, "masker": "unequal", "training": {"accumulate": 2}},
    {"name": "parts-shards", "steps": 5, "batch_size": 5, "training": {"accumulate": 5, "sharding": "full"}},
    {"name": "joined", "steps": 5, "batch_size": 5, "masker": "unequal", "training": {"records": "joined"}},
    {"name": "joined-shards", "steps": 5, "batch_size": 5, "training": {"records": "joined", "sharding": "full"}},
    {"name": "muon-shards", "steps": 5, "training": {"muon": True, "sharding": "full"}, "model": True},
]
WHOLE = {"name": "whole", "steps": 12}
SHARDS = {"steps": 12, "training": {"sharding": "full"}}
PARTS = {"steps": 12, "training": {"sharding": "full", "checkpoints": "sharded"}}


def launch(
    folder: Path, name: str, jobs: list[dict[str, Any]], count: int = 2, *more: str
) -> subprocess.CompletedProcess[str]:
    """Runs jobs in some processes, with further options of torchrun."""
    (folder / f"{name}.json").write_text(json.dumps(jobs))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count), *more]
    command += ["-m", "tests.training.worker", str(folder), name]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240)


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(folder of trainings in one process, folder of the same in two)."""
    alone, two = tmp_path_factory.mktemp("alone"), tmp_path_factory.mktemp("two")
    for folder in (alone, two):
        worlds.write_corpus(folder / "corpus")
    for job in [*SAME, WHOLE]:
        worker.run(alone, job, Processes())
    worker.run(two, {**WHOLE, "name": "one-then-two", "until": 5}, Processes())
    jobs = [*SAME, WHOLE, {**WHOLE, "name": "one-then-two"}]
    for name, job in (("again", WHOLE), ("shards-again", SHARDS)):  # the same processes stop and go on
        jobs += [{**job, "name": name, "until": 5}, {**job, "name": name}]
    jobs += [{**SHARDS, "name": "shards-whole"}, {**WHOLE, "name": "two-then-one", "until": 5}]
    jobs += [{**SHARDS, "name": "shards-then-one", "until": 5}]
    jobs += [{**PARTS, "name": name, "until": 5} for name in ("parts-again", "parts-then-one")]
    jobs += [{**PARTS, "name": "parts-again"}]
    shards = {"sharding": "full", "precision": "bfloat16"}
    jobs += [{"name": "bits-32", "steps": 4, "training": shards}]
    jobs += [{"name": "bits-16", "steps": 4, "training": {**shards, "gathered": "bfloat16"}}]
    done = launch(two, "jobs", jobs)
    assert not done.returncode, done.stderr
    for name in ("two-then-one", "shards-then-one", "parts-then-one"):
        worker.run(two, {**WHOLE, "name": name}, Processes())
    return alone, two


def metrics(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def assert_same_training(ours: Path, expected: Path) -> None:
    """Equal metrics up to rounding, and checkpoints of one form at one place in the data."""
    mine, other = metrics(ours), metrics(expected)
    assert len(mine) == len(other)
    for step, (one, two) in enumerate(zip(mine, other, strict=True)):
        assert one == pytest.approx(two, rel=RTOL, abs=1e-7), f"step {step}"
    (tensors, about), (theirs, their) = (load_tensors(folder / "checkpoint.safetensors") for folder in (ours, expected))
    assert about["task"] == their["task"] and about["step"] == their["step"]
    assert {name: value.shape for name, value in tensors.items()} == {name: v.shape for name, v in theirs.items()}
    for name, value in theirs.items():
        # AdamW divides by the size of the gradient, so where that is rounding only, an update may be anything up to lr.
        assert torch.allclose(tensors[name], value, atol=1e-3 * float(value.abs().max()) + 1e-6), name


@pytest.mark.parametrize("name", [job["name"] for job in [*SAME, WHOLE]])
def test_two_processes_have_the_losses_of_one(places, name):
    alone, two = places
    assert_same_training(two / name, alone / name)


@pytest.mark.parametrize("name", ["one-then-two", "two-then-one", "shards-then-one", "shards-whole", "parts-then-one"])
def test_the_number_of_processes_and_the_sharding_may_change_at_a_resume(places, name):
    alone, two = places
    assert_same_training(two / name, alone / "whole")


@pytest.mark.parametrize(("cut", "whole"), [("again", "whole"), ("shards-again", "shards-whole")])
def test_two_processes_resume_bit_for_bit(places, cut, whole):
    _, two = places
    assert worlds.files(two / cut) == worlds.files(two / whole)


def test_a_checkpoint_in_parts_resumes_bit_for_bit(places):
    _, two = places
    expected, about = load_tensors(two / "shards-whole" / "checkpoint.safetensors")
    _, tensors, said = newest(two / "parts-again")
    assert said["task"] == about["task"] and len(said["files"]) == 2
    assert {f"task.{name}" for name in tensors} == set(expected)
    assert all(torch.equal(value, expected[f"task.{name}"]) for name, value in tensors.items())
    assert (two / "parts-again/metrics.jsonl").read_bytes() == (two / "shards-whole/metrics.jsonl").read_bytes()


def test_weights_gathered_in_bfloat16_are_held_in_float32_and_give_its_losses_nearly(places):
    _, two = places
    ours, expected = metrics(two / "bits-16"), metrics(two / "bits-32")
    for step, (one, other) in enumerate(zip(ours, expected, strict=True)):
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-3), step  # norms are of bfloat16 there
    assert ours != expected
    tensors, _ = load_tensors(two / "bits-16" / "checkpoint.safetensors")
    assert {value.dtype for value in tensors.values()} == {torch.float32}
    refused = "gathered bfloat16 is of shards whose products are of bfloat16, got training.sharding full and precision"
    with pytest.raises(ValueError, match=refused):
        Training(gathered="bfloat16", sharding="full")


def test_every_sample_is_seen_once_by_one_process(places):
    alone, two = places
    for job in [*SAME, WHOLE]:
        expected = json.loads((alone / job["name"] / "seen.0.json").read_text())
        shares = [json.loads((two / job["name"] / f"seen.{rank}.json").read_text()) for rank in range(2)]
        assert {step: shares[0][step] + shares[1][step] for step in expected} == expected
        everything = [sample for samples in expected.values() for sample in samples]
        assert len(set(everything)) == len(everything) > 0
    counts = [len(samples) for samples in json.loads((two / "one-row" / "seen.1.json").read_text()).values()]
    sizes = [len(samples) for samples in json.loads((two / "per_token" / "seen.1.json").read_text()).values()]
    assert set(counts) == {1} and set(sizes) == {3}  # the last process has the larger share


def test_the_sharded_model_is_saved_whole(places):
    alone, two = places
    ours, expected = (MaskedModel.load(folder / "muon-shards" / "model.safetensors") for folder in (two, alone))
    for (name, value), other in zip(ours.state_dict().items(), expected.state_dict().values(), strict=True):
        torch.testing.assert_close(value, other, rtol=1e-3, atol=1e-5, msg=name)


def test_a_killed_and_a_stopped_process_leave_a_run_that_goes_on(places):
    _, two = places
    killed = launch(two, "kill", [{**WHOLE, "name": "killed", "kill_at": 6}])
    assert killed.returncode and "SIGKILL" in killed.stderr
    assert load_tensors(two / "killed" / "checkpoint.safetensors")[1]["step"] == 4
    stopped = launch(two, "stop", [{**SHARDS, "name": "stopped", "stop_at": 6}])
    assert "fitting stopped after 7 of 12 steps" in stopped.stderr and "to go on" in stopped.stderr
    assert load_tensors(two / "stopped" / "checkpoint.safetensors")[1]["step"] == 7
    done = launch(two, "go-on", [{**WHOLE, "name": "killed"}, {**SHARDS, "name": "stopped"}])
    assert not done.returncode, done.stderr
    assert worlds.files(two / "killed") == worlds.files(two / "whole")
    assert worlds.files(two / "stopped") == worlds.files(two / "shards-whole")


def test_more_processes_than_records_are_refused(places):
    with pytest.raises(ValueError, match="at least the number of processes, which share it, got 2 for 3"):
        worlds.make_trainer(places[0] / "corpus", batch_size=2, processes=Processes(0, 3))


@pytest.mark.parametrize("count", [0, 1, 2, 5, 8, 9])
@pytest.mark.parametrize("size", [1, 2, 3, 8])
def test_shares_are_contiguous_and_even(count, size):
    shares = [range(count)[Processes(rank, size).share(count)] for rank in range(size)]
    assert [row for share in shares for row in share] == list(range(count))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_parts_of_shares_are_merged_by_their_counts():
    shares = [(2.0, {"a/nats": 1.0, "a/count": 1.0, "x": 1.0}), (6.0, {"a/nats": 3.0, "a/count": 3.0, "x": 5.0})]
    shares.append((0.0, {"b/nats": 7.0, "b/count": 2.0}))
    assert merge(shares) == {"a/nats": 2.5, "a/count": 4.0, "x": 4.0, "b/nats": 7.0, "b/count": 2.0}
