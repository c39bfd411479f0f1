"""A small corpus with a rule to learn, a trainer on it, and the kill -9 exercise that a subprocess runs."""

import os
import random
import signal
import sys
import time
from pathlib import Path

import torch

from tokenmask.corpus import HELD_OUT, TRAIN, Corpus, CorpusWriter, Mixture, Record
from tokenmask.fitting import fit
from tokenmask.layout import Layout
from tokenmask.masking import Conditioning, Cosine, Masker, ProcessRate
from tokenmask.models import MaskedModel, TransformerConfig
from tokenmask.objectives import MaskedCrossEntropy, Objective
from tokenmask.procedures import Procedure
from tokenmask.processes import Processes
from tokenmask.streams import StreamSpec, TokenStream
from tokenmask.training import AdamW, Packing, Trainer, Training

WORD = StreamSpec("text", (12,), ("index",), end_code=11, fingerprint="words")
PICTURE = StreamSpec("image", (10,), ("row", "column"), grid=(2, 4), fingerprint="pictures")
LAYOUT = Layout({"word": WORD, "picture": PICTURE})


def write_corpus(folder: Path, records: int = 200) -> None:
    """Word n is (n, n + 1, n + 2) mod 11; its picture repeats two codes that follow from n."""
    draw = torch.Generator().manual_seed(0)
    with CorpusWriter(folder, {"word": WORD, "picture": PICTURE}, row_group=32) as writer:
        for number in range(records):
            n = int(torch.randint(10, (1,), generator=draw))
            word = torch.tensor([[n], [(n + 1) % 11], [(n + 2) % 11]], dtype=torch.int32)
            picture = torch.tensor([n, (3 * n) % 10] * 4, dtype=torch.int32).view(2, 4, 1)
            streams = {"word": TokenStream(WORD, word), "picture": TokenStream(PICTURE, picture)}
            writer.add(Record(f"r{number}", streams, split=HELD_OUT if number % 10 == 9 else TRAIN))


def make_trainer(
    corpus: Path,
    steps: int = 40,
    batch_size: int = 8,
    *,
    kind: type[Trainer] = Trainer,
    processes: Processes | None = None,
    objective: Objective | None = None,
    procedure: Procedure | None = None,
    masker: Masker | None = None,
    batch_positions: int | None = None,
    muon: bool = False,
    **options: object,
) -> Trainer:
    """A small trainer; ``batch_positions`` limits batches instead of ``batch_size``, ``options`` are Training's."""
    packing = Packing(16, 4)
    options = {"optimiser": AdamW(muon=muon), **options, "steps": steps, "batch_size": batch_size}
    training = Training(peak_lr=5e-3, warmup_steps=3, checkpoint_every=4, **options)
    mixture = Mixture(
        [(Corpus(corpus, split=TRAIN), 1.0)],
        seed=training.seed,
        batch_size=None if batch_positions else training.batch_size,
        batch_positions=batch_positions,
        length=lambda record: packing.positions(LAYOUT, record.streams),
        shuffle_window=64,
    )
    config = TransformerConfig(width=64, depth=2, heads=2)
    return kind(
        MaskedModel.create(config, LAYOUT, seed=training.seed),
        mixture,
        packing=packing,
        conditioning=Conditioning(drop=0.2),
        masker=masker or Masker(ProcessRate(Cosine())),
        objective=objective or MaskedCrossEntropy(),
        training=training,
        procedure=procedure,
        processes=processes,
    )


def fit_until(trainer: Trainer, steps: int, folder: Path) -> None:
    """Does steps of a training up to so many, and keeps them."""
    kept = trainer.checkpoints()
    fit(trainer, steps=steps, folder=folder, checkpoint_every=4, progress=False, checkpoints=kept)
    trainer.close()


def files(folder: Path) -> dict[str, bytes]:
    """What a finished training leaves, apart from locks."""
    return {name: (folder / name).read_bytes() for name in ("checkpoint.safetensors", "metrics.jsonl")}


def kill_many(folder: Path, kills: int) -> None:
    """Forks warm children that train and kills them at random moments until ``kills`` have died."""
    torch.set_num_threads(1)
    draw, number, dead = random.Random(1), 0, 0
    write_corpus(folder / "corpus")

    def child(place: Path) -> int:
        process = os.fork()
        if process == 0:
            make_trainer(folder / "corpus").fit(place, progress=False)
            os._exit(0)
        return process

    started = time.monotonic()
    if os.waitpid(child(folder / "whole"), 0)[1]:
        raise SystemExit("the run that is never stopped failed")
    seconds, whole = time.monotonic() - started, files(folder / "whole")
    while dead < kills:
        process = child(folder / f"cut{number}")
        time.sleep(draw.uniform(0.05, 0.8) * seconds)
        os.kill(process, signal.SIGKILL)
        if os.WIFSIGNALED(os.waitpid(process, 0)[1]):
            dead += 1
            if dead < kills:
                continue
            if os.waitpid(child(folder / f"cut{number}"), 0)[1]:
                raise SystemExit("resuming failed")
        if files(folder / f"cut{number}") != whole:
            raise SystemExit(f"run {number} differs from the run that was never stopped")
        number += 1


if __name__ == "__main__":
    kill_many(Path(sys.argv[1]), int(sys.argv[2]))
