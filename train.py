"""Train a re-ID system.

    bash train.sh 0,1 configs/single_domain.yml [key=value ...]     on GPUs 0 and 1
    python3 train.py cpu configs/demo.yml name=short train.epochs=2    the same door without the shell

Running the same command again goes on where an interrupted run stopped. Keys: configs/schema.py.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from common.environment import require_packages

require_packages("torch", "ignite", "pydantic")

from configs.loader import load
from engine.devices import parse_devices
from engine.launch import is_launcher, launch, processes, run_door
from engine.preparation import prepare
from engine.training import train
from modeling.methods import options_of


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="train.sh", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("devices", help="GPU numbers (0 or 0,1), cpu, or cpu,cpu for two processes")
    parser.add_argument("config", type=Path, help="a file such as configs/demo.yml")
    parser.add_argument("overrides", nargs="*", default=[], metavar="key=value", help="such as train.epochs=2")
    arguments = parser.parse_args()
    config = load(arguments.config, arguments.overrides, options_of)
    devices = parse_devices(arguments.devices)
    if is_launcher(devices):
        prepare(config, processes(devices))  # so that most mistakes cost no start of many processes
    return launch(devices, [__file__, *sys.argv[1:]], lambda device: train(config, device))


if __name__ == "__main__":
    run_door(main)
