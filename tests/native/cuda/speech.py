"""What quantize_residual is given where the tokenizer that ships codes speech that ships: python speech.py FILE

The file holds rows, width, levels and codes as int64, then latents and codebooks as float32; rescored.cpp reads it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

import tokenmask as tm


def main() -> None:
    root = Path(tm.__file__).parent
    tokenizer = tm.AudioTokenizer.load(root / "weights/tokenizers/audio")
    quantizer = tokenizer._network.quantizer
    given = []
    nearest = quantizer.nearest
    quantizer.nearest = lambda latents: given.append(latents) or nearest(latents)
    for path in sorted((root / "data/audio/speech").glob("*.ogg"))[::80]:
        tokenizer.encode(tm.AudioClip.load(path))
    latents, books = torch.cat(given), torch.stack(quantizer.codebooks)
    with Path(sys.argv[1]).open("wb") as file:
        np.array([*latents.shape, *books.shape[:2]], dtype=np.int64).tofile(file)
        for values in (latents, books):
            values.detach().float().contiguous().numpy().tofile(file)


if __name__ == "__main__":
    main()
