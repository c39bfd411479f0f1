"""A training step of the shared model against transformers' BertForMaskedLM of the same size.

Both have 12 layers of width 512 and 8 heads, a tied head with BERT's transform over 30,000 codes, no dropout, and see
the same [8, 512] ids of which the same 15 % are hidden and predicted. A step is forward, backward and a fused AdamW
with learning rate 0, so that every round computes the same. Each must give the mean cross-entropy of the hidden codes
that a plain formula gives on its own logits at every position.

``python benchmarks/cases/training.py NAME`` prints the peak memory of a process that does two steps of one of them.
"""

from __future__ import annotations

import functools
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parents[1]))
from harness import Case, Peer

ROWS, LENGTH, CODES, WIDTH, DEPTH, HEADS = 8, 512, 30_000, 512, 12, 8
SHARE = 0.15
OURS, SPARING = "tokenmask", "tokenmask, training.recompute"
BERT, SPARSE = "BertForMaskedLM", "BertForMaskedLM, head at the hidden places only"
NAMES = (OURS, SPARING, BERT, SPARSE)


def ids() -> tuple[Tensor, Tensor]:
    """int64 [8, 512] codes, and bool: which are hidden."""
    g = torch.Generator().manual_seed(0)
    codes = torch.randint(0, CODES, (ROWS, LENGTH), generator=g)
    return codes, torch.rand(ROWS, LENGTH, generator=g) < SHARE


Built = tuple[nn.Module, Callable[[], Tensor], Callable[[], Tensor]]  # model, loss, loss by the plain formula


def plain(logits: Tensor) -> Tensor:
    codes, hidden = ids()
    return nn.functional.cross_entropy(logits[hidden], codes[hidden])


def ours(depth: int, spares: bool) -> Built:
    from tokenmask.batch import FILL, Batch
    from tokenmask.layout import Layout
    from tokenmask.masking.masked_batch import MaskedBatch, Queries, Targets
    from tokenmask.models import MaskedModel, RangeHeadsConfig, TransformerConfig
    from tokenmask.objectives import MaskedCrossEntropy
    from tokenmask.streams import StreamSpec

    layout = Layout({"text": StreamSpec("text", (CODES,), ("index",))})
    config = TransformerConfig(WIDTH, depth, HEADS)
    model = MaskedModel.create(config, layout, head=RangeHeadsConfig(transform=True), seed=0)
    model.backbone.recompute(spares)
    codes, hidden = ids()
    place = layout.range("text")
    clean = Batch(
        ids=(codes + place.offset).int()[:, :, None],
        stream=torch.zeros(ROWS, LENGTH, dtype=torch.int8),
        role=torch.full((ROWS, LENGTH, 1), FILL, dtype=torch.int8),
        coordinates=torch.arange(LENGTH, dtype=torch.int32)[None, :, None].expand(ROWS, -1, 3).contiguous(),
        valid=torch.ones(ROWS, LENGTH, dtype=torch.bool),
        sample_ids=torch.arange(ROWS),
    )

    def masked(asked: Tensor) -> MaskedBatch:
        slots = asked.flatten().nonzero().squeeze(1)
        seen = torch.where(hidden[:, :, None], place.offset + CODES, clean.ids).int()
        number = torch.arange(len(slots))
        return MaskedBatch(
            inputs=Batch(seen, clean.stream, clean.role, clean.coordinates, clean.valid, clean.sample_ids),
            queries=Queries(slots, torch.zeros_like(slots)),
            targets=Targets(number, codes.flatten()[slots], torch.ones(len(slots))),
            hidden=hidden[:, :, None],
            dropped=torch.zeros(ROWS, LENGTH, 1, dtype=torch.bool),
            group=None,
            t=torch.full((ROWS,), SHARE),
            row_of_sample=torch.arange(ROWS),
            clean=clean,
        )

    few, every = masked(hidden), masked(torch.ones_like(hidden))
    objective = MaskedCrossEntropy()

    def formula() -> Tensor:
        ((_, _, logits),) = model.logits(every.inputs, every.queries)
        return plain(logits.view(ROWS, LENGTH, -1))

    return model, lambda: objective(model, few).total, formula


def bert(depth: int, sparse: bool) -> Built:
    from transformers import BertConfig, BertForMaskedLM

    config = BertConfig(
        vocab_size=CODES + 1,
        hidden_size=WIDTH,
        num_hidden_layers=depth,
        num_attention_heads=HEADS,
        intermediate_size=4 * WIDTH,
        max_position_embeddings=LENGTH,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = BertForMaskedLM(config).train()
    codes, hidden = ids()
    seen, labels = torch.where(hidden, CODES, codes), torch.where(hidden, codes, -100)
    whole = torch.ones_like(seen)

    def at_the_hidden() -> Tensor:
        states = model.bert(input_ids=seen, attention_mask=whole).last_hidden_state
        return nn.functional.cross_entropy(model.cls(states[hidden]), codes[hidden])

    def everywhere() -> Tensor:
        return model(input_ids=seen, attention_mask=whole, labels=labels).loss

    return model, at_the_hidden if sparse else everywhere, lambda: plain(model(input_ids=seen).logits)


def build(name: str, depth: int = DEPTH) -> Built:
    return ours(depth, name == SPARING) if name in (OURS, SPARING) else bert(depth, name == SPARSE)


def stepper(model: nn.Module, loss: Callable[[], Tensor]) -> Callable[[], float]:
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.0, fused=True)

    def step() -> float:
        optimizer.zero_grad(set_to_none=True)
        value = loss()
        value.backward()
        optimizer.step()
        return float(value.detach())

    return step


def training_case(depth: int = DEPTH) -> Case:
    built = {name: build(name, depth) for name in NAMES}
    sizes = {name: sum(p.numel() for p in model.parameters()) for name, (model, _, _) in built.items()}
    if max(sizes.values()) > 1.03 * min(sizes.values()):
        raise RuntimeError(f"the models must be of one size, got {sizes} parameters")

    @functools.cache
    def expected() -> dict[str, float]:
        with torch.no_grad():
            return {name: float(formula()) for name, (_, _, formula) in built.items()}

    def peer(name: str) -> Peer:
        model, loss, _ = built[name]
        return Peer(name, stepper(model, loss), lambda got, right: abs(got / right[name] - 1) < 1e-4)

    title = f"training step, {depth} layers x {WIDTH}, {SHARE:.0%} of [{ROWS}, {LENGTH}], {CODES} codes"
    return Case(title, peer(OURS), expected, (peer(SPARING), peer(BERT), peer(SPARSE)))


def peak_memory(name: str) -> tuple[float, float]:
    """(MB before the model is made, MB at the peak of two steps), of a new process that keeps no freed memory."""
    steady = {"MALLOC_MMAP_THRESHOLD_": "1048576", "MALLOC_TRIM_THRESHOLD_": "1048576", "MALLOC_TOP_PAD_": "0"}
    words = [sys.executable, __file__, name]
    done = subprocess.run(words, capture_output=True, text=True, check=True, env=os.environ | steady)
    before, peak = done.stdout.split()[-2:]
    return float(before), float(peak)


def memory_table() -> str:
    """Peak resident memory of a training process, ours and the peers'."""
    found = {name: peak_memory(name) for name in NAMES}
    ours = found[OURS][1]
    lines = ["", "| what | MB before | MB at the peak | x ours |", "|---|---|---|---|"]
    lines += [f"| {name} | {start:.0f} | {peak:.0f} | {peak / ours:.2f} |" for name, (start, peak) in found.items()]
    return "\n".join(lines)


def resident() -> float:
    """MB at the peak of this program; getrusage would count that of the program which started it."""
    found = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
    assert found, "Linux says VmHWM"
    return int(found[1]) / 1024


CASES: dict[str, Any] = {"training": training_case}

if __name__ == "__main__":
    torch.set_num_threads(1)
    import transformers  # noqa: F401 - all pay for all imports
    from transformers import BertForMaskedLM  # noqa: F401

    import tokenmask.objectives  # noqa: F401

    start = resident()
    chosen = build(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else DEPTH)
    step = stepper(*chosen[:2])
    step()
    step()
    print(start, resident())
