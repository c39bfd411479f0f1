"""EnCodec of facebookresearch/audiocraft beside the adapter ``encodec``, which runs transformers'.

``python benchmarks/parity/audiocraft_encodec.py FOLDER`` with a folder that holds the official checkout; einops and
transformers are needed, the rest of what it imports is stood in for. A small network without causality, as MAGNeT's
and MusicGen's codecs are; the same random weights on both sides, loaded strictly by the names of both. Equal: codes; to
rounding: sounds.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
import yaml
from magnet_weights import PACKAGES, STOOD_IN
from safetensors.torch import save_file
from torch import Tensor

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))
from tests.modalities.small_audiocraft import SETTINGS  # noqa: E402
from tests.modalities.small_published import _spread, untouched  # noqa: E402
from tokenmask.modalities.published.audiocraft import encodec_values, renamed  # noqa: E402
from tokenmask.modalities.published.encodec import EncodecTokenizer  # noqa: E402


def official(checkout: Path) -> Any:
    """Their encoder, quantiser and decoder."""
    if not (checkout / "audiocraft" / "modules" / "seanet.py").is_file():
        raise SystemExit(f"skipped: {checkout} is not there; give the folder of the official checkout")
    for name in (*PACKAGES, ".quantization"):
        package = ModuleType(f"audiocraft{name}")
        package.__path__ = [str(checkout / "audiocraft" / name.replace(".", "/").lstrip("/"))]
        sys.modules[package.__name__] = package
    for name in ("flashy", "flashy.distrib"):
        module = sys.modules[name] = ModuleType(name)
        module.__dict__.update(STOOD_IN[name])
    from audiocraft.modules.seanet import SEANetDecoder, SEANetEncoder
    from audiocraft.quantization.vq import ResidualVectorQuantizer

    shape = {**SETTINGS["seanet"], "channels": 1, "causal": False}
    shape.pop("encoder")
    further = shape.pop("decoder")
    quantizer = ResidualVectorQuantizer(dimension=shape["dimension"], n_q=3, bins=64, kmeans_init=False)
    parts = {"encoder": SEANetEncoder(**shape), "decoder": SEANetDecoder(**shape, **further), "quantizer": quantizer}
    return torch.nn.ModuleDict(parts).eval()


def weights() -> dict[str, Tensor]:
    """Of a small EnCodec of transformers with these settings."""
    import transformers

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.yaml"
        path.write_text(yaml.safe_dump(SETTINGS))
        config = transformers.EncodecConfig.from_dict(encodec_values(path))
    return untouched(lambda: _spread(transformers.EncodecModel(config))).state_dict()


@torch.no_grad()
def compare(checkout: Path) -> None:
    theirs, own = official(checkout), weights()
    names = {name: renamed(name) for name in theirs.state_dict()}
    if set(names.values()) != set(own):
        raise SystemExit(f"encodec: other names, {sorted(set(names.values()) ^ set(own))[:6]}")
    tensors = {name: own[other].clone() for name, other in names.items()}
    theirs.load_state_dict(tensors)
    with tempfile.TemporaryDirectory() as folder:
        save_file(tensors, Path(folder) / "model.safetensors")
        (Path(folder) / "config.yaml").write_text(yaml.safe_dump(SETTINGS))
        ours = EncodecTokenizer.open(folder)
    wave = torch.randn(1, 1, 1990, generator=torch.Generator().manual_seed(1)) * 0.3
    codes = theirs["quantizer"].encode(theirs["encoder"](wave))[0]
    mine = ours.codes_of(wave)
    equal = torch.equal(codes, mine)
    print(f"encodec: codes {list(mine.shape)}, {len(mine.unique())} kinds, {'equal' if equal else 'DIFFER'}")
    sound = theirs["decoder"](theirs["quantizer"].decode(codes[None]))[0, 0]
    apart = float((sound - ours.sound_of(codes[None]).reshape(-1)).abs().max())
    print(f"encodec: sounds at most {apart:.1e} apart, of values to {float(sound.abs().max()):.2f}")
    if not equal or apart > 1e-5:
        raise SystemExit("encodec: other codes or sounds")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkout", type=Path, help="folder with the official code")
    compare(parser.parse_args().checkout)
