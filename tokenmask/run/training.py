"""Training a run: from recipe, tokenizers and corpora to a run folder.

Arrow: (recipe, tokenizers, corpora) --**prepare**--> Trainer, --**train**--> Run. Does not know: the step loop, what
the parts of a recipe do, the format of a run folder.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from tokenmask.corpus import TRAIN, Corpus, Mixture, Record
from tokenmask.corpus.mixture import BUCKET_WIDTH
from tokenmask.devices import device_named
from tokenmask.generation import ExpectedLengths
from tokenmask.layout import Layout
from tokenmask.models import MaskedModel, start_rows, transfer
from tokenmask.processes import Processes
from tokenmask.recipes import Recipe
from tokenmask.run.folder import LENGTHS, model_path, sha256, write_run
from tokenmask.run.run import Run
from tokenmask.tensor_files import canonical_json
from tokenmask.tokenizer import GivesCodebooks, Tokenizer
from tokenmask.training import Trainer

_TOLD_BY = 4096  # records of a corpus


def prepare(
    folder: str | Path,
    recipe: Recipe,
    tokenizers: Mapping[str, Tokenizer],
    corpora: Sequence[tuple[str | Path, float]],
    *,
    start: str | Path | None = None,
    device: str | torch.device | None = None,
) -> Trainer:
    """Lays out a run folder and makes its trainer; ``trainer.fit(folder)`` starts or resumes it.

    Args:
        folder: of the run; an existing one must hold the same recipe, tokenizers and corpora.
        recipe: what to train.
        tokenizers: for every stream of the recipe.
        corpora: (folder, weight), at least one.
        start: another run, whose weights are started from, see :func:`tokenmask.models.transfer`; and whose names of
            electrodes and the like count where the corpora have none.
        device: where the model computes; None takes a CUDA device where torch sees one and this build has kernels for
            it. Under torchrun each process has its own.

    Raises:
        ValueError: tokenizers are missing or foreign to the corpora, the folder holds another run, the model of
            ``start`` is of another kind, or the device is not there or, under torchrun, not of the processes' kind.
    """
    folder = Path(folder)
    tokenizers = {
        **tokenizers,
        **{
            name: tokenizers[options.shares]
            for name, options in recipe.streams.items()
            if options.shares is not None and options.shares in tokenizers
        },
    }
    missing = [name for name in recipe.streams if name not in tokenizers]
    if missing:
        raise ValueError(f"the recipe needs a tokenizer for {', '.join(missing)}; name it with --tokenizer NAME=FOLDER")
    used = {name: tokenizers[name] for name in recipe.streams}
    layout = Layout(
        streams={name: tokenizer.spec for name, tokenizer in used.items()},
        arrangements={name: options.arrangement for name, options in recipe.streams.items()},
        shares={name: options.shares for name, options in recipe.streams.items() if options.shares is not None},
    )
    if not corpora:
        raise ValueError("training needs at least one corpus; name it with --corpus FOLDER")
    for one in [corpora] if isinstance(corpora, str) else corpora:
        if isinstance(one, str) or len(one) != 2 or not isinstance(one[1], int | float):
            raise TypeError(f'corpora must be pairs of a folder and a weight, got {one!r}; write [("folder", 1.0)]')
    opened = [(Corpus(path, split=TRAIN, specs=dict(layout.streams)), weight) for path, weight in corpora]
    for corpus, _ in opened:
        foreign = [name for name in corpus.specs if name not in layout.streams]
        if foreign:
            raise ValueError(
                f"the recipe has the streams {', '.join(layout.streams)}, but {corpus.folder} also holds "
                f"{', '.join(foreign)}; build a corpus without it or add it to the recipe"
            )
    recipe = replace(recipe, training=recipe.training.of_records(sum(len(corpus) for corpus, _ in opened)))
    seed = recipe.training.seed
    model = MaskedModel.create(recipe.model, layout, pattern=recipe.pattern, head=recipe.head, seed=seed)
    if recipe.rows == "codebooks":
        own = {name: used[name] for name in layout.names if name not in layout.shares}
        books = {name: one.codebooks for name, one in own.items() if isinstance(one, GivesCodebooks)}
        start_rows(model, books, seed=seed)
    canonical_json(model.about())  # before anything is written or trained: what could not be saved is refused
    origin, labels = {}, _labels([corpus for corpus, _ in opened])
    if start is not None:
        source = Run.load(start)
        transfer(source.models["main"], model)
        labels = _inherited(source, layout) | labels
        origin = {"started_from": {"run": str(start), "sha256": sha256(model_path(start).read_bytes())}}
    processes = Processes.join()
    with processes.first_goes_first():
        if processes.first:
            write_run(folder, recipe, layout, used, corpora, labels, origin)
        elif not (folder / "run.json").is_file():
            raise ValueError(f"every process must see the same {folder}, but one does not; use a folder that all share")
    packing, training = recipe.packing, recipe.training
    mixture = Mixture(
        opened,
        seed=training.seed,
        batch_size=training.batch_size,
        lengths=partial(packing.table_positions, layout),
        bucket_width=BUCKET_WIDTH if training.lengths == "alike" else packing.max_positions,
        by=training.mix_by,
    )
    return Trainer(
        model,
        mixture,
        packing=packing,
        conditioning=recipe.conditioning,
        masker=recipe.masker,
        objective=recipe.objective,
        training=training,
        procedure=recipe.procedure,
        processes=processes,
        device=_device(device, processes),
    )


def train(
    folder: str | Path,
    recipe: Recipe,
    tokenizers: Mapping[str, Tokenizer],
    corpora: Sequence[tuple[str | Path, float]],
    *,
    start: str | Path | None = None,
    device: str | torch.device | None = None,
    progress: bool = True,
) -> Run:
    """Trains a run, or resumes it, and opens it. Arguments are those of :func:`prepare`.

    Under torchrun every process calls it, with the same arguments, and they train together.
    """
    trainer = prepare(folder, recipe, tokenizers, corpora, start=start, device=device)
    trainer.fit(Path(folder), progress=progress)
    trainer.save_model(model_path(folder))  # first: what follows must not cost a training
    with trainer.processes.first_goes_first():
        if trainer.processes.first:
            layout, longest = trainer.model.layout, recipe.packing.max_positions - 2  # beside the beginning and the end
            lengths = lengths_told_by([path for path, _ in corpora], layout, longest)
            if start is not None:
                lengths = lengths.over(_earlier(Run.load(start), layout))
            lengths.save(Path(folder) / LENGTHS)
    return Run.load(folder).to(trainer.device)


def lengths_told_by(corpora: Sequence[str | Path], layout: Layout, longest: int | None = None) -> ExpectedLengths:
    """How long streams are in training records; of each corpus ``_TOLD_BY`` or more, in evenly spread row groups.

    ``longest`` is as of :meth:`ExpectedLengths.fit`.
    """
    found: list[Record] = []
    for path in corpora:
        corpus = Corpus(path, split=TRAIN, specs=dict(layout.streams))
        groups = len(corpus.row_groups)
        taken = min(groups, max(1, math.ceil(groups * _TOLD_BY / max(len(corpus), 1))))
        for number in range(taken if groups else 0):
            found += corpus.read(number * groups // taken)
    return ExpectedLengths.fit(found, longest)


def _earlier(source: Run, layout: Layout) -> ExpectedLengths:
    """What the run one starts from knows of the lengths of streams whose codes are the same here."""
    changed = [name for name, spec in source.layout.streams.items() if layout.streams.get(name) != spec]
    return source.lengths.without(changed)


def _device(asked: str | torch.device | None, processes: Processes) -> torch.device:
    if processes.size == 1:
        return device_named(asked)
    if asked is not None and device_named(asked).type != processes.device.type:
        raise ValueError(
            f"each of {processes.size} processes computes on a device of its own, here {processes.device.type}, got "
            f"device {asked}; leave it out"
        )
    return processes.device


def _inherited(source: Run, layout: Layout) -> dict[str, dict[str, list[str]]]:
    """The names that the run one starts from has, of streams that the corpora at hand may not hold."""
    return {
        name: {axis: list(names) for axis, names in axes.items()}
        for name, axes in source.labels.items()
        if name in layout.streams
    }


def _labels(corpora: Sequence[Corpus]) -> dict[str, dict[str, list[str]]]:
    """The names along axes of fixed meaning (electrodes), as in the first record of each stream that has any."""
    labels: dict[str, dict[str, list[str]]] = {}
    for corpus in corpora:
        for name, axes in corpus.labels().items():
            labels.setdefault(name, {axis: list(names) for axis, names in axes.items()})
    return labels
