"""A published network that finds joints, ready to be asked and never trained.

    network = build_pose_network("hrnet_w48", Path("pose_hrnet_w48_384x288.pth")).to(device)
    heatmaps = network(images)          # (B, 17, H/4, W/4)

It is fully convolutional: weights that were trained at 384x288 are asked at any size.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from common.errors import UserError, unknown_name
from modeling.backbones.hrnet import PoseHRNet
from modeling.backbones.pretrained import load_pretrained

CHUNK = 32
"""Pictures at a time, so that memory does not grow with the batch."""

WIDTHS = {"hrnet_w32": 32, "hrnet_w48": 48}
PUBLISHED = {"hrnet_w32": "pose_hrnet_w32_256x192.pth", "hrnet_w48": "pose_hrnet_w48_384x288.pth"}
"""The files of COCO's joints, of the repository deep-high-resolution-net.pytorch."""


class PoseNetwork(nn.Module):
    """A frozen network of joints: no parameter has a gradient, and `train()` leaves it as in the test.

    Args:
        network: gives `(B, J, H/4, W/4)` for `(B, 3, H, W)`.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing from torch's stubs
        self.network = network.requires_grad_(False)
        super().train(False)

    def train(self, mode: bool = True) -> PoseNetwork:
        """Nothing: running statistics of normalisation are the published ones, for ever."""
        return self

    def forward(self, images: Tensor) -> Tensor:
        """Normalised pictures `(B, 3, H, W)` to heatmaps `(B, 17, H/4, W/4)`: float32, neither clamped nor scaled.

        What is around it does not matter: no gradient reaches the pictures, and precision is its own, bfloat16 on GPUs
        that have it and float32 elsewhere.
        """
        # Not inference_mode: what learns from the heatmaps must be able to keep them for its backward pass.
        with torch.no_grad(), _precision(images.device):
            return torch.cat([self.network(chunk).float() for chunk in images.split(CHUNK)])

    if TYPE_CHECKING:

        def __call__(self, images: Tensor) -> Tensor: ...


def build_pose_network(name: str, weights: Path) -> PoseNetwork:
    """The network `name` on the CPU, with published weights.

    Args:
        name: a key of `WIDTHS`.
        weights: its COCO checkpoint; the tensors bare or under "state_dict" or "model".

    Raises:
        UserError: unknown name; no such file; a file that does not hold exactly this network.
    """
    if name not in WIDTHS:
        raise unknown_name("pose network", name, WIDTHS)
    remedy = f"data.poses.weights must be a COCO checkpoint of {name}, such as {PUBLISHED[name]}"
    weights = Path(weights).expanduser()
    if not weights.is_file():
        raise UserError(f"{weights}: no such file; {remedy}")
    network = PoseHRNet(WIDTHS[name])
    load_pretrained(network, weights, unused=(), remedy=remedy)
    return PoseNetwork(network)


def _precision(device: torch.device) -> torch.autocast:
    """bfloat16 where the hardware computes in it, and float32 otherwise, whatever is on outside."""
    half = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.autocast(device.type, torch.bfloat16, enabled=half)
