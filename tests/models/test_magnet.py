"""MAGNeT's network and loop: logits and every step are those of audiocraft, recorded, on small random weights.

``recorded/magnet.safetensors`` and ``magnet.json`` were written by ``benchmarks/parity/magnet_weights.py FOLDER
--record`` from the official ``MagnetLMModel`` and its ``generate``.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.models import small_magnet as small
from tests.models.magnet_steps import CASES, LAYOUT, batch, model, ours
from tokenmask.batch import Batch
from tokenmask.masking.masked_batch import Queries
from tokenmask.models import Window
from tokenmask.models.magnet_network import MagnetNetwork
from tokenmask.models.wrapped import WrappedModel

RECORDED = Path(__file__).parent / "recorded"


@pytest.mark.parametrize("biases", [False, True])
@torch.no_grad()
def test_logits_of_each_level_are_the_published_ones(biases: bool) -> None:
    wanted = load_file(RECORDED / "magnet.safetensors")
    network = MagnetNetwork(small.weights(biases), small.HEADS, small.REACH)
    texts = [network.projected(one) for one in small.states()]
    for level in range(small.LEVELS):
        logits = network(small.codes(), texts, level)
        torch.testing.assert_close(logits, wanted[f"{level}.{'biases' if biases else 'plain'}"], rtol=1e-4, atol=1e-5)
    wide = MagnetNetwork(small.weights(biases), small.HEADS, -1)(small.codes(), texts, 1)
    assert not torch.allclose(wide, logits, atol=1e-3)  # later levels see what is near alone


@pytest.mark.parametrize("case", list(CASES))
def test_every_step_is_that_of_audiocraft(case: str) -> None:
    """Inputs of all passes and the codes, with guidance from 10 to 1 and a temperature from 3 to 0.01."""
    wanted, found = json.loads((RECORDED / "magnet.json").read_text(encoding="utf-8"))[case], ours(**CASES[case])
    assert len(found["inputs"]) == len(wanted["inputs"]) == sum(CASES[case]["steps"])
    for step, (one, two) in enumerate(zip(found["inputs"], wanted["inputs"], strict=True)):
        assert one == two, f"the input of step {step} is another"
    assert found["codes"] == wanted["codes"] and len({tuple(one) for one in found["codes"][0]}) > 6


def asked(rows: Batch) -> Queries:
    """All hidden slots of a sound, or all of them where none is hidden."""
    heads = LAYOUT.head_of(rows.ids).flatten()
    slots = ((heads >= 0) & (heads < small.LEVELS) & rows.valid[..., None].expand(rows.ids.shape).flatten()).nonzero()
    return Queries(slots.squeeze(1), heads[slots.squeeze(1)])


@torch.no_grad()
def test_a_row_is_answered_alike_in_any_company() -> None:
    """Texts of other lengths, none, an empty one, a shorter sound; all levels asked at once."""
    made, told = model(), ("3 9 4", None, "12 30 7 7 2", "")
    rows = [(text, 3, frames) for text, frames in zip(told, (24, 24, 15, 24), strict=True)]
    together, rows = batch(*rows), [batch(row) for row in rows]
    whole = {group.head: group.logits for group in made.logits(together, asked(together))}
    assert set(whole) == {0, 1}
    for head, logits in whole.items():
        alone = torch.cat(
            [next(group.logits for group in made.logits(row, asked(row)) if group.head == head) for row in rows]
        )
        torch.testing.assert_close(logits, alone, rtol=1e-5, atol=1e-5)
    none, empty = (made.logits(rows[at], asked(rows[at]))[0].logits for at in (1, 3))
    assert torch.equal(none, empty) and not torch.allclose(none, made.logits(rows[0], asked(rows[0]))[0].logits)


def test_what_cannot_be_is_one_sentence() -> None:
    weights = small.weights()
    with pytest.raises(ValueError, match=r"num_heads must divide the width 32, got 5; use the own config\.yaml"):
        MagnetNetwork(weights, 5)
    with pytest.raises(ValueError, match=r"a MAGNeT has no place for the tensor emb\.9\.weight; take the weights of a"):
        MagnetNetwork({**weights, "emb.9.weight": torch.zeros(1)}, 4)
    del weights["out_norm.bias"]
    with pytest.raises(ValueError, match=r"a MAGNeT needs the tensor out_norm\.bias; take the weights of a MAGNeT of"):
        MagnetNetwork(weights, 4)
    made = model()
    brief = WrappedModel(replace(made.config, longest=12), LAYOUT)  # type: ignore[type-var]
    row = batch(("3", 0, 24))
    with pytest.raises(ValueError, match=r"sees sounds of 12 frames at most, got 24; ask for less"):
        brief.logits(row, asked(row))
    words = torch.tensor([1])
    with pytest.raises(ValueError, match=r"a MAGNeT fills sounds alone; give texts as conditions"):
        made.logits(row, Queries(words, torch.tensor([LAYOUT.head("text")])))
    with pytest.raises(ValueError, match=r"sees all of a row and keeps nothing of it, got Window"):
        made.logits(row, asked(row), Window(3))
