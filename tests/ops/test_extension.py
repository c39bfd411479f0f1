"""Which implementation runs, what the build says about itself, and the sentences for a missing or foreign build."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from tokenmask import _C
from tokenmask.ops import _extension, build_info, choose

RUN_ALL = """
import torch
from tokenmask import ops
rows = torch.arange(3)
scores = torch.linspace(0, 1, 12).view(3, 4)
is_open = torch.ones(3, 4, dtype=torch.bool)
ids = torch.zeros(3, 4, dtype=torch.int32)
print(ops.build_info()["implementation"])
print(ops.choose(scores, is_open, rows).tolist(), ops.commit(ids, ids + 1, scores, is_open, rows)[0].tolist())
print([each.tolist() for each in ops.mask_tokens(ids, is_open, rows, ids[0] + 9, seed=1, sample_ids=rows)])
print(ops.sample_codes(scores, seed=1, counters=rows)[0].tolist())
print(ops.uniform(seed=1, counters=rows, purpose="code").tolist())
"""


def test_build_info() -> None:
    info = build_info()
    assert info["implementation"] == "compiled"
    assert info["torch"] == torch.__version__
    assert isinstance(info["cuda"], bool)
    assert info["cuda_note"]
    assert info["cpu_capability"] in _C.cpu_capabilities()


@pytest.mark.skipif(_C.cuda_note == "emulated", reason="emulated CUDA kernels are built without OpenMP")
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_torch_threads_share_the_work_of_a_kernel(threads: int) -> None:
    """A build without OpenMP gives equal results, on one thread."""
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        assert build_info()["cpu_threads"] == threads
    finally:
        torch.set_num_threads(before)


def test_reference_is_chosen_by_the_environment(capsys: pytest.CaptureFixture[str]) -> None:
    exec(RUN_ALL, {})
    compiled = capsys.readouterr().out.splitlines()
    environment = {**os.environ, "TOKENMASK_OPS": "reference"}
    result = subprocess.run(
        [sys.executable, "-c", RUN_ALL], env=environment, capture_output=True, text=True, check=True
    )
    reference = result.stdout.splitlines()
    assert (compiled[0], reference[0]) == ("compiled", "reference")
    assert compiled[1:] == reference[1:]


def test_unknown_choice_gets_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKENMASK_OPS", "fast")
    with pytest.raises(ValueError, match="TOKENMASK_OPS must be auto or reference, got 'fast'"):
        _extension._read_choice()


def test_missing_extension_says_how_to_build(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tokenmask._C", None)
    monkeypatch.delattr("tokenmask._C")
    with pytest.raises(ImportError, match="compiled kernels are missing; build them: python -m pip install"):
        _extension._load()


def test_another_torch_gets_a_sentence() -> None:
    _extension._check_torch("2.13.0+cpu", "2.13.1")
    with pytest.raises(ImportError, match=r"built against, 2\.12, but torch 2\.13\.0 is installed; rebuild them"):
        _extension._check_torch("2.12.1", "2.13.0")


@pytest.mark.skipif(_C.has_cuda, reason="this build has CUDA kernels")
def test_cuda_tensor_on_a_cpu_build_gets_a_sentence() -> None:
    with torch._subclasses.FakeTensorMode():
        scores = torch.empty(2, 3, device="cuda")
        with pytest.raises(ValueError, match="scores is on cuda:0, but this build of tokenmask has CPU kernels only"):
            choose(scores, scores > 0, torch.empty(2, dtype=torch.int64, device="cuda"))


def test_other_devices_get_a_sentence() -> None:
    with torch._subclasses.FakeTensorMode():
        scores = torch.empty(2, 3, device="xpu")
        with pytest.raises(ValueError, match="scores must be on cpu or cuda, got xpu"):
            choose(scores, scores > 0, torch.empty(2, dtype=torch.int64, device="xpu"))
    with pytest.raises(ValueError, match="is_open must be on cpu like the other inputs, got meta"):
        choose(torch.zeros(2, 3), torch.ones(2, 3, dtype=torch.bool, device="meta"), torch.ones(2, dtype=torch.int64))
