"""What the comparisons with official loops share: a small random network, our side of it, and our draws for theirs.

Both loops ask the same network, and theirs takes its random numbers from ours: codes by the inverse of the cumulative
distribution at the uniform number of our slot, the noise of confidence from the number of the same slot. Nothing is
fetched and nothing of theirs is imported: :func:`lifted` compiles single functions of a checkout that is there.
"""

from __future__ import annotations

import argparse
import ast
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tokenmask.batch import GIVEN, collate
from tokenmask.layout import Layout
from tokenmask.ops import Purpose, uniform
from tokenmask.ops.philox import draw_reference
from tokenmask.sampling import Sampler, SamplerState
from tokenmask.scores import slot_counters
from tokenmask.streams import StreamSpec, TokenStream

WIDTH = 16
RECORDED = Path(__file__).parents[2] / "tests" / "systems" / "recorded"
Trace = dict[str, Any]


class Network:
    """A random network: logits of a slot follow from its code, its neighbours', all codes of the row and a condition.

    Args:
        codes: V of each level; V stands for MASK, V + 1 for nothing.
        length: L.
        levels: K.
        seed: of the weights.
        scale: how far apart logits lie.
    """

    def __init__(self, codes: int, length: int, levels: int = 1, seed: int = 0, scale: float = 0.5) -> None:
        self.codes, self.length, self.levels, self.scale = codes, length, levels, scale
        self.table = weights(seed, 1, levels, codes + 2, WIDTH)
        self.places = weights(seed, 2, length, WIDTH)
        self.out = weights(seed, 3, levels, WIDTH, codes)
        self.condition = weights(seed, 4, WIDTH)

    def __call__(self, codes: Tensor, told: Tensor | None = None) -> Tensor:
        """Args:
            codes: int64 [B, L, K].
            told: bool [B], whether the row has its condition; None is nowhere.

        Returns:
            float32 [B, L, K, V].
        """
        there = (codes[..., :1] <= self.codes).float()
        hidden = sum(self.table[level][codes[..., level]] for level in range(self.levels))
        hidden = (hidden + self.places[: codes.shape[1]]) * there
        near = hidden.roll(1, 1) + hidden.roll(-1, 1)
        whole = hidden.sum(1, keepdim=True) / there.sum(1, keepdim=True)
        mixed = hidden + near + whole
        if told is not None:
            mixed = mixed + told[:, None, None] * self.condition
        return torch.einsum("blw,kwv->blkv", torch.tanh(mixed), self.out) * self.scale


def weights(seed: int, part: int, *shape: int) -> Tensor:
    """Uniform in -1.7..1.7, float32, of a part of a network of a seed."""
    counters = torch.arange(torch.Size(shape).numel()) + (part << 32)
    return (uniform(seed=seed, counters=counters, purpose=Purpose.latent).view(shape) - 0.5) * 3.4


class Ours:
    """Our side: rows of one stream, which may be given in part, behind the network.

    Args:
        network: that both sides ask.
        codes: int [B, L, K], those that are given, others anything.
        given: bool [B, L].
        lengths: of the rows; None is L.
        told: whether each row has a condition, a text that guidance can drop.
        seed: rows have this and the following seeds.
    """

    def __init__(
        self,
        network: Network,
        codes: Tensor,
        given: Tensor | None = None,
        lengths: Sequence[int] | None = None,
        told: bool = False,
        seed: int = 0,
    ) -> None:
        rows, length, levels = codes.shape
        self.network, self.levels = network, levels
        self.lengths = [length] * rows if lengths is None else list(lengths)
        audio = StreamSpec("audio", (network.codes,) * levels, ("time",), rate_hz=50.0)
        text = StreamSpec("text", (5,), ("index",))
        self.layout = Layout({"text": text, "audio": audio})
        sequences = []
        for row, size in enumerate(self.lengths):
            streams = {"text": TokenStream(text, torch.zeros(1, 1, dtype=torch.int32))} if told else {}
            streams["audio"] = TokenStream(audio, codes[row, :size].int())
            roles = torch.full((size, levels), 2, dtype=torch.int8)
            if given is not None:
                roles[given[row, :size]] = GIVEN
            sequences.append(self.layout.pack(streams, roles={"audio": roles, **({"text": GIVEN} if told else {})}))
        self.batch = collate(sequences, multiple=1)
        self.seeds = torch.arange(rows) + seed
        self.inputs: list[Tensor] = []
        first = (self.batch.stream == self.layout.index("audio")).int().argmax(1)
        self.first = int(first[0])

    def logits(self, inputs: Any, queries: Any, t: Any = None, group: Any = None, **more: Any) -> Any:
        """The model protocol: what the network says of the slots that are asked."""
        _, length, levels = inputs.shape
        codes = self.neutral(inputs)
        self.inputs.append(codes[: len(self.seeds)])
        told = inputs.valid[:, 1] if self.first > 1 else None
        answers = self.network(codes, told)
        for head in sorted(set(queries.heads.tolist())):
            index = (queries.heads == head).nonzero().squeeze(1)
            slots = queries.slots[index]
            row = torch.div(slots, length * levels, rounding_mode="floor")
            place = torch.div(slots % (length * levels), levels, rounding_mode="floor") - self.first
            yield head, index, answers[row, place, slots % levels]

    def neutral(self, batch: Any) -> Tensor:
        """int64 [B, L, K], codes of the stream; V for MASK, V + 1 where a row has ended."""
        size = max(self.lengths)
        ids = batch.ids[:, self.first : self.first + size]
        codes = self.layout.codes_of(ids).long()
        codes = torch.where(ids == self.layout.mask_of(ids), self.network.codes, codes)
        for row in range(codes.shape[0]):
            codes[row, self.lengths[row % len(self.lengths)] :] = self.network.codes + 1
        return codes

    def run(self, sampler: Sampler) -> Trace:
        """The inputs of every step, and the codes in the end."""
        self.inputs.clear()
        state = SamplerState.start(self.batch, self.layout, self.seeds)
        done = sampler.run({"main": self}, self.layout, state)  # type: ignore[dict-item]
        return {"inputs": [one.tolist() for one in self.inputs], "codes": self.neutral(done.batch).tolist()}

    def draws(self, step: int, level: int = 0) -> tuple[Tensor, Tensor]:
        """What our step draws: uniforms of the codes, float64 [B, L], and of the order, float32 [B, L] in (0, 1)."""
        keys = (self.batch.sample_ids << 16) | step
        size = max(self.lengths)
        counters = slot_counters(keys, *self.batch.shape[1:])[:, self.first : self.first + size, level]
        seeds = self.seeds[:, None].expand_as(counters)
        words = draw_reference(seeds.flatten(), torch.zeros(counters.numel()).long(), Purpose.code, counters.flatten())
        code = (words[0].double() * 2.0**32 + words[1].double()) / 2.0**64
        order = uniform(seed=seeds.flatten(), counters=counters.flatten(), purpose=Purpose.order)
        inside = (order + 2.0**-25).clamp(max=1 - 2.0**-24)
        return code.view(counters.shape), inside.view(counters.shape)

    def uniforms(self, step: int, purpose: Purpose = Purpose.mask, level: int = 0) -> Tensor:
        """What our step draws for another purpose, float32 [B, L] in [0, 1): which slots are hidden or revealed."""
        keys = (self.batch.sample_ids << 16) | step
        counters = slot_counters(keys, *self.batch.shape[1:])[:, self.first : self.first + max(self.lengths), level]
        seeds = self.seeds[:, None].expand_as(counters)
        draws = uniform(seed=seeds.flatten(), counters=counters.flatten(), purpose=purpose)
        return draws.view(counters.shape)


def inverse(probs: Tensor, uniforms: Tensor) -> Tensor:
    """int64, the codes at which cumulative distributions [..., V], in the order of codes, reach uniforms [...]."""
    total = probs.double().cumsum(-1)
    return (total <= uniforms[..., None] * total[..., -1:]).sum(-1)


def gumbel(uniforms: Tensor) -> Tensor:
    """Gumbel noise of uniform numbers."""
    return -torch.log(-torch.log(uniforms))


def lifted(
    path: Path, names: Sequence[str], given: Mapping[str, Any], numbers: Mapping[int, int] | None = None
) -> dict[str, Any]:
    """Functions of a file, compiled without the rest of it.

    Args:
        path: of the file.
        names: of functions and methods; a method becomes a function whose first argument is ``self``.
        given: what they find as globals; annotations are not evaluated, decorators are left out.
        numbers: that stand in it, and those that stand there instead: codes of a vocabulary.

    Raises:
        SystemExit: the file is not there, or lacks one of them.
    """
    if not path.is_file():
        raise SystemExit(f"skipped: {path} is not there; give the folder of the official checkout")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = {
        node.name: node
        for node in (*ast.walk(tree), *tree.body)  # one that stands alone goes before one inside of another
        if isinstance(node, ast.FunctionDef) and node.name in names
    }
    missing = [name for name in names if name not in found]
    if missing:
        raise SystemExit(f"skipped: {path.name} has no {', '.join(missing)}; it is another version")
    for node in found.values():
        node.decorator_list.clear()
        for one in ast.walk(node) if numbers else ():
            if isinstance(one, ast.Constant) and type(one.value) is int:
                one.value = (numbers or {}).get(one.value, one.value)
    future = ast.ImportFrom("__future__", [ast.alias("annotations")], 0)
    module = ast.fix_missing_locations(ast.Module([future, *found.values()], []))
    space = dict(given)
    exec(compile(module, str(path), "exec"), space)
    return {name: space[name] for name in names}


class Patched:
    """A module of which some names are others."""

    def __init__(self, module: Any, **names: Any) -> None:
        self.__dict__.update(names)
        self._module = module

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


def compare(
    name: str,
    cases: Mapping[str, Mapping[str, Any]],
    ours: Callable[..., Trace],
    theirs: Callable[..., Trace],
    arguments: Sequence[str] | None = None,
) -> Path:
    """Runs every case on both sides and says whether the inputs of all steps and the codes are equal.

    Args:
        name: of the system, and of the file of recorded numbers.
        cases: their arguments by name.
        ours: called with the arguments of a case.
        theirs: the same, with the folder of the checkout first.
        arguments: of the command line.

    Returns:
        the folder of the checkout.

    Raises:
        SystemExit: something differs.
    """
    parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__)
    parser.add_argument("checkout", type=Path, help="folder with the official code")
    parser.add_argument("--record", action="store_true", help="write what the official loop did for the tests")
    asked = parser.parse_args(arguments)
    recorded, differ = {}, []
    for case, options in cases.items():
        one, two = ours(**options), theirs(asked.checkout, **options)
        recorded[case] = two
        steps = sum(a == b for a, b in zip(one["inputs"], two["inputs"], strict=False))
        same = one == two
        most = max(len(one["inputs"]), len(two["inputs"]))
        print(f"{name} {case}: {steps} of {most} steps have equal inputs, codes {'equal' if same else 'DIFFER'}")
        if not same:
            differ.append(case)
    if asked.record and not differ:
        RECORDED.mkdir(parents=True, exist_ok=True)
        (RECORDED / f"{name}.json").write_text(json.dumps(recorded, separators=(",", ":")) + "\n", encoding="utf-8")
    if differ:
        raise SystemExit(f"{name}: other steps or codes in {', '.join(differ)}")
    checkout: Path = asked.checkout
    return checkout
