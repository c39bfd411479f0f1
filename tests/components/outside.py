"""A package outside tokenmask, as pip would leave it: one module, and an entry point that says it has components."""

from pathlib import Path

MODULE = '''
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
import torch
from tokenmask.layout import Parallel
from tokenmask.scores import Score
from tokenmask.models import AttentionPattern, Full, Window
from tokenmask.sampling import Categorical, Pick
from tokenmask.scores import ConfidenceScore


@dataclass(frozen=True)
class Backwards(Score):
    """Late slots first."""

    slope: float = 1.0

    def __call__(self, context):
        rows, length, levels = context.is_open.shape
        return (torch.arange(float(length)) * self.slope)[None, :, None].expand(rows, length, levels)


@dataclass(frozen=True)
class Near(AttentionPattern):
    """Positions at most ``reach`` apart."""

    reach: int = 4

    def allows(self, query, key):
        return (query.position - key.position).abs() <= self.reach


@dataclass(frozen=True)
class Pairs(Parallel):
    """Another arrangement."""


@dataclass(frozen=True)
class Mild(Categorical):
    """A pick of its own."""

    mildness: float = 0.5


@dataclass(frozen=True)
class Cool(Pick):
    """A pick whose arguments have the names of Categorical's."""

    temperature: float = 0.5
    top_k: int = 7

    def __call__(self, logits, uncond, context):
        return Categorical(self.temperature, top_k=self.top_k)(logits, uncond, context)


@dataclass(frozen=True)
class Pair(Pick):
    """A pick within a pick."""

    inner: Categorical = Categorical()

    def __call__(self, logits, uncond, context):
        return self.inner(logits, uncond, context)


@dataclass(frozen=True)
class Nest(AttentionPattern):
    """A pattern of patterns and other values."""

    window: Window
    parts: Mapping[str, AttentionPattern]
    many: tuple[Window, ...]
    listed: list[int]
    word: str
    size: int

    def __post_init__(self):
        object.__setattr__(self, "many", tuple(self.many))

    def allows(self, query, key):
        return self.window.allows(query, key)


class Boost(ConfidenceScore):
    """A plain class on top of a dataclass."""

    def __init__(self, noise: float = 0.0, boost: float = 2.0) -> None:
        super().__init__(noise)
        object.__setattr__(self, "boost", boost)
'''


def install(site: Path, name: str, *, declared: bool = True, text: str = MODULE) -> None:
    """Writes the module ``name`` into a folder, with an entry point if ``declared``."""
    site.mkdir(exist_ok=True)
    (site / f"{name}.py").write_text(text)
    if declared:
        about = site / f"{name}-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (about / "entry_points.txt").write_text(f"[tokenmask.components]\n{name} = {name}\n")
