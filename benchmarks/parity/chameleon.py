"""Chameleon's VQGAN, facebookresearch/chameleon (chameleon/inference/vqgan.py), beside our network.

``python benchmarks/parity/chameleon.py FOLDER`` with a folder that holds the official checkout. A small network, the
same random weights on both sides, loaded strictly by the published names. Equal: the codes of a picture; to rounding:
the picture of any codes. ``--record`` keeps what the official code gave for the tests.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

from pictures import compared
from torch import Tensor

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))
from tests.modalities import small_chameleon as small  # noqa: E402
from tokenmask.modalities.published.chameleon_network import ChameleonVq  # noqa: E402


def official(checkout: Path) -> Any:
    path = checkout / "chameleon" / "inference" / "vqgan.py"
    if not path.is_file():
        raise SystemExit(f"skipped: {path} is not there; give the folder of the official checkout")
    spec = importlib.util.spec_from_file_location("official_vqgan", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    own = small.CONFIG
    shape = {
        "double_z": False, "z_channels": own["latent_channels"], "resolution": own["resolution"], "in_channels": 3,
        "out_ch": 3, "ch": own["base_channels"], "ch_mult": own["channel_multiplier"],
        "num_res_blocks": own["num_res_blocks"], "attn_resolutions": own["attn_resolutions"], "dropout": 0.0,
    }  # fmt: skip
    model = module.VQModel(shape, n_embed=own["num_embeddings"], embed_dim=own["embed_dim"])
    model.load_state_dict(small.weights())
    return model.eval()


def theirs(model: Any) -> dict[str, Tensor]:
    _, _, (_, _, codes) = model.encode(small.pixels())
    side = small.pixels().shape[2] // 2
    vectors = model.quantize.get_codebook_entry(codes, (1, side, side, small.NUMBERS))
    return {"codes": codes.view(side, side).int().contiguous(), "pixels": model.decode(vectors)}


def ours(codes: Tensor) -> dict[str, Tensor]:
    network = ChameleonVq(small.weights())
    return {"codes": network.codes(small.pixels()).int(), "pixels": network.pixels(codes.long())}


if __name__ == "__main__":
    compared("chameleon", __doc__, official, theirs, ours)
