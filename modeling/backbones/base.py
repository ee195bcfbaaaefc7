"""What every backbone is: pictures in, one feature map out, and how large that map is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn


class Backbone(nn.Module):
    """A network without pooling and without classifier: `(B, 3, H, W)` to `(B, channels, H / stride, W / stride)`.

    Attributes:
        channels: depth of the map.
        stride: pixels per cell of the map, in height and width (sizes are rounded up).
    """

    channels: int
    stride: int

    if TYPE_CHECKING:

        def __call__(self, images: Tensor) -> Tensor: ...
