"""Recipe: everything that makes a run except its data.

Arrow: values of a page --> **Recipe** --> Run. Does not know: files, how any component works.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tokenmask.layout import Arrangement, Layout, Parallel
from tokenmask.masking import Conditioning, Corruption, GroupChain, Masker, MaskingProcess
from tokenmask.models import AttentionPattern, BackboneConfig, Full, HeadConfig, TransformerConfig
from tokenmask.objectives import MaskedCrossEntropy, Objective
from tokenmask.procedures import Plain, Procedure
from tokenmask.sampling import Sampler
from tokenmask.scores.arguments import whole
from tokenmask.training import Packing, Training

ROWS = ("random", "codebooks")
OPEN = (
    Packing,
    Conditioning,
    Masker,
    GroupChain,
    Corruption,
    Sampler,
)  # classes that are their own base, and may be subclassed


@dataclass(frozen=True)
class StreamOptions:
    """One stream of a recipe.

    Args:
        tokenizer: the name of a tokenizer out of ``tokenmask info``.
        fit: options of the tokenizer's ``fit``, for a tokenizer that is trained with the recipe.
        arrangement: how its levels share positions.
        shares: another stream whose tokenizer and ranges it uses (labels that are words like any other).
    """

    tokenizer: str
    fit: Mapping[str, Any] = field(default_factory=dict)
    arrangement: Arrangement = field(default_factory=Parallel)
    shares: str | None = None


@dataclass(frozen=True)
class Budget:
    """What fills a stream best for a given cost; ``tokenmask tune`` finds it.

    Args:
        passes: of a record through the model that it takes at most; a guided step takes two.
        sampler: the settings.
    """

    passes: int
    sampler: Sampler

    def __post_init__(self) -> None:
        whole("Budget.passes", self.passes)


@dataclass(frozen=True)
class Recipe:
    """Everything that makes a run except its data.

    Args:
        about: what the recipe does, in a sentence.
        paper: name and arXiv id of the paper, or of the papers it combines.
        streams: stream name -> its tokenizer and arrangement, in packing order.
        packing: how long a record may be.
        conditioning: which streams of a training sample are given, filled, dropped.
        masker: how much, where and with what.
        model: the shared backbone.
        head: what scores the codes; the one that ``model`` asks for if None, a RangeHeads unless it says otherwise.
        rows: where the rows of codes begin: "random", or "codebooks", see :func:`tokenmask.models.start_rows`.
        pattern: who attends to whom.
        objective: the loss.
        procedure: what a training step computes around the loss.
        sampler: how slots are filled.
        samplers: stream name -> a sampler of its own.
        budgets: stream name -> settings for some budgets, from small to large, which are asked for by ``budget=``.
        training: how the model is optimised.
        optional_streams: streams that own data do not hold are left out; else they must hold each.
    """

    about: str
    paper: str
    streams: Mapping[str, StreamOptions]
    packing: Packing = field(default_factory=Packing)
    conditioning: Conditioning = field(default_factory=Conditioning)
    masker: Masker = field(default_factory=Masker)
    model: BackboneConfig = field(default_factory=TransformerConfig)
    head: HeadConfig | None = None
    rows: str = "random"
    pattern: AttentionPattern = field(default_factory=Full)
    objective: Objective = field(default_factory=MaskedCrossEntropy)
    procedure: Procedure = field(default_factory=Plain)
    sampler: Sampler = field(default_factory=Sampler)
    samplers: Mapping[str, Sampler] = field(default_factory=dict)
    budgets: Mapping[str, tuple[Budget, ...]] = field(default_factory=dict)
    training: Training = field(default_factory=Training)
    optional_streams: bool = False

    def __post_init__(self) -> None:
        if self.rows not in ROWS:
            raise ValueError(f"rows must be one of {', '.join(ROWS)}, got {self.rows!r}; name one of these")
        if not self.streams:
            raise ValueError("a recipe needs at least one stream, got none; name one under streams")
        for name, options in self.streams.items():
            if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", name):  # it names folders
                raise ValueError(f"a stream's name is made of letters, digits, - and _, got {name!r}; rename it")
            owner = options.shares
            if owner is not None and (owner not in self.streams or self.streams[owner].shares is not None):
                raise ValueError(
                    f"stream {name!r} may share with a stream of its own kind of codes, got {owner!r}; "
                    "name one that is in the recipe and shares with none"
                )
        for what, named in (("samplers", self.samplers), ("budgets", self.budgets)):
            for name in named:
                if name not in self.streams:
                    raise ValueError(
                        f"{what} may name the streams {', '.join(self.streams)}, got {name!r}; "
                        "name one of these, or add the stream"
                    )
        for name, budgets in self.budgets.items():
            passes = [budget.passes for budget in budgets]
            if not passes or passes != sorted(set(passes)):
                raise ValueError(f"budgets.{name} must grow, got passes {passes}; sort them, each once")
        said = {"objective.process": getattr(self.objective, "process", None), "sampler.process": self.sampler.process}
        said |= {f"samplers.{name}.process": sampler.process for name, sampler in self.samplers.items()}
        for name, budgets in self.budgets.items():
            said |= {f"budgets.{name}.{budget.passes}.process": budget.sampler.process for budget in budgets}
        law = self.process
        for name, process in said.items():
            if law is not None and isinstance(process, MaskingProcess) and process != law:
                raise ValueError(
                    f"the law of time is said twice: masker.rate hides by {law}, and {name} is {process}; leave it out"
                )

    def sampler_of(self, stream: str, budget: int | None = None) -> Sampler:
        """The sampler that fills a stream; its process is that of the rate, by which the model was told the time.

        Args:
            stream: which.
            budget: most passes of a record through the model; None takes the stream's usual settings.

        Raises:
            ValueError: there are no settings for so small a budget, or for any.
        """
        sampler, law = self.samplers.get(stream, self.sampler), self.process
        if budget is not None:
            found = self.budgets.get(stream, ())
            fitting = [one for one in found if one.passes <= budget]
            if not fitting:
                known = f"settings for {', '.join(str(one.passes) for one in found)} passes" if found else "none"
                more = "ask for more, or " if found else "leave it out, or "
                raise ValueError(
                    f"a budget needs settings that were found for {stream}, which has {known}, got a budget of "
                    f"{budget}; {more}find them by `tokenmask tune RUN --stream {stream} --budgets {budget}`"
                )
            sampler = fitting[-1].sampler
        return sampler if law is None else replace(sampler, process=law)

    @property
    def process(self) -> MaskingProcess | None:
        """The law of time: the masking process of the rate, if it has one."""
        process = getattr(self.masker.rate, "process", None)
        return process if isinstance(process, MaskingProcess) else None

    def with_streams(self, layout: Layout, changed: Mapping[str, str]) -> Recipe:
        """The recipe of a layout with streams swapped, added or removed.

        Args:
            layout: gives the streams, arrangements and shares.
            changed: stream name -> name of its new tokenizer, whose ``fit`` options are not known.
        """
        fresh = {
            name: StreamOptions(tokenizer, {}, layout.arrangement(name), layout.shares.get(name))
            for name, tokenizer in changed.items()
        }
        moving = replace(self.training, only=())  # what moved alone, moved before the change
        budgets = {name: found for name, found in self.budgets.items() if name not in changed}
        changes: dict[str, Any] = {"streams": {**self.streams, **fresh}, "training": moving, "budgets": budgets}
        return replace(self, **changes).of(layout.names)

    def of(self, names: Collection[str]) -> Recipe:
        """The same recipe with some of its streams only."""

        def kept(values: Mapping[str, Any]) -> dict[str, Any]:
            return {name: value for name, value in values.items() if name in names}

        only = tuple(name for name in self.training.only if name in names)
        return replace(
            self,
            training=replace(self.training, only=only or self.training.only),
            streams=kept(self.streams),
            packing=replace(self.packing, budgets=kept(self.packing.budgets)),
            conditioning=replace(self.conditioning, odds=kept(self.conditioning.odds)),
            samplers=kept(self.samplers),
            budgets=kept(self.budgets),
        )
