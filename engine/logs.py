"""What a run says: human lines on the terminal and in `train.log`, numbers in `metrics.jsonl`."""

from __future__ import annotations

import json
import logging
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

import ignite.distributed as idist
from tqdm import tqdm

from common.files import make_folder
from common.progress import watched

NAME = "reid"


class _Terminal(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes above a progress bar instead of through it."""

    def emit(self, record: logging.LogRecord) -> None:
        with tqdm.external_write_mode(sys.stderr):
            super().emit(record)


def open_log(path: Path | None = None, stream: TextIO | None = None) -> logging.Logger:
    """The logger of this process; process 0 speaks on `stream` (stdout) and, when given, appends to the file `path`."""
    logger = logging.getLogger(NAME)
    close_log()
    logging.raiseExceptions = False  # a terminal that went away (`| head`) is no reason to stop training
    logger.propagate = False
    logger.setLevel(logging.INFO)
    if idist.get_rank() != 0:
        logger.addHandler(logging.NullHandler())
        return logger
    stream = stream or sys.stdout
    terminal = _Terminal(stream) if watched() else logging.StreamHandler(stream)
    terminal.setFormatter(logging.Formatter("%(asctime)s  %(message)s", "%H:%M:%S"))
    logger.addHandler(terminal)
    if path is not None:
        make_folder(path.parent)
        file = logging.FileHandler(path, encoding="utf-8")
        file.setFormatter(logging.Formatter("%(asctime)s  %(message)s", "%Y-%m-%d %H:%M:%S"))
        logger.addHandler(file)
    return logger


def close_log() -> None:
    """Let go of the files of `open_log`."""
    logger = logging.getLogger(NAME)
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()


class MetricsFile:
    """One JSON object a line: `{"event": "train", "epoch": 3, ...}`. Only process 0 writes.

    Example:
        >>> with MetricsFile(Path("logs/demo/metrics.jsonl")) as metrics:
        ...     metrics.write("evaluation", epoch=3, mAP=0.41)
    """

    def __init__(self, path: Path) -> None:
        self._file = None
        if idist.get_rank() == 0:
            make_folder(path.parent)
            self._file = path.open("a", encoding="utf-8")

    def write(self, event: str, **values: Any) -> None:
        if self._file is not None:
            rounded = {key: round(value, 6) if isinstance(value, float) else value for key, value in values.items()}
            self._file.write(json.dumps({"event": event, "time": round(time.time(), 3), **rounded}) + "\n")
            self._file.flush()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def __enter__(self) -> MetricsFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
