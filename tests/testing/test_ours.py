"""Every component that ships passes the public checks of its kind, and none is forgotten."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
import re
import typing
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

import tokenmask
from tests.testing.ours import OURS, component_and_options
from tokenmask.cli.about import recipe_headers
from tokenmask.masking import Masker
from tokenmask.models.amused import AmusedConfig
from tokenmask.models.magnet import MagnetConfig
from tokenmask.models.wrapped import WrappedConfig, WrappedHeadConfig
from tokenmask.recipes import Recipe, load_recipe
from tokenmask.recipes.recipe import OPEN
from tokenmask.run.expert import RunExpert
from tokenmask.sampling import Sampler, Stage
from tokenmask.testing import check_component, component_checks
from tokenmask.testing.component import CONTRACTS, contract_of
from tokenmask.testing.medium import MEDIA
from tokenmask.testing.tokenizer import TOKENIZERS
from tokenmask.training import Training
from tokenmask.worlds.oracle import OracleConfig, OracleHeadConfig


def classes_of(base: type) -> Iterator[type]:
    """The base and everything below it that tokenmask brings to be used."""
    for kind in (base, *base.__subclasses__()):
        if kind is not base:
            yield from classes_of(kind)
            continue
        if not (inspect.isabstract(kind) or kind.__name__.startswith("_")) and _ships(kind.__module__):
            yield kind


def _ships(module: str) -> bool:
    return module.startswith("tokenmask.") and not module.startswith("tokenmask.testing")


# Of a network or a law that is there already, so none is made from a seed for any layout.
WRAPPED = {AmusedConfig, MagnetConfig, WrappedConfig, WrappedHeadConfig, OracleConfig, OracleHeadConfig, RunExpert}


@pytest.fixture(scope="module")
def _everything_is_imported() -> None:
    for module in pkgutil.walk_packages(tokenmask.__path__, "tokenmask."):
        if not module.name.endswith("__main__"):
            try:
                importlib.import_module(module.name)
            except ModuleNotFoundError as error:
                if error.name != "gradio":  # of an extra, whose pages bring no components
                    raise


@pytest.mark.usefixtures("_everything_is_imported")
@pytest.mark.parametrize(
    "contract", [one for one in CONTRACTS if one not in (TOKENIZERS, MEDIA)], ids=lambda one: one.kind
)
def test_every_class_of_a_kind_is_checked(contract):
    """Tokenizers and media are checked by the tests of their modalities, networks of others in test_wrapped*.py
    and test_magnet.py, oracles in tests/exact."""
    ours = {type(component_and_options(one)[0]) for one in OURS}
    assert {kind for kind in ours if issubclass(kind, contract.base)} == set(classes_of(contract.base)) - WRAPPED


def kinds_in(declared: Any) -> Iterator[type]:
    """The classes that the type of a field is made of."""
    if typing.get_origin(declared) is None:
        if isinstance(declared, type):
            yield declared
        return
    for inner in typing.get_args(declared):
        yield from kinds_in(inner)


def test_every_choice_of_a_recipe_has_a_contract():
    bases = {contract.base for contract in CONTRACTS}
    for owner in (Recipe, Masker, Sampler, Stage, Training):
        for name, declared in typing.get_type_hints(owner).items():
            for kind in kinds_in(declared):
                if inspect.isabstract(kind) or kind in OPEN:
                    assert kind in bases, f"{owner.__name__}.{name}: add the contract of {kind.__name__} to CONTRACTS"


def name_of(component) -> str:
    """The same in every process, which addresses are not."""
    return re.sub(" at 0x[0-9a-f]+", "", repr(component))[:70]


@pytest.mark.parametrize("one", OURS, ids=lambda one: name_of(component_and_options(one)[0]))
def test_ours_pass(one):
    component, options = component_and_options(one)
    passed = check_component(component, **options)
    assert passed == [check.name for check in component_checks(component, **options)] and len(passed) >= 5
    assert passed == [requirement.__name__ for requirement in contract_of(component).requirements]


def test_what_is_no_component_is_refused():
    with pytest.raises(TypeError, match=r"must have one of the bases Rate, Score, .*got str; subclass one"):
        check_component("a word")
    with pytest.raises(TypeError, match="check_rate takes a Rate, got Masker; subclass it"):
        tokenmask.testing.check_rate(Masker())


def components_in(value: Any) -> Iterator[Any]:
    """Every component of a recipe, at any depth."""
    if isinstance(value, tuple(contract.base for contract in CONTRACTS if contract is not TOKENIZERS)):
        yield value
    if dataclasses.is_dataclass(value):
        value = [getattr(value, field.name) for field in dataclasses.fields(value)]
    for inner in value.values() if isinstance(value, Mapping) else value if isinstance(value, (list, tuple)) else ():
        yield from components_in(inner)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(recipe_headers()))
def test_what_recipes_choose_passes(name):
    for component in {repr(one): one for one in components_in(load_recipe(name, tiny=True))}.values():
        if not (isinstance(component, Sampler) and any(stage.levels for stage in component.stages)):  # of other streams
            check_component(component)
