"""Times every op on a GPU; gpu.sh calls it. See timing.py for what the columns mean."""

from __future__ import annotations

import torch
from cache import cache
from choices import masking, selection
from draws import huge, sampling
from numbers_ import streams_and_numbers
from replay import replays
from timing import CUDA, FAILURES, RESULT, floors, save
from vectors import embedding, quantizing


def main() -> None:
    torch.backends.cuda.matmul.allow_tf32 = False
    for part in (
        floors,
        sampling,
        quantizing,
        cache,
        embedding,
        selection,
        masking,
        streams_and_numbers,
        replays,
        huge,
    ):
        try:
            part()
        except FAILURES as error:
            print(f"{part.__name__} failed: {str(error).splitlines()[0][:300]}", flush=True)
            RESULT["checks"][part.__name__] = str(error)[:300]
        if CUDA:
            torch.cuda.empty_cache()
        save()
    print(RESULT["checks"])


if __name__ == "__main__":
    main()
