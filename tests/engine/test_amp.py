"""Apex's levels on CPU bfloat16: what is half, what the masters do, and how an overflow is survived."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from configs.schema import Train
from engine.amp import Amp, _half_type
from modeling.layers.pooling import GeMPooling
from tests.engine.toys import CPU, Toy, assert_same

BF16 = torch.bfloat16


class Small(nn.Module):
    """One of each kind of layer."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.pooling = GeMPooling(4)
        self.layer_norm = nn.LayerNorm(4)
        self.linear = nn.Linear(4, 2)
        self.memory = nn.Parameter(torch.zeros(5, 4))

    def forward(self, images: Tensor) -> Tensor:
        pooled = self.pooling(self.norm(self.convolution(images)))
        logits: Tensor = self.linear(self.layer_norm(pooled))
        return logits


def small(seed: int = 0) -> Small:
    torch.manual_seed(seed)
    return Small()


def amp_of(level: str) -> Amp:
    return Amp(level, BF16, CPU)


def master_of(amp: Amp, module: nn.Linear) -> nn.Parameter:
    assert isinstance(module.weight, nn.Parameter)
    return amp.master(module.weight)


def halves(module: nn.Module) -> set[str]:
    return {name for name, parameter in module.named_parameters() if parameter.dtype == BF16}


@pytest.mark.parametrize("level", ["O0", "O1"])
def test_weights_stay_float32_below_o2(level: str) -> None:
    amp, module = amp_of(level), small()
    amp.initialize(module)
    assert halves(module) == set()
    assert all(amp.master(parameter) is parameter for parameter in module.parameters())
    assert amp.float32_copy(module) is module


def test_o2_casts_convolutions_and_linear_layers_only() -> None:
    amp, module = amp_of("O2"), small()
    before = copy.deepcopy(module.state_dict())
    amp.initialize(module)
    cast = {"convolution.weight", "convolution.bias", "linear.weight", "linear.bias"}
    assert halves(module) == cast
    for name, parameter in module.named_parameters():
        master = amp.master(parameter)
        assert master.dtype == torch.float32
        assert torch.equal(master, before[name])
        assert (master is parameter) == (name not in cast)
    assert {buffer.dtype for name, buffer in module.named_buffers() if name.endswith("mean")} == {torch.float32}


def test_masters_of_frozen_weights_stay_frozen() -> None:
    module = small()
    module.linear.requires_grad_(False)
    amp = amp_of("O2")
    amp.initialize(module)
    assert [amp.master(p).requires_grad for p in module.linear.parameters()] == [False, False]
    assert [amp.master(p).requires_grad for p in module.convolution.parameters()] == [True, True]


@pytest.mark.parametrize(("level", "inside"), [("O0", torch.float32), ("O1", BF16), ("O2", BF16)])
def test_autocast_only_when_asked(level: str, inside: torch.dtype) -> None:
    amp, x = amp_of(level), torch.ones(2, 2)
    with amp.autocast():
        assert (x @ x).dtype == inside
        assert torch.is_autocast_enabled("cpu") == (level != "O0")
    assert (x @ x).dtype == torch.float32


def test_o2_equals_a_hand_written_master_step() -> None:
    images, labels = torch.randn(3, 6, 3, 5, 5), torch.tensor([0, 1] * 3)
    module, twin = small(), small()

    amp = amp_of("O2")
    amp.initialize(module)
    optimizer = torch.optim.SGD([amp.master(p) for p in module.parameters()], lr=0.1, momentum=0.9)
    for batch in images:
        with amp.autocast():
            loss = F.cross_entropy(module(batch).float(), labels)
        with amp.scale_loss(loss, optimizer) as scaled:
            scaled.backward()
        amp.step(optimizer)
        amp.update()
        optimizer.zero_grad()

    masters = {name: parameter.detach().clone() for name, parameter in twin.named_parameters()}
    speeds = {name: torch.zeros_like(master) for name, master in masters.items()}
    rounded = {name for name in masters if name.split(".")[0] in ("convolution", "linear")}
    for batch in images:
        for name, parameter in twin.named_parameters():
            parameter.data = masters[name].to(BF16) if name in rounded else masters[name].clone()
            parameter.grad = None
        with torch.autocast("cpu", BF16):
            loss = F.cross_entropy(twin(batch).float(), labels)
        loss.backward()
        for name, parameter in twin.named_parameters():
            if parameter.grad is not None:
                speeds[name] = 0.9 * speeds[name] + parameter.grad.float()
                masters[name] -= 0.1 * speeds[name]

    trained = amp.float32_state(module)
    for name, master in masters.items():
        torch.testing.assert_close(trained[name], master, rtol=1e-6, atol=1e-7)
    for name, parameter in module.named_parameters():
        assert torch.equal(parameter, amp.master(parameter).to(parameter.dtype)), name


def test_masters_move_where_the_half_weights_would_round_the_step_away() -> None:
    module = nn.Linear(1, 1, bias=False)
    nn.init.ones_(module.weight)
    amp = amp_of("O2")
    amp.initialize(module)
    optimizer = torch.optim.SGD([master_of(amp, module)], lr=2**-12)
    after: list[float] = []
    for _ in range(32):
        with amp.scale_loss(module(torch.ones(1, 1, dtype=BF16)).float().sum(), optimizer) as scaled:
            scaled.backward()
        amp.step(optimizer)
        optimizer.zero_grad()
        after.append(module.weight.item())
    assert master_of(amp, module).item() == 1 - 32 * 2**-12
    assert after[0] == 1.0  # one step is too small to see in bfloat16
    assert after[-1] == 1 - 32 * 2**-12  # many are not


def test_gradients_add_up_until_the_step() -> None:
    module = nn.Linear(1, 1, bias=False)
    amp = amp_of("O2")
    amp.initialize(module)
    optimizer = torch.optim.SGD([master_of(amp, module)], lr=1.0)
    for factor in (1.0, 2.0):
        with amp.scale_loss((module.weight.float() * factor).sum(), optimizer) as scaled:
            scaled.backward()
    grad = master_of(amp, module).grad
    assert grad is not None
    assert grad.item() == 3.0
    assert module.weight.grad is None


def test_a_step_writes_to_the_weights_of_its_optimizer_only() -> None:
    """A graph that reaches other weights must survive the step."""
    one, other = nn.Linear(2, 2), nn.Linear(2, 2)
    amp = amp_of("O2")
    amp.initialize(nn.ModuleList([one, other]))
    first = torch.optim.SGD([amp.master(p) for p in one.parameters()], lr=1.0)
    x = torch.ones(1, 2, dtype=BF16, requires_grad=True)
    later = other(x).float().sum()
    with amp.scale_loss(one(x.detach()).float().sum(), first) as scaled:
        scaled.backward()
    before = one.weight.detach().clone()
    amp.step(first)
    assert not torch.equal(one.weight, before)
    later.backward()
    assert x.grad is not None


def test_float32_state_round_trip_is_exact() -> None:
    amp, module = amp_of("O2"), small()
    amp.initialize(module)
    state = copy.deepcopy(amp.float32_state(module))
    assert {value.dtype for value in state.values()} == {torch.float32, torch.int64}
    assert not torch.equal(state["linear.weight"], module.linear.weight.float())  # otherwise nothing is shown

    other_amp, other = amp_of("O2"), small(seed=1)
    other_amp.initialize(other)
    other_amp.load_float32_state(other, state)
    assert_same(dict(other_amp.float32_state(other)), state)
    assert torch.equal(other.linear.weight, module.linear.weight)
    assert other.linear.weight.dtype == BF16

    plain = small(seed=1)
    amp_of("O1").load_float32_state(plain, state)
    assert_same(plain.state_dict(), state)


def test_float32_state_of_a_part() -> None:
    amp, method = amp_of("O2"), Toy()
    before = method.embedder.linear.weight.detach().clone()  # type: ignore[union-attr,operator]
    amp.initialize(method)
    assert torch.equal(amp.float32_state(method.embedder)["linear.weight"], before)


def test_load_is_strict() -> None:
    state = small().state_dict()
    del state["memory"]
    with pytest.raises(RuntimeError, match="memory"):
        amp_of("O2").load_float32_state(small(), state)


def test_float32_copy_holds_the_masters_and_shares_nothing() -> None:
    amp, module = amp_of("O2"), small()
    amp.initialize(module)
    twin = amp.float32_copy(module)
    assert isinstance(twin, Small)
    assert halves(twin) == set()
    assert_same(dict(twin.state_dict()), dict(amp.float32_state(module)))
    with torch.no_grad():
        twin.linear.weight.zero_()
    assert amp.float32_state(module)["linear.weight"].any()
    assert halves(module)


def scaled_step(amp: Amp, optimizer: torch.optim.Optimizer, weight: Tensor, factor: float) -> float:
    """One step on factor x weight; the gradient that clipping would see."""
    seen: list[float] = []

    def before(_: torch.optim.Optimizer) -> None:
        assert weight.grad is not None
        seen.append(float(weight.grad))

    with amp.scale_loss((weight * factor).sum(), optimizer) as scaled:
        scaled.backward()
    amp.step(optimizer, before)
    amp.update()
    optimizer.zero_grad()
    return seen[0]


def test_overflow_skips_the_step_and_lowers_the_scale() -> None:
    weight = nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([weight], lr=0.5)
    amp = Amp("O1", torch.float16, CPU, scale=True)
    assert amp.scaler.get_scale() == 2**16
    scaled_step(amp, optimizer, weight, float("inf"))
    assert weight.item() == 1.0
    assert amp.scaler.get_scale() == 2**15
    assert scaled_step(amp, optimizer, weight, 1.0) == 1.0  # unscaled before clipping
    assert weight.item() == 0.5
    assert amp.scaler.get_scale() == 2**15


def test_overflow_leaves_half_weights_and_masters_alone() -> None:
    module = nn.Linear(1, 1, bias=False)
    nn.init.ones_(module.weight)
    amp = Amp("O2", torch.float16, CPU, scale=True)
    amp.initialize(module)
    master = master_of(amp, module)
    optimizer = torch.optim.SGD([master], lr=0.5)
    for factor, expected in ((2.0, 1.0), (2.0**-8, 1 - 2.0**-9)):  # 2 x 2^16 is beyond float16
        with amp.scale_loss((module.weight * factor).sum().float(), optimizer) as scaled:
            scaled.backward()
        amp.step(optimizer)
        amp.update()
        optimizer.zero_grad()
        assert (master.item(), module.weight.item()) == (expected, expected)


def test_scaler_state_round_trip() -> None:
    weight = nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([weight], lr=0.5)
    amp = Amp("O1", torch.float16, CPU, scale=True)
    for factor in (float("inf"), 1.0, 1.0):
        scaled_step(amp, optimizer, weight, factor)
    state = amp.state_dict()
    assert state["opt_level"] == "O1"
    other = Amp("O1", torch.float16, CPU, scale=True)
    other.load_state_dict(state)
    assert other.scaler.get_scale() == 2**15
    assert other.state_dict() == state
    Amp("O0", torch.float32, CPU).load_state_dict(state)  # nothing to restore
    other.load_state_dict(Amp("O0", torch.float32, CPU).state_dict())
    assert other.scaler.get_scale() == 2**15


def test_no_scale_without_need() -> None:
    loss = torch.tensor(3.0, requires_grad=True)
    for level in ("O0", "O1", "O2"):
        with amp_of(level).scale_loss(loss, []) as scaled:
            assert scaled is loss
    amp = amp_of("O1")
    amp.update()
    assert not amp.scaler.is_enabled()


@pytest.mark.parametrize(
    ("settings", "device", "bf16", "expected"),
    [
        ({}, "cpu", True, torch.bfloat16),
        ({"fp16": True}, "cpu", False, torch.bfloat16),
        ({"amp_dtype": "float16"}, "cpu", True, torch.float16),
        ({}, "cuda", True, torch.bfloat16),
        ({}, "cuda", False, torch.float16),
        ({"fp16": True}, "cuda", True, torch.float16),
        ({"fp16": True, "amp_dtype": "bfloat16"}, "cuda", False, torch.bfloat16),
        ({"amp_dtype": "float16"}, "cuda", True, torch.float16),
    ],
)
def test_half_type(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, object], device: str, bf16: bool, expected: torch.dtype
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: bf16)
    assert _half_type(Train.model_validate(settings), torch.device(device)) == expected


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "O0 (float32)"),
        ({"fp16": True}, "O1 (bfloat16)"),
        ({"opt_level": "O2", "fp16": True}, "O2 (bfloat16)"),
        ({"opt_level": "O1", "amp_dtype": "float16"}, "O1 (float16)"),
    ],
)
def test_of_a_configuration(settings: dict[str, object], said: str) -> None:
    assert str(Amp.of(Train.model_validate(settings), CPU)) == said


def test_str_tells_of_the_scale() -> None:
    assert str(Amp("O1", torch.float16, CPU, scale=True)) == "O1 (float16, dynamic loss scale)"
