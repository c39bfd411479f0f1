"""MaskedModel: a backbone with its heads, the one thing that a Trainer, a Sampler and an Objective call.

Arrow: MaskedBatch --**MaskedModel**--> logits of the queries. Does not know: losses, sampling, modalities.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tokenmask.batch import Batch
from tokenmask.components import named
from tokenmask.layout import Layout
from tokenmask.masking.masked_batch import Queries
from tokenmask.models.attention_pattern import AttentionPattern, Causal, Full
from tokenmask.models.backbone import BackboneConfig, Tap
from tokenmask.models.cache import KVCache, Packed
from tokenmask.models.formats import FORMAT, HOME, parts_of
from tokenmask.models.heads import HeadConfig, RangeLogits, Reader
from tokenmask.models.layout_rows import LayoutRows, layout_rows
from tokenmask.nn import build
from tokenmask.tensor_files import load_tensors, save_tensors


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a model says about queries.

    Args:
        groups: one entry for each range that is asked; together they hold each query once.
        hidden: float [M, D], what the heads saw.
        taps: what was asked for besides, by name.
    """

    groups: tuple[RangeLogits, ...]
    hidden: Tensor
    taps: dict[str, Tensor] = field(default_factory=dict)


class MaskedModel(nn.Module):
    """A backbone and a head for every range of a layout.

    ``MaskedModel.create(config, layout, seed=0)`` makes one with fresh weights, ``MaskedModel.load(path)`` a saved one.

    Args:
        config: makes the backbone.
        layout: of the ids.
        pattern: who looks at whom, unless a call says otherwise.
        head: makes the head; the one that the config asks for if None.
    """

    def __init__(
        self,
        config: BackboneConfig,
        layout: Layout,
        pattern: AttentionPattern | None = None,
        head: HeadConfig | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        self.layout = layout
        self.pattern = pattern or Full()
        self.head = head_of(config, head)
        self.backbone = config.build(layout)
        self.heads = self.head.build(layout, self.backbone.width)

    @classmethod
    def create(
        cls,
        config: BackboneConfig,
        layout: Layout,
        *,
        pattern: AttentionPattern | None = None,
        head: HeadConfig | None = None,
        seed: int = 0,
    ) -> MaskedModel:
        """A model on the CPU whose weights depend on the seed alone."""
        return build(lambda: cls(config, layout, pattern, head), seed)

    @property
    def causal(self) -> bool:
        """Whether a code is answered from those before it alone, so that all codes of a row may be known and asked."""
        return self.backbone.reads_before_only or (self.backbone.answers_before and isinstance(self.pattern, Causal))

    def layout_rows(self) -> LayoutRows:
        """Which tensors of the state have a row for each id, range or stream."""
        return layout_rows(self.backbone).within("backbone") + layout_rows(self.heads).within("heads")

    def inner_matrices(self) -> list[str]:
        """Names of the matrices among the parameters of the backbone's parts, in the order of ``named_parameters``."""
        inner = {id(own) for part in self.backbone.parts() for own in part.parameters() if own.dim() == 2}
        return [name for name, own in self.named_parameters() if id(own) in inner]

    def forward(
        self,
        inputs: Batch,
        queries: Queries,
        pattern: AttentionPattern | None = None,
        *,
        group: Tensor | None = None,
        t: Tensor | None = None,
        taps: Sequence[Tap] = (),
        cache: KVCache | None = None,
        read: Reader | None = None,
    ) -> Predictions:
        """Scores the codes of the queries; arguments as in :meth:`Backbone.forward`, ``read`` as for the head.

        Raises:
            ValueError: queries at other places than their slots, of a backbone that can't be asked from elsewhere.
        """
        self._check_places(inputs, queries)
        hidden = self.backbone(inputs, queries, pattern or self.pattern, group=group, t=t, taps=taps, cache=cache)
        if queries.head is None:
            groups = self.heads(hidden.queries, queries.heads, self.backbone.table, read)
        else:
            groups = self.heads.of_one(queries.head, hidden.queries, queries.heads, self.backbone.table, read)
        return Predictions(groups, hidden.queries, hidden.taps)

    def _check_places(self, inputs: Batch, queries: Queries) -> None:
        if queries.coordinates is None or self.backbone.asks_elsewhere:
            return
        positions = torch.div(queries.slots, inputs.shape[2], rounding_mode="floor")
        if not torch.equal(queries.coordinates, inputs.coordinates.flatten(0, 1)[positions]):
            name = type(self.backbone).__name__
            raise ValueError(f"a {name} answers at a slot's own place; set model.shifted to ask from elsewhere")

    def logits(
        self,
        inputs: Batch,
        queries: Queries,
        pattern: AttentionPattern | None = None,
        *,
        group: Tensor | None = None,
        t: Tensor | None = None,
        cache: KVCache | None = None,
    ) -> tuple[RangeLogits, ...]:
        """The groups of :meth:`forward`: (head, query indices int64 [m], logits float32 [m, size]) each."""
        predictions: Predictions = self(inputs, queries, pattern, group=group, t=t, cache=cache)
        return predictions.groups

    def extend(
        self,
        new: Packed,
        queries: Queries,
        cache: KVCache,
        pattern: AttentionPattern | None = None,
        *,
        t: Tensor | None = None,
    ) -> tuple[RangeLogits, ...]:
        """Scores queries of some positions over a cache; arguments as in :meth:`Backbone.extend`."""
        hidden = self.backbone.extend(new, queries, cache, pattern or self.pattern, t=t)
        return self.heads(hidden.queries, queries.heads, self.backbone.table)  # type: ignore[no-any-return]

    def about(self) -> dict[str, Any]:
        """Everything but the weights, as JSON values.

        Raises:
            ValueError: a config, head, pattern or arrangement that no file could name.
        """
        return {
            "format": FORMAT,
            "config": named(self.config, BackboneConfig, HOME),  # type: ignore[type-abstract]
            "head": named(self.head, HeadConfig, HOME),  # type: ignore[type-abstract]
            "layout": self.layout.to_json(),
            "pattern": named(self.pattern, AttentionPattern, HOME),  # type: ignore[type-abstract]
        }

    def save(self, path: str | Path, *, half: bool = False) -> None:
        """Writes weights, config, layout and pattern as one file, atomically; ``half`` rounds to float16."""
        tensors = self.state_dict()
        if half:
            tensors = {name: value.half() if value.is_floating_point() else value for name, value in tensors.items()}
        save_tensors(path, tensors, {"model": self.about()})

    @classmethod
    def load(cls, path: str | Path) -> MaskedModel:
        """Reads what :meth:`save` wrote, to the CPU.

        Raises:
            ValueError: the file is missing, damaged or holds something else.
        """
        tensors, about = load_tensors(path)
        if "model" not in about:
            raise ValueError(
                f"{path} must hold a saved model, got a file about {', '.join(about) or 'nothing'}; "
                "name the file that MaskedModel.save wrote"
            )
        try:
            config, layout, pattern, head = parts_of(about["model"])
            with torch.device("meta"):  # before any memory is taken: what the file says may not be so
                wanted = {name: value.shape for name, value in cls(config, layout, pattern, head).state_dict().items()}
            if wanted != {name: value.shape for name, value in tensors.items()}:
                raise ValueError("its weights are not those of the shape it states; restore it from a copy")
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, RuntimeError) as error:
            raise ValueError(f"{path} must hold a whole model that can be made here, but: {error}") from error
        model = cls.create(config, layout, pattern=pattern, head=head)
        model.load_state_dict(tensors)
        return model


def head_of(config: BackboneConfig, head: HeadConfig | None) -> HeadConfig:
    """The head of a model that names ``head``, or none: then it is the one that the config asks for."""
    return config.default_head() if head is None else head
