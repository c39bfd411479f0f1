"""The demo's swap: the tokenizer that was fitted anew takes the place of the one that ships.

Arrow: Run + tokenizer --Run.swap_tokenizer--> changes to show, and what was kept. Does not know: how rows are related.
"""

from __future__ import annotations

import torch

from tokenmask.corpus import TRAIN
from tokenmask.demo import items
from tokenmask.report import Change
from tokenmask.run import Run
from tokenmask.tokenizer import Tokenizer


def swapped(run: Run, name: str, tokenizer: Tokenizer) -> tuple[list[Change], list[str]]:
    """The same requests before and after, and sentences about what stayed.

    Args:
        run: with the streams of the model that ships.
        name: "eeg".
        tokenizer: the new one.
    """
    other = run.swap_tokenizer(name, tokenizer, media=items.media(name, TRAIN))
    given = [{"label": label} for label in items.EYES.values()]
    drawn = [one.generate(name, given, duration_seconds=1.0, seed=0) for one in (run, other)]
    changes = [
        Change(name, before, after, f"{name} for \u201c{one['label']}\u201d, before any training with the new codes")
        for one, before, after in zip(given, *drawn, strict=True)
    ]
    before, after = (one.generate("image", {"text": "blue heart"}, seed=0)[0] for one in (run, other))
    changes.append(Change("image", before, after, "image for \u201cblue heart\u201d"))
    same = torch.equal(before.stream.codes, after.stream.codes)
    kept = "the same codes as before, bit for bit" if same else "other codes than before"
    old, new = (one.spec.fingerprint[:12] for one in (run.tokenizers[name], tokenizer))
    facts = [
        f"Tokenizer of {name}: {old} before, {new} after.",
        f"A request for an image gives {kept}; its embeddings, its head and the trunk were not touched.",
    ]
    return changes, facts
