"""One door: the checks of any component, picked by its base.

Does not know: what is required of any kind.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tokenmask.testing.arrangement import ARRANGEMENTS
from tokenmask.testing.backbone import BACKBONES
from tokenmask.testing.chain import CHAINS
from tokenmask.testing.conditioning import CONDITIONINGS
from tokenmask.testing.constraint import CONSTRAINTS
from tokenmask.testing.contract import Check, Contract
from tokenmask.testing.corruption import CORRUPTIONS
from tokenmask.testing.guidance import GUIDANCES
from tokenmask.testing.head import HEADS
from tokenmask.testing.masker import MASKERS
from tokenmask.testing.medium import MEDIA
from tokenmask.testing.metric import METRICS
from tokenmask.testing.objective import OBJECTIVES
from tokenmask.testing.optimiser import OPTIMISERS
from tokenmask.testing.packing import PACKINGS
from tokenmask.testing.pattern import PATTERNS
from tokenmask.testing.pick import PICKS
from tokenmask.testing.procedure import PROCEDURES
from tokenmask.testing.process import PROCESSES
from tokenmask.testing.rate import RATES
from tokenmask.testing.reuse import REUSES
from tokenmask.testing.revoke import REVOKES
from tokenmask.testing.sampler import SAMPLERS
from tokenmask.testing.schedule import SCHEDULES
from tokenmask.testing.score import SCORES
from tokenmask.testing.stages import STAGES
from tokenmask.testing.tokenizer import TOKENIZERS

CONTRACTS: tuple[Contract, ...] = (
    RATES,
    SCORES,
    PROCESSES,
    CORRUPTIONS,
    STAGES,
    CHAINS,
    MASKERS,
    CONDITIONINGS,
    PACKINGS,
    ARRANGEMENTS,
    PATTERNS,
    BACKBONES,
    HEADS,
    OBJECTIVES,
    PROCEDURES,
    OPTIMISERS,
    SCHEDULES,
    PICKS,
    GUIDANCES,
    CONSTRAINTS,
    REVOKES,
    REUSES,
    SAMPLERS,
    METRICS,
    TOKENIZERS,
    MEDIA,
)
"""One of each kind; a new kind is a line."""


def contract_of(value: Any) -> Contract:
    """The contract of a component: that of the nearest of its bases.

    Raises:
        TypeError: it has none of the bases.
    """
    bases = type(value).__mro__
    found = [contract for contract in CONTRACTS if isinstance(value, contract.base)]
    if not found:
        names = ", ".join(contract.base.__name__ for contract in CONTRACTS)
        raise TypeError(f"a component must have one of the bases {names}, got {type(value).__name__}; subclass one")
    return min(found, key=lambda contract: bases.index(contract.base) if contract.base in bases else len(bases))


def component_checks(value: Any, **options: Any) -> Iterator[Check]:
    """Every check of a component, ready to be called; options as those of its own ``check_`` function."""
    yield from contract_of(value).checks(value, **options)


def check_component(value: Any, **options: Any) -> list[str]:
    """Runs every check of a component of any kind.

    Args:
        value: the component.
        options: those of the ``check_`` function of its kind: ``items`` of a tokenizer, ``extra`` of an objective.

    Returns:
        The names of the checks, all passed.

    Raises:
        TypeError: it has none of the bases that :mod:`tokenmask.testing` knows.
        AssertionError: names each check that failed, and why, a line each.
    """
    return contract_of(value).check(value, **options)
