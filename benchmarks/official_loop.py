"""Our loop beside official ones with the logits given: python benchmarks/official_loop.py LLADA MASKGIT_PYTORCH

The arguments are folders with checkouts of ML-GSAI/LLaDA and valeoai/Maskgit-pytorch; nothing is fetched. Their loops
are run as they are, with their own random numbers, and both sides are handed the same logits in every step, so that
what is timed is all that a loop does besides the network: drawing, ranking, writing, bookkeeping. A network of ours
answers for the slots that are asked alone; here they are picked out of what is there, which is timed as "handing over"
and is no work of the loop. Best codes must be equal, drawn ones agree in their mean log-probability (those of
ConfidenceSampler with plain draws, since it draws known codes anew, see parity/valeoai.py). One thread, CPU time, in
turn; writes results/official_loop.json.
"""

from __future__ import annotations

import argparse
import datetime
import json
import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from harness import RESULTS, Case, Floors, Peer, device_name, measure, restart_with_steady_malloc, table

sys.path.insert(0, str(Path(__file__).parent / "parity"))

SIZES = ((1, 64, 256), (1, 256, 1024), (8, 256, 1024), (8, 256, 8192))
STEPS = 16


def main() -> None:
    """Times every size, prints the table and writes the results."""
    restart_with_steady_malloc()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("llada", type=Path, help="folder with a checkout of ML-GSAI/LLaDA")
    parser.add_argument("maskgit", type=Path, help="folder with a checkout of valeoai/Maskgit-pytorch")
    parser.add_argument("--rounds", type=int, default=15, help="timed rounds, default 15")
    parser.add_argument("--note", default="", help="what else the machine did, kept with the results")
    asked = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    rows = []
    for size in SIZES:
        for case in (text(asked.llada, 0.0, *size), text(asked.llada, 1.0, *size), picture(asked.maskgit, *size)):
            rounds = asked.rounds if math.prod(size) < 1 << 22 else 3
            found = measure(case, rounds, Floors(1, 1, 1))
            print(table(found), flush=True)
            rows += found
    kept = [{key: value for key, value in vars(row).items() if key != "floor"} for row in rows]
    content = {
        "date": datetime.date.today().isoformat(),
        "device": device_name(),
        "clock": "CPU time of one thread",
        "torch": torch.__version__,
        "steps": STEPS,
        "rounds": asked.rounds,
        "note": asked.note,
        "rows": kept,
    }
    print(summary(kept))
    (RESULTS / "official_loop.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


class Given:
    """A model that answers what it was given, whatever it sees; it keeps what it was asked."""

    def __init__(self, logits: Any) -> None:
        import torch

        rows, length, _ = logits.shape
        slots = torch.arange(rows * (length + 1))
        self.all = logits.flatten(0, 1)
        self.places = slots - torch.div(slots, length + 1, rounding_mode="floor") - 1  # a row begins with a control
        self.every = slots
        self.asked: list[Any] = []

    def logits(self, inputs: Any, queries: Any, t: Any = None, **more: Any) -> Iterator[tuple[int, Any, Any]]:
        self.asked.append(queries)
        slots = queries.slots
        yield 0, self.every[: slots.shape[0]], self.all.index_select(0, self.places.index_select(0, slots))


def ours(logits: Any, sampler: Any) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """A run of our loop, codes int64 [B, L]; and the same answers of the network once more, without it."""
    import torch

    from tokenmask.batch import collate
    from tokenmask.layout import Layout
    from tokenmask.sampling import SamplerState
    from tokenmask.streams import StreamSpec, TokenStream

    rows, length, codes = logits.shape
    spec = StreamSpec("text", (codes,), ("index",))
    layout = Layout({"text": spec})
    packed = layout.pack({"text": TokenStream(spec, torch.zeros(length, 1, dtype=torch.int32))})
    batch = collate([packed] * rows, torch.arange(rows), multiple=1)
    model, seeds, turn = Given(logits), torch.zeros(rows, dtype=torch.int64), iter(range(1 << 30))

    def run() -> Any:
        model.asked.clear()
        state = SamplerState.start(batch, layout, seeds + next(turn))
        return layout.codes_of(sampler.run({"main": model}, layout, state).batch.ids)[:, 1:, 0].long()

    def handed() -> None:
        for queries in list(model.asked):
            next(model.logits(None, queries))
        del model.asked[len(model.asked) // 2 :]  # what was asked here

    return run, handed


def llada(checkout: Path, logits: Any, temperature: float) -> Callable[[], Any]:
    """A run of theirs."""
    import numpy
    import torch
    from common import lifted

    names = ["add_gumbel_noise", "get_num_transfer_tokens", "generate"]
    space = {"torch": torch, "np": numpy, "F": torch.nn.functional}
    generate = lifted(checkout / "generate.py", names, space)["generate"]
    rows, length, codes = logits.shape

    class Model:
        device = torch.device("cpu")

        def __call__(self, ids: Any, attention_mask: Any = None) -> Any:
            return SimpleNamespace(logits=logits)

    prompt = torch.zeros(rows, 0, dtype=torch.int64)

    def run() -> Any:
        with torch.no_grad():
            return generate(Model(), prompt, None, STEPS, length, length, temperature, 0.0, mask_id=codes)

    return run


def text(checkout: Path, temperature: float, *size: int) -> Case:
    """LLaDA, best codes or drawn ones; at both temperatures the drawn probability is the plain one."""
    import torch

    from tokenmask.sampling import Categorical, Sampler, UniformSchedule
    from tokenmask.scores import ConfidenceScore

    logits = given(*size)
    pick = Categorical(temperature)
    run, handed = ours(logits, Sampler(STEPS, schedule=UniformSchedule(), order=ConfidenceScore(), pick=pick))
    agrees = alike(logits) if temperature else torch.equal
    reference = run if temperature else lambda: logits.argmax(-1)
    peers = (Peer("generate", llada(checkout, logits, temperature), agrees), Peer(HANDED, handed, always))
    return Case(
        named("LLaDA, drawn" if temperature else "LLaDA, best", *size), Peer("tokenmask", run, agrees), reference, peers
    )


def picture(checkout: Path, *size: int) -> Case:
    """The reproduction of MaskGIT without guidance."""
    import numpy
    import torch
    from common import lifted

    from tokenmask.masking import Arccos
    from tokenmask.sampling import Categorical, ProcessSchedule, Sampler
    from tokenmask.scores import ConfidenceScore

    logits = given(*size)
    rows, length, codes = size
    order = ConfidenceScore(4.5, grid="ends")
    schedule = ProcessSchedule(Arccos(), "ceil", "first")
    run, handed = ours(logits, Sampler(STEPS, schedule=schedule, order=order, pick=Categorical()))
    space = {"torch": torch, "np": numpy, "math": math, "tqdm": lambda one, **how: one}
    file = lifted(checkout / "Sampler" / "confidence_sampler.py", ["build_sequence", "__call__"], space)
    itself = SimpleNamespace(sm_temp=1.0, w=0, randomize="linear", r_temp=4.5, sched_mode="arccos", step=STEPS)
    itself.build_sequence = file["build_sequence"]

    class Vit:
        def __call__(self, code: Any, labels: Any, drop_label: Any) -> Any:
            return logits.view(rows, length, codes)

        def eval(self) -> None: ...

        def train(self) -> None: ...

    trainer = SimpleNamespace(
        vit=Vit(),
        input_size=math.isqrt(length),
        args=SimpleNamespace(use_ema=False, mask_value=codes, codebook_size=codes, device="cpu"),
        ae=SimpleNamespace(decode_code=lambda code: code / codes),
    )
    labels = torch.zeros(rows, dtype=torch.int64)

    def theirs() -> Any:
        with torch.no_grad():
            found, _, _ = file["__call__"](itself, trainer, None, rows, labels, False)
        return (found * codes).round().long().flatten(1)

    def plain(got: Any, expected: Any) -> bool:
        drawn = torch.distributions.Categorical(logits=logits).sample()
        return alike(logits)(got, drawn)

    peers = (Peer("ConfidenceSampler", theirs, plain), Peer(HANDED, handed, always))
    return Case(named("MaskGIT", *size), Peer("tokenmask", run, alike(logits)), run, peers)


HANDED = "handing over the logits"


def summary(rows: list[dict[str, Any]]) -> str:
    """The table of README.md."""
    lines = [
        "| case | ours, ms | of it picking out | theirs, ms | x ours | x ours without picking out |",
        "|---|---|---|---|---|---|",
    ]
    for case in dict.fromkeys(row["case"] for row in rows):
        own, theirs, handed = (row["milliseconds"] for row in rows if row["case"] == case)
        ratios = f"{theirs / own:.2f} | {theirs / (own - handed):.2f}"
        lines.append(f"| {case} | {own:.1f} | {handed:.1f} | {theirs:.1f} | {ratios} |")
    return "\n".join(lines)


def named(what: str, rows: int, length: int, codes: int) -> str:
    return f"{what}, {rows} x {length} slots of {codes}"


def always(got: Any, expected: Any) -> bool:
    """Nothing is to be compared."""
    return True


def given(*size: int) -> Any:
    """Gaussian logits of scale 3."""
    import torch

    return torch.randn(*size, generator=torch.Generator().manual_seed(0)) * 3


def alike(logits: Any) -> Callable[[Any, Any], bool]:
    """Mean log-probabilities of two sets of codes within 5 standard errors."""
    log = logits.log_softmax(-1)

    def agrees(got: Any, expected: Any) -> bool:
        a, b = (log.gather(2, codes[..., None]).flatten() for codes in (got, expected))
        return bool((a.mean() - b.mean()).abs() <= 5 * ((a.var() + b.var()) / len(a)).sqrt())

    return agrees


if __name__ == "__main__":
    main()
