"""Keys and values of networks of transformers: kept by whole passes, used by passes of some places.

What a cheap step gives is held to the network itself, run over the whole row with the new codes, while hooks put the
keys and values of the pass before in the place of those that are not run.
"""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

import tokenmask as tm
from tests.modalities.small_published import untouched
from tests.models.small import masked_at
from tests.models.test_wrapped import SHAPE, TEXTS, batch_of, causal, words
from tokenmask.masking import Queries
from tokenmask.models import Packed
from tokenmask.models.attending import attending
from tokenmask.models.wrapped_cache import refusal
from tokenmask.sampling import NoReuse, StaleReuse

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("transformers") is None, reason="needs transformers: pip install 'tokenmask[hub]'"
)
MARKS = {"pad_token_id": 2, "bos_token_id": 0, "eos_token_id": 1, "cls_token_id": 0, "sep_token_id": 1}
LLAMA = {"num_key_value_heads": 2, "is_causal": False}
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "Bert": ("BertForMaskedLM", {}),
    "Roberta": ("RobertaForMaskedLM", {"max_position_embeddings": 131}),
    "ModernBert": ("ModernBertForMaskedLM", {"global_attn_every_n_layers": 2, "local_attention": 8}),
    "EuroBert": ("EuroBertForMaskedLM", {"num_key_value_heads": 2}),
    "Llama": ("LlamaForCausalLM", LLAMA),
    "Qwen3": ("Qwen3ForCausalLM", {**LLAMA, "head_dim": 8}),
}


def network_of(kind: str, **others: Any) -> Any:
    import transformers

    name, values = KINDS[kind]
    config = getattr(transformers, f"{kind}Config")(**{**SHAPE, **values, **MARKS, "vocab_size": 70, **others})
    made = untouched(lambda: getattr(transformers, name)(config)).eval()
    for parameter in made.parameters():  # so that logits are not all alike
        draw = torch.Generator().manual_seed(parameter.numel())
        parameter.data.add_(0.2 * torch.randn(parameter.shape, generator=draw))
    return made


@pytest.fixture(scope="module", params=list(KINDS))
def network(request: pytest.FixtureRequest) -> Any:
    return network_of(request.param)


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return words()


@contextmanager
def stale(network: Any, fresh: Tensor, seen: dict[str, Tensor]) -> Iterator[None]:
    """Keys and values of places that are not fresh, bool [B, L], are those that were seen; sees them if it is empty."""
    first = not seen
    with ExitStack() as hooks:
        for name, module in network.named_modules():
            if name.rsplit(".", 1)[-1] not in ("key", "value", "k_proj", "v_proj", "Wqkv"):
                continue

            def swap(_: Any, __: Any, out: Tensor, name: str = name) -> Tensor:
                if first:
                    seen[name] = out
                    return out
                begin = out.shape[-1] // 3 if name.endswith("Wqkv") else 0
                kept = torch.where(fresh[:, :, None], out, seen[name])
                return torch.cat([out[..., :begin], kept[..., begin:]], -1)

            hooks.callback(module.register_forward_hook(swap).remove)
        yield


@torch.no_grad()
def test_a_cheap_step_is_the_network_over_what_was_kept(network: Any, tokenizer: Any) -> None:
    run = tm.wrap(network, tokenizer)
    model, batch = run.models["main"], batch_of(run, TEXTS)
    codes = run.layout.ranges[0]
    hidden = torch.zeros(batch.shape, dtype=torch.bool)
    hidden[:2, 2:12, 0] = True
    masked = masked_at(run.layout, batch, hidden)
    inputs, slots = masked.inputs, masked.inputs.valid.cumsum(1) - 1
    before = network.config._attn_implementation
    cache = model.backbone.empty_cache(3, inputs.shape[1]).admit(Packed.of(inputs, inputs.valid, slots))
    kept = model.logits(inputs, masked.queries, cache=cache)[0].logits
    assert torch.equal(kept, model.logits(inputs, masked.queries)[0].logits)

    ids, mask = model.backbone._padded(*own_of(model, inputs), 64)
    seen: dict[str, Tensor] = {}
    with stale(network, mask.bool(), seen):
        network(input_ids=ids, attention_mask=mask)
    # Two codes of the first row and three of the second become known; one more of each is asked.
    changed, fresh = inputs.ids.clone(), torch.zeros(inputs.shape[:2], dtype=torch.bool)
    for row, column, code in ((0, 3, 40), (0, 7, 50), (1, 2, 33), (1, 5, 60), (1, 9, 41)):
        changed[row, column, 0] = codes.offset + code
        fresh[row, column] = True
    fresh[0, 10] = fresh[1, 11] = fresh[0, 0] = True  # and the mark before the first text
    later = replace(inputs, ids=changed)
    new = Packed.of(later, fresh, slots)
    asked = masked_at(
        run.layout,
        batch,
        torch.zeros_like(hidden).index_put((torch.tensor([0, 1]), torch.tensor([10, 11])), torch.tensor(True)),
    )
    numbers = (fresh.flatten().cumsum(0) - 1)[asked.queries.slots]
    found = model.extend(new, replace(asked.queries, slots=numbers), cache)[0].logits

    own, _ = model.backbone._padded(*own_of(model, later), 64)
    shift = torch.zeros_like(mask, dtype=torch.bool)
    shift[:, : fresh.shape[1]] = fresh
    with stale(network, shift, seen):
        wanted = network(input_ids=own, attention_mask=mask).logits
    wanted = wanted[[0, 1], [10, 11], : codes.size]
    assert torch.allclose(found, wanted, atol=1e-5 * float(wanted.abs().max()))
    plain = network(input_ids=own, attention_mask=mask).logits[[0, 1], [10, 11], : codes.size]
    assert float((found - plain).abs().max()) > 1e-3  # the rest is as it was
    again = model.extend(new, replace(asked.queries, slots=numbers), cache.rows(torch.tensor([0, 1, 2])))[0].logits
    assert torch.equal(again, found)
    assert network.config._attn_implementation == before


def own_of(model: Any, inputs: Any) -> tuple[Tensor, Tensor]:
    own = torch.where(inputs.valid, model.backbone._own_ids(inputs.ids[:, :, 0]), -1)
    return own, (own >= 0).sum(1)


def test_generations_reuse_keys_and_values(network: Any, tokenizer: Any) -> None:
    run = tm.wrap(network, tokenizer)
    given: list[dict[str, Any]] = [{"text": "the light"}, {}, {}]
    plain = run.recipe.sampler

    def drawn(reuse: Any, which: list[int], steps: int = 6) -> list[list[int]]:
        asked = {"length": 12, "steps": steps, "sampler": replace(plain, reuse=reuse)}
        streams = run.generate_tokens(
            "text", [given[at] for at in which], seed=[[1, 3, 5][at] for at in which], **asked
        )
        return [stream.codes[:, 0].tolist() for stream in streams]

    everyone = [0, 1, 2]
    assert drawn(StaleReuse(n_local=0), everyone) == drawn(NoReuse(), everyone)
    reused = drawn(StaleReuse(n_local=2), everyone)
    assert reused != drawn(NoReuse(), everyone)
    assert [drawn(StaleReuse(n_local=2), [at])[0] for at in everyone] == reused  # alone as in company
    drift = [drawn(StaleReuse(pre_full=6, n_local=2), everyone), drawn(NoReuse(), everyone)]
    assert drift[0] == drift[1]


@torch.no_grad()
def test_guided_steps_keep_both_of_their_rows(tokenizer: Any) -> None:
    from tokenmask.sampling import ClassifierFree

    run = tm.wrap(network_of("EuroBert"), tokenizer)
    guided = replace(run.recipe.sampler, guidance=ClassifierFree(2.0))
    asked: dict[str, Any] = {"length": 12, "steps": 6, "seed": 1}
    whole = run.generate_tokens("text", {"text": "the light"}, sampler=guided, **asked)
    every = run.generate_tokens(
        "text", {"text": "the light"}, sampler=replace(guided, reuse=StaleReuse(n_local=0)), **asked
    )
    assert whole == every
    some = run.generate_tokens(
        "text", {"text": "the light"}, sampler=replace(guided, reuse=StaleReuse(n_local=1)), **asked
    )
    assert some != whole and torch.equal(some[0].codes[:2], whole[0].codes[:2])


def test_passes_of_two_threads_do_not_meet(tokenizer: Any) -> None:
    """What a pass sees is its own, also while another one of the same network begins or ends."""
    network = network_of("Bert")
    ids, inner = torch.arange(12)[None], []

    def other() -> None:
        with torch.no_grad(), attending(network, lambda *seen: (inner.append(1), seen)[1]):
            network(input_ids=ids)

    outer: list[int] = []
    with torch.no_grad(), attending(network, lambda *seen: (outer.append(1), seen)[1]):
        beside = threading.Thread(target=other)
        beside.start()
        beside.join()
        network(input_ids=ids)
    network(input_ids=ids)
    assert (len(outer), len(inner)) == (2, 2)  # a layer each
    assert network.config._attn_implementation == "sdpa"


def test_where_they_cannot_be_had_a_sentence_says_why(tokenizer: Any) -> None:
    def asked(network: Any, reuse: Any) -> None:
        run = tm.wrap(network, tokenizer)
        run.generate_tokens("text", length=6, steps=2, seed=0, sampler=replace(run.recipe.sampler, reuse=reuse))

    eager = network_of("Bert", attn_implementation="eager")
    with pytest.raises(
        ValueError, match=r"a wrapped BertForMaskedLM cannot be kept: it attends by 'eager', not by 'sdpa'"
    ):
        asked(eager, StaleReuse())
    asked(eager, NoReuse())
    with pytest.raises(ValueError, match=r"fills no holes"):
        tm.wrap(causal("Llama"), tokenizer).models["main"].backbone.empty_cache(1, 8)
    run = tm.wrap(network_of("Bert"), tokenizer)
    inputs, model = batch_of(run, TEXTS), run.models["main"]
    some = Packed.of(inputs, inputs.valid, inputs.valid.cumsum(1) - 1)
    empty, nothing = model.backbone.empty_cache(3, inputs.shape[1]), torch.zeros(0, dtype=torch.int64)
    with pytest.raises(ValueError, match=r"keeps keys and values of whole rows .*; set sampler\.reuse to StaleReuse"):
        model.extend(some, Queries(nothing, nothing), empty)


def test_a_network_that_attends_by_itself_has_none(tokenizer: Any) -> None:
    import transformers

    config = transformers.DebertaV2Config(**SHAPE, vocab_size=70, pad_token_id=2)
    made = untouched(lambda: transformers.DebertaV2ForMaskedLM(config)).eval()
    run = tm.wrap(made, tokenizer)
    with pytest.raises(
        ValueError, match=r"of a wrapped DebertaV2ForMaskedLM cannot be kept: .*; set sampler\.reuse to NoReuse"
    ):
        run.models["main"].backbone.empty_cache(1, 8)


@pytest.mark.parametrize("pad", [0, 7, 35])
def test_the_trial_of_a_cache_leaves_the_piece_that_fills_rows_out(tokenizer: Any, pad: int) -> None:
    """RoBERTa's places count pieces that are none of padding; the trial must not meet it by chance."""
    network = network_of("Roberta", pad_token_id=pad, max_position_embeddings=131 + pad)
    assert refusal(network, pad + 1, causal=False) == ""
