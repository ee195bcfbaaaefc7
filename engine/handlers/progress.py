"""A progress bar on a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ignite.engine import Engine
from ignite.handlers import ProgressBar
from torch import Tensor

EVERY = 10  # iterations between readings of the losses: each reading waits for the GPU


class Progress:
    """Ignite's `ProgressBar` in the house's format, with the losses where there are some.

    Attach it on process 0 and only when `common.progress.watched()`: in a file a bar is noise.

    Example:
        >>> Progress("epoch").attach(trainer)
    """

    def __init__(self, title: str) -> None:
        layout = "{desc} {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt}{postfix} [{elapsed}<{remaining}, {rate_fmt}]"
        self.bar = ProgressBar(persist=False, desc=title, bar_format=layout, dynamic_ncols=True)
        self._calls = 0
        self._shown: dict[str, str] = {}

    def attach(self, engine: Engine) -> None:
        self.bar.attach(engine, output_transform=self._numbers)

    def _numbers(self, output: Any) -> dict[str, str]:
        if isinstance(output, Mapping) and self._calls % EVERY == 0:
            self._shown = {name: f"{float(value):.3f}" for name, value in output.items() if isinstance(value, Tensor)}
        self._calls += 1
        return self._shown
