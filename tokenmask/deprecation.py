"""What is old and still works says what to write instead.

Does not know: what is old.
"""

from __future__ import annotations

import warnings


def warn_deprecated(old: str, *, instead: str, since: str, stacklevel: int = 1) -> None:
    """Warns that something old is used, in one sentence: what, since when, what to write instead.

    Args:
        old: what is used, with its kind: "the module tokenmask.modalities.picture".
        instead: what does the same.
        since: the version from which on ``instead`` is there.
        stacklevel: how many callers up the one to blame is; 1 is the caller of the function that calls this.
    """
    message = f"{old} has another name since tokenmask {since}; write {instead} instead"
    warnings.warn(message, FutureWarning, stacklevel=stacklevel + 2)
