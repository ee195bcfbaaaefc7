"""Mixed precision in Apex's words on torch's machinery.

    O0  float32
    O1  autocast; weights float32
    O2  autocast; the weights of convolutions and linear layers in half precision with float32 masters,
        everything else (normalisation layers, memories) float32

    amp = Amp.of(config.train, device)
    amp.initialize(method)                       # casts under O2; optimisers are then built on amp.master(parameter)
    with amp.autocast():
        loss = ...
    with amp.scale_loss(loss, optimizer) as scaled:
        scaled.backward()
    amp.step(optimizer)
    amp.update()                                 # once per iteration

Losses are scaled only for float16: bfloat16 has float32's range and needs no scale.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from configs.schema import Train

Module = TypeVar("Module", bound=nn.Module)

_HALF_LAYERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)


class Amp:
    """Precision of one training run.

    Args:
        opt_level: `O0`, `O1` or `O2`.
        dtype: the half type of O1 and O2.
        device: where the run takes place.
        scale: whether losses are scaled; by default only for float16 on CUDA.
    """

    def __init__(self, opt_level: str, dtype: torch.dtype, device: torch.device, scale: bool | None = None) -> None:
        self.opt_level, self.device = opt_level, device
        self.dtype = dtype if opt_level != "O0" else torch.float32
        if scale is None:
            scale = device.type == "cuda" and self.dtype == torch.float16
        self.scaler = torch.amp.GradScaler(device.type, enabled=scale)
        self._masters: dict[nn.Parameter, nn.Parameter] = {}

    @classmethod
    def of(cls, config: Train, device: torch.device) -> Amp:
        """What `train.opt_level`, `train.fp16` and `train.amp_dtype` ask for on this device."""
        level = "O1" if config.fp16 and config.opt_level == "O0" else config.opt_level
        return cls(level, _half_type(config, device), device)

    def __str__(self) -> str:
        kind = str(self.dtype).removeprefix("torch.")
        return f"{self.opt_level} ({kind}{', dynamic loss scale' if self.scaler.is_enabled() else ''})"

    def initialize(self, module: nn.Module) -> None:
        """Under O2 cast the weights of `module` and keep a float32 master of each."""
        if self.opt_level != "O2":
            return
        for layer in module.modules():
            if isinstance(layer, _HALF_LAYERS):
                for parameter in layer.parameters(recurse=False):
                    self._masters[parameter] = nn.Parameter(
                        parameter.detach().clone().float(), requires_grad=parameter.requires_grad
                    )
                    parameter.data = parameter.data.to(self.dtype)

    def master(self, parameter: nn.Parameter) -> nn.Parameter:
        """The float32 tensor that an optimiser moves for `parameter`: its master, or itself."""
        return self._masters.get(parameter, parameter)

    def autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, self.dtype, enabled=self.opt_level != "O0")

    @contextmanager
    def scale_loss(self, loss: Tensor, optimizer: Optimizer | Iterable[Optimizer]) -> Iterator[Tensor]:
        """The loss to call `backward` on; afterwards the gradients lie on what `optimizer` moves, still scaled."""
        yield self.scaler.scale(loss)
        moved = set().union(*map(_moved_by, _listed(optimizer)))
        for half, master in self._masters.items():
            if id(master) in moved and half.grad is not None:
                grad = half.grad.float()
                master.grad = grad if master.grad is None else master.grad + grad
                half.grad = None

    def step(self, optimizer: Optimizer, before: Callable[[Optimizer], object] | None = None) -> None:
        """Unscale, call `before` (clipping), step unless a gradient overflowed, and refresh the half weights."""
        self.scaler.unscale_(optimizer)
        if before is not None:
            before(optimizer)
        self.scaler.step(optimizer)
        # Only what moved: writing to other weights would spoil graphs that a later update still differentiates.
        moved = _moved_by(optimizer)
        with torch.no_grad():
            for half, master in self._masters.items():
                if id(master) in moved:
                    half.copy_(master)

    def update(self) -> None:
        """Adapt the loss scale; once per iteration, after every optimiser has stepped."""
        if self.scaler.is_enabled():
            self.scaler.update()

    def float32_state(self, module: nn.Module) -> dict[str, Tensor]:
        """`module.state_dict()` with the masters' values: what a checkpoint holds at every opt level."""
        state: dict[str, Tensor] = module.state_dict()
        for name, parameter in module.named_parameters():
            if parameter in self._masters:
                state[name] = self._masters[parameter].detach()
        return state

    def load_float32_state(self, module: nn.Module, state: dict[str, Tensor]) -> None:
        """The inverse of `float32_state`; strict."""
        module.load_state_dict(state)
        with torch.no_grad():
            for name, parameter in module.named_parameters():
                if parameter in self._masters:
                    self._masters[parameter].copy_(state[name])

    def float32_copy(self, module: Module) -> Module:
        """`module` itself, or under O2 a float32 copy of it with the masters' values."""
        if not self._masters:
            return module
        twin = copy.deepcopy(module).float()
        twin.load_state_dict(self.float32_state(module))
        return twin

    def state_dict(self) -> dict[str, Any]:
        return {"opt_level": self.opt_level, "scaler": self.scaler.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if self.scaler.is_enabled() and state["scaler"]:
            self.scaler.load_state_dict(state["scaler"])


def _half_type(config: Train, device: torch.device) -> torch.dtype:
    if config.amp_dtype != "auto":
        return torch.float16 if config.amp_dtype == "float16" else torch.bfloat16
    if device.type != "cuda":
        return torch.bfloat16
    return torch.bfloat16 if not config.fp16 and torch.cuda.is_bf16_supported() else torch.float16


def _listed(optimizer: Optimizer | Iterable[Optimizer]) -> list[Optimizer]:
    return [optimizer] if isinstance(optimizer, Optimizer) else list(optimizer)


def _moved_by(optimizer: Optimizer) -> set[int]:
    return {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
