"""The model that ships beside the one that went on from it with another tokenizer, in sentences and samples.

Arrow: Runs, held-out scores --> facts and changes to show. Does not know: how rows are related, how anything is shown.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from tokenmask.demo import judged
from tokenmask.demo.showing import MOTIONS
from tokenmask.report import Change
from tokenmask.run import Run
from tokenmask.swapping import kept
from tokenmask.training import StreamScore

PICTURE = "blue heart"


def kept_line(run: Run, exchanged: Run) -> str:
    """A sentence: whether a picture is the same after the swap, before any training."""
    before, after = (one.generate_tokens("image", {"text": PICTURE}, seed=0)[0] for one in (run, exchanged))
    same = torch.equal(before.codes, after.codes)
    kept = "the same codes as before, bit for bit" if same else "other codes than before"
    return f"Right after the swap a request for a picture gives {kept}."


def facts(
    name: str, shipped: Run, exchanged: Run, run: Run, before: Sequence[StreamScore], after: Sequence[StreamScore]
) -> list[str]:
    """What the swap and the training changed and what they left, each with what it is to be compared with.

    Args:
        name: of the stream whose tokenizer was exchanged, "motion".
        shipped: the model that ships.
        exchanged: the same with swapped rows, not trained.
        run: what became of it.
        before, after: held-out scores of the last two, on the same records of that stream.
    """
    old, new = (one.tokenizers[name].spec.fingerprint[:12] for one in (shipped, run))
    same = kept(shipped.models["main"], run.models["main"], [name])
    rest = "is that of the model that ships, bit for bit" if same else "differs from the model that ships"
    found = [
        f"Tokenizer of {name}: {old} before, {new} after; then its rows learned for {run.recipe.training.steps} steps.",
        f"All else of the model {rest}.",
    ]
    first, second, third = (judged.motions(one) for one in (shipped, exchanged, run))
    found.append(f"{first.what}: model that ships {first}, right after the swap {second}, after training {third}.")
    drawn = judged.pictures(run)
    found.append(f"{drawn.what}: {drawn}.")
    for given in dict.fromkeys(one.given for one in after if one.stream == name):
        ours, theirs = (mean_of(scores, name, given) for scores in (after, before))
        known = f"given {', '.join(given)}" if given else "given nothing"
        found.append(
            f"Held-out {name}, {known}, nats a hidden code over all levels: right after the swap {theirs[0]:.2f}, "
            f"after training {ours[0]:.2f}; unigram {ours[1]:.2f}."
        )
    return found


def mean_of(scores: Sequence[StreamScore], stream: str, given: tuple[str, ...]) -> tuple[float, float]:
    """(cross-entropy, unigram) of all hidden codes of a stream's levels together, nats a code."""
    own = [one for one in scores if (one.stream, one.given) == (stream, given)]
    count = sum(one.num_codes for one in own)
    return (
        sum(one.cross_entropy * one.num_codes for one in own) / count,
        sum(one.unigram * one.num_codes for one in own) / count,
    )


def changes(shipped: Run, run: Run) -> list[Change]:
    """The same requests to the model that ships and to what became of it: motions, and a picture, which stays."""
    steps = run.recipe.training.steps
    given = [{"text": one} for one in MOTIONS]
    drawn = [one.generate("motion", given, duration_seconds=judged.MOTION_SECONDS, seed=0) for one in (shipped, run)]
    found = [
        Change("motion", before, after, f"motion for \u201c{one['text']}\u201d, after {steps} steps with the new codes")
        for one, before, after in zip(given, *drawn, strict=True)
    ]
    before, after = (one.generate("image", {"text": PICTURE}, seed=0)[0] for one in (shipped, run))
    return [*found, Change("image", before, after, f"image for \u201c{PICTURE}\u201d")]
