"""Leave one out: train on all of some datasets but one and be judged on that one, for each (domain generalization).

python3 -m engine.leave_one_out market duke cuhk msmt
python3 -m engine.leave_one_out market msmt cuhk --configuration configs/from_scratch.yml --devices 0,1

It prints the commands, one line for each round, after checking that they would be understood.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from common.command import exit_status
from common.errors import UserError, unknown_name
from configs.loader import load
from configs.schema import Config
from data import catalog
from data.readers import READERS
from engine.runs import Folders
from modeling.methods import options_of
from modeling.methods.baseline import BaselineOptions

CONFIGURATION = "configs/generalize.yml"


def rounds(datasets: Sequence[str]) -> list[tuple[tuple[str, ...], str]]:
    """The sources and the target of each round.

    Raises:
        UserError: there are fewer than two datasets, or one is named twice.
    """
    twice = next((name for name in datasets if datasets.count(name) > 1), None)
    if twice is not None:
        raise UserError(f"leave one out: '{twice}' is named twice, and one of the two would not be unseen")
    if len(datasets) < 2:
        raise UserError(
            f"leave one out of {', '.join(datasets) or 'nothing'}: name two datasets at least, such as market msmt cuhk"
        )
    return [(tuple(name for name in datasets if name != target), target) for target in datasets]


def commands(datasets: Sequence[str], configuration: str = CONFIGURATION, devices: str = "0") -> list[str]:
    """One line for each round: train, and where that has come to its end, judge.

    The target has no say in which checkpoint is judged: it is the last one, or the best on held-out people of the
    sources where the configuration holds some out.

    Raises:
        UserError: the datasets do not fit each other or are unknown, or the configuration is none for them.
    """
    told = rounds(datasets)
    known = {*catalog.load(), *READERS}
    unknown = next((name for name in datasets if name not in known), None)
    if unknown is not None:
        raise unknown_name("dataset", unknown, known)
    return [_round(sources, target, configuration, devices) for sources, target in told]


def _round(sources: tuple[str, ...], target: str, configuration: str, devices: str) -> str:
    keys = [f"name=without-{target}", f"data.source=[{','.join(sources)}]", f"data.target={target}"]
    config = load(Path(configuration), keys, options_of)
    if _blends(config) and len(sources) == 1:  # as there is nothing to blend it with
        keys.append("options.mix=false")
    folders = Folders.of(config)
    judged = folders.checkpoints
    if not config.data.validation:
        keys.append("train.evaluate_every=0")
        judged = folders.epoch(config.train.epochs)
    train = ["bash", "train.sh", devices, configuration, *keys]
    judge = ["python3", "eval.py", devices, str(judged), "--dataset", target]
    return f"{shlex.join(train)} && {shlex.join(judge)}"


def _blends(config: Config) -> bool:
    """Whether pictures of different sources are blended."""
    return isinstance(config.options, BaselineOptions) and config.options.mix


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m engine.leave_one_out",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("datasets", nargs="+", metavar="DATASET", help="names in configs/datasets.yml, two at least")
    parser.add_argument("--configuration", default=CONFIGURATION, metavar="FILE", help=f"what is run ({CONFIGURATION})")
    parser.add_argument("--devices", default="0", metavar="LIST", help="where it is run (0)")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    options = _parser().parse_args(arguments)
    print("\n".join(commands(options.datasets, options.configuration, options.devices)))
    return 0


if __name__ == "__main__":
    sys.exit(exit_status(main))
