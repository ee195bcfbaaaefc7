"""Leave one out: train on all of some datasets but one, be judged on that one, for each (domain generalization)."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from common.errors import UserError


@dataclass(frozen=True)
class LeaveOneOut:
    """The datasets that take turns.

    Attributes:
        datasets: names in the catalog, two at least, each once.
    """

    datasets: tuple[str, ...]

    def __post_init__(self) -> None:
        twice = sorted({name for name in self.datasets if self.datasets.count(name) > 1})
        if twice:
            raise UserError(f"leave one out: '{twice[0]}' is named twice, and one of the two would not be unseen")
        if len(self.datasets) < 2:
            raise UserError(
                f"leave one out of {', '.join(self.datasets) or 'nothing'}: name two datasets at least, such as market "
                "msmt cuhk"
            )

    def rounds(self) -> list[tuple[tuple[str, ...], str]]:
        """The sources and the target of each round."""
        return [(tuple(name for name in self.datasets if name != target), target) for target in self.datasets]

    def commands(self, configuration: str = "configs/generalize.yml", devices: str = "0") -> list[str]:
        """Two for each round: train, and judge.

        The target is looked at after the last epoch only, so that it has no say in which checkpoint is judged.
        """
        lines = []
        for sources, target in self.rounds():
            name = f"without-{target}"
            keys = [f"name={name}", f"data.source=[{','.join(sources)}]", f"data.target={target}"]
            train = ["bash", "train.sh", devices, configuration, *keys, "train.evaluate_every=0"]
            judge = ["python3", "eval.py", devices, f"checkpoints/{name}", "--dataset", target]
            lines += [shlex.join(train), shlex.join(judge)]
        return lines
