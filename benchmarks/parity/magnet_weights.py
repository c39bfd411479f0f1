"""MAGNeT with weights, facebookresearch/audiocraft: ``MagnetLMModel`` and its ``generate`` beside ours.

``python benchmarks/parity/magnet_weights.py FOLDER`` with a folder that holds the official checkout; einops and
transformers are needed, the rest of what it imports is stood in for. A small network whose random weights are loaded
strictly by the published names, with and without biases, and texts in the place of T5's vectors. Equal: every input of
``generate`` and the codes, with guidance, prompts of texts and of codes, and dropped texts; to rounding: logits at
every level. Theirs alone: texts of several lengths in one batch see each other's padding; a length that is no whole
number of runs is cut. ``--record`` keeps logits and steps for the tests.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import torch
from common import inverse
from safetensors.torch import save_file
from torch import Tensor

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))
from tests.models import small_magnet as small  # noqa: E402
from tests.models.magnet_steps import CASES, draws, ours  # noqa: E402
from tokenmask.models.magnet_network import MagnetNetwork  # noqa: E402

RECORDED = ROOT / "tests" / "models" / "recorded"
PACKAGES = ("", ".models", ".modules", ".utils", ".data")
STOOD_IN = {
    "xformers": {"ops": SimpleNamespace(unbind=torch.unbind)},
    "flashy": {"distrib": None},
    "flashy.distrib": {},
    "omegaconf": {"DictConfig": dict},
    "num2words": {"num2words": None},
    "spacy": {},
    "audiocraft.modules.chroma": {"ChromaExtractor": None},
    "audiocraft.data.audio": {"audio_read": None},
    "audiocraft.data.audio_dataset": {"SegmentInfo": object},
    "audiocraft.data.audio_utils": {"convert_audio": None},
    "audiocraft.environment": {"AudioCraftEnvironment": None},
    "audiocraft.quantization": {"ResidualVectorQuantizer": None},
    "audiocraft.utils.cache": {"EmbeddingCache": None},
}


def opened(checkout: Path) -> Any:
    """Their modules of the model and of conditions, without what they import besides."""
    if not (checkout / "audiocraft" / "models" / "lm_magnet.py").is_file():
        raise SystemExit(f"skipped: {checkout} is not there; give the folder of the official checkout")
    for name in PACKAGES:
        package = ModuleType(f"audiocraft{name}")
        package.__path__ = [str(checkout / "audiocraft" / name.replace(".", "/").lstrip("/"))]
        sys.modules[package.__name__] = package
    for name, held in STOOD_IN.items():
        module = sys.modules[name] = ModuleType(name)
        module.__dict__.update(held)
    names = ("models.lm_magnet", "modules.conditioners", "modules.codebooks_patterns", "utils.utils")
    return SimpleNamespace(**{name.rpartition(".")[2]: importlib.import_module(f"audiocraft.{name}") for name in names})


def official(files: Any, biases: bool) -> Any:
    """Their model with these weights, loaded strictly."""

    class Described(files.conditioners.TextConditioner):  # in the place of T5Conditioner, with its arithmetic
        def tokenize(self, texts: list[str | None]) -> dict[str, Tensor]:
            entries = [[int(piece) for piece in (text or "").split()] + [0] for text in texts]
            longest = max(map(len, entries))
            mask = torch.tensor([[1] * len(one) + [0] * (longest - len(one)) for one in entries])
            mask[[row for row, text in enumerate(texts) if not text]] = 0
            return {"input_ids": torch.tensor([one + [1] * (longest - len(one)) for one in entries]), "mask": mask}

        def forward(self, inputs: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
            states = small.Texts()(inputs["input_ids"], torch.ones_like(inputs["input_ids"])).last_hidden_state
            return self.output_proj(states) * inputs["mask"][..., None], inputs["mask"]

    provider = files.conditioners.ConditioningProvider({"description": Described(small.READS, small.WIDTH)})
    model = files.lm_magnet.MagnetLMModel(
        subcodes_context=small.REACH,
        compression_model_framerate=small.FRAMES,
        segment_duration=1,
        span_len=3,
        pattern_provider=files.codebooks_patterns.ParallelPatternProvider(small.LEVELS, empty_initial=-1),
        condition_provider=provider,
        fuser=files.conditioners.ConditionFuser({"cross": ["description"], "prepend": [], "sum": []}),
        n_q=small.LEVELS,
        card=small.CODES,
        dim=small.WIDTH,
        num_heads=small.HEADS,
        num_layers=small.DEPTH,
        norm_first=True,
        custom=True,
        causal=False,
        cross_attention=True,
        bias_proj=False,
        bias_ff=biases,
        bias_attn=biases,
        activation="gelu",
        device="cpu",
        dtype=torch.float32,
    )
    model.load_state_dict(small.weights(biases))
    return model.eval()


@torch.no_grad()
def logits(model: Any) -> dict[str, Tensor]:
    """Of every level, for texts of as many pieces."""
    projection = model.condition_provider.conditioners["description"].output_proj
    told = torch.stack([projection(one) for one in small.states()])
    condition = {"description": (told, torch.ones(told.shape[:2]))}
    sequence = small.codes().transpose(1, 2)
    return {
        str(level): model(sequence, [], condition, stage=level)[:, level].contiguous() for level in range(small.LEVELS)
    }


@torch.no_grad()
def our_logits(biases: bool) -> dict[str, Tensor]:
    network = MagnetNetwork(small.weights(biases), small.HEADS, small.REACH)
    texts = [network.projected(one) for one in small.states()]
    return {str(level): network(small.codes(), texts, level) for level in range(small.LEVELS)}


def theirs(files: Any, model: Any, text: str | None, prompt: int, steps: tuple[int, ...]) -> dict[str, Any]:
    """The inputs of every pass with the text, and the codes, of their ``generate``."""
    inputs: list[Any] = []
    orders: list[Tensor] = []

    def seen(_: Any, given: tuple[Any, ...]) -> None:
        inputs.append(given[0][:1].transpose(1, 2).tolist())

    def sort(values: Tensor, **how: Any) -> Any:
        found = torch_sort(values, **how)
        orders.append(found.indices)
        return found

    def multinomial(probs: Tensor, num_samples: int, **more: Any) -> Tensor:
        level = 0 if len(inputs) <= steps[0] else 1
        uniforms = draws(len(inputs) - 1, level)[:, None]
        order = orders.pop()
        back = order.argsort(-1)
        return back.gather(-1, inverse(probs.gather(-1, back), uniforms)[..., None])

    conditions = [files.conditioners.ConditioningAttributes(text={"description": text})]
    given = None if not prompt else small.codes()[1:, :prompt].clamp(max=small.CODES - 1).transpose(1, 2)
    hook = model.register_forward_pre_hook(seen)
    torch_sort, files.utils.multinomial = torch.sort, multinomial
    files.utils.torch = SimpleNamespace(**{**vars(torch), "sort": sort})
    try:
        found = model.generate(
            given, conditions, max_gen_len=small.FRAMES, temp=3.0, top_k=0, top_p=0.9, decoding_steps=list(steps)
        )
    finally:
        hook.remove()
    return {"inputs": inputs, "codes": found.transpose(1, 2).tolist()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkout", type=Path, help="folder with the official code")
    parser.add_argument("--record", action="store_true", help="write what the official code gave for the tests")
    asked = parser.parse_args()
    files, differ, recorded = opened(asked.checkout), [], {}
    tensors = {}
    for biases in (False, True):
        two, one = logits(official(files, biases)), our_logits(biases)
        for level, own in two.items():
            apart = float((own - one[level]).abs().max())
            print(f"magnet, {'with' if biases else 'no'} biases, level {level}: logits at most {apart:.1e} apart")
            differ += [level] if apart > 1e-5 else []
            tensors[f"{level}.{'biases' if biases else 'plain'}"] = own
    model = official(files, False)
    for case, options in CASES.items():
        mine, recorded[case] = ours(**options), theirs(files, model, **options)
        steps = sum(a == b for a, b in zip(mine["inputs"], recorded[case]["inputs"], strict=False))
        equal = mine == recorded[case]
        print(f"magnet {case}: {steps} of {len(mine['inputs'])} inputs equal, codes {'equal' if equal else 'DIFFER'}")
        differ += [] if equal else [case]
    if differ:
        raise SystemExit(f"magnet: other logits, steps or codes in {', '.join(differ)}")
    if asked.record:
        RECORDED.mkdir(exist_ok=True)
        save_file(tensors, RECORDED / "magnet.safetensors")
        (RECORDED / "magnet.json").write_text(json.dumps(recorded, separators=(",", ":")) + "\n", encoding="utf-8")
