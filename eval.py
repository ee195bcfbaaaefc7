"""Judge a checkpoint on a dataset.

    python3 eval.py 0 checkpoints/market/best.pt --dataset market
    python3 eval.py cpu checkpoints/demo                       a run's folder: its best checkpoint, its own target
    python3 eval.py 0 checkpoints/market/best.pt --calibrate   how close two pictures of the same person are
    python3 eval.py 0 checkpoints/market --validation --rerank whether that helps, without looking at the test set
    python3 eval.py 0 checkpoints/cacenet_market --conditional pictures compared given each other, for methods that can

The checkpoint alone says which model and which preprocessing. Features are extracted once into features/ and used
again until the checkpoint, the dataset or the preprocessing changes.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import get_args

from common.environment import require_packages

require_packages("torch", "ignite", "pydantic")

import ignite.distributed as idist
import torch

from common.errors import UserError
from configs.schema import Poses
from engine.calibration import require_writable
from engine.checkpoint import checkpoint_file
from engine.devices import parse_devices
from engine.judging import Judgement, Request, judge
from engine.launch import is_launcher, launch, run_door
from engine.logs import close_log, open_log
from retrieval.neighbours.indexes import INDEXES
from retrieval.protocols import PROTOCOLS
from retrieval.reranking.conditional import Conditional
from retrieval.reranking.expansion import EXPANSIONS

_FAR = 0.01


def main() -> int:
    arguments = _parser().parse_intermixed_args()
    devices = parse_devices(arguments.devices)
    request = Request(
        checkpoint=arguments.checkpoint,
        dataset=arguments.dataset,
        root=arguments.root,
        validation=arguments.validation,
        features=arguments.features,
        flip=arguments.flip,
        rerank=arguments.rerank,
        expand=arguments.expand,
        index=arguments.index,
        protocols=arguments.protocol,
        cameras=arguments.cameras,
        calibrate=_rate(arguments),
        conditional=arguments.conditional is not None,
        conditionally=arguments.conditional or None,
        mat=arguments.mat,
        batch_size=arguments.batch_size,
        workers=arguments.workers,
        poses=arguments.poses,
        poses_from=arguments.poses_from,
        shuffle_poses=arguments.shuffle_poses,
        settings=arguments.settings,
    )
    if is_launcher(devices):  # so that a wrong path costs no start of many processes
        path = checkpoint_file(request.checkpoint)
        if request.calibrate is not None:
            require_writable(path)

    def work(device: torch.device) -> int:
        open_log(stream=sys.stderr if arguments.json else sys.stdout)
        try:
            judgement = judge(request, device)
        finally:
            close_log()
        if idist.get_rank() == 0:
            print(_json(judgement) if arguments.json else _text(judgement))
        return 0

    return launch(devices, [__file__, *sys.argv[1:]], work)


def _rate(arguments: argparse.Namespace) -> float | None:
    """The false accept rate to calibrate for, if that is asked for."""
    if not arguments.calibrate:
        if arguments.far is not None:
            raise UserError("--far is the false accept rate of a threshold: give --calibrate too")
        return None
    if arguments.rerank:
        raise UserError(
            "--rerank and --calibrate do not go together: re-ranked scores depend on the whole gallery, so no threshold"
            " on them holds for two pictures; leave one of the two out"
        )
    return _FAR if arguments.far is None else float(arguments.far)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="eval.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("devices", help="GPU numbers (0 or 0,1), cpu, or cpu,cpu for two processes")
    parser.add_argument("checkpoint", type=Path, help="a .pt file that train.sh wrote, or a run's folder")
    parser.add_argument("--dataset", metavar="NAME", help="a name in configs/datasets.yml (default: the run's target)")
    parser.add_argument("--root", type=Path, help="where the dataset lies, if configs/datasets.yml does not say")
    parser.add_argument(
        "--validation",
        action="store_true",
        help="judge on the people that the run held out (data.validation; of several sources, those of --dataset), to "
        "choose --rerank and the like without the test set",
    )
    parser.add_argument(
        "--flip", action=argparse.BooleanOptionalAction, help="add the mirrored picture's feature (default: as trained)"
    )
    parser.add_argument(
        "--rerank", action=argparse.BooleanOptionalAction, help="k-reciprocal re-ranking (Zhong 2017; as configured)"
    )
    parser.add_argument("--expand", metavar="NAME", help=f"none, {', '.join(EXPANSIONS)} (as configured)")
    parser.add_argument(
        "--index", metavar="NAME", help=f"finds neighbours for these two: {', '.join(INDEXES)} (as configured)"
    )
    judged = f"one or more of {', '.join(PROTOCOLS)}; docs/protocols.md explains them (the dataset's own)"
    parser.add_argument("--protocol", nargs="+", metavar="NAME", help=judged)
    parser.add_argument("--cameras", action="store_true", help="also a table by cameras of query and gallery")
    parser.add_argument(
        "--calibrate",
        action="store_true",
        help="find the score of the same person, under the first protocol, and keep it with the checkpoint",
    )
    rate = f"share of pairs of different people that may pass with --calibrate (default: {_FAR})"
    parser.add_argument("--far", type=_share, metavar="RATE", help=rate)
    parser.add_argument(
        "--conditional",
        nargs="?",
        type=_conditional,
        const=False,
        metavar="K,LAMBDA,HARDEST",
        help="also re-score the first K of the HARDEST share of the queries by distances given each other, of weight "
        "LAMBDA (default: as the card says; with --validation the best of some, which the card then says)",
    )
    parser.add_argument("--mat", action="store_true", help="also write the features as MATLAB files (needs scipy)")
    parser.add_argument("--json", action="store_true", help="print the scores as JSON; everything else goes to stderr")
    parser.add_argument(
        "--poses", choices=get_args(Poses.model_fields["source"].annotation), help="where poses come from (as trained)"
    )
    parser.add_argument(
        "--poses-from",
        type=Path,
        metavar="PATH",
        help="the weights of hrnet, the folder of cached, the file of keypoints",
    )
    parser.add_argument(
        "--shuffle-poses", action="store_true", help="a control: every picture gets another picture's poses"
    )
    parser.add_argument(
        "--set",
        dest="settings",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="an option of the method that only the test asks for, such as options.matching=whole (as trained)",
    )
    parser.add_argument("--features", type=Path, metavar="DIR", help="where features are kept (default: features)")
    parser.add_argument("--batch-size", type=_number(1), metavar="N", help="pictures at a time (as configured)")
    parser.add_argument("--workers", type=_number(0), metavar="N", help="loader processes (as configured)")
    return parser


def _number(least: int) -> Callable[[str], int]:
    """A whole number from `least` on."""

    def number(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"'{text}' is not a whole number from {least} on")
        return int(text)

    return number


def _share(text: str) -> float:
    """A number between 0 and 1."""
    try:
        share = float(text)
    except ValueError:
        share = math.nan
    if not 0 < share < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a share between 0 and 1, such as 0.01 for one in a hundred")
    return share


def _conditional(text: str) -> Conditional:
    """Three numbers, such as 50,0.5,0.1."""
    try:
        k, lam, hardest = text.split(",")
        how = Conditional(int(k), float(lam), float(hardest))
        how.check()
    except (ValueError, UserError):
        raise argparse.ArgumentTypeError(
            f"'{text}' is not K,LAMBDA,HARDEST: a whole number from 1 on, a share from 0 to 1 and one above 0, such as"
            " 50,0.5,0.1; a checkpoint comes before --conditional"
        ) from None
    return how


def _text(judgement: Judgement) -> str:
    card, dataset = judgement.card, judgement.dataset
    flip = "with the mirrored picture" if judgement.flip else "one view per picture"
    unfinished = "" if card["finished"] else f" of {card['config']['train']['epochs']}, unfinished"
    lines = [
        dataset.summary(),
        f"run '{card['name']}': {card['method']} on {card['source']['name']}, epoch {card['epoch']}{unfinished}",
        f"best.pt of that run: by {card['best_by']}",
        f"features: {judgement.folder}, {flip}",
        *(f"{name}: {words}" for name, words in judgement.inputs.words.items()),
        *_threshold(judgement),
        judgement.answer.text(),
    ]
    if judgement.verification is not None:
        lines.append(judgement.verification.table())
    if judgement.conditional is not None:
        lines.append(judgement.conditional.text())
    return "\n".join(lines)


def _threshold(judgement: Judgement) -> list[str]:
    """The line about what the card held before."""
    calibration = judgement.calibration
    if calibration is None or judgement.verification is not None:
        return []
    same = calibration.facts["fingerprint"] == judgement.dataset.fingerprint()
    return [calibration.sentence() + ("" if same else "; the dataset was another then")]


def _json(judgement: Judgement) -> str:
    card = judgement.card
    facts = {
        "dataset": judgement.dataset.name,
        "fingerprint": judgement.dataset.fingerprint(),
        "run": card["name"],
        "method": card["method"],
        "epoch": card["epoch"],
        "source": card["source"]["name"],
        "best_by": card["best_by"],
        "flip": judgement.flip,
        "inputs": judgement.inputs.facts,
        "features": str(judgement.folder),
        "calibration": None if judgement.calibration is None else judgement.calibration.facts,
    }
    if judgement.verification is not None:
        facts["roc"] = judgement.verification.roc.as_dict()
    if judgement.conditional is not None:
        facts["conditional"] = judgement.conditional.as_dict()
    return json.dumps({**judgement.answer.as_dict(), **facts}, indent=2)


if __name__ == "__main__":
    run_door(main)
