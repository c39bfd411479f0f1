"""The checks of backbones, heads, optimisers and stages: others' pass, planted mistakes are named."""

import re
from dataclasses import dataclass, replace

import pytest
import torch
from torch import nn

from tests.models.outside import Conv, ConvConfig, Descent, Halves, NarrowHead, NarrowHeadConfig
from tokenmask.models import Transformer, TransformerConfig
from tokenmask.models.backbone import Hidden
from tokenmask.testing import check_component, component_checks
from tokenmask.testing.component import contract_of

BACKBONE, HEAD, OPTIMISER, STAGES = ConvConfig(), NarrowHeadConfig(), Descent(), Halves()


@pytest.mark.parametrize("one", [BACKBONE, HEAD, OPTIMISER, Descent(0.0), STAGES])
def test_others_pass(one):
    assert check_component(one) == [requirement.__name__ for requirement in contract_of(one).requirements]


# Planted mistakes -----------------------------------------------------------------------------------------------------


def refused(broken, sentence):
    """A mistake breaks one requirement or more, and one of the sentences says what is wrong."""
    found = []
    for check in component_checks(broken):
        try:
            check()
        except AssertionError as error:
            found.append(str(error))
    assert any(re.search(sentence, one) for one in found), found
    assert all("\n" not in one and one.startswith(f"{type(broken).__name__}: ") for one in found)
    with pytest.raises(AssertionError, match="breaks the contract of"):
        check_component(broken)


class MixesRows(Conv):
    def forward(self, inputs, queries, pattern=None, **options):
        hidden = super().forward(inputs, queries, pattern, **options)
        return Hidden(hidden.queries + hidden.queries.mean(0) if len(hidden.queries) else hidden.queries)


class SeesPadding(Conv):
    def forward(self, inputs, queries, pattern=None, **options):
        return super().forward(replace(inputs, valid=torch.ones_like(inputs.valid)), queries, pattern, **options)


class IgnoresPatterns(Conv):
    def forward(self, inputs, queries, pattern=None, **options):
        return super().forward(inputs, queries, None, **options)


class IgnoresTaps(Conv):
    def forward(self, inputs, queries, pattern=None, *, taps=(), **options):
        return super().forward(inputs, queries, pattern, **options)


class Draws(Conv):
    source = torch.Generator()

    def forward(self, *arguments, **options):
        hidden = super().forward(*arguments, **options).queries
        return Hidden(hidden + torch.randn(hidden.shape, generator=self.source))


class NotFinite(Conv):
    def forward(self, *arguments, **options):
        return Hidden(super().forward(*arguments, **options).queries / 0)


class HidesTime(Conv):
    def forward(self, *arguments, t=None, **options):
        hidden = super().forward(*arguments, **options).queries
        return Hidden(hidden if t is None else hidden + t.sum())


class NeedsNoTime(Conv):
    reads_time = True


class ForgetsRows(Conv):
    def __init__(self, config, layout):
        super().__init__(config, layout)
        self.names = nn.Embedding(len(layout.ranges), config.width)


class Spares(Conv):
    def recompute(self, on):
        self.scale = 2.0 if on else 1.0

    def forward(self, *arguments, **options):
        return Hidden(super().forward(*arguments, **options).queries * getattr(self, "scale", 1.0))


class JoinsOthers(Conv):
    """Runs a joined batch as one row, in which each sees the ends of others."""

    joins = True

    def forward(self, inputs, queries, pattern=None, **options):
        if "joined" not in inputs.features:
            return super().forward(inputs, queries, pattern, **options)
        flat = {name: getattr(inputs, name).flatten(0, 1)[None] for name in ("ids", "stream", "role", "valid")}
        return super().forward(replace(inputs, **flat), queries, pattern, **options)


class AlwaysUsed(Conv):
    sometimes_unused = False

    def __init__(self, config, layout):
        super().__init__(config, layout)
        self.spare = nn.Linear(3, 3)


class OtherTable(Conv):
    @property
    def table(self):
        return self.embedding.stream


class OtherParts(Conv):
    def parts(self):
        return [nn.Identity()]


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        (MixesRows, "other rows count"),
        (SeesPadding, "invalid positions count"),
        (IgnoresPatterns, "with Causal it sees later ones"),
        (IgnoresTaps, "a tap that it does not know must raise ValueError"),
        (Draws, "the same input must give the same vectors"),
        (NotFinite, "vectors must be finite"),
        (HidesTime, "reads_time is False, but t changes vectors: True"),
        (NeedsNoTime, "reads_time is True, but t changes vectors: False"),
        (ForgetsRows, "'names.weight' follows from the layout, so layout_rows must name it"),
        (Spares, "recompute must leave every gradient as it is"),
        (JoinsOthers, "joins is True, so joined rows must get the vectors of padded ones"),
        (AlwaysUsed, "sometimes_unused is False, but"),
        (OtherTable, "table must have"),
        (OtherParts, "parts must be parts of the backbone"),
    ],
)
def test_a_broken_backbone_is_named(kind, sentence):
    @dataclass(frozen=True)
    class Config(ConvConfig):
        def build(self, layout):
            return kind(self, layout)

    refused(Config(), sentence)


class StoresNothing(Transformer):
    """A cache that is noted and stays empty."""

    def forward(self, *arguments, cache=None, **options):
        return super().forward(*arguments, **options)


def test_a_cache_that_stays_empty_is_named():
    @dataclass(frozen=True)
    class Config(TransformerConfig):
        def build(self, layout):
            return StoresNothing(self, layout)

    refused(Config(64, 2, 2), "over a cache that is not stale must get the vectors of a full pass")


class Shared(NarrowHead):
    """Subtracts a mean over all queries."""

    def forward(self, hidden, heads, embedding, read=None):
        hidden = hidden - hidden.mean(0) if len(hidden) else hidden
        return super().forward(hidden, heads, embedding, read)


class Backwards(NarrowHead):
    def forward(self, *arguments):
        return super().forward(*arguments)[::-1]


class Unread(NarrowHead):
    def forward(self, hidden, heads, embedding, read=None):
        return super().forward(hidden, heads, embedding)


class Whole(NarrowHead):
    """Scores all ids."""

    def __init__(self, layout, width, rank):
        super().__init__(layout, width, rank)
        self.ranges = [replace(own, offset=0, size=layout.num_ids) for own in layout.ranges]


class Unnamed(NarrowHead):
    layout_rows = None


class Idle(NarrowHead):
    def __init__(self, layout, width, rank):
        super().__init__(layout, width, rank)
        self.idle = nn.Linear(2, 2)


class Wraps(NarrowHead):
    def forward(self, hidden, heads, embedding, read=None):
        return super().forward(hidden, heads % len(self.ranges), embedding, read)


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        (Shared, "from the vector and range of their query alone"),
        (Backwards, "groups must be the ranges asked, ascending"),
        (Unread, "read must be given the logits of each group"),
        (Whole, r"logits of range 0 must be \("),
        (Unnamed, "'table' follows from the layout"),
        (Idle, "every weight must get a gradient"),
        (Wraps, "range -1 of 4 must raise ValueError"),
    ],
)
def test_a_broken_head_is_named(kind, sentence):
    @dataclass(frozen=True)
    class Config(NarrowHeadConfig):
        def build(self, layout, width):
            return kind(layout, width, self.rank)

    refused(Config(), sentence)


@dataclass(frozen=True)
class Twice(Descent):
    def make(self, parameters, inner, lr):
        return {**super().make(parameters, inner, lr), "again": torch.optim.SGD([parameters["inner"]], lr)}


@dataclass(frozen=True)
class Forgets(Descent):
    def make(self, parameters, inner, lr):
        return super().make({name: own for name, own in parameters.items() if name != "bias"}, inner, lr)


@dataclass(frozen=True)
class Stubborn(Descent):
    """A step of its own beside the learning rate."""

    def make(self, parameters, inner, lr):
        made = super().make(parameters, inner, lr)
        made["descent"].register_step_pre_hook(lambda one, *_: one.param_groups[0].update(lr=0.01))
        return made


@dataclass(frozen=True)
class Counts(Descent):
    """Something that no checkpoint sees."""

    def make(self, parameters, inner, lr):
        made, count = super().make(parameters, inner, lr), [0]

        def smaller(one, *_):
            count[0] += 1
            one.param_groups[0]["lr"] /= count[0]

        made["descent"].register_step_pre_hook(smaller)
        return made


@dataclass(frozen=True)
class Climbs(Descent):
    def make(self, parameters, inner, lr):
        return {"descent": torch.optim.SGD(parameters.values(), lr, maximize=True)}


@dataclass(frozen=True)
class Still(Descent):
    def make(self, parameters, inner, lr):
        made = super().make(parameters, inner, lr)
        made["descent"].register_step_pre_hook(lambda *_: setattr(parameters["inner"], "grad", None))
        return made


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        (Twice, "inner 2 times"),
        (Forgets, "bias 0 times"),
        (Stubborn, "nothing may move at a learning rate of 0"),
        (Counts, "must go on bit for bit"),
        (Climbs, "the loss must fall"),
        (Still, "inner stayed"),
    ],
)
def test_a_broken_optimiser_is_named(kind, sentence):
    refused(kind(), sentence)


@dataclass(frozen=True)
class Together(Halves):
    """One stage for all rows, as the first says."""

    def stage(self, ids, maskable, layout, *, seed, sample_ids):
        return super().stage(ids, maskable, layout, seed=seed, sample_ids=sample_ids[:1].expand_as(sample_ids))


@dataclass(frozen=True)
class Everywhere(Halves):
    def split(self, ids, maskable, layout, drawn):
        learned, later, whole = super().split(ids, maskable, layout, drawn)
        return learned, torch.ones_like(later) & ~learned, whole


@dataclass(frozen=True)
class Both(Halves):
    def split(self, ids, maskable, layout, drawn):
        learned, _, whole = super().split(ids, maskable, layout, drawn)
        return learned, learned, whole


@dataclass(frozen=True)
class Nothing(Halves):
    def split(self, ids, maskable, layout, drawn):
        learned, later, whole = super().split(ids, maskable, layout, drawn)
        return learned & False, later, whole


@dataclass(frozen=True)
class Negative(Halves):
    def stage(self, ids, maskable, layout, *, seed, sample_ids):
        return -super().stage(ids, maskable, layout, seed=seed, sample_ids=sample_ids)


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        (Together, "must give row . the same answer"),
        (Everywhere, "later slots must be among those that are to be filled"),
        (Both, "a slot must be learned or of a later stage"),
        (Nothing, "some row must learn a slot"),
        (Negative, "stage must not be negative"),
    ],
)
def test_broken_stages_are_named(kind, sentence):
    refused(kind(), sentence)
