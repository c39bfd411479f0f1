"""Products in bfloat16: what they compute, where, and that a training with them resumes bit for bit."""

import pytest
import torch

import tokenmask.nn.products as products
from tests.training import worlds
from tokenmask.fitting import fit
from tokenmask.nn import Linear, bfloat16_products, build, has_bfloat16_products, linear, recomputed
from tokenmask.recipes import load_recipe, recipe_yaml
from tokenmask.run.folder import SHIPPED
from tokenmask.training import AdamW, Training
from tokenmask.training import trainer as trainers
from tokenmask.training.muon import orthogonal

EPS = 2.0**-8  # half a unit in the last place of bfloat16, twice: both operands are rounded
can = pytest.mark.skipif(not has_bfloat16_products(), reason="this processor does not multiply in bfloat16")


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world") / "corpus"
    worlds.write_corpus(folder)
    return folder


def passes(reduced: bool, again: bool = False) -> tuple[torch.Tensor, ...]:
    """Result and gradients of a linear layer, its sum weighted."""
    x, weight, bias = random(5, 33, 64), random(48, 64, seed=1), random(48, seed=2)
    for one in (x, weight, bias):
        one.requires_grad_()
    with bfloat16_products(reduced):
        if again:
            result = recomputed(lambda x: linear(x.sin(), weight, bias).cos(), x)
        else:
            result = linear(x.sin(), weight, bias).cos()
    return (result.detach(), *torch.autograd.grad((result * random(5, 33, 48, seed=3)).sum(), (x, weight, bias)))


def test_the_product_is_that_of_rounded_operands():
    x, weight, bias = random(7, 512), random(32, 512, seed=1).requires_grad_(), random(32, seed=2)
    with bfloat16_products():
        found = linear(x, weight, bias)
    assert found.dtype == torch.float32 and found.requires_grad
    exact = x.bfloat16().double() @ weight.detach().bfloat16().double().T
    error = (found.detach().double() - bias.double() - exact).abs()
    assert (error <= 2**-8 * exact.abs() + 1e-4).all() and error.max() > 0  # sums in float32, stored in bfloat16
    assert (
        (exact - x.double() @ weight.detach().double().T).abs()
        <= 2 * EPS * x.double().abs() @ weight.detach().double().abs().T
    ).all()


def test_gradients_are_those_of_float32_within_bfloat16():
    for mine, other in zip(passes(True), passes(False), strict=True):
        assert mine.dtype == torch.float32
        assert 0 < float((mine - other).norm() / other.norm()) < 4 * EPS


def test_what_is_computed_again_is_computed_in_bfloat16_too():
    for mine, other in zip(passes(True, again=True), passes(True), strict=True):
        assert torch.equal(mine, other)


def test_nothing_changes_without_gradients_or_outside():
    layer = build(lambda: Linear(64, 32), seed=0)
    x = random(9, 64)
    with torch.no_grad():
        plain = layer(x)
        with bfloat16_products():
            assert torch.equal(layer(x), plain)
    assert torch.equal(layer(x).detach(), plain)
    with bfloat16_products():
        assert not torch.equal(layer(x).detach(), plain)


@can
def test_a_training_follows_float32_and_resumes_bit_for_bit(corpus, tmp_path):
    options = {"products": "bfloat16", "optimiser": AdamW(muon=True, iteration="bfloat16")}
    whole = worlds.make_trainer(corpus, steps=12, **options)
    history = whole.fit(tmp_path / "whole", progress=False)
    fit(worlds.make_trainer(corpus, steps=12, **options), steps=7, folder=tmp_path / "cut", progress=False)
    assert worlds.make_trainer(corpus, steps=12, **options).fit(tmp_path / "cut", progress=False) == history
    assert worlds.files(tmp_path / "cut") == worlds.files(tmp_path / "whole")
    assert all(value.dtype == torch.float32 for value in whole.model.parameters())
    plain = worlds.make_trainer(corpus, steps=12, muon=True).fit(progress=False)
    assert plain[0]["loss"] != history[0]["loss"]
    for mine, other in zip(history, plain, strict=True):
        assert mine["loss"] == pytest.approx(other["loss"], rel=0.02)


@can
def test_keeping_or_not_gives_the_same_run_in_bfloat16(corpus):
    runs = []
    for most in (1.0, 0.0):
        runs.append(worlds.make_trainer(corpus, steps=4, products="bfloat16", keep_gb=most).fit(progress=False))
    assert runs[0] == runs[1]


def test_keeping_or_not_gives_the_same_run(corpus):
    kept = worlds.make_trainer(corpus, steps=4)
    config = kept.model.config
    floats = config.kept_floats_in_full(8 * 16)
    for most, keeps in ((1.0, True), (4 * floats / 2**30, True), (3.99 * floats / 2**30, False)):
        assert Training(keep_gb=most).keeps_all(config, 8 * 16) is keeps
        assert not Training(keep_gb=most, recompute=True).keeps_all(config, 8 * 16)
        expected = floats if keeps else config.kept_floats(8 * 16)
        assert Training(keep_gb=most).kept_floats(config, 8 * 16) == expected
    history = kept.fit(progress=False)
    sparing = worlds.make_trainer(corpus, steps=4, keep_gb=0.0)
    assert sparing.fit(progress=False) == history
    for name, value in kept.model.state_dict().items():
        assert torch.equal(value, sparing.model.state_dict()[name])


def test_a_processor_without_them_is_refused_in_one_sentence(corpus, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, "avx512_bf16": False})
    assert not products.has_bfloat16_products()
    for options, name in (
        ({"products": "bfloat16"}, "training.products"),
        ({"optimiser": AdamW(muon=True, iteration="bfloat16")}, "training.optimiser.iteration"),
    ):
        with pytest.raises(ValueError, match=f"^{name} bfloat16 needs a processor .*; leave it float32$"):
            worlds.make_trainer(corpus, **options)


def test_a_network_without_such_layers_is_refused(corpus, monkeypatch):
    monkeypatch.setattr(trainers, "Linear", type("Linear", (), {}))  # as if the blocks had others
    with pytest.raises(ValueError, match=r"^training.products needs a backbone with layers of .*, but Transformer"):
        worlds.make_trainer(corpus, products="bfloat16")


def test_settings_that_contradict_are_refused():
    with pytest.raises(ValueError, match="multiplies in bfloat16 already"):
        Training(precision="bfloat16", products="bfloat16")
    with pytest.raises(ValueError, match="iteration of AdamW is Muon's"):
        AdamW(iteration="bfloat16")


def test_a_recipe_names_them():
    recipe = load_recipe("five", overrides=["training.products=bfloat16", "training.optimiser.iteration=bfloat16"])
    assert recipe.training.products == "bfloat16" and recipe.training.optimiser == AdamW(
        muon=True, iteration="bfloat16"
    )
    assert "products: bfloat16" in recipe_yaml(recipe) and "iteration: bfloat16" in recipe_yaml(recipe)
    assert load_recipe(SHIPPED / "recipe.yaml").training.products == "float32"  # written before there was a choice


@pytest.mark.parametrize("shape", [(96, 64), (32, 128)])
def test_muon_in_bfloat16_is_about_orthogonal(shape):
    source = random(*shape)
    result = orthogonal(source, torch.bfloat16)
    assert result.dtype == torch.float32 and result.shape == source.shape
    values = torch.linalg.svdvals(result)
    assert values.min() > 0.6 and values.max() < 1.3
    assert 0 < float((result - orthogonal(source)).norm() / orthogonal(source).norm()) < 0.05
    assert torch.equal(orthogonal(torch.zeros(3, 4), torch.bfloat16), torch.zeros(3, 4))
