"""Weights load whole or not at all, and every failure says what to do."""

from __future__ import annotations

import hashlib
import logging
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from common.errors import UserError
from modeling.backbones import build_backbone, pretrained
from modeling.backbones.pretrained import BY_HAND, WEIGHTS, LoadReport, Weights, ensure_downloaded, load_pretrained

State = dict[str, Tensor]


class Tiny(nn.Module):
    """A backbone of six tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(4)
        nn.init.normal_(self.bn1.weight)


def prefixed(state: State, prefix: str) -> State:
    return {prefix + key: value for key, value in state.items()}


def with_classifier(state: State) -> State:
    return {**state, "fc.weight": torch.zeros(10, 4), "fc.bias": torch.zeros(10)}


@pytest.fixture
def state() -> State:
    torch.manual_seed(3)
    return Tiny().state_dict()


@pytest.fixture
def published(tmp_path: Path, state: State, monkeypatch: pytest.MonkeyPatch) -> Weights:
    """Weights of "tiny", published at a file:// URL, with an empty cache."""
    source = tmp_path / "web" / "tiny.pth"
    source.parent.mkdir()
    torch.save(state, source)
    weights = Weights(source.as_uri(), hashlib.sha256(source.read_bytes()).hexdigest()[:8])
    monkeypatch.setitem(WEIGHTS, "tiny", weights)
    monkeypatch.setenv("REID_CACHE", str(tmp_path / "cache"))
    return weights


def assert_loads(state: State, content: object, path: Path, report: LoadReport) -> None:
    torch.save(content, path)
    model = Tiny()
    assert load_pretrained(model, path) == report
    loaded = model.state_dict()
    assert all(torch.equal(loaded[key], state[key]) for key in state)


@pytest.mark.parametrize(
    ("wrap", "left_out"),
    [
        (lambda state: state, 0),
        (with_classifier, 2),
        (lambda state: {"state_dict": prefixed(with_classifier(state), "module."), "epoch": 90}, 2),
        (lambda state: {"model": prefixed(state, "backbone.")}, 0),
        (lambda state: {"model": {**prefixed(state, "module.backbone."), "module.neck.weight": torch.ones(4)}}, 1),
        (lambda state: prefixed(state, "backbone.module."), 0),
    ],
)
def test_accepted_forms(tmp_path: Path, state: State, wrap: Callable[[State], object], left_out: int) -> None:
    assert_loads(state, wrap(state), tmp_path / "w.pth", LoadReport(loaded=6, missing=0, unexpected=left_out))


def test_files_from_before_batchnorm_counted_its_steps(tmp_path: Path, state: State) -> None:
    old = {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}
    assert_loads(state, old, tmp_path / "w.pth", LoadReport(loaded=5, missing=1, unexpected=0))


def test_the_report_is_logged(tmp_path: Path, state: State, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="reid"):
        assert_loads(state, state, tmp_path / "w.pth", LoadReport(6, 0, 0))
    assert "6 loaded, 0 missing, 0 unexpected" in caplog.text


def test_a_path_loads_through_the_factory(tmp_path: Path) -> None:
    torch.manual_seed(0)
    first = build_backbone("resnet18", last_stride=1, pretrained="none")
    torch.save(first.state_dict(), tmp_path / "w.pth")
    second = build_backbone("resnet18", last_stride=2, pretrained=str(tmp_path / "w.pth"))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_the_modules_that_are_left_out_are_named(
    tmp_path: Path, state: State, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "w.pth"
    torch.save({**with_classifier(state), "head.0.weight": torch.zeros(2), "head.0.bias": torch.zeros(2)}, path)
    with caplog.at_level(logging.INFO, logger="reid"):
        assert load_pretrained(Tiny(), path, unused=("fc", "head")) == LoadReport(6, 0, 4)
    assert "4 unexpected (fc, head)" in caplog.text


def test_a_network_without_classifier_refuses_one_and_says_its_own_remedy(tmp_path: Path, state: State) -> None:
    path = tmp_path / "w.pth"
    torch.save(with_classifier(state), path)
    with pytest.raises(UserError, match=r"2 unknown \(fc.weight, fc.bias\); give another file$"):
        load_pretrained(Tiny(), path, unused=(), remedy="give another file")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda s: s | {"conv1.weight": torch.zeros(5, 3, 3, 3)},
            r"conv1.weight is \(5, 3, 3, 3\), not \(4, 3, 3, 3\)",
        ),
        (lambda s: {k: v for k, v in s.items() if k != "bn1.bias"}, r"1 missing \(bn1.bias\)"),
        (lambda s: s | {"conv2.weight": torch.zeros(1)}, r"1 unknown \(conv2.weight\)"),
        (lambda s: {"epoch": 3, **s}, "not tensors: epoch"),
        (lambda s: [1, 2], "holds no tensors by name"),
        (lambda s: {}, "holds no tensors by name"),
    ],
)
def test_weights_of_something_else(
    tmp_path: Path, state: State, spoil: Callable[[State], object], message: str
) -> None:
    path = tmp_path / "w.pth"
    torch.save(spoil(state), path)
    model = Tiny()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(UserError, match=message) as caught:
        load_pretrained(model, path)
    assert str(path) in str(caught.value)
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items()), "half loaded"


class Ran:
    """Unpickling this would write a file."""

    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return (Path.touch, (self.proof,))


@pytest.mark.parametrize("kind", ["truncated", "text", "empty", "objects"])
def test_not_a_file_of_weights(tmp_path: Path, state: State, kind: str) -> None:
    path, proof = tmp_path / "w.pth", tmp_path / "proof"
    torch.save({"state_dict": Ran(proof)} if kind == "objects" else state, path)
    if kind == "truncated":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif kind == "text":
        path.write_text("<!DOCTYPE html><title>404</title>")
    elif kind == "empty":
        path.write_bytes(b"")
    with pytest.raises(UserError, match="not a file of weights") as caught:
        load_pretrained(Tiny(), path)
    assert str(path) in str(caught.value)
    assert not proof.exists()


def test_none_and_paths_need_no_download(tmp_path: Path) -> None:
    assert ensure_downloaded("resnet50", "none") is None
    with pytest.raises(UserError, match=r"w.pth: no such file; give a file, imagenet or none"):
        ensure_downloaded("resnet50", str(tmp_path / "w.pth"))
    with pytest.raises(UserError, match="did you mean 'imagenet'"):
        ensure_downloaded("resnet50", "imagnet")
    with pytest.raises(UserError, match="no published ImageNet weights are known for 'vgg'"):
        ensure_downloaded("vgg", "imagenet")


@pytest.mark.parametrize("name", BY_HAND)
def test_what_is_fetched_by_hand_is_named(name: str) -> None:
    with pytest.raises(
        UserError, match=rf"of '{name}' are not downloaded from here; fetch hrnetv2_{name[-3:]}_imagenet_pretrai"
    ):
        ensure_downloaded(name, "imagenet")
    assert name not in WEIGHTS


def test_downloaded_once_into_the_cache(published: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = ensure_downloaded("tiny", "imagenet")
    assert path == tmp_path / "cache" / "weights" / "tiny.pth"
    assert load_pretrained(Tiny(), path).loaded == 6
    assert [p.name for p in path.parent.iterdir()] == ["tiny.pth"]

    monkeypatch.setattr(pretrained, "_fetched", None)
    assert ensure_downloaded("tiny", "imagenet") == path


def test_the_default_cache_is_in_the_home_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("REID_CACHE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert WEIGHTS["resnet50"].file == tmp_path / ".cache" / "reid" / "weights" / "resnet50-0676ba61.pth"


def test_a_cached_file_with_a_wrong_checksum_is_named_and_kept(published: Weights) -> None:
    published.file.parent.mkdir(parents=True)
    published.file.write_bytes(b"something else")
    with pytest.raises(UserError, match="delete it") as caught:
        ensure_downloaded("tiny", "imagenet")
    assert str(published.file) in str(caught.value)
    assert published.file.read_bytes() == b"something else"


def test_a_download_with_a_wrong_checksum_is_not_kept(published: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(WEIGHTS, "tiny", Weights(published.url, "00000000"))
    with pytest.raises(UserError, match="arrived with SHA-256") as caught:
        ensure_downloaded("tiny", "imagenet")
    assert published.url in str(caught.value)
    assert list(published.file.parent.iterdir()) == []


@pytest.mark.parametrize("failure", [urllib.error.URLError("no route to host"), TimeoutError("timed out")])
def test_offline(published: Weights, monkeypatch: pytest.MonkeyPatch, failure: OSError) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise failure

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    with pytest.raises(UserError) as caught:
        ensure_downloaded("tiny", "imagenet")
    message = str(caught.value)
    for part in (
        f"{published.url} could not be reached",
        str(published.file),
        "model.pretrained=/path/to/file.pth",
        "model.pretrained=none",
    ):
        assert part in message
    assert list(published.file.parent.iterdir()) == []


def test_every_published_name_ends_in_its_checksum() -> None:
    for name, weights in WEIGHTS.items():
        assert weights.url.endswith(f"/{name}-{weights.sha256}.pth")
