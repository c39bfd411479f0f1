"""What reuse does to real codes: python benchmarks/reuse_quality.py --stream image --out runs/reuse.

Trains two models of the shipped model's size on the codes of one stream (captions are given), for equally many steps on
one thread: "plain" fills slots by masks alone, "shared" learns group-causal chains in half of its batches; "shipped" is
the model that ships, on all streams. Then, for each policy and for simply fewer steps, all in QLDS order with the same
schedule: bits a held-out code costs (every step's -log2 p), the distance of generated codes from held-out ones
(unbiased squared kernel distance in the features of the model that ships), and the CPU seconds of a generation. Writes
results/reuse-STREAM-MODEL.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from tokenmask.batch import FILL, GIVEN, Batch, collate
from tokenmask.corpus import HELD_OUT, Corpus, build_corpus
from tokenmask.demo.items import corpora
from tokenmask.files import write_text_atomic
from tokenmask.masking import GroupChain, Power
from tokenmask.masking.masked_batch import Queries
from tokenmask.models import GroupCausal, MaskedModel
from tokenmask.recipes import Recipe
from tokenmask.run import Run, load, train
from tokenmask.sampling import (
    GroupCausalReuse,
    NoReuse,
    ProcessSchedule,
    Reuse,
    Sampler,
    SamplerState,
    StaleReuse,
    code_lengths,
    drift,
)
from tokenmask.scores import QLDSScore

RESULTS = Path(__file__).parent / "results"
CORPUS = {"image": "emoji", "audio": "speech"}
SETTINGS = {"image": {"batch_size": 32, "steps": 16}, "audio": {"batch_size": 12, "steps": 8}}
MODELS = ("shipped", "shared", "plain")
FEATURE_LAYER = "layer.2"


@dataclass(frozen=True)
class Outcome:
    """A row of the table.

    Args:
        model: "shipped", "plain" or "shared".
        policy: how it was sampled.
        steps: of each level.
        bits: mean over held-out codes.
        distance, distance_error: squared kernel distance times 1000, mean and deviation over seeds.
        seconds: CPU seconds on one thread of the generation of all rows.
        passes: computed positions as a multiple of the positions of one pass.
        drift_codes, drift_kl: against NoReuse, for approximate policies.
    """

    model: str
    policy: str
    steps: int
    bits: float
    distance: float
    distance_error: float
    seconds: float
    passes: float
    drift_codes: float | None = None
    drift_kl: float | None = None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("--stream", choices=sorted(CORPUS), default="image")
    parser.add_argument("--out", type=Path, default=Path("runs/reuse"))
    parser.add_argument(
        "--steps", type=int, default=500, help="training steps of each model; 0 judges what ships alone"
    )
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS), help="which to train and judge")
    parser.add_argument("--train-only", action="store_true", help="train and stop")
    parser.add_argument("--rows", type=int, default=96, help="held-out records that are coded and generated")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    stream, shipped = arguments.stream, load()
    folder = arguments.out / stream
    corpus = folder / "corpus"
    if not (corpus / "corpus.json").exists() and not any(corpus.glob("*.parquet")):
        items = corpora()[CORPUS[stream]]
        used = {name: shipped.tokenizers[name] for name in ("text", stream)}
        build_corpus(items, used, corpus, progress=False, on_error="raise")
    runs = {
        name: train(
            folder / name,
            recipe_for(shipped.recipe, stream, arguments.steps, shared=name == "shared"),
            {name: shipped.tokenizers[name] for name in shipped.recipe.streams if name != "label"},
            [(corpus, 1.0)],
        )
        for name in arguments.models
        if name != "shipped"
    }
    if "shipped" in arguments.models:
        runs["shipped"] = shipped
    if arguments.train_only:
        return
    held_out = batch_of(next(iter(runs.values())), corpus, stream, arguments.rows)
    RESULTS.mkdir(exist_ok=True)
    for name in runs:
        rows = []
        for policy, steps in table(name, SETTINGS[stream]["steps"]):
            rows.append(judge(runs[name].models["main"], name, policy, steps, held_out, shipped, arguments.seeds))
            values = asdict(rows[-1]).items()
            print(*(f"{key}={value:.4g}" if isinstance(value, float) else value for key, value in values), flush=True)
            content = {
                "stream": stream,
                "model": name,
                "training_steps": runs[name].recipe.training.steps,
                "held_out_records": held_out.shape[0],
                "seeds": arguments.seeds,
                "slots": int(held_out.to_fill.sum()),
                "torch": torch.__version__,
                "rows": [asdict(row) for row in rows],
            }
            write_text_atomic(RESULTS / f"reuse-{stream}-{name}.json", json.dumps(content, indent=1) + "\n")


def table(model: str, steps: int) -> list[tuple[Reuse, int]]:
    """Policy and steps of each row."""
    rows: list[tuple[Reuse, int]] = [(NoReuse(), steps), (NoReuse(), steps // 2)]
    if model == "shared":
        return [*rows, *((GroupCausalReuse(), number) for number in (steps // 2, steps, 2 * steps))]
    return [*rows, (StaleReuse(pre_full=0, n_local=1), steps), (StaleReuse(pre_full=steps // 2, n_local=1), steps)]


def recipe_for(recipe: Recipe, stream: str, steps: int, *, shared: bool) -> Recipe:
    """The shipped recipe on one corpus; the layout stays, so that its model can read the codes."""
    odds = {name: 1.0 if name == stream else 0.0 for name in recipe.streams}
    training = replace(
        recipe.training,
        steps=steps,
        batch_size=int(SETTINGS[stream]["batch_size"]),
        checkpoint_every=max(steps // 5, 1),
    )
    conditioning = replace(recipe.conditioning, odds=odds, joint=0.0)
    budgets = {**recipe.packing.budgets, "audio": 50}
    recipe = replace(
        recipe, training=training, conditioning=conditioning, packing=replace(recipe.packing, budgets=budgets)
    )
    if not shared:
        return recipe
    chain = GroupChain(share=0.5, steps=(4, 32) if stream == "image" else (4, 16))
    return replace(
        recipe,
        masker=replace(recipe.masker, chain=chain),
        model=replace(recipe.model, shifted=True),
        pattern=GroupCausal(),
    )


def batch_of(run: Run, corpus: Path, stream: str, rows: int) -> Batch:
    """Held-out records with their captions given."""
    records = [r for r in Corpus(corpus, split=HELD_OUT, specs=dict(run.layout.streams)) if "mirrored" not in r.key]
    records = records[:: max(len(records) // rows, 1)][:rows]
    packed = [
        run.recipe.packing(run.layout, record.streams, seed=0, sample_id=n, roles={"text": GIVEN, stream: FILL})
        for n, record in enumerate(records)
    ]
    return collate(packed, multiple=16)


def judge(
    model: MaskedModel, name: str, policy: Reuse, steps: int, held_out: Batch, shipped: Run, seeds: int
) -> Outcome:
    """Codes, generates and compares."""
    layout, models = model.layout, {"main": model}
    schedule = ProcessSchedule(Power(2.2))
    coder = Sampler(steps, schedule=schedule, order=QLDSScore(), reuse=policy)
    lengths = code_lengths(coder, models, layout, held_out)
    real = features(shipped, held_out)
    distances, seconds, passes, state = [], [], 0.0, None
    for seed in range(seeds):
        state = SamplerState.start(held_out, layout, torch.full_like(held_out.sample_ids, seed + 1))
        begun = time.thread_time()
        done = coder.run(models, layout, state)
        seconds.append(time.thread_time() - begun)
        passes = done.counters["computed_positions"] / held_out.valid.numel()
        distances.append(1000 * kernel_distance(real, features(shipped, done.batch)))
    measured = None if policy.exact or state is None else drift(coder, models, layout, state)
    return Outcome(
        model=name,
        policy=repr(policy),
        steps=steps,
        bits=float(lengths[lengths > 0].mean()),
        distance=statistics.mean(distances),
        distance_error=statistics.stdev(distances) if seeds > 1 else float("nan"),
        seconds=statistics.median(seconds),
        passes=passes,
        drift_codes=None if measured is None else measured.codes,
        drift_kl=None if measured is None else measured.kl,
    )


@torch.inference_mode()
def features(shipped: Run, batch: Batch) -> Tensor:
    """float [B, D]: hidden states of the shipped model with nothing hidden, averaged over the filled positions."""
    none = torch.zeros(0, dtype=torch.int64)
    hidden = shipped.models["main"](batch, Queries(none, none), taps=(FEATURE_LAYER,)).taps[FEATURE_LAYER]
    wanted = ((batch.role == FILL).any(-1) & batch.valid).float()[..., None]
    return (hidden * wanted).sum(1) / wanted.sum(1)


def kernel_distance(real: Tensor, made: Tensor) -> float:
    """Unbiased squared MMD with the kernel (x . y / D + 1)^3. Source: arXiv:1801.01401, section 4."""
    mean, deviation = real.mean(0), real.std(0).clamp(min=1e-6)
    x, y = ((part - mean).double() / deviation for part in (real, made))

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        return (a @ b.T / a.shape[1] + 1) ** 3

    n, m = len(x), len(y)
    own = (kernel(x, x).sum() - kernel(x, x).diag().sum()) / (n * (n - 1))
    other = (kernel(y, y).sum() - kernel(y, y).diag().sum()) / (m * (m - 1))
    return float(own + other - 2 * kernel(x, y).mean())


if __name__ == "__main__":
    main()
