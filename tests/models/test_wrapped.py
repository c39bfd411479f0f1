"""Language models of transformers as runs: logits and losses are the network's own, on small random ones."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import tokenmask as tm
from tests.modalities.small_published import untouched
from tests.models.small import masked_at
from tokenmask.batch import collate
from tokenmask.modalities.text import Text
from tokenmask.objectives import MaskedCrossEntropy
from tokenmask.sampling import Sampler
from tokenmask.scores import RandomScore

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("transformers") is None, reason="needs transformers: pip install 'tokenmask[hub]'"
)
SHAPE: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 128,
}
KINDS = {
    "Bert": {},
    "Roberta": {"max_position_embeddings": 131, "pad_token_id": 2},
    "ModernBert": {"global_attn_every_n_layers": 2, "local_attention": 8, "attn_implementation": "sdpa"},
}
TEXTS = ["in the beginning was the word", "the light shines in the darkness and the darkness has not overcome it", "a"]


def words() -> Any:
    """A WordPiece vocabulary of letters and some words, with BERT's marks."""
    import tokenizers as library
    import transformers

    pieces = ["[CLS]", "[SEP]", "[PAD]", "[MASK]", "[UNK]", *"abcdefghijklmnopqrstuvwxyz"]
    pieces += [f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"]
    pieces += ["the", "in", "light", "word", "darkness"]
    made = library.Tokenizer(
        library.models.WordPiece({piece: at for at, piece in enumerate(pieces)}, unk_token="[UNK]")
    )
    made.pre_tokenizer = library.pre_tokenizers.BertPreTokenizer()
    made.decoder = library.decoders.WordPiece()
    marks = [("[CLS]", 0), ("[SEP]", 1)]
    made.post_processor = library.processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=marks)
    names = {"cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]", "mask_token": "[MASK]"}
    return transformers.PreTrainedTokenizerFast(tokenizer_object=made, unk_token="[UNK]", **names)


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return words()


@pytest.fixture(scope="module", params=list(KINDS))
def network(request: pytest.FixtureRequest, tokenizer: Any) -> Any:
    import transformers

    marks = {"pad_token_id": 2, "bos_token_id": 0, "eos_token_id": 1, "cls_token_id": 0, "sep_token_id": 1}
    values = {**SHAPE, **KINDS[request.param], "vocab_size": 70} | marks
    config = getattr(transformers, f"{request.param}Config")(**values)
    made = untouched(lambda: getattr(transformers, f"{request.param}ForMaskedLM")(config)).eval()
    for parameter in made.parameters():  # so that logits are not all alike
        draw = torch.Generator().manual_seed(parameter.numel())
        parameter.data.add_(0.2 * torch.randn(parameter.shape, generator=draw))
    return made


def batch_of(run: Any, texts: list[str]) -> Any:
    streams = [run.tokenizers["text"].encode(Text(text)) for text in texts]
    return collate([run.layout.pack({"text": stream}) for stream in streams], multiple=64)


@torch.no_grad()
def test_logits_are_those_of_the_network(network: Any, tokenizer: Any) -> None:
    """The ids and the attention mask are those that its own tokenizer makes, and so is every logit, in a batch too."""
    run = tm.wrap(network, tokenizer)
    batch = batch_of(run, TEXTS)
    hidden = torch.zeros(batch.shape, dtype=torch.bool)
    hidden[:, 1] = hidden[0, 3] = hidden[1, 7] = True
    masked = masked_at(run.layout, batch, hidden)
    (group,) = run.models["main"].logits(masked.inputs, masked.queries)
    given = tokenizer(TEXTS, return_tensors="pt", padding="max_length", max_length=64, return_token_type_ids=False)
    places = hidden[:, : given["input_ids"].shape[1], 0].nonzero()
    given["input_ids"][places[:, 0], places[:, 1]] = tokenizer.mask_token_id
    wanted = network(**given).logits[places[:, 0], places[:, 1], : len(tokenizer)]
    assert torch.equal(group.logits, wanted)
    assert group.logits.std() > 0.1
    alone = tokenizer(TEXTS[2], return_tensors="pt", return_token_type_ids=False)  # without padding: to rounding
    alone["input_ids"][0, 1] = tokenizer.mask_token_id
    assert torch.allclose(network(**alone).logits[0, 1, : len(tokenizer)], group.logits[-1], atol=1e-4)


def test_losses_are_those_of_the_network(network: Any, tokenizer: Any) -> None:
    run = tm.wrap(network, tokenizer)
    batch = batch_of(run, TEXTS[:2])
    hidden = torch.zeros(batch.shape, dtype=torch.bool)
    hidden[:, 2:5] = True
    masked = masked_at(run.layout, batch, hidden)
    mean = MaskedCrossEntropy(scope="predicted", weight="none", reduction="per_token", label_smoothing=0.0)
    ours = mean(run.models["main"], masked).total
    given = tokenizer(TEXTS[:2], return_tensors="pt", padding="max_length", max_length=64, return_token_type_ids=False)
    labels = torch.where(hidden[:, :64, 0], given["input_ids"], -100)
    given["input_ids"][labels >= 0] = tokenizer.mask_token_id
    logits = network(**given).logits[..., : len(tokenizer)]
    theirs = torch.nn.functional.cross_entropy(logits.transpose(1, 2), labels)
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-5)
    ours.backward()
    assert all(p.grad is not None for p in network.get_input_embeddings().parameters())
    network.zero_grad()


def test_texts_are_drawn_and_edited_the_same_in_any_company(network: Any, tokenizer: Any) -> None:
    run = tm.wrap(network, tokenizer)
    alone = run.generate_tokens("text", length=12, steps=4, seed=3)[0]
    company = run.generate_tokens("text", [{"text": "the light"}, {}, {}], length=12, steps=4, seed=[1, 3, 5])
    assert company[1] == alone
    assert len({tuple(stream.codes[:, 0].tolist()) for stream in company}) == 3
    marks = {0, 2, 3}
    assert not marks & set(torch.cat([stream.codes for stream in company]).flatten().tolist())
    edited = run.edit("in the light", [(3, 6)], stream="text", steps=2, seed=0)[0]
    before, after = run.tokenizers["text"].encode(Text("in the light")).codes, edited.stream.codes
    assert after.shape == before.shape
    assert torch.equal(after[[0, 2]], before[[0, 2]])
    by_chance = tm.wrap(network, tokenizer, sampler=Sampler(order=RandomScore()))
    assert by_chance.recipe.sampler.order == RandomScore()
    assert by_chance.generate_tokens("text", length=12, steps=4, seed=3)[0] != alone


def test_what_cannot_be_is_one_sentence(network: Any, tokenizer: Any, tmp_path: Path) -> None:
    run = tm.wrap(network, tokenizer)
    with pytest.raises(ValueError, match=r"a wrapped \w+ForMaskedLM stays in memory; save it with its own"):
        run.save(tmp_path / "run")
    with pytest.raises(ValueError, match="wrap needs the fast tokenizer of a network, got SimpleNamespace"):
        tm.wrap(network, SimpleNamespace())
    bare = SimpleNamespace(backend_tokenizer=tokenizer.backend_tokenizer, sep_token="[SEP]")
    with pytest.raises(
        ValueError, match="needs a tokenizer with tokens for end, mask and pad, got one without mask, pad"
    ):
        tm.wrap(network, bare)
    with pytest.raises(ValueError, match="sees 127 codes and a mark at most, got 128; ask for less"):
        run.models["main"].logits(*(lambda masked: (masked.inputs, masked.queries))(long(run)))


def long(run: Any) -> Any:
    """A row of more codes than the networks have places for."""
    batch = collate([run.layout.pack({"text": run.tokenizers["text"].encode(Text("a " * 127))})], multiple=1)
    return masked_at(run.layout, batch, batch.to_fill)


CAUSAL: dict[str, dict[str, Any]] = {
    "Llama": {**SHAPE, "num_key_value_heads": 2},
    "GPT2": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 128},
}


def causal(name: str) -> Any:
    import transformers

    config = getattr(transformers, f"{name}Config")(vocab_size=70, **CAUSAL[name])
    kind = "LlamaForCausalLM" if name == "Llama" else "GPT2LMHeadModel"
    made = untouched(lambda: getattr(transformers, kind)(config)).eval()
    for parameter in made.parameters():
        draw = torch.Generator().manual_seed(parameter.numel())
        parameter.data.add_(0.1 * torch.randn(parameter.shape, generator=draw))
    return made


@pytest.mark.parametrize("name", list(CAUSAL))
@torch.no_grad()
def test_a_causal_network_tells_likelihoods_and_fills_nothing(name: str) -> None:
    """Each code follows from those before it, the first from the mark that begins; texts of any length together."""
    tokenizer, network = words(), causal(name)
    run = tm.wrap(network, tokenizer)
    found = run.log_likelihood(TEXTS, stream="text")
    for text, own in zip(TEXTS, found, strict=True):
        ids = [0, *tokenizer(text, add_special_tokens=False)["input_ids"]]
        law = torch.log_softmax(network(input_ids=torch.tensor([ids])).logits[0].double()[:, : len(tokenizer)], -1)
        wanted = sum(float(law[at, piece]) for at, piece in enumerate(ids[1:]))
        assert own.nats == pytest.approx(wanted, rel=1e-5) and (own.codes, own.exact) == (len(ids) - 1, True)
    assert run.log_likelihood(TEXTS[2:], stream="text") == found[2:]
    assert {one.perplexity > 1 for one in found} == {True}
    with pytest.raises(ValueError, match=r"knows what stands before a code alone, so it fills no holes; use it for"):
        run.generate("text", length=5, steps=2)
    with pytest.raises(ValueError, match="fills no holes"):
        run.edit("in the light", [(3, 8)], stream="text", steps=1)
    with pytest.raises(TypeError, match=r"media must be a list of items, got str; write \[item\]"):
        run.log_likelihood("in the light", stream="text")


def test_a_masked_network_bounds_likelihoods(network: Any, tokenizer: Any) -> None:
    run = tm.wrap(network, tokenizer)
    found = run.log_likelihood(TEXTS, stream="text", draws=4)
    assert [one.exact for one in found] == [False] * 3 and all(one.nats < 0 for one in found)
    assert run.log_likelihood(TEXTS[:1], stream="text", draws=4) == found[:1]


def test_a_network_that_is_no_language_model_is_refused() -> None:
    with pytest.raises(TypeError, match=r"wrap takes a language model .* got Identity; open it with its library"):
        tm.wrap(torch.nn.Identity(), words())
