"""YAML into `Config`: `base:` inheritance, `key=value` overrides, and every error with its file, line and closest key.

config = load(Path("configs/demo.yml"), ["train.epochs=2"], options_of)
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, Union, get_args, get_origin

import yaml
from pydantic import ValidationError

from common.errors import UserError, did_you_mean
from configs.schema import Config, Section
from configs.yaml_file import Location, Origins, read_yaml

OptionsOf = Callable[[str], type[Section]]


def load(path: Path, overrides: Sequence[str], options_of: OptionsOf) -> Config:
    """Read a configuration file.

    Args:
        path: the YAML file; `base: other.yml` in it (relative to it) is read first and overridden key by key.
        overrides: `section.key=value` from the command line, values in YAML.
        options_of: gives the class of a method's `options:` section by the method's name; raises `UserError`.

    Raises:
        UserError: listing every problem at once.
    """
    tree, origins = _read(path, ())
    for override in overrides:
        _apply(override, tree, origins)
    tree.setdefault("name", path.stem)
    return parse(tree, options_of, origins)


def override(tree: Mapping[str, Any], overrides: Sequence[str], options_of: OptionsOf) -> Config:
    """`parse` of a plain dictionary with `section.key=value` from the command line put over it."""
    copy = deepcopy(dict(tree))
    origins: Origins = {}
    for each in overrides:
        _apply(each, copy, origins)
    return parse(copy, options_of, origins)


def parse(tree: Mapping[str, Any], options_of: OptionsOf, origins: Origins | None = None) -> Config:
    """A plain dictionary (a file's, or the one in a checkpoint) into `Config`."""
    origins = origins or {}
    rest = {key: value for key, value in tree.items() if key != "options"}
    problems: list[str] = []
    config = Config()
    try:
        config = Config.model_validate(rest)
    except ValidationError as error:
        problems += _explain(error, Config, (), origins)
    method = rest.get("method", Config.model_fields["method"].default)
    schema = options_of(str(method))
    try:
        options = tree.get("options")
        config = config.model_copy(update={"options": schema.model_validate({} if options is None else options)})
    except ValidationError as error:
        problems += _explain(error, schema, ("options",), origins)
    if problems:
        told = "\n  ".join(sorted(problems, key=_natural))
        raise UserError(f"{len(problems)} problem(s) in the configuration:\n  {told}")
    return config


def plain(config: Config) -> dict[str, Any]:
    """The configuration as plain values: what a checkpoint and `config.yml` hold."""
    tree: dict[str, Any] = config.model_dump(mode="json")
    return tree


def dump(config: Config) -> str:
    """The resolved configuration as YAML that `load` reads back."""
    return yaml.safe_dump(plain(config), sort_keys=False, default_flow_style=None, width=110)


def differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """The dotted keys whose values differ between two plain configurations."""
    keys: list[str] = []
    for key in sorted({*old, *new}):
        before, after = old.get(key), new.get(key)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            keys += differences(before, after, f"{prefix}{key}.")
        elif before != after:
            keys.append(f"{prefix}{key}")
    return keys


def _read(path: Path, children: tuple[Path, ...]) -> tuple[dict[str, Any], Origins]:
    """A file over its bases."""
    if path.resolve() in children:
        raise UserError(f"{children[-1]}: 'base: {path.name}' leads back to itself")
    try:
        tree, origins = read_yaml(path)
    except FileNotFoundError:
        asked = f" (the base of {children[-1]})" if children else ""
        raise UserError(_no_such_file(path) + asked) from None
    base = tree.pop("base", None)
    if base is None:
        return tree, origins
    merged, base_origins = _read(path.parent / str(base), (*children, path.resolve()))
    _merge(merged, tree)
    return merged, {**base_origins, **origins}


def _merge(into: dict[str, Any], tree: Mapping[str, Any]) -> None:
    for key, value in tree.items():
        if isinstance(value, Mapping) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value


def _apply(override: str, tree: dict[str, Any], origins: Origins) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise UserError(f"'{override}' is not an override; write section.key=value, for example train.epochs=2")
    *sections, last = location = key.split(".")
    for depth, section in enumerate(sections):
        if tree.get(section) is None:
            tree[section] = {}
        tree = tree[section]
        if not isinstance(tree, dict):
            raise UserError(f"command line '{override}': '{'.'.join(location[: depth + 1])}' is a value, not a section")
    try:
        tree[last] = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):
        tree[last] = text
    for replaced in [at for at in origins if at[: len(location)] == tuple(location)]:
        del origins[replaced]
    origins[tuple(location)] = f"command line '{override}'"


def _explain(error: ValidationError, schema: type[Section], prefix: Location, origins: Origins) -> list[str]:
    problems = []
    for item in error.errors(include_url=False):
        location: Location = (*prefix, *item["loc"])
        parents = (location[:n] for n in range(len(location), 0, -1))
        origin = next((origins[parent] for parent in parents if parent in origins), "")
        name = ".".join(map(str, location)) or "configuration"
        if item["type"] == "extra_forbidden":
            known = _keys_at(schema, item["loc"][:-1])
            message = "unknown key" + (did_you_mean(str(location[-1]), known) or f"; known: {', '.join(known)}")
        else:
            message = item["msg"].removeprefix("Value error, ")
            if not isinstance(item["input"], (dict, Section)):
                message += f" (got {item['input']!r})"
        problems.append(f"{origin}: {name}: {message}" if origin else f"{name}: {message}")
    return problems


def _natural(text: str) -> list[str | int]:
    """A sorting key by which line 2 comes before line 10."""
    return [int(piece) if piece.isdecimal() else piece for piece in re.split(r"(\d+)", text)]


def _keys_at(schema: type[Section], location: Location) -> list[str]:
    """The keys of the section at `location`, for the closest match."""
    for key in location:
        field = schema.model_fields.get(str(key))
        inner = _section_of(field.annotation) if field else None
        if inner is None:
            return []
        schema = inner
    return list(schema.model_fields)


def _section_of(annotation: Any) -> type[Section] | None:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    if get_origin(annotation) is Union or get_args(annotation):
        return next((found for arg in get_args(annotation) if (found := _section_of(arg))), None)
    return None


def _no_such_file(path: Path) -> str:
    near = {found.stem: str(found) for found in sorted(path.parent.glob("*.yml"))} if path.parent.is_dir() else {}
    match = difflib.get_close_matches(path.stem, near, n=1, cutoff=0.5)
    hint = f", did you mean {near[match[0]]}?" if match else f"; there are: {', '.join(near.values())}" if near else ""
    return f"there is no configuration {path}{hint}"
