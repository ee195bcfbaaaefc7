"""A YAML file as plain values, with the line of each, and nothing that YAML would let pass in silence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from yaml.constructor import SafeConstructor

from common.errors import UserError

Location = tuple[str | int, ...]
Origins = dict[Location, str]
"""Where a value came from: its keys from the top, and `file:line` (or the command line)."""


def read_yaml(path: Path) -> tuple[dict[str, Any], Origins]:
    """Read a file of `key: value` lines; an empty file is an empty dictionary.

    Raises:
        FileNotFoundError: there is no such file.
        UserError: it is not YAML, holds no keys, or a key stands twice; names file and line.
    """
    try:
        node = yaml.compose(path.read_text(encoding="utf-8-sig"), Loader=yaml.SafeLoader)
    except FileNotFoundError:
        raise
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise UserError(f"{path}:{line}: not valid YAML: {error.problem}") from None
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise UserError(f"{path}: cannot be read as a YAML file: {error}") from None
    origins: Origins = {}
    if node is None:
        return {}, origins
    if not isinstance(node, yaml.MappingNode):
        raise UserError(f"{path}:{node.start_mark.line + 1}: expected 'key: value' lines")
    try:
        values: dict[str, Any] = _values(node, (), path, origins)
    except RecursionError:
        raise UserError(f"{path}: an anchor (&name) holds itself (*name); write the values out") from None
    return values, origins


def _values(node: yaml.Node, at: Location, path: Path, origins: Origins) -> Any:
    """The value of a node; notes where each came from and refuses a key that stands twice."""
    origins[at] = f"{path}:{node.start_mark.line + 1}"
    if isinstance(node, yaml.MappingNode):
        values: dict[str, Any] = {}
        lines: dict[str, int] = {}
        for key_node, value_node in node.value:
            key, line = str(key_node.value), key_node.start_mark.line + 1
            if key in lines:
                name = ".".join(map(str, (*at, key)))
                raise UserError(f"{path}:{line}: '{name}' stands twice, first in line {lines[key]}; remove one")
            lines[key] = line
            here: Location = (*at, key)
            values[key] = _values(value_node, here, path, origins)
            origins[here] = f"{path}:{line}"
        return values
    if isinstance(node, yaml.SequenceNode):
        return [_values(item, (*at, number), path, origins) for number, item in enumerate(node.value)]
    try:
        return SafeConstructor().construct_object(node)
    except (yaml.YAMLError, ValueError) as error:
        problem = error.problem if isinstance(error, yaml.MarkedYAMLError) else error
        raise UserError(f"{origins[at]}: '{'.'.join(map(str, at))}' is not a value: {problem}") from None
