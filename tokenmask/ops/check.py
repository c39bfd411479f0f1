"""check: raises what ops on a GPU left, which wait for none of their kernels."""

from __future__ import annotations

from tokenmask.ops._extension import USES_REFERENCE


def check() -> None:
    """Wait for the GPUs that ops ran on, and raise the first failure that one of them left.

    On CUDA an op returns before its kernel has run, so that a step of decoding never waits and fits a CUDA graph. What
    only the kernel sees (NaN in a row, an id outside of the table, a length beyond the cache) is kept in memory that
    GPU and host share, and the next op of tokenmask on any stream raises it, or this function. The results of such a
    row are -1 (codes), NaN (floats), nothing chosen or nothing stored. A graph that is replayed leaves failures in the
    same place. With TOKENMASK_CHECK=now in the environment each op waits and raises its own, for finding mistakes.

    On the CPU ops raise at once, and this does nothing.

    Raises:
        ValueError: an op found values that it must refuse; the sentence of that op, "of an earlier call".
        RuntimeError: a kernel of anybody failed while this waited.
    """
    if USES_REFERENCE:
        return
    from tokenmask import _C

    if _C.has_cuda:
        _C.check_failures()
