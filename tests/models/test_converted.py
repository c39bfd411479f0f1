"""Checkpoints of transformers in our Transformer: logits are theirs, on small configurations with random weights."""

from __future__ import annotations

import copy
import importlib.util
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import tokenmask as tm
from tests.modalities.small_published import untouched
from tests.models.small import masked_at
from tokenmask.analysis.sinks import attention_received
from tokenmask.batch import collate
from tokenmask.modalities.text import Text
from tokenmask.sampling import AllOf, Categorical, ForbidCodes, NoReuse, Particles, StaleReuse
from tokenmask.scores import RasterScore

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("transformers") is None, reason="needs transformers: pip install 'tokenmask[hub]'"
)
TEXTS = ["in the beginning", "light shines in the darkness and it was good", "a"]
SMALL: dict[str, Any] = {
    "vocab_size": 48,
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 100,
    "max_position_embeddings": 96,
    "pad_token_id": 1,
    "bos_token_id": 0,
    "eos_token_id": 2,
}
KINDS: dict[str, dict[str, Any]] = {
    "Llama": {"num_key_value_heads": 2, "rms_norm_eps": 1e-5, "attention_bias": True, "mlp_bias": True},
    "Qwen2": {"num_key_value_heads": 1, "rope_parameters": {"rope_type": "default", "rope_theta": 1e6}},
    "Qwen3": {"head_dim": 24, "num_key_value_heads": 4, "tie_word_embeddings": True},
    "EuroBert": {"mask_token_id": 3, "mlp_bias": True},
    "Bert": {},
    "Roberta": {"max_position_embeddings": 98},
}


def words(begin: bool) -> Any:
    """Letters as pieces, with marks; a text begins with a mark or not, and in BERT's way ends with one."""
    import tokenizers as library
    import transformers

    pieces = ["[BOS]", "[PAD]", "[END]", "[MASK]", "[UNK]", " ", *"abcdefghijklmnopqrstuvwxyz"]
    made = library.Tokenizer(
        library.models.WordLevel({piece: at for at, piece in enumerate(pieces)}, unk_token="[UNK]")
    )
    made.pre_tokenizer = library.pre_tokenizers.Split(library.Regex("."), "isolated")
    made.decoder = library.decoders.Fuse()
    if begin:
        made.post_processor = library.processors.TemplateProcessing(
            single="[BOS] $A [END]", special_tokens=[("[BOS]", 0), ("[END]", 2)]
        )
    names = {"bos_token": "[BOS]", "eos_token": "[END]", "pad_token": "[PAD]", "mask_token": "[MASK]"}
    return transformers.PreTrainedTokenizerFast(tokenizer_object=made, unk_token="[UNK]", **names)


@pytest.fixture(scope="module", params=list(KINDS))
def network(request: pytest.FixtureRequest) -> Any:
    import transformers

    kind = request.param
    config = getattr(transformers, f"{kind}Config")(**{**SMALL, **KINDS[kind]})
    head = "MaskedLM" if "ert" in kind else "CausalLM"
    made = untouched(lambda: getattr(transformers, f"{kind}For{head}")(config)).eval()
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            draw = torch.Generator().manual_seed(parameter.numel() + len(name))
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=draw))
    return made


@torch.no_grad()
def theirs(network: Any, rows: list[list[int]]) -> list[torch.Tensor]:
    """Logits of each row alone, every place sees every place."""
    found = []
    for row in rows:
        seen = torch.zeros(1, 1, len(row), len(row))  # added to the scores: causal classes take it as it is
        bidirectional = "ert" in type(network).__name__
        mask = torch.ones(1, len(row), dtype=torch.int64) if bidirectional else seen
        found.append(network(input_ids=torch.tensor([row]), attention_mask=mask).logits[0])
    return found


def asked(run: Any, texts: list[str], every: int = 3) -> tuple[Any, torch.Tensor]:
    streams = [run.tokenizers["text"].encode(Text(text)) for text in texts]
    lengths = [{"text": stream.grid[0] + 1} for stream in streams]
    packed = [run.layout.pack({"text": one}, lengths=own) for one, own in zip(streams, lengths, strict=True)]
    batch = collate(packed, multiple=16)
    hidden = (torch.arange(batch.shape[1]) % every == 1)[None, :, None] & batch.valid[..., None]
    return masked_at(run.layout, batch, hidden), hidden


@pytest.mark.parametrize("begin", [True, False])
@torch.no_grad()
def test_logits_are_those_of_the_checkpoint(network: Any, begin: bool) -> None:
    """Texts of different lengths in one batch, ended, with a third of their codes hidden; with and without a begin."""
    tokenizer = words(begin)
    if network.config.model_type in ("bert", "roberta") and not begin:
        with pytest.raises(ValueError, match="counts places from the piece that begins a text"):
            tm.convert(network, tokenizer)
        return
    run = tm.convert(network, tokenizer)
    masked, hidden = asked(run, TEXTS)
    (group,) = run.models["main"].logits(masked.inputs, masked.queries)
    count = len(tokenizer)
    rows, wanted = [], []
    for row, text in enumerate(TEXTS):
        own = tokenizer(text, add_special_tokens=False)["input_ids"] + [2]
        places = hidden[row, 1 : 1 + len(own), 0]
        rows.append([0] * begin + [3 if places[at] else piece for at, piece in enumerate(own)])
    for row, logits in enumerate(theirs(network, rows)):
        places = hidden[row, 1 : 1 + len(rows[row]) - begin, 0]
        wanted.append(logits[int(begin) :][places, :count])
    expected = torch.cat(wanted)
    assert group.logits.std() > 0.1
    torch.testing.assert_close(group.logits, expected, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_the_attention_that_keys_get_is_that_of_the_checkpoint(network: Any) -> None:
    """Sums of the columns of its maps (attn_implementation="eager", output_attentions=True) of all layers and heads."""
    tokenizer = words(True)
    run = tm.convert(network, tokenizer)
    masked, hidden = asked(run, TEXTS)
    got = attention_received(run.models["main"], masked.inputs, torch.ones(len(TEXTS)))
    eager = copy.deepcopy(network)
    eager.set_attn_implementation("eager")
    for row, text in enumerate(TEXTS):
        own = tokenizer(text, add_special_tokens=False)["input_ids"] + [2]
        places = hidden[row, 1 : 1 + len(own), 0]
        ids = torch.tensor([[0] + [3 if places[at] else piece for at, piece in enumerate(own)]])
        sees = torch.ones_like(ids) if "ert" in type(network).__name__ else torch.zeros(1, 1, *ids.shape[1:] * 2)
        maps = eager(input_ids=ids, attention_mask=sees, output_attentions=True).attentions
        expected = torch.stack([one[0].sum(-2) for one in maps])
        torch.testing.assert_close(got[row, :, :, : ids.shape[1]], expected, rtol=1e-5, atol=1e-5)
        assert expected.std() > 0.01 and not got[row, :, :, ids.shape[1] :].any()


@torch.no_grad()
def test_a_folder_becomes_a_run_that_is_saved_and_generates(network: Any, tmp_path: Path) -> None:
    """From safetensors; what is loaded is what was converted, and draws the same alone and beside others."""
    network.save_pretrained(tmp_path / "theirs")
    words(True).save_pretrained(tmp_path / "theirs")
    run = tm.convert(tmp_path / "theirs")
    saved = run.save(tmp_path / "ours")
    memory, disk = run.models["main"].state_dict(), saved.models["main"].state_dict()
    assert memory.keys() == disk.keys() and all(torch.equal(memory[name], disk[name]) for name in memory)
    alone = saved.generate_tokens("text", length=12, steps=4, seed=3)[0]
    company = run.generate_tokens("text", [{"text": "the light"}, {}], length=12, steps=4, seed=[1, 3])
    assert company[1] == alone and company[0] != alone
    assert not {0, 1, 3} & set(torch.cat([stream.codes for stream in company]).flatten().tolist())
    edited = saved.edit("in the light", [(3, 6)], stream="text", steps=2, seed=0)[0].stream.codes[:, 0]
    before = saved.tokenizers["text"].encode(Text("in the light")).codes[:, 0]
    assert torch.equal(edited[[0, 1, 2, -1]], before[[0, 1, 2, -1]])


def test_reuse_of_keys_and_values_applies(network: Any) -> None:
    """With full steps alone StaleReuse draws what NoReuse draws; with cheap steps it runs, and fewer positions."""
    run = tm.convert(network, words(True))
    drawn = {}
    for name, reuse in (("none", NoReuse()), ("full", StaleReuse(n_local=0)), ("stale", StaleReuse(n_local=2))):
        sampler = replace(run.recipe.sampler, reuse=reuse, constraint=ForbidCodes({"text": (0, 1, 2, 3)}))
        drawn[name] = run.generate_tokens("text", length=20, steps=6, seed=1, sampler=sampler)[0]
    assert drawn["none"] == drawn["full"]
    assert drawn["stale"].codes.shape == (20, 1) and int(drawn["stale"].codes.min()) > 3


@pytest.mark.parametrize("begin", [True, False])
@torch.no_grad()
def test_a_causal_checkpoint_stays_causal(network: Any, begin: bool, tmp_path: Path) -> None:
    """Its likelihoods are those of the wrapped one, it goes on as the network does, and it is an expert."""
    if "CausalLM" not in type(network).__name__:
        return
    tokenizer = words(begin)
    run, wrapped = tm.convert(network, tokenizer, causal=True), tm.wrap(network, tokenizer)
    ours, other = (one.log_likelihood(TEXTS, stream="text") for one in (run, wrapped))
    assert [one.nats for one in ours] == pytest.approx([one.nats for one in other], rel=1e-5)
    assert {one.exact for one in ours} == {True} and [one.codes for one in ours] == [one.codes for one in other]
    ids = [0, *tokenizer("the light", add_special_tokens=False)["input_ids"]]
    best = replace(run.recipe.sampler, pick=Categorical(0.0), constraint=ForbidCodes({"text": (0, 1, 2, 3)}))
    made = run.generate_tokens("text", {"text": "the light"}, length=8, steps=8, seed=0, sampler=best)[0].codes[:, 0]
    for _ in range(8):
        law = network(input_ids=torch.tensor([ids])).logits[0, -1, : len(tokenizer)]
        law[:4] = -torch.inf
        ids.append(int(law.argmax()))
    assert made.tolist()[-8:] == ids[-8:]
    filler = tm.convert(network, tokenizer)
    judge = run.expert(filler, power=0.5)
    codes = tuple(filler.tokenizers["text"].encode(Text(TEXTS[0])).codes[:, 0].tolist())
    assert judge.says([codes]).tolist() == pytest.approx([ours[0].nats], rel=1e-5)
    weighed = AllOf((best.constraint, judge))
    sampler = replace(filler.recipe.sampler, order=RasterScore(), constraint=weighed, particles=Particles(4))
    assert len(filler.generate("text", length=5, steps=5, seed=0, sampler=sampler)[0].text) == 5
    saved = run.save(tmp_path / "run")
    assert saved.log_likelihood(TEXTS, stream="text") == ours
    with pytest.raises(ValueError, match=r"must be False for a EuroBERT of transformers"):
        saved.export("transformers", tmp_path / "out")


def test_what_cannot_be_is_one_sentence(tmp_path: Path) -> None:
    import transformers

    made = untouched(lambda: transformers.LlamaForCausalLM(transformers.LlamaConfig(**SMALL)))
    plain = words(True)
    plain.mask_token = None
    with pytest.raises(ValueError, match="needs the piece that hides a code, but none is named; pass mask="):
        tm.convert(made, plain)
    with pytest.raises(ValueError, match=r"'<mask>' is none of its vocabulary; pass mask="):
        tm.convert(made, plain, mask="<mask>")
    with pytest.raises(ValueError, match="reads a code at the place before it, got reads_before=False; leave it out"):
        tm.convert(made, plain, causal=True, reads_before=False)
    both = untouched(lambda: transformers.BertForMaskedLM(transformers.BertConfig(**SMALL)))
    with pytest.raises(ValueError, match="keeps a causal model as it was, but bert sees what follows; leave it out"):
        tm.convert(both, words(True), causal=True)
    assert tm.convert(made, plain, causal=True).models["main"].causal  # what ends a text would hide codes
    assert tm.convert(made, plain, mask="[MASK]").layout.num_ids == 1 + 4 + 32 + 1
    with pytest.raises(ValueError, match="needs the tokenizer of a network in memory, got None"):
        tm.convert(made)
    with pytest.raises(ValueError, match="needs a network of transformers, which has a config, got Identity"):
        tm.convert(torch.nn.Identity(), plain)
    torch.save({}, tmp_path / "pytorch_model.bin")
    (tmp_path / "config.json").write_text(json.dumps(made.config.to_dict()))
    with pytest.raises(ValueError, match=r"as pickle only .* is never opened; convert it once"):
        tm.convert(tmp_path, plain)
    before = tm.convert(made, plain, mask="[MASK]", reads_before=True)
    with pytest.raises(ValueError, match=r"set sampler\.reuse to NoReuse"):
        before.generate("text", length=4, steps=2, sampler=replace(before.recipe.sampler, reuse=StaleReuse()))
    assert len(before.generate("text", length=4, steps=2)) == 1
