"""Runs that transformers opens: AutoModelForMaskedLM gives our logits, AutoTokenizer our ids."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import tokenmask as tm
from tests.models.small import randomise
from tests.models.test_converted import TEXTS, asked, network, words
from tests.models.test_families import LLADA, converted, llada_tensors
from tests.testing.ours import BERT, LLAMA
from tokenmask.layout import Layout
from tokenmask.models import BlockStyle, CodesOnly, Full, MaskedModel, RangeHeadsConfig, TransformerConfig
from tokenmask.models.handed import handed
from tokenmask.run import Run
from tokenmask.streams import StreamSpec

needs_transformers = pytest.mark.skipif(
    importlib.util.find_spec("transformers") is None, reason="needs transformers: pip install 'tokenmask[hub]'"
)
__all__ = ["network"]
STYLES = {
    "llama": (replace(LLAMA, ffn_size=100), RangeHeadsConfig(), Full()),
    "untied": (LLAMA, RangeHeadsConfig(tied=False), CodesOnly()),
    "bert": (BERT, RangeHeadsConfig(transform=True, norm="layer", norm_eps=1e-12), Full()),
    "bert untied": (BERT, RangeHeadsConfig(False, True, "layer", 1e-12), Full()),
}


def run_of(words: Any, style: BlockStyle, head: RangeHeadsConfig, pattern: Any) -> Run:
    """A run with a model of ours whose weights are all moved, so that BOS and MASK have rows of their own."""
    run = tm.convert(small_llama(), words)
    config = TransformerConfig(64, 2, 2, absolute=False, max_length=80, style=style)
    model = MaskedModel.create(config, run.layout, pattern=pattern, head=head, seed=3)
    randomise(model, size=0.1)
    return replace(run, models={"main": model})


def small_llama() -> Any:
    import transformers

    from tests.modalities.small_published import untouched
    from tests.models.test_converted import SMALL

    return untouched(lambda: transformers.LlamaForCausalLM(transformers.LlamaConfig(**SMALL)))


@torch.no_grad()
def the_same(run: Run, folder: Path) -> None:
    """Logits of the codes that a third of the places ask for, with ids of the folder's own tokenizer, in a batch."""
    import transformers

    model = transformers.AutoModelForMaskedLM.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    given = tokenizer(TEXTS, return_tensors="pt", padding=True)
    begun = 0 if isinstance(run.models["main"].pattern, CodesOnly) else 1
    masked, hidden = asked(run, TEXTS)
    places = hidden[:, 1 - begun :, 0][:, : given["input_ids"].shape[1]]
    given["input_ids"][places] = tokenizer.mask_token_id
    wanted = model(input_ids=given["input_ids"], attention_mask=given["attention_mask"]).logits[places]
    (group,) = run.models["main"].logits(masked.inputs, masked.queries)
    assert group.logits.std() > 0.1
    torch.testing.assert_close(group.logits, wanted[:, : group.logits.shape[1]], rtol=1e-5, atol=1e-5)
    assert bool((wanted[:, group.logits.shape[1] :] < -1000).all())


@needs_transformers
@pytest.mark.parametrize("name", STYLES)
def test_a_model_of_ours_opens_in_transformers(name: str, tmp_path: Path) -> None:
    run = run_of(words(True), *STYLES[name])
    assert run.export("transformers", tmp_path / "out") == tmp_path / "out"
    the_same(run, tmp_path / "out")


@needs_transformers
def test_a_checkpoint_that_was_converted_goes_back(network: Any, tmp_path: Path) -> None:
    """With the ids that it had: its own pieces begin a text and hide a code. Qwen3's norm has no class there."""
    run = tm.convert(network, words(True))
    if run.recipe.model.style.query_key_norm:
        with pytest.raises(ValueError, match=r"model\.style\.query_key_norm must be False for a EuroBERT"):
            run.export("transformers", tmp_path / "out")
        assert not (tmp_path / "out").exists()
        return
    run.export("transformers", tmp_path / "out")
    the_same(run, tmp_path / "out")
    again = tm.convert(tmp_path / "out")
    assert (handed(again.models["main"]).mask, handed(run.models["main"]).begin) == (3, 0)
    before, after = (one.models["main"].state_dict() for one in (run, again))
    assert all(
        torch.allclose(before[name], after[name], atol=1e-6) for name in before if name != "backbone.norm.weight"
    )
    with pytest.raises(ValueError, match="into a new or empty folder"):
        run.export("transformers", tmp_path / "out")
    with pytest.raises(ValueError, match="can be exported for transformers, got 'onnx'"):
        run.export("onnx", tmp_path / "other")


def test_a_checkpoint_goes_back_to_the_tensors_that_it_had() -> None:
    """Without any library: names of Llama, values as they were but for the copies of shared heads."""
    tensors = llada_tensors()
    out = handed(converted(LLADA, tensors))
    assert (out.begin, out.mask, out.count) == (None, 39, 40)
    theirs = {"q": "q_proj", "o": "attn_out"}
    for ours, name in theirs.items():
        found = out.tensors[f"model.layers.1.self_attn.{ours}_proj.weight"]
        assert torch.equal(found, tensors[f"model.transformer.blocks.1.{name}.weight"])
    key = tensors["model.transformer.blocks.1.k_proj.weight"].view(2, 1, 16, 64).expand(-1, 2, -1, -1).reshape(64, 64)
    assert torch.equal(out.tensors["model.layers.1.self_attn.k_proj.weight"], key)
    embedded = out.tensors["model.embed_tokens.weight"]
    torch.testing.assert_close(embedded, tensors["model.transformer.wte.weight"], rtol=1e-6, atol=1e-7)
    assert out.values["model_type"] == "eurobert" and out.values["rope_parameters"]["rope_theta"] == 5e5


BARE = TransformerConfig(64, 2, 2, absolute=False)


@pytest.mark.parametrize(
    ("config", "head", "sentence"),
    [
        (TransformerConfig(64, 2, 2), None, r"model\.absolute must be False for a EuroBERT of transformers, got True"),
        (BARE, None, r"query_key_norm must be False"),
        (replace(BARE, style=BlockStyle(query_key_norm=False)), None, r"places must be 'order'"),
        (replace(BARE, style=LLAMA), RangeHeadsConfig(transform=True), r"head\.transform must be"),
        (replace(BARE, style=BERT), RangeHeadsConfig(transform=True), r"head\.norm must be 'layer' for a BERT"),
    ],
)
def test_a_field_that_does_not_fit_is_named(config: Any, head: Any, sentence: str) -> None:
    layout = Layout({"text": StreamSpec("text", (97,), ("index",), end_code=1)})
    with pytest.raises(ValueError, match=sentence) as refused:
        handed(MaskedModel.create(config, layout, head=head))
    assert "\n" not in str(refused.value)
    two = Layout({"text": StreamSpec("text", (97,), ("index",)), "more": StreamSpec("text", (9,), ("index",))})
    with pytest.raises(ValueError, match="a model of one stream of one level can be exported, got 2 codebooks"):
        handed(MaskedModel.create(config, two, head=head))
