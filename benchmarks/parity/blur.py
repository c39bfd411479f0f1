"""The blur of UNCAGE's maps (card 112 publishes no code) beside torchvision's ``gaussian_blur``.

``python benchmarks/parity/blur.py FOLDER`` with a folder that holds ``torchvision/transforms/_functional_tensor.py``,
of which three functions are compiled. Equal to 1e-6: ours is their blur of a map among zeros, over that of ones among
zeros, so that weights sum to 1 at an edge too; for three grids and three deviations. Theirs alone: at edges it reflects
the map and it cuts the kernel off, so that the middle of a large map is equal to what is cut off alone, and an edge
differs as printed.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from common import lifted, weights
from torch import Tensor
from torch.nn import functional

from tokenmask.batch import collate
from tokenmask.layout import Layout
from tokenmask.sampling import SamplerState
from tokenmask.sampling.contrast import blurred
from tokenmask.streams import StreamSpec, TokenStream


def ours(picture: Tensor, deviation: float) -> Tensor:
    """float32 [H, W] of such a map."""
    rows, columns = picture.shape
    spec = StreamSpec("image", (4,), ("row", "column"), grid=(rows, columns))
    layout = Layout({"image": spec})
    packed = layout.pack({"image": TokenStream(spec, torch.zeros(rows, columns, 1, dtype=torch.int32))})
    state = SamplerState.start(collate([packed], multiple=1), layout, torch.tensor([0]))
    maps = functional.pad(picture.flatten(), (1, 0))[None, :, None]  # behind a control
    return blurred(maps, state.batch, deviation)[0, 1:, 0].view(rows, columns)


def main(checkout: Path) -> None:
    """Compares, and prints by how much an edge differs."""
    space: dict[str, Any] = {
        "torch": torch, "torch_pad": functional.pad, "conv2d": functional.conv2d,
        "_assert_image_tensor": lambda picture: None,
        "_cast_squeeze_in": lambda picture, types: (picture, False, False, picture.dtype),
        "_cast_squeeze_out": lambda picture, *how: picture,
    }  # fmt: skip
    names = ["_get_gaussian_kernel1d", "_get_gaussian_kernel2d", "gaussian_blur"]
    path = checkout / "torchvision" / "transforms" / "_functional_tensor.py"
    blur = lifted(path, names, space)["gaussian_blur"]
    cases = 0
    for number, (rows, columns) in enumerate([(3, 4), (12, 12), (9, 17)]):
        picture = weights(112, number, rows, columns).double()
        far = max(rows, columns)
        for deviation in (0.5, 1.5, 2.0):
            found = ours(picture.float(), deviation)
            size, wide = [2 * far - 1] * 2, (far,) * 4
            one, all_ones = (
                blur(functional.pad(value[None, None], wide), size, [deviation] * 2)[0, 0, far:-far, far:-far]
                for value in (picture, torch.ones_like(picture))
            )
            apart = float((found - one / all_ones).abs().max())
            if apart > 1e-6:
                raise SystemExit(f"blur of {rows} x {columns} with {deviation}: {apart:.1e} apart")
            cases += 1
    picture = weights(112, 9, 32, 32)
    apart = (ours(picture, 2.0) - blur(picture[None, None], [13, 13], [2.0, 2.0])[0, 0]).abs()
    middle = float(apart[6:-6, 6:-6].max())
    if middle > 5e-3:
        raise SystemExit(f"blur: the middle of a map of 32 x 32 is {middle:.1e} apart")
    print(f"blur: {cases} maps equal to 1e-6 among zeros over ones; as called, 13 x 13 and reflected, the middle")
    print(f"is {middle:.1e} apart, a cell near an edge {float(apart.max()):.2f} (a map between -1.7 and 1.7)")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("skipped: name a folder with a checkout of torchvision")
    main(Path(sys.argv[1]))
