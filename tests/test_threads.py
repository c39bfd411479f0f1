"""A busy machine: fewer threads where the number changes nothing, sleeping ones where it must stay; then as before."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from tests.training.worlds import make_trainer, write_corpus
from tokenmask import threads
from tokenmask.fitting import fit
from tokenmask.modalities import learned
from tokenmask.modalities.image import Image, ImageTokenizer, ImageTokenizerConfig
from tokenmask.modalities.image.fit import image_fitting
from tokenmask.run import load
from tokenmask.threads import (
    SETTINGS,
    WAITS,
    all_threads,
    busy_elsewhere,
    free_cores,
    look_again,
    one_thread,
    steady_threads,
    usable_cores,
)
from tokenmask.training import trainer

LINUX = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="counts threads in /proc")

# CPU milliseconds of 40 short parallel regions, each followed by a pause in which a spinning thread spins.
SPIN = """
import time, torch
torch.set_num_threads(2)
values = torch.ones(1 << 20)
def milliseconds():
    values.sum()
    started = time.process_time()
    for _ in range(40):
        values.sum()
        time.sleep(0.02)
    return 1e3 * (time.process_time() - started)
from tokenmask import threads
threads.busy_elsewhere = lambda: 1000
before = milliseconds()
with threads.steady_threads():
    within = milliseconds()
time.sleep(0.3)
print(before, within, milliseconds())
"""


def spun(**settings: str) -> list[float]:
    """CPU milliseconds before, within and after, on a machine that seems busy, with torch imported first."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    made = subprocess.run(
        [sys.executable, "-c", SPIN], env=plain | settings, capture_output=True, text=True, check=True
    )
    return [float(number) for number in made.stdout.split()]


def alive() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


def wait_for(count: int) -> int:
    """The number of threads of this process, once it is ``count`` or ten seconds have passed."""
    end = time.monotonic() + 10
    while alive() != count and time.monotonic() < end:
        time.sleep(0.01)
    return alive()


class Machine:
    """Two cores, and as many busy threads of others as a test says."""

    busy = 0


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch):
    """Two threads, as torch chooses, whose team stands; nothing said about them, and every look counts."""
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(threads, "busy_elsewhere", lambda: machine.busy)
    monkeypatch.setattr(threads, "usable_cores", lambda: 2)
    monkeypatch.setattr(threads, "EVERY_SECONDS", 0.0)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    machine, before = Machine(), torch.get_num_threads()
    threads._LOOKS.clear()
    torch.set_num_threads(2)
    torch.ones(1 << 20).sum()
    yield machine
    torch.set_num_threads(before)
    threads._LOOKS.clear()


def drawn(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def looks(count: int) -> int:
    for _ in range(count):
        look_again()
    return torch.get_num_threads()


# The number ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("busy", "within"), [(0, 2), (1, 1), (2, 1), (50, 1)])
def test_there_are_as_many_threads_as_free_cores_and_then_as_before(machine, busy: int, within: int) -> None:
    machine.busy = busy
    with free_cores():
        assert torch.get_num_threads() == within
        with free_cores():
            assert torch.get_num_threads() == within
        assert torch.get_num_threads() == within
    assert torch.get_num_threads() == 2
    with pytest.raises(RuntimeError, match="halfway"), free_cores():
        raise RuntimeError("halfway")
    assert torch.get_num_threads() == 2


def test_a_machine_that_gets_busy_and_idle_is_followed_after_some_looks(machine) -> None:
    with free_cores():
        machine.busy = 1
        assert looks(1) == 2 and looks(1) == 1
        machine.busy = 0
        assert looks(4) == 1 and looks(1) == 2
    machine.busy = 1
    assert looks(5) == 2  # outside


def test_short_work_sees_what_has_changed_since_the_last_time(machine) -> None:
    with free_cores():
        assert torch.get_num_threads() == 2
    machine.busy = 1
    for _ in range(2):
        with free_cores():
            assert torch.get_num_threads() == 1
    machine.busy = 0
    for _ in range(2):  # a single look at idle cores, or two, among busy ones does not count
        with free_cores():
            assert torch.get_num_threads() == 1
    with free_cores():
        assert torch.get_num_threads() == 2


def test_the_users_number_and_settings_are_respected(machine, monkeypatch) -> None:
    machine.busy = 1
    for name in SETTINGS:
        with monkeypatch.context() as said:
            said.setenv(name, "2")
            with free_cores():
                assert torch.get_num_threads() == 2
    torch.set_num_threads(3)
    with free_cores():
        assert looks(3) == 3
    torch.set_num_threads(2)
    with free_cores():
        assert torch.get_num_threads() == 1
        torch.set_num_threads(3)
        assert looks(3) == 3
    assert torch.get_num_threads() == 3


def test_generation_has_the_number_and_the_same_codes(machine) -> None:
    run, seen = load(), []

    def codes() -> torch.Tensor:
        options = {"given": {"text": "seven"}, "duration_seconds": 0.2, "steps": 3, "seed": 5}
        return run.generate_tokens("audio", **options)[0].codes

    hooks = [
        m.register_forward_pre_hook(lambda *_: seen.append(torch.get_num_threads()))
        for m in run.models["main"].modules()
    ]
    idle = codes()
    assert set(seen) == {2}
    seen.clear()
    machine.busy = 1
    threads._LOOKS.clear()
    assert torch.equal(codes(), idle) and set(seen) == {1}
    assert torch.get_num_threads() == 2
    for one in hooks:
        one.remove()


# One ------------------------------------------------------------------------------------------------------------------


def test_one_thread_is_one_whatever_the_machine_does_and_the_others_come_back(machine) -> None:
    for machine.busy in (0, 1):
        with one_thread():
            assert torch.get_num_threads() == 1
            with all_threads():
                assert torch.get_num_threads() == 2
            with one_thread(), free_cores():
                assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
    with all_threads():
        assert torch.get_num_threads() == 2
    with pytest.raises(RuntimeError, match="halfway"), one_thread(), all_threads():
        raise RuntimeError("halfway")
    assert torch.get_num_threads() == 2


def test_one_thread_leaves_the_users_number_alone(machine, monkeypatch) -> None:
    torch.set_num_threads(3)
    with one_thread(), all_threads():
        assert torch.get_num_threads() == 3
    torch.set_num_threads(2)
    with one_thread():
        torch.set_num_threads(3)
    assert torch.get_num_threads() == 3
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    torch.set_num_threads(2)
    with one_thread():
        assert torch.get_num_threads() == 2


def test_small_tokenizers_are_fitted_by_one_thread_and_large_ones_by_all(machine, monkeypatch) -> None:
    """So weights do not depend on the number of cores, or on what else the machine does."""
    pictures = [Image(torch.randint(0, 256, (32, 32, 3), dtype=torch.uint8, generator=drawn(i))) for i in range(4)]
    seen: set[int] = set()
    step = learned.CodecFitting.step

    def noted(task: learned.CodecFitting, index: int) -> dict[str, float]:
        seen.add(torch.get_num_threads())
        return step(task, index)

    def weights() -> str:
        seen.clear()
        return ImageTokenizer.fit(pictures, steps=2, batch_size=4, progress=False).spec.fingerprint

    monkeypatch.setattr(learned.CodecFitting, "step", noted)
    two = weights()
    assert seen == {1} and torch.get_num_threads() == 2
    torch.set_num_threads(1)
    assert weights() == two
    torch.set_num_threads(2)
    monkeypatch.setattr(learned, "FEW_OPERATIONS", 0)
    weights()
    assert seen == {2} and torch.get_num_threads() == 2


def test_small_models_are_trained_by_one_thread_and_large_ones_by_all(machine, monkeypatch, tmp_path) -> None:
    write_corpus(tmp_path / "corpus")
    seen: list[int] = []
    step = trainer.Trainer.step

    def noted(task: trainer.Trainer, index: int) -> dict[str, float]:
        seen.append(torch.get_num_threads())
        return step(task, index)

    monkeypatch.setattr(trainer.Trainer, "step", noted)
    make_trainer(tmp_path / "corpus", 2, 4).fit(progress=False)
    assert seen == [1, 1] and torch.get_num_threads() == 2
    monkeypatch.setattr(trainer, "FEW_OPERATIONS", 0)
    make_trainer(tmp_path / "corpus", 2, 4).fit(progress=False)
    assert seen == [1, 1, 2, 2] and torch.get_num_threads() == 2


def test_operations_of_a_step_are_counted() -> None:
    pictures = [Image(torch.zeros(32, 32, 3, dtype=torch.uint8))] * 4
    config = ImageTokenizerConfig(width=64, blocks=0, latent=16)
    counted = [image_fitting(pictures, config, learned.FitSettings(batch_size=size)).operations() for size in (2, 4)]
    # Encoder: 2 x 2 pixels to 64 channels on 16 x 16 places, again on 8 x 8, then 64 to 16. Decoder: 3 x 3 from 16 to
    # 64, 64 to 256 on 8 x 8, then 3 x 3 to 12 on 16 x 16. Two operations for each product.
    encoder = 256 * 4 * 3 * 64 + 64 * 4 * 64 * 64 + 64 * 64 * 16
    decoder = 64 * 9 * 16 * 64 + 64 * 64 * 256 + 256 * 9 * 64 * 12
    assert counted == [2 * 2 * (encoder + decoder), 4 * 2 * (encoder + decoder)]


# Waiting -------------------------------------------------------------------------------------------------------------


@LINUX
def test_threads_spin_less_within_and_as_before_after_it() -> None:
    before, within, after = spun()
    assert within < before / 2 and within < after / 2


@LINUX
def test_a_user_who_says_how_threads_wait_is_obeyed() -> None:
    before, within, after = spun(GOMP_SPINCOUNT="1000000")
    assert min(before, after) / 2 < within < 2 * max(before, after)


class Seen:
    """A task of :func:`fit` that notes threads of the process and of torch, and fails in its second step."""

    def __init__(self) -> None:
        self.counts: list[tuple[int, int]] = []

    def step(self, index: int) -> dict[str, float]:
        self.counts.append((alive(), torch.get_num_threads()))
        return {"loss": float("nan") if index else 1.0}

    def state(self):
        return {}, {}

    def load_state(self, tensors, about) -> None:
        raise AssertionError("nothing to take back")


def fitted() -> list[tuple[int, int]]:
    task = Seen()
    with pytest.raises(ValueError, match="every metric of fitting must be finite"):
        fit(task, steps=2, progress=False)
    return task.counts


@LINUX
def test_fitting_keeps_the_number_and_has_sleepers_while_the_machine_is_busy(machine, monkeypatch) -> None:
    count = alive()
    assert fitted() == [(count, 2)] * 2
    machine.busy = 1
    threads._LOOKS.clear()
    found = fitted()
    assert len(found) == 2 and all(own >= count + 2 and ours == 2 for own, ours in found)
    assert wait_for(count) == count
    for name in WAITS:
        with monkeypatch.context() as said:
            said.setenv(name, "7")
            assert fitted() == [(count, 2)] * 2
    monkeypatch.setattr(threads, "_libraries", tuple)
    assert fitted() == [(count, 2)] * 2


@LINUX
def test_sleepers_end_with_their_use_in_several_threads_too(machine) -> None:
    machine.busy, count = 1, alive()
    torch.set_num_threads(2)
    others = [threading.Thread(target=steady_threads()(time.sleep), args=(0.05,)) for _ in range(4)]
    for other in others:
        other.start()
    for other in others:
        other.join()
    assert wait_for(count) == count


# The machine ---------------------------------------------------------------------------------------------------------


@LINUX
def test_uses_in_several_threads_share_what_they_see(machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that begins anew while others look: no look is lost under another's hands."""
    stop = time.monotonic() + 1.0

    def use() -> None:
        torch.set_num_threads(2)  # a thread of its own has a number of its own
        while time.monotonic() < stop:
            with free_cores():
                assert threads._HERE.share is not None
                for _ in range(200):
                    look_again()

    def slow() -> int:
        time.sleep(0.001)  # as reading of /proc takes its time
        return 1

    monkeypatch.setattr(threads, "busy_elsewhere", slow)
    monkeypatch.setattr(threads, "STALE_SECONDS", 0.0)  # every use begins anew,
    monkeypatch.setattr(threads, "EVERY_SECONDS", 0.01)  # while others only see how old the last look is
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(use) for _ in range(4)]:
            done.result()


def test_a_busy_process_is_counted_and_own_threads_are_not() -> None:
    done = threading.Event()
    ours = threading.Thread(target=lambda: [None for _ in iter(done.is_set, True)])
    other = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        ours.start()
        time.sleep(0.3)
        assert min(busy_elsewhere() for _ in range(50)) >= 1
    finally:
        other.kill()
        other.wait()
        done.set()
        ours.join()


def test_a_system_that_does_not_tell_is_left_alone(machine, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(threads, "busy_elsewhere", busy_elsewhere)
    monkeypatch.setattr(threads, "_STAT", tmp_path / "none")
    assert busy_elsewhere() is None
    with free_cores():
        assert looks(3) == 2


def test_usable_cores_are_counted_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    if hasattr(os, "sched_getaffinity"):
        assert usable_cores() == len(os.sched_getaffinity(0))
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    for found, cores in ((6, 6), (None, 1)):
        monkeypatch.setattr(os, "cpu_count", lambda found=found: found)
        assert usable_cores() == cores
