"""What the comparisons with official tokenizers of pictures share: what is compared, how it is told, what is kept."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

RECORDED = Path(__file__).parents[2] / "tests" / "modalities" / "recorded"
Found = dict[str, Tensor]


def compared(
    name: str,
    told: str | None,
    official: Callable[[Path], Any],
    theirs: Callable[[Any], Found],
    ours: Callable[[Tensor], Found],
) -> None:
    """The command line of a comparison: equal codes, pixels to rounding, or it ends with a sentence.

    Args:
        name: of the tokenizer, and of the file that ``--record`` writes.
        told: what ``--help`` says.
        official: the network of a folder with the official checkout.
        theirs: "codes" of the small picture and "pixels" of these codes, by that network.
        ours: the same by our network; pixels are of the codes that are given.
    """
    parser = argparse.ArgumentParser(description=told)
    parser.add_argument("checkout", type=Path, help="folder with the official code")
    parser.add_argument("--record", action="store_true", help="write what the official code gave for the tests")
    asked = parser.parse_args()
    with torch.no_grad():
        found = theirs(official(asked.checkout))
        mine = ours(found["codes"])
    equal, kinds = torch.equal(found["codes"], mine["codes"]), len(mine["codes"].unique())
    apart, largest = float((found["pixels"] - mine["pixels"]).abs().max()), float(found["pixels"].abs().max())
    print(f"{name} codes {list(mine['codes'].shape)}, {kinds} kinds: {'equal' if equal else 'DIFFER'}")
    print(f"{name} pixels: at most {apart:.1e} apart, of values to {largest:.2f}")
    if not equal or apart > 1e-5 * largest:
        raise SystemExit(f"{name}: other codes or pixels")
    if asked.record:
        save_file(found, RECORDED / f"{name}.safetensors")
