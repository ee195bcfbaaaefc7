"""The plan of the house: who may import whom, and that every room has its test."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from data.readers import READERS
from modeling.methods import METHODS

ROOT = Path(__file__).parent.parent
ALLOWED = {
    "common": {"common"},
    "configs": {"common", "configs"},
    "data": {"common", "configs", "data"},
    "modeling": {"common", "configs", "modeling"},
    "retrieval": {"common", "retrieval"},
    "engine": {"common", "configs", "data", "modeling", "retrieval", "engine"},
}
ROOMS = sorted(path for room in ALLOWED for path in (ROOT / room).rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    """The top-level packages that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.split(".")[0]


@pytest.mark.parametrize("path", ROOMS, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_one_way(path: Path) -> None:
    room = path.relative_to(ROOT).parts[0]
    wrong = (set(imported(path)) & set(ALLOWED)) - ALLOWED[room]
    assert not wrong, f"{room} may not import {', '.join(sorted(wrong))} (docs/extending.md)"


@pytest.mark.parametrize("path", ROOMS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_says_what_it_is_for(path: Path) -> None:
    source = path.read_text()
    assert not source.strip() or ast.get_docstring(ast.parse(source)), f"{path} has no docstring"


@pytest.mark.parametrize("folder", ["modeling/losses", "modeling/handlers", "engine/handlers"])
def test_what_can_be_added_has_a_test(folder: str) -> None:
    """Every loss and every handler is imported by a test in the folder of the same name."""
    tests = "\n".join(path.read_text() for path in (ROOT / "tests" / folder).rglob("*.py"))
    modules = [path.stem for path in (ROOT / folder).glob("*.py") if path.stem != "__init__"]
    package = folder.replace("/", ".")
    untested = [name for name in modules if f"{package}.{name} " not in tests]
    assert not untested, f"no test in tests/{folder} imports {package}.{untested[0]}"


@pytest.mark.parametrize(("folder", "names"), [("modeling/methods", METHODS), ("data/readers", READERS)])
def test_what_has_a_name_has_a_test(folder: str, names: dict[str, object]) -> None:
    """Every method and every reader is called by its name in a test in the folder of the same name."""
    tests = "\n".join(path.read_text() for path in (ROOT / "tests" / folder).rglob("*.py"))
    untested = [name for name in names if f'"{name}"' not in tests]
    assert not untested, f"no test in tests/{folder} names '{untested[0]}'"


def test_nothing_names_a_machine() -> None:
    """No path of one machine in code, configurations or documents."""
    kinds = {".py", ".md", ".yml", ".toml", ".sh", ".txt", ""}
    folders = [".", *ALLOWED, "configs", "docs", "benchmarks"]
    files = [
        path for folder in folders for path in (ROOT / folder).glob("*") if path.suffix in kinds and path.is_file()
    ]
    for path in files:
        text = path.read_text(errors="ignore")
        assert "/" + "root/" not in text, path
        assert "/" + "work/" not in text, path
