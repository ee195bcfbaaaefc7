"""What every backbone is: pictures in, one feature map out, and how large that map is."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from torch import Tensor, nn


class Backbone(nn.Module):
    """A network without pooling and without classifier: `(B, 3, H, W)` to `(B, channels, H / stride, W / stride)`.

    Attributes:
        channels: depth of the map.
        stride: pixels per cell of the map, in height and width (sizes are rounded up).
        unused: what the published weights hold beside the backbone's own: the modules that come after the map.
    """

    unused: ClassVar[tuple[str, ...]] = ("fc",)
    channels: int
    stride: int

    if TYPE_CHECKING:

        def __call__(self, images: Tensor) -> Tensor: ...


def initialise_convolutions(network: nn.Module) -> None:
    """Kaiming's normal weights by the number of outputs, in every convolution (He et al., ICCV 2015)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
