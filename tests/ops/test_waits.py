"""On CUDA no op of a decode step waits for the GPU; what its kernels refuse is raised later.

Run by `make cuda-emulated` on the emulated kernels, whose runtime counts waits, and where a GPU is, where torch refuses
them and a graph captures the step.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from tests.ops.test_cache import draw
from tokenmask import _C, ops

EMULATED = _C.cuda_note == "emulated"
ROWS, LENGTH, CODES = 2, 12, 40
late = pytest.mark.skipif(not EMULATED and not torch.cuda.is_available(), reason="needs CUDA kernels, emulated or not")


@pytest.fixture(autouse=True)
def _failures_come_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOKENMASK_CHECK", raising=False)


@contextmanager
def no_waits() -> Iterator[None]:
    """Fails where the host waits for a device: counted by the emulated runtime, refused by torch on a GPU."""
    if not EMULATED:
        torch.cuda.set_sync_debug_mode("error")
        try:
            yield
        finally:
            torch.cuda.set_sync_debug_mode("default")
        return
    waits = ctypes.c_long.in_dll(ctypes.CDLL(_C.__file__), "emulated_waits")
    before = waits.value
    with profile(activities=[ProfilerActivity.CPU]) as recorded:
        yield
    assert waits.value == before
    reads = [event.key for event in recorded.key_averages() if event.key in ("aten::item", "aten::_local_scalar_dense")]
    assert not reads, "a value was read on the host, which waits on a GPU"


def decode_step() -> tuple[Callable[[], tuple[Tensor, ...]], dict[str, Tensor]]:
    """One step on two rows, of all ops that it needs, and the tensors that it reads."""
    device = "cpu" if EMULATED else "cuda"
    generator = torch.Generator().manual_seed(5)
    vectors, turn, ends, slots, keys, values, _ = draw((LENGTH, LENGTH), 2, 16, 32, device=device)
    given = {
        "logits": torch.randn(ROWS * LENGTH, CODES, generator=generator).to(device),
        "counters": torch.arange(ROWS * LENGTH, device=device),
        "ids": torch.randint(1, CODES, (ROWS, LENGTH), generator=generator, dtype=torch.int32).to(device),
        "is_open": torch.ones(ROWS, LENGTH, dtype=torch.bool, device=device),
        "count": torch.tensor([3, 5], device=device),
        "table": torch.randn(CODES, 16, generator=generator).to(device),
        "lengths": torch.tensor([LENGTH, LENGTH], device=device),
    }

    def step() -> tuple[Tensor, ...]:
        codes, confidence, _, _ = ops.sample_codes(given["logits"], seed=1, counters=given["counters"], top_p=0.9)
        proposed, sure = codes.view(ROWS, LENGTH), confidence.view(ROWS, LENGTH)
        ids, is_open = ops.commit(given["ids"], proposed, sure, given["is_open"], given["count"])
        chosen = ops.choose(sure, given["is_open"], given["count"])
        query = ops.rotate_and_store(*vectors, *turn, ends, slots, keys, values)
        hidden = ops.attend_cached(query, ends, keys, values, given["lengths"])
        return codes, ids, is_open, chosen, hidden, ops.embed_codes(ids[..., None], given["table"])

    return step, given


@late
def test_a_decode_step_does_not_wait() -> None:
    step, _ = decode_step()
    step()
    with no_waits():
        _, _, is_open, chosen, hidden, embedded = step()
    assert is_open.sum(1).tolist() == [LENGTH - 3, LENGTH - 5] and torch.equal(chosen, ~is_open)
    assert bool(hidden.isfinite().all()) and bool(embedded.isfinite().all())


@late
def test_waits_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    step, given = decode_step()
    with pytest.raises((AssertionError, RuntimeError)), no_waits():
        given["count"].max().item()
    if EMULATED:  # torch does not see a wait of the op's own on a GPU
        monkeypatch.setenv("TOKENMASK_CHECK", "now")
        with pytest.raises(AssertionError), no_waits():
            step()


@late
def test_a_failure_is_raised_by_the_next_op_or_by_check() -> None:
    step, given = decode_step()
    given["logits"][7, 3] = float("nan")
    sentence = "sample_codes: allowed logits must not be NaN, got NaN in row 7 of an earlier call; check what"
    codes, confidence, _, _ = ops.sample_codes(given["logits"], seed=1, counters=given["counters"])
    with pytest.raises(ValueError, match=sentence):
        ops.check()
    ops.check()  # once
    assert codes[7] == -1 and bool(confidence[7].isnan()) and bool((codes[8:] >= 0).all())
    ops.sample_codes(given["logits"], seed=1, counters=given["counters"])
    if not EMULATED:
        torch.cuda.synchronize()
    with pytest.raises(ValueError, match=sentence):
        ops.choose(torch.zeros(1, 1, device=codes.device), given["is_open"][:1, :1], given["count"][:1])
    given["logits"][7, 3] = 0.0
    step()
    ops.check()


@late
def test_what_a_failed_row_holds() -> None:
    _, given = decode_step()
    scores = torch.zeros(ROWS, LENGTH, device=given["ids"].device)
    scores[1, 2] = float("nan")
    chosen = ops.choose(scores, given["is_open"], given["count"])
    with pytest.raises(ValueError, match="choose: scores of open slots must not be NaN, got NaN in row 1 of"):
        ops.check()
    ids, is_open = ops.commit(given["ids"], given["ids"] + 1, scores, given["is_open"], given["count"])
    with pytest.raises(ValueError, match="commit: confidence of open slots must not be NaN, got NaN in row 1"):
        ops.check()
    assert chosen.sum(1).tolist() == [3, 0] and is_open.sum(1).tolist() == [LENGTH - 3, LENGTH]
    assert torch.equal(ids[1], given["ids"][1])
    foreign = given["ids"].clone()
    foreign[0, 4] = CODES
    embedded = ops.embed_codes(foreign[..., None], given["table"])
    with pytest.raises(ValueError, match="ids must be rows of the table, got another id at position 4 of"):
        ops.check()
    assert bool(embedded[0, 4].isnan().all()) and bool(embedded[1].isfinite().all())


@pytest.mark.needs_cuda
def test_a_graph_captures_a_decode_step() -> None:
    step, given = decode_step()
    expected = step()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = step()
    for each in captured:
        each.zero_()
    graph.replay()
    torch.cuda.synchronize()
    for found, known in zip(captured, expected, strict=True):
        assert torch.equal(found, known)
    given["logits"][7, 3] = float("nan")
    graph.replay()
    with pytest.raises(ValueError, match="got NaN in row 7 of an earlier call"):
        ops.check()


def test_check_has_nothing_to_say_on_the_cpu() -> None:
    ops.check()
    if EMULATED:
        return
    with pytest.raises(ValueError, match="got NaN in row 0; check"):
        ops.choose(torch.full((1, 1), float("nan")), torch.ones(1, 1, dtype=torch.bool), torch.tensor([1]))
    ops.check()
