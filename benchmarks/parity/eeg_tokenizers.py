"""LaBraM's and NeuroRVQ's tokenizers, 935963004/LaBraM and KonstantinosBarmpas/NeuroRVQ, beside our networks.

``python benchmarks/parity/eeg_tokenizers.py FOLDER`` with a folder that holds one of the official checkouts; einops is
needed, timm is stood in for. Small networks, the same random weights on both sides, loaded strictly by the published
names. Equal: the codes of a window of three electrodes and four patches; to rounding: what the decoder tells of its
spectra, and NeuroRVQ's wave. ``--record`` keeps what the official code gave for the tests.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))
from tests.modalities import small_eeg as small  # noqa: E402
from tokenmask.modalities.published.labram_network import LabramVq  # noqa: E402
from tokenmask.modalities.published.neurorvq_network import NeuroRvq  # noqa: E402

RECORDED = ROOT / "tests" / "modalities" / "recorded"
PLACES = [4, 0, 55]
TRAINING = ("initted", "cluster_size", "embed_avg")  # tensors that only training needs


def stand_in_for_timm() -> None:
    """What the official files import of timm: an initialisation that weights overwrite, and a registry."""
    layers, registry, timm, models = (ModuleType(name) for name in ("layers", "registry", "timm", "models"))
    layers.__dict__.update(trunc_normal_=nn.init.trunc_normal_, drop_path=None, to_2tuple=None)
    registry.__dict__.update(register_model=lambda make: make)
    for name, module in (("timm", timm), ("timm.models", models), ("timm.models.layers", layers)):
        sys.modules[name] = module
    sys.modules["timm.models.registry"] = registry


def filled(network: nn.Module, weights: dict[str, Tensor]) -> nn.Module:
    """Their network with these weights; a name that one side has alone stops here, but those of training."""
    told = network.load_state_dict(weights, strict=False)
    missing = [name for name in told.missing_keys if not name.endswith(TRAINING)]
    if missing or told.unexpected_keys:
        raise SystemExit(f"other names: {missing} are theirs alone, {told.unexpected_keys} ours")
    for name, buffer in network.named_buffers():
        if name.endswith("initted"):
            buffer.fill_(1.0)
    return network.eval()


def labram(folder: Path) -> dict[str, Tensor]:
    sys.path.insert(0, str(folder))
    stand_in_for_timm()
    from modeling_vqnsp import VQNSP

    shape: dict[str, Any] = {
        "EEG_size": 8 * small.SAMPLES, "patch_size": small.SAMPLES, "in_chans": 1, "num_classes": 0,
        "embed_dim": small.WIDTH, "depth": small.DEPTH["encoder"], "num_heads": small.HEADS, "qkv_bias": True,
        "norm_layer": partial(nn.LayerNorm, eps=1e-6), "init_values": 0.0,
    }  # fmt: skip
    decoder = shape | {"EEG_size": 8, "patch_size": 1, "in_chans": small.DIM, "depth": small.DEPTH["decoder"]}
    theirs: Any = filled(
        VQNSP(shape, decoder, small.CODES, small.DIM, decoder_out_dim=small.SAMPLES), small.labram_weights()
    )
    x = (small.waves() / 100).view(1, 3, -1, small.SAMPLES)
    channels = [0, *(place + 1 for place in PLACES)]
    vectors, codes, _ = theirs.encode(x, channels)
    amplitudes, angles = theirs.decode(vectors, channels)
    return {"codes": codes.view(3, -1, 1).int(), "amplitudes": amplitudes[0], "angles": angles[0]}


def neurorvq(folder: Path) -> dict[str, Tensor]:
    sys.path.insert(0, str(folder / "NeuroRVQ"))
    from NeuroRVQ import NeuroRVQTokenizer

    shape: dict[str, Any] = {
        "patch_size": small.SAMPLES, "n_patches": 32, "n_global_electrodes": 104, "embed_dim": small.WIDTH,
        "num_heads": small.HEADS, "mlp_ratio": 4, "qkv_bias": True, "drop_rate": 0.0, "attn_drop_rate": 0.0,
        "drop_path_rate": 0.0, "init_values": 0.0, "init_scale": 0.001, "num_classes": 0,
    }  # fmt: skip
    encoder = shape | {"in_chans": 1, "depth": small.DEPTH["encoder"], "out_chans_encoder": 8}
    decoder = shape | {"in_chans": small.DIM, "depth": small.DEPTH["decoder"]}
    theirs: Any = NeuroRVQTokenizer(encoder, decoder, small.CODES, small.DIM, small.SAMPLES)
    for branch in range(1, 5):  # they have eight levels, and the small network fewer
        layers = getattr(theirs, f"quantize_{branch}").layers
        del layers[small.LEVELS :]
    filled(theirs, small.neurorvq_weights())
    x, seconds = small.waves()[None], small.waves().shape[1] // small.SAMPLES
    times = torch.arange(32 - seconds, 32).repeat(3)[None]
    spaces = torch.tensor(PLACES).repeat_interleave(seconds)[None]
    patches = x.view(1, 3, seconds, small.SAMPLES)
    vectors, found, _, _ = theirs.encode(patches, times, spaces)
    codes = torch.stack([own.view(small.LEVELS, 3, seconds) for own in found])  # branch, level, electrode, time
    amplitudes, sines, cosines = theirs.decode(vectors, times, spaces)
    _, wave = theirs(x, times, spaces)
    return {
        "codes": codes.flatten(0, 1).permute(1, 2, 0).int().contiguous(), "amplitudes": amplitudes[0],
        "sines": sines[0], "cosines": cosines[0], "wave": wave[0].reshape(3, -1),
    }  # fmt: skip


@torch.no_grad()
def ours(name: str) -> dict[str, Tensor]:
    places = torch.tensor(PLACES)
    waves = small.waves().view(3, -1, small.SAMPLES)
    if name == "labram":
        network: Any = LabramVq(small.labram_weights(), small.HEADS)
        codes = network.codes(waves / 100, places)
        told = dict(zip(("amplitudes", "angles"), network.told(codes, places), strict=True))
    else:
        network = NeuroRvq(small.neurorvq_weights())
        codes = network.codes(waves, places)
        told = dict(zip(("amplitudes", "sines", "cosines"), network.told(codes, places), strict=True))
    return {"codes": codes.int()} | {key: own.flatten(0, 1) for key, own in told.items()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkout", type=Path, help="folder with the official code")
    parser.add_argument("--record", action="store_true", help="write what the official code gave for the tests")
    asked = parser.parse_args()
    makers = {"modeling_vqnsp.py": ("labram", labram), "NeuroRVQ/NeuroRVQ.py": ("neurorvq", neurorvq)}
    found = [pair for file, pair in makers.items() if (asked.checkout / file).is_file()]
    if not found:
        raise SystemExit(f"skipped: {asked.checkout} holds none of {', '.join(makers)}; give an official checkout")
    name, official = found[0]
    with torch.no_grad():
        theirs, mine = official(asked.checkout), ours(name)
    equal = torch.equal(theirs["codes"], mine["codes"])
    kinds = len(mine["codes"].unique())
    print(f"{name} codes {list(mine['codes'].shape)}, {kinds} kinds: {'equal' if equal else 'DIFFER'}")
    worst = 0.0
    for key in mine.keys() - {"codes"}:
        apart = float((theirs[key] - mine[key]).abs().max())
        worst = max(worst, apart)
        print(f"{name} {key}: at most {apart:.1e} apart, of values to {float(theirs[key].abs().max()):.2f}")
    if not equal or worst > 1e-5:
        raise SystemExit(f"{name}: other codes or spectra")
    if asked.record:
        save_file({key: own.contiguous() for key, own in theirs.items()}, RECORDED / f"{name}.safetensors")
