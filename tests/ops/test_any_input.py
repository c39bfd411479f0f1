"""Whatever is thrown at an op gives the result of its reference, or one sentence: never a crash."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tokenmask import _C
from tokenmask.ops.choose import choose_reference
from tokenmask.ops.commit import commit_reference
from tokenmask.ops.embed_codes import embed_codes_backward_reference, embed_codes_reference
from tokenmask.ops.mask_tokens import mask_tokens_reference
from tokenmask.ops.quantize_residual import quantize_residual_reference
from tokenmask.ops.reveal import IS_WHOLE, reveal_in_parts
from tokenmask.ops.sample_codes import sample_codes_reference
from tokenmask.ops.uniform import uniform_reference

OPS = torch.ops.tokenmask
HUGE = [-(2**63), -1, 0, 1, 2**31, 2**62, 2**63 - 1]
ODD = [0.0, -0.0, 1.0, 1.0, -1.5, 3e38, -3e38, 1e-42, float("inf"), float("-inf"), float("nan")]


class Source:
    """Tensors of drawn shape, layout and content."""

    def __init__(self, draw: st.DataObject) -> None:
        self.draw = draw
        self.generator = torch.Generator().manual_seed(draw.draw(st.integers(0, 2**32)))

    def size(self, most: int = 40) -> int:
        return self.draw.draw(st.sampled_from([0, 1, 2, 3, 15, 16, 17, 33]) | st.integers(0, most))

    def chance(self) -> bool:
        return self.draw.draw(st.booleans())

    def strided(self, tensor: Tensor) -> Tensor:
        """The same values in another layout: as they are, transposed, with steps, or expanded from one row."""
        kind = self.draw.draw(st.integers(0, 3))
        if tensor.dim() == 0 or kind == 0:
            return tensor
        if kind == 1:
            return tensor.transpose(0, -1).contiguous().transpose(0, -1)
        if kind == 2:
            return tensor.repeat_interleave(3, dim=-1)[..., ::3]
        return tensor[:1].expand(tensor.shape) if tensor.shape[0] else tensor

    def floats(self, *shape: int, odd: bool) -> Tensor:
        values = torch.randn(shape, generator=self.generator)
        if self.chance():
            values = (values * 2).round()
        if odd:
            wild = torch.tensor(ODD)[torch.randint(0, len(ODD), shape, generator=self.generator)]
            values = torch.where(torch.rand(shape, generator=self.generator) < 0.05, wild, values)
        return self.strided(values)

    def integers(self, low: int, high: int, *shape: int, dtype: torch.dtype = torch.int32) -> Tensor:
        return self.strided(torch.randint(low, high, shape, generator=self.generator, dtype=dtype))

    def counts(self, rows: int, length: int) -> Tensor:
        usual = torch.randint(-1, length + 2, (rows,), generator=self.generator)
        huge = torch.tensor(HUGE)[torch.randint(0, len(HUGE), (rows,), generator=self.generator)]
        return self.strided(torch.where(torch.rand(rows, generator=self.generator) < 0.3, huge, usual))

    def flags(self, *shape: int) -> Tensor:
        share = self.draw.draw(st.sampled_from([0.0, 0.5, 0.9, 1.0]))
        return self.strided(torch.rand(shape, generator=self.generator) < share)

    def seeds(self, rows: int) -> Tensor:
        return torch.tensor(HUGE)[torch.randint(0, len(HUGE), (rows,), generator=self.generator)]


def outcome(run: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    try:
        result = run(*arguments)
    except ValueError as error:
        return str(error)
    return result if isinstance(result, tuple) else (result,)


def assert_same(kernel: Callable[..., Any], reference: Callable[..., Any], *arguments: Any, close: int = 0) -> None:
    """Equal outcomes on every instruction set; the last ``close`` results are floats that may differ by rounding."""
    expected = outcome(reference, arguments)
    before = _C.cpu_capability()
    try:
        for name in _C.cpu_capabilities():
            _C.use_cpu_capability(name)
            got = outcome(kernel, arguments)
            if isinstance(expected, str) or isinstance(got, str):
                assert got == expected
                continue
            for index, (ours, theirs) in enumerate(zip(got, expected, strict=True)):
                assert ours.dtype == theirs.dtype
                if index < len(expected) - close:
                    torch.testing.assert_close(ours, theirs, rtol=0, atol=0, equal_nan=True)
                else:
                    torch.testing.assert_close(ours, theirs, rtol=2e-6, atol=2e-6)
    finally:
        _C.use_cpu_capability(before)


every = settings(max_examples=60, deadline=None, derandomize=True)


@every
@given(st.data())
def test_choose_and_commit(data: st.DataObject) -> None:
    source = Source(data)
    rows, length = source.size(4), source.size(700)
    scores, is_open, count = (
        source.floats(rows, length, odd=source.chance()),
        source.flags(rows, length),
        source.counts(rows, length),
    )
    assert_same(OPS.choose, choose_reference, scores, is_open, count)
    ids, proposed = (source.integers(-(2**31), 2**31 - 1, rows, length) for _ in range(2))
    assert_same(OPS.commit, commit_reference, ids, proposed, scores, is_open, count)


@every
@given(st.data())
def test_mask_tokens(data: st.DataObject) -> None:
    source = Source(data)
    rows, length = source.size(4), source.size(700)
    shape = (rows, length) if source.chance() else (length,)
    low, high = source.integers(-(2**31), 2**31 - 1, *shape), source.integers(-(2**31), 2**31 - 1, *shape)
    odd = source.chance()
    if odd:  # one reason for an error at a time: which comes first is not promised
        low, high = torch.minimum(low, high) // 2, torch.maximum(low, high) // 2 + 1
    arguments = (
        source.integers(-(2**31), 2**31 - 1, rows, length),
        source.flags(rows, length),
        source.counts(rows, length),
        source.integers(-5, 5, *shape),
        source.floats(rows, length, odd=odd) if source.chance() else None,
        low,
        high,
        source.seeds(rows),
        data.draw(st.sampled_from(HUGE)),
        data.draw(st.sampled_from([0, 2**31, 2**32])),
        data.draw(st.sampled_from([0, 2**31, 3 * 2**30, 2**32])),
    )
    assert_same(OPS.mask_tokens, mask_tokens_reference, *arguments)


@every
@given(st.data())
def test_sample_codes(data: st.DataObject) -> None:
    source = Source(data)
    rows, size = source.size(4), source.size(400)
    dtype = data.draw(st.sampled_from([torch.float32, torch.bfloat16, torch.float16]))
    odd = data.draw(st.integers(0, 5)) == 0
    logits = source.floats(rows, size, odd=odd).to(dtype)
    guided = source.chance()
    arguments = (
        logits,
        source.seeds(rows),
        data.draw(st.sampled_from(HUGE)),
        source.seeds(rows) if source.chance() else None,
        data.draw(st.sampled_from([0.0, 0.3, 1.0, 2.0])),
        torch.rand(rows, generator=source.generator).round(decimals=1) if source.chance() else None,
        data.draw(st.sampled_from([0, 0, 1, 3, 50, 2**62])),
        data.draw(st.sampled_from([1.0, 1.0, 0.9, 0.5, 1e-9])),
        data.draw(st.sampled_from([0.0, 0.0, 0.1, 1.0])),
        source.floats(rows, size, odd=odd).to(dtype) if guided else None,
        data.draw(st.sampled_from([0.0, 1.0, 3.0])),
        None,
        source.flags(*((rows, size) if source.chance() else (size,))) if source.chance() else None,
    )
    assert_same(OPS.sample_codes, sample_codes_reference, *arguments, close=3)


@every
@given(st.data())
def test_embed_codes(data: st.DataObject) -> None:
    source = Source(data)
    rows, width = source.size(), source.size(150)
    dtype = data.draw(st.sampled_from([torch.float32, torch.bfloat16, torch.float16]))
    spill = data.draw(st.sampled_from([0, 0, 0, 1, 2**30]))
    ids = source.integers(-spill, max(rows, 1) + spill, source.size(3), source.size(), source.size(4))
    table = source.floats(rows, width, odd=False).to(dtype)
    assert_same(OPS.embed_codes, embed_codes_reference, ids, table)
    if spill == 0 and rows:
        grad = source.floats(*ids.shape[:2], width, odd=False).to(dtype)
        assert_same(OPS.embed_codes_backward, embed_codes_backward_reference, grad, ids, rows)


@every
@given(st.data())
def test_quantize_residual(data: st.DataObject) -> None:
    source = Source(data)
    levels, codes, width = source.size(3), 1 + source.size(70), source.size(20)
    odd = data.draw(st.integers(0, 4)) == 0
    x, books = source.floats(source.size(60), width, odd=odd), source.floats(levels, codes, width, odd=odd)
    assert_same(OPS.quantize_residual, quantize_residual_reference, x, books, source.chance())


@pytest.mark.skipif(not IS_WHOLE, reason="reveal is of the CPU alone")
@every
@given(st.data())
def test_reveal(data: st.DataObject) -> None:
    source = Source(data)
    rows, length, size = 1 + source.size(3), 1 + source.size(40), 1 + source.size(60)
    many = data.draw(st.integers(0, rows * length))
    slots = torch.randperm(rows * length, generator=source.generator)[:many]
    arguments = (
        source.floats(many, size, odd=data.draw(st.integers(0, 4)) == 0),
        torch.randperm(many, generator=source.generator),
        slots,
        source.integers(-(2**31), 2**31 - 1, rows, length),
        source.floats(rows, length, odd=False),
        source.flags(rows, length),
        source.counts(rows, length),
        source.strided(source.seeds(rows * length)).reshape(rows, length),
        data.draw(st.sampled_from(HUGE)),
        source.seeds(rows),
        data.draw(st.sampled_from([0.0, 1.0, 0.7])),
        data.draw(st.sampled_from([0, 0, 3])),
        data.draw(st.sampled_from([1.0, 0.8])),
        data.draw(st.sampled_from([0.0, 0.1])),
        data.draw(st.integers(0, 9)),
        data.draw(st.integers(0, 2)),
        source.floats(many, odd=False) if source.chance() else None,
        source.floats(rows, length, odd=source.chance()) if source.chance() else None,
    )
    assert_same(OPS.reveal, reveal_in_parts, *arguments)


@every
@given(st.data())
def test_uniform(data: st.DataObject) -> None:
    source = Source(data)
    counters = source.strided(source.seeds(source.size()))
    seeds = source.seeds(len(counters)) if source.chance() else None
    arguments = (counters, data.draw(st.sampled_from(HUGE)), seeds, data.draw(st.integers(0, 8)))
    assert_same(OPS.uniform, uniform_reference, *arguments)


def test_direct_calls_of_wrong_shape_are_refused() -> None:
    """What the Python faces refuse is refused by the registered ops too, before memory is touched."""
    scores, flags, rows = torch.zeros(2, 3), torch.zeros(2, 3, dtype=torch.bool), torch.zeros(2, dtype=torch.int64)
    ids = torch.zeros(2, 3, dtype=torch.int32)
    whole = (1.0, 0, 1.0, 0.0, 0, 0, None, None)
    calls: list[tuple[Callable[..., Any], tuple[Any, ...]]] = [
        (OPS.choose, (scores, flags[:, :2], rows)),
        (OPS.choose, (scores, flags, rows[:1])),
        (OPS.commit, (ids, ids[:1], scores, flags, rows)),
        (OPS.mask_tokens, (ids, flags, rows, ids[0, :2], None, None, None, rows, 0, 2**32, 2**32)),
        (OPS.mask_tokens, (ids, flags, rows, ids[0], None, None, None, rows, 0, 0, 2**32)),
        (OPS.sample_codes, (scores, rows[:1], 0, None, 1.0, None, 0, 1.0, 0.0, None, 1.0, None, None)),
        (OPS.sample_codes, (scores, rows, 0, rows[:1], 1.0, None, 0, 1.0, 0.0, None, 1.0, None, None)),
        (OPS.sample_codes, (scores, rows, 0, None, 1.0, None, 0, 1.0, 0.0, scores[:1], 1.0, None, None)),
        (OPS.embed_codes, (ids, scores)),
        (OPS.embed_codes_backward, (scores[None], ids[..., None], 4)),
        (OPS.embed_codes_backward, (scores[..., None], ids[..., None], -1)),
        (OPS.quantize_residual, (scores, scores[None, :, :2], False)),
        (OPS.quantize_residual, (scores, torch.zeros(1, 0, 3), False)),
        (OPS.uniform, (rows[None], 0, None, 0)),
        (OPS.uniform, (rows, 0, rows[:1], 0)),
    ]
    if IS_WHOLE:
        calls += [
            (OPS.reveal, (scores, rows, rows, ids, scores, flags, rows[:1], ids.long(), 0, rows, *whole)),
            (OPS.reveal, (scores, rows + 2, rows, ids, scores, flags, rows, ids.long(), 0, rows, *whole)),
            (OPS.reveal, (scores, rows, rows + 6, ids, scores, flags, rows, ids.long(), 0, rows, *whole)),
            (
                OPS.reveal,
                (scores, rows, rows, ids, scores, flags, rows, ids.long(), 0, rows, *whole[:5], 3, None, None),
            ),
        ]
    for run, arguments in calls:
        with pytest.raises(ValueError, match=r"must|needs|holds"):
            run(*arguments)
