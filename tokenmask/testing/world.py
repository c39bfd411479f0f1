"""World: a small layout, rows of every kind, and what the parts of training and sampling are told of them.

Does not know: what is checked. Everything follows from the numbers of the rows, whatever stands beside them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product

import torch
from torch import Tensor

from tokenmask.batch import ABSENT, FILL, GIVEN, Batch, Sequence, collate
from tokenmask.layout import Layout
from tokenmask.masking import Linear, MaskedBatch, Masker, ProcessRate
from tokenmask.models import AttentionPattern, Causal, Full, GivenFirst, GroupCausal, MaskedModel, TransformerConfig
from tokenmask.models.style import BlockStyle
from tokenmask.ops import Purpose, uniform
from tokenmask.sampling import RevokeDoubted, Sampler, SamplerState
from tokenmask.scores import Answer, Progress, Rescored, ScoreContext
from tokenmask.streams import StreamSpec, TokenStream

TEXT = StreamSpec("text", (11,), ("index",), end_code=10)
AUDIO = StreamSpec("audio", (7, 6, 5), ("time",), rate_hz=50.0)
IMAGE = StreamSpec("image", (9,), ("row", "column"), grid=(3, 4))
LAYOUT = Layout({"text": TEXT, "audio": AUDIO, "image": IMAGE})
"""Text that ends, sound of three levels, and a picture of a fixed size: what components are tried on."""

KEYS = (5, 12, 3, 40, 7, 21, 9)  # sample_ids of the rows
SEEDS = (8, 1, 6, 1, 30, 2, 4)
_CODES, _ROLES, _CHANCE = 77, 78, 79  # seeds of the codes, of the roles of row 5, and of what was "predicted"


def some_stream(name: str, size: int, key: int) -> TokenStream:
    """Codes of a stream of the layout that follow from a key; a picture has a size of its own."""
    spec = LAYOUT.streams[name]
    grid = (3, 4) if name == "image" else (size,)
    places = torch.Size(grid).numel()
    counters = torch.arange(places * spec.num_levels) + (key << 12)
    draws = uniform(seed=_CODES, counters=counters, purpose=Purpose.code).view(*grid, spec.num_levels)
    sizes = torch.tensor([size - (spec.end_code is not None) for size in spec.codebook_sizes])
    return TokenStream(spec, (draws * sizes).to(torch.int32))


def _sequences() -> list[Sequence]:
    """A row each: one stream, several, some given, one given in part, one without anything to fill."""
    chance = uniform(seed=_ROLES, counters=torch.arange(12), purpose=Purpose.code).view(3, 4, 1)
    partly = torch.where(chance < 0.5, FILL, GIVEN).to(torch.int8)
    rows: list[tuple[dict[str, int], dict[str, int | Tensor]]] = [
        ({"text": 5}, {}),
        ({"text": 3, "audio": 6}, {"text": GIVEN}),
        ({"text": 2, "image": 0}, {"text": GIVEN}),
        ({"audio": 9}, {}),
        ({"text": 4, "audio": 5, "image": 0}, {"text": GIVEN, "image": GIVEN}),
        ({"text": 2, "image": 0}, {"text": GIVEN, "image": partly}),
        ({"text": 4, "audio": 4}, {"text": GIVEN, "audio": GIVEN}),
    ]
    return [
        LAYOUT.pack({name: some_stream(name, size, key) for name, size in sizes.items()}, roles=roles)
        for key, (sizes, roles) in enumerate(rows)
    ]


@dataclass(frozen=True, eq=False)
class World:
    """Some of the rows, in some order, with some padding.

    Args:
        numbers: of the rows.
        longer: positions of padding behind the longest row.
        num_levels: K at the least.
        seed: added to the seed of each row.
        keys: added to the key of each row.
        lent: what was lent, beside what it was.
    """

    numbers: tuple[int, ...] = tuple(range(len(KEYS)))
    longer: int = 0
    num_levels: int = 0
    seed: int = 0
    keys: int = 0
    lent: dict[str, tuple[Tensor, Tensor]] = field(default_factory=dict)

    def lend(self, name: str, value: Tensor) -> Tensor:
        """A copy of a tensor for a component to read, which is looked at again when it was used."""
        mine = value.clone()
        self.lent[f"{len(self.lent)}. {name}"] = (mine, value.clone())
        return mine

    @cached_property
    def batch(self) -> Batch:
        """The rows."""
        sequences = _sequences()
        chosen = [sequences[number] for number in self.numbers]
        keys = torch.tensor([KEYS[number] for number in self.numbers]) + self.keys
        length = max(map(len, chosen)) + self.longer
        return collate(chosen, keys, multiple=length, num_levels=self.num_levels)

    @cached_property
    def seeds(self) -> Tensor:
        """int64 [B]."""
        return torch.tensor([SEEDS[number] for number in self.numbers]) + self.seed

    @cached_property
    def maskable(self) -> Tensor:
        """bool [B, L, K], the slots that may be hidden."""
        return self.batch.to_fill

    @cached_property
    def present(self) -> Tensor:
        """bool [B, L, K]."""
        return (self.batch.role != ABSENT) & self.batch.valid[:, :, None]

    def chance(self, number: int) -> Tensor:
        """float32 [B, L, K] in 0..1, a draw for each slot that the rows beside it do not change."""
        rows, length, levels = self.batch.shape
        keys = torch.tensor(self.numbers)[:, None, None] << 24
        counters = keys | (torch.arange(length)[:, None] << 6) | torch.arange(levels)
        return uniform(seed=_CHANCE + number, counters=counters.flatten(), purpose=Purpose.latent).view(
            rows, length, levels
        )

    @cached_property
    def predictions(self) -> dict[str, Tensor]:
        """What a step may have predicted of the codes that it drew."""
        logprob = torch.log(0.02 + 0.97 * self.chance(0))
        drawn = {"logprob": logprob, "entropy": 2 * self.chance(1), "margin": self.chance(2) * logprob.exp()}
        more = {"plain_logprob": logprob * 1.25, "logit": 4 * self.chance(3) - 2}
        more["trial_logprob"] = torch.log(0.02 + 0.97 * self.chance(7))
        return {**drawn, **more, "code": (self.chance(6) * int(LAYOUT.sizes().min())).floor()}

    @cached_property
    def state(self) -> SamplerState:
        """A generation in which about half of the slots are filled."""
        state = SamplerState.start(self.batch, LAYOUT, self.seeds)
        done = state.is_open & (self.chance(4) < 0.5)
        ids = torch.where(done, self.batch.ids, state.batch.ids)
        return replace(
            state,
            batch=replace(state.batch, ids=ids),
            is_open=state.is_open & ~done,
            score=torch.where(done, self.predictions["logprob"], 0.0),
            step=2,
        )

    def ask(self, slots: Tensor, *, model: str | None = None, scale: float | None = None) -> list[Answer]:
        """Logits of any slots, as if a model had been asked; they follow from row, place and code."""
        found, heads = [], LAYOUT.head_of(self.batch.ids)
        for head, place in enumerate(LAYOUT.ranges):
            own = (slots & (heads == head)).flatten().nonzero().squeeze(1)
            logits = torch.stack([self.chance(8 + code).flatten()[own] for code in range(place.size)], 1)
            if len(own):
                found.append(Answer(head, own, 6 * logits))
        return found

    def context(self, index: int = 0, steps: int = 1, predicted: bool = True) -> ScoreContext:
        """What a score is told in a step of a generation, or in training where nothing is ``predicted``."""
        if not predicted:
            return ScoreContext(self.batch, self.maskable, self.seeds, self.batch.sample_ids)
        state = replace(self.state, step=index)
        return ScoreContext(
            state.batch,
            state.is_open,
            state.seeds,
            state.keys,
            Progress(index, steps).on("after"),
            self.predictions,
            ask=self.ask,
        )

    def masked(self, seed: int = 0, low: float = 0.3) -> MaskedBatch:
        """The rows with a share above ``low`` of their slots hidden."""
        return Masker(ProcessRate(Linear(), low=low))(self.batch, LAYOUT, seed=seed)


def others(world: World) -> list[tuple[str, World]]:
    """The same rows in other company, in words."""
    numbers = world.numbers
    found = [
        ("in another order", replace(world, numbers=numbers[::-1])),
        ("with more padding beside it", replace(world, longer=world.longer + 5, num_levels=world.num_levels or 5)),
    ]
    return found + [("alone", replace(world, numbers=(number,))) for number in numbers]


def small_model(pattern: AttentionPattern | None = None, layout: Layout = LAYOUT, depth: int = 1) -> MaskedModel:
    """A model of narrow blocks, no weight of which is zero.

    A group-causal one may be asked for other places, a causal one reads a code at the position before it.
    """
    style = BlockStyle(reads_before=isinstance(pattern, Causal))
    config = TransformerConfig(width=64, depth=depth, heads=2, shifted=isinstance(pattern, GroupCausal), style=style)
    model = MaskedModel.create(config, layout, pattern=pattern)
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=draw) * 0.1)
    return model


def model_for(sampler: Sampler) -> MaskedModel:
    """The first small model that a sampler does not refuse: any pattern, what is given first, group-causal, causal; one
    block or, for taps of later ones, four.

    Raises:
        AssertionError: it refuses them all.
    """
    refusals = []
    for depth, pattern in product((1, 4), (Full(), GivenFirst(), GroupCausal(), Causal())):
        model = small_model(pattern, depth=depth)
        try:
            filled(sampler, World((1,)), model)
        except ValueError as error:
            refusals.append(str(error))
        else:
            return model
    raise AssertionError(f"must take a model of one of the patterns, or be checked with model=, got: {refusals[0]}")


def filled(sampler: Sampler, world: World, model: MaskedModel) -> SamplerState:
    """The rows, with everything filled that is to be filled; one model serves whatever names the stages have."""
    start = SamplerState.start(world.batch, model.layout, world.seeds)
    return sampler.run(models_of(sampler, model), model.layout, start)


def models_of(sampler: Sampler, model: MaskedModel) -> dict[str, MaskedModel]:
    """The model under each name that a stage, an order or a revocation has."""
    orders = [sampler.order, *(stage.order for stage in sampler.stages)]
    parts = [*orders, sampler.revoke]
    asked = [part.model for part in parts if isinstance(part, Rescored | RevokeDoubted)]
    return dict.fromkeys(["main", *(stage.model for stage in sampler.stages), *asked], model)
