"""Vector-quantised motion of T2M-GPT (arXiv:2301.06052), MMM (arXiv:2312.03596) and MoMask (arXiv:2312.00063).

They see the 263 features of HumanML3D, less a mean and over a deviation, at 20 Hz.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from tokenmask.modalities.motion.humanml import FEATURES
from tokenmask.modalities.published.files import CONFIG_FILE
from tokenmask.modalities.published.motion import PublishedMotion
from tokenmask.modalities.published.motion_network import MotionVq

_NAMES = ("mean", "std")


class T2mTokenizer(PublishedMotion):
    """Codes of four frames at 20 Hz; see the module and :class:`PublishedMotion`.

    A folder holds ``model.safetensors`` with the names of the published code, ``mean.npy`` and ``std.npy`` of its
    ``meta`` folder, and, where they differ from its defaults, dilation_growth_rate and vq_act in ``config.json``.
    """

    name: ClassVar[str] = "t2m"
    model_type: ClassVar[str] = "t2m"
    how: ClassVar[str] = "save_file(torch.load('net_best_fid.tar', weights_only=True)['vq_model'], 'model.safetensors')"
    usual: ClassVar[dict[str, Any]] = {"dilation_growth_rate": 3, "vq_act": "relu", "vq_norm": None}

    @classmethod
    def read(cls, folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Weights, mean and deviation; ValueError in a sentence for what is not there."""
        values, tensors = super().read(folder)
        tensors = {name.removeprefix("vqvae."): own for name, own in tensors.items()}
        lacking = [f"{name}.npy" for name in _NAMES if not (folder / f"{name}.npy").is_file()]
        if lacking:
            raise ValueError(
                f"{folder} must hold {' and '.join(lacking)} beside {CONFIG_FILE} and the weights, but does not; copy "
                f"{'it' if len(lacking) == 1 else 'them'} from the folder meta of the checkpoint"
            )
        for name in _NAMES:
            try:
                tensors[name] = torch.from_numpy(np.load(folder / f"{name}.npy", allow_pickle=False)).float()
            except (OSError, ValueError) as error:
                raise ValueError(
                    f"{folder / name}.npy must hold the {name} of each feature, but cannot be read ({error}); copy it "
                    "from the folder meta of the checkpoint"
                ) from error
        return values, tensors

    def make_network(self, values: dict[str, Any], tensors: dict[str, Tensor]) -> MotionVq:
        """Of ours; ValueError for another kind of motion than HumanML3D's."""
        self._mean, self._std = (tensors.pop(name) for name in _NAMES)
        if values.get("vq_norm") is not None:
            raise ValueError(f"vq_norm must be null, got {values['vq_norm']!r}; take weights without norms")
        network = MotionVq(tensors, int(values["dilation_growth_rate"]), str(values["vq_act"]))
        sizes = {network.width, len(self._mean), len(self._std)}
        if sizes != {FEATURES}:
            raise ValueError(
                f"a codec of HumanML3D's motion sees {FEATURES} features, got {sorted(sizes)}; take one of that data"
            )
        return network.eval().requires_grad_(False)

    @property
    def frames(self) -> int:
        """Of the network."""
        return int(self.network.frames)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Of its codebooks."""
        return tuple(self.network.sizes)

    def codes_of(self, features: Tensor) -> Tensor:
        """Of features less the mean and over the deviation."""
        seen = (features - self._mean) / self._std
        return self.network.codes(seen.T[None].to(self.device))  # type: ignore[no-any-return]

    def features_from(self, codes: Tensor) -> Tensor:
        """The same backwards."""
        return self.network.features(codes).cpu() * self._std + self._mean  # type: ignore[no-any-return]
