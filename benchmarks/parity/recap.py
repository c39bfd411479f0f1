"""ReCAP, liebenxj/ReCAP: ``decode`` of ``MaskGIT+ReCAP/cache_decoding.py`` beside our loop.

``python benchmarks/parity/recap.py FOLDER`` with a folder that holds the official checkout. Behind both loops stands
one small network of two layers of attention that is called as theirs; then their own, ``models/uvit.py`` with random
weights. Equal: the groups of steps, which places each pass runs (-1 stands where none is run), the codes there, and
the codes in the end; plain, cooled, noisy and guided. Its attention is that of "xformers", whose keys are laid out as
their loop gathers them; with their "math" it would gather heads for places. Theirs alone: where a step would reveal
nothing, the slot is taken from the last step, ours from the next ones that reveal more than one (no case has such a
step); more than one local step, which their plan of groups refuses, since it leaves counts out; and a slip: the logits
of a local step are guided with the scale of the step before it, as ``Late`` does here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from common import WIDTH, Ours, Patched, Trace, compare, gumbel, inverse, lifted, weights
from network import functions
from torch import Tensor, nn

from tokenmask.masking import Power
from tokenmask.sampling import Categorical, ClassifierFree, NoGuidance, ProcessSchedule, Sampler, StaleReuse
from tokenmask.scores import ConfidenceScore, Progress

CASES: dict[str, dict[str, Any]] = {
    "full steps": {"steps": 8, "noise": 5.5},
    "one local step": {"steps": 8, "pre": 4, "local": 1, "noise": 5.5, "heat": 0.65},
    "no noise": {"steps": 8, "pre": 2, "local": 1, "heat": 0.7},
    "no full step before": {"steps": 7, "local": 1, "noise": 1.0, "heat": 0.75},
    "guided": {"steps": 8, "pre": 8, "noise": 5.5, "heat": 0.7, "guided": True},
    "guided, local steps": {"steps": 8, "pre": 4, "local": 1, "noise": 2.0, "heat": 0.65, "guided": True},
}
ROWS, SIDE, CODES, LAYERS, NOTHING = 2, 6, 24, 2, 1000
LENGTH = SIDE**2
Kept = list[tuple[Tensor, Tensor]]  # keys and values [B, 1 + L, H, D] of each layer


class Network:
    """Called as theirs: a class and codes [B, n] of some places, over keys and values of the others."""

    codes, levels = CODES, 1

    def __init__(self) -> None:
        self.table, self.places = weights(64, 1, CODES + 1, WIDTH), weights(64, 2, LENGTH, WIDTH)
        self.classes = weights(64, 3, 2, WIDTH)
        self.mix, self.out = weights(64, 4, LAYERS, 4, WIDTH, WIDTH), weights(64, 5, WIDTH, CODES)

    def __call__(
        self,
        codes: Tensor,
        context: Tensor,
        past_kvs: Kept | None = None,
        use_cache: bool = False,
        position_ids: Tensor | None = None,
    ) -> tuple[Tensor, Kept | None]:
        places = torch.arange(LENGTH) if position_ids is None else position_ids
        hidden = self.table[codes] + self.places[places]
        hidden = torch.cat([self.classes[(context == NOTHING).long()], hidden], 1)
        kept = []
        for layer, (query, key, value, out) in enumerate(self.mix):
            keys, values = (hidden @ key)[:, :, None], (hidden @ value)[:, :, None]
            if past_kvs is not None:
                keys, values = torch.cat([past_kvs[layer][0], keys], 1), torch.cat([past_kvs[layer][1], values], 1)
            kept.append((keys, values))
            seen = ((hidden @ query) @ keys[:, :, 0].mT / WIDTH).softmax(-1) @ values[:, :, 0]
            hidden = torch.tanh(hidden + seen @ out)
        return hidden[:, 1:] @ self.out, kept if use_cache else None


@dataclass(eq=False)
class Cache:
    """What a network kept of a full pass, and which rows had their class."""

    kept: Kept | None = None
    context: Tensor | None = None

    def admit(self, new: Any) -> Cache:
        return self


class Side(Ours):
    """Our side, of a network that is called as theirs; a class is a text of one word."""

    backbone = SimpleNamespace(reads_time=False, answers_before=False, empty_cache=lambda rows, slots: Cache())

    def __init__(self, network: Any, guided: bool) -> None:
        super().__init__(network, torch.zeros(ROWS, LENGTH, 1), told=guided, seed=31)

    def logits(
        self, inputs: Any, queries: Any, cache: Cache | None = None, t: Any = None, group: Any = None
    ) -> Iterator[Any]:
        codes, told = self.neutral(inputs)[:, :, 0], inputs.valid[:, 1:2] | (self.first == 1)
        context = torch.where(told, 0, NOTHING)
        self.inputs.append(codes[:ROWS])
        answers, kept = self.network(codes, context=context, use_cache=True)
        if cache is not None:
            cache.kept, cache.context = kept, context
        row = torch.div(queries.slots, inputs.shape[1], rounding_mode="floor")
        yield (
            int(queries.heads[0]),
            torch.arange(len(queries)),
            answers[row, queries.slots % inputs.shape[1] - self.first],
        )

    def extend(self, new: Any, queries: Any, cache: Cache, t: Any = None) -> list[Any]:
        inside = new.stream == self.layout.index("audio")  # but the control
        assert cache.kept is not None and cache.context is not None
        rows = len(cache.context)
        places, ids = (new.meta.position[inside] - self.first).view(rows, -1), new.ids[inside, 0]
        codes = self.layout.codes_of(ids).long()
        codes = torch.where(ids == self.layout.mask_of(ids), CODES, codes).view(rows, -1)
        self.inputs.append(run(places[:ROWS], codes[:ROWS]))
        others = torch.ones(rows, LENGTH, dtype=torch.bool).scatter(1, places, False)
        past = [tuple(one[:, 1:][others].view(rows, -1, *one.shape[2:]) for one in layer) for layer in cache.kept]
        answers, _ = self.network(codes, context=cache.context, past_kvs=past, position_ids=places)
        number = inside.cumsum(0) - 1
        return [(int(queries.heads[0]), torch.arange(len(queries)), answers.flatten(0, 1)[number[queries.slots]])]


def run(places: Tensor, codes: Tensor) -> Tensor:
    """int64 [B, L], codes at the places that are run, -1 elsewhere."""
    return torch.full((len(places), LENGTH), -1).scatter(1, places, codes)


@dataclass(frozen=True)
class Late(ClassifierFree):
    """Guides cheap steps with the scale of the step before, as the published code does."""

    reuse: StaleReuse = StaleReuse()

    def scale(self, progress: Progress) -> float:
        ends, index = self.reuse.inner(progress.steps), progress.index
        cheap = index > 0 and ends[index] == ends[index - 1]
        return super().scale(Progress(index - cheap, progress.steps, progress.grid))


def ours(
    steps: int,
    pre: int = 0,
    local: int = 0,
    noise: float = 0.0,
    heat: float = 1.0,
    guided: bool = False,
    network: Callable[[], Any] = Network,
) -> Trace:
    reuse = StaleReuse(pre, local, by_group=True)
    sampler = Sampler(
        steps,
        schedule=ProcessSchedule(Power(2.5)),
        order=ConfidenceScore(noise, trial=True),
        pick=Categorical(1.0, heat, grid="ends", law="sqrt"),
        guidance=Late(1.05, 1.1, grid="ends", reuse=reuse) if guided else NoGuidance(),
        reuse=reuse,
    )
    return Side(network(), guided).run(sampler)


def theirs(
    checkout: Path,
    steps: int,
    pre: int = 0,
    local: int = 0,
    noise: float = 0.0,
    heat: float = 1.0,
    guided: bool = False,
    network: Callable[[], Any] = Network,
) -> Trace:
    net = network()
    own, other = Side(net, guided), Side(net, guided)
    other.seeds = ~other.seeds
    inputs: list[Any] = []
    made: list[Any] = []
    now = SimpleNamespace(step=0, trial=False, places=None)

    class Vit:
        module = SimpleNamespace(load_state_dict=lambda state: None)

        def __init__(self, **shape: Any) -> None: ...

        def eval(self) -> None: ...

        def __call__(self, x: Any, context: Any, position_ids: Any = None, **more: Any) -> Any:
            if not bool((context == NOTHING).any()):
                inputs.append((x if position_ids is None else run(position_ids, x)).tolist())
            now.trial = position_ids is None
            return net(x, context=context, position_ids=position_ids, **more)

    class Drawn:
        """``torch.distributions.Categorical``: the trial of a full step, and what its local steps draw."""

        def __init__(self, logits: Any) -> None:
            self.probs = logits.softmax(-1)

        def sample(self) -> Any:
            if now.trial:
                now.trial = False
                return inverse(self.probs, other.draws(now.step)[0])
            now.step += 1
            return inverse(self.probs, own.draws(now.step - 1)[0].gather(1, now.places[:, : self.probs.shape[1]]))

    def sort(values: Any, dim: int, descending: bool) -> Any:
        found = torch.sort(values, dim=dim, descending=descending, stable=True)
        now.places = found.indices
        return found

    def decode_code(codes: Any) -> Any:
        made.append(codes.flatten(1))
        return torch.zeros(len(codes), 3, 1, 1)

    alone = SimpleNamespace(
        device="cpu", num_processes=1, process_index=0, is_main_process=False, prepare=lambda one: one,
        wait_for_everyone=lambda: None,
    )  # fmt: skip
    space = {
        "torch": Patched(
            torch,
            sort=sort,
            load=lambda path, map_location: {},
            randint=lambda low, high, size, device: torch.zeros(size, dtype=torch.long),
            distributions=SimpleNamespace(Categorical=Drawn),
            cuda=SimpleNamespace(amp=SimpleNamespace(autocast=lambda enabled: lambda one: one)),
        ),
        "np": Patched(np, random=SimpleNamespace(gumbel=lambda size: gumbel(own.draws(now.step)[1]).numpy())),
        "os": SimpleNamespace(path=SimpleNamespace(join=lambda *names: ""), makedirs=lambda name, exist_ok: None),
        "logger": SimpleNamespace(add=lambda name, level: None, info=lambda text: None),
        "accelerate": SimpleNamespace(
            Accelerator=lambda: alone, utils=SimpleNamespace(set_seed=lambda seed, device_specific: None)
        ),
        "models": SimpleNamespace(
            vqgan=SimpleNamespace(
                get_model=lambda: SimpleNamespace(n_embed=CODES, to=lambda device: None, decode_code=decode_code)
            )
        ),
        "einops": SimpleNamespace(repeat=lambda one, pattern, B: one.repeat(B, 1)),
        "rearrange": lambda x, pattern, i, j: x.view(-1, i, j),
        "UViT": Vit,
        "tqdm": lambda one, **how: one,
        "cv2": SimpleNamespace(imwrite=lambda path, picture: None),
    }
    path = checkout / "examples" / "MaskGIT+ReCAP" / "cache_decoding.py"
    loop = lifted(path, ["decode"], space, {256: LENGTH, 16: SIDE})["decode"]
    asked = SimpleNamespace(
        benchmark=0, output_dir="", seed=0, test_bsz=ROWS, eval_n=ROWS, gen_step=steps, cfg=guided,
        pre_full_iters=pre, num_cache_iters=local, samp_temp=heat, conf_temp=noise,
    )  # fmt: skip

    class Settings:
        """Taken apart as ``**settings``, into nothing."""

        pretrained_path = ""

        def keys(self) -> list[str]:
            return []

    loop(SimpleNamespace(nnet=Settings()), asked)
    return {"inputs": inputs, "codes": made[0][:, :, None].tolist()}


def published(checkout: Path) -> Any:
    """Their network, small, with random weights that are the same each time."""

    class Mlp(nn.Module):
        """As timm's."""

        def __init__(self, in_features: int, hidden_features: int, act_layer: Any) -> None:
            super().__init__()
            self.fc1, self.act = nn.Linear(in_features, hidden_features), act_layer()
            self.fc2 = nn.Linear(hidden_features, in_features)

        def forward(self, x: Tensor) -> Tensor:
            return self.fc2(self.act(self.fc1(x)))

    def rearrange(x: Tensor, pattern: str, **sizes: int) -> Tensor:
        if pattern == "B L (K H D) -> K B L H D":
            return x.unflatten(2, (sizes["K"], sizes["H"], -1)).permute(2, 0, 1, 3, 4)
        return x.flatten(2)

    def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        q, k, v = (one.transpose(1, 2) for one in (q, k, v))
        return ((q @ k.mT / math.sqrt(q.shape[-1])).softmax(-1) @ v).transpose(1, 2)

    space = functions(
        str(checkout),
        "examples/MaskGIT+ReCAP/models/uvit.py",
        {"BertEmbeddings", "MlmLayer", "Attention", "Block", "UViT"},
        torch=torch,
        nn=nn,
        trunc_normal_=nn.init.trunc_normal_,
        Mlp=Mlp,
        einops=SimpleNamespace(rearrange=rearrange),
        ATTENTION_MODE="xformers",
        xformers=SimpleNamespace(ops=SimpleNamespace(memory_efficient_attention=attend)),
        logger=SimpleNamespace(debug=lambda text: None),
        print=lambda text: None,
    )
    with torch.random.fork_rng():
        network = space["UViT"](
            img_size=SIDE, embed_dim=32, depth=4, num_heads=2, codebook_size=CODES, num_classes=NOTHING + 1
        )
    for number, weight in enumerate(network.parameters()):
        weight.data = weights(64, 6 + number, *weight.shape) * (0.3 if weight.dim() > 1 else 0.1)
    network.codes, network.levels = CODES, 1
    return network.eval()


if __name__ == "__main__":
    folder = compare("recap", CASES, ours, theirs)
    for case, options in CASES.items():
        trace = ours(**options, network=lambda: published(folder))
        if trace != theirs(folder, **options, network=lambda: published(folder)):
            raise SystemExit(f"recap {case}: with their network steps or codes differ")
        print(f"recap {case}, their network: {len(trace['inputs'])} steps have equal inputs, codes equal")
