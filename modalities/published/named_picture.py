"""Published pictures over a network of ours that takes their tensor names. Does not know: which network."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor

from tokenmask.modalities.published.networks import tried
from tokenmask.modalities.published.picture import PublishedPicture


class NamedPicture(PublishedPicture):
    """Base of adapters whose network has ``codes``, ``pixels`` and ``stride``, and needs no library.

    An adapter has :meth:`network_of`, :attr:`codes`, and says how a folder is read.
    """

    library: ClassVar[str] = "torch"
    model_class: ClassVar[str] = "Module"

    @abstractmethod
    def network_of(self, values: dict[str, Any], tensors: dict[str, Tensor]) -> Any:
        """The network of the values and tensors that were read."""

    def make_network(self, values: dict[str, Any], tensors: dict[str, Tensor]) -> Any:
        """Tried once, so that tensors that do not fit each other are told here."""
        network = self.network_of(values, tensors).eval()
        blank = torch.zeros(1, 3, 4 * network.stride, 4 * network.stride)
        tried(lambda: network.pixels(network.codes(blank)), type(self))
        return network

    @property
    def stride(self) -> int:
        """Of the network."""
        return int(self.network.stride)

    def codes_of(self, pixels: Tensor) -> Tensor:
        """Of the network."""
        return self.network.codes(pixels)  # type: ignore[no-any-return]

    def pixels_of(self, codes: Tensor) -> Tensor:
        """Of the network."""
        return self.network.pixels(codes[0])  # type: ignore[no-any-return]
