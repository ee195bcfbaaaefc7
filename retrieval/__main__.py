"""Evaluate features that lie on disk, with no model and no GPU.

    python3 -m retrieval features/single_domain/best/market
    python3 -m retrieval features/single_domain/best/market --rerank --cameras
    python3 -m retrieval pytorch_result.mat --protocol market no-camera --json

FEATURES is what eval.py left behind (a folder with query/ and gallery/), a folder with query and gallery as .mat, .npz
or .npy beside .csv, or one .mat or .npz file that holds both.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import astuple
from pathlib import Path

import torch

from common.command import exit_status
from common.contracts import UNKNOWN
from common.errors import UserError
from retrieval.files.feature_file import MANIFEST, read_features
from retrieval.files.foreign import read_pair
from retrieval.lists import write_lists
from retrieval.neighbours.indexes import INDEXES
from retrieval.protocols import PROTOCOLS
from retrieval.protocols import protocol as protocol_of
from retrieval.ranking.results import CMC_RANKS
from retrieval.reranking.expansion import EXPANSIONS
from retrieval.scorers import SCORERS
from retrieval.study import Question, Reranking, study

_LISTS = Path("top.csv")


def _parser() -> argparse.ArgumentParser:
    default = Reranking()
    protocols = "\n".join(f"  {name}: {protocol.explanation}" for name, protocol in PROTOCOLS.items())
    parser = argparse.ArgumentParser(
        prog="python3 -m retrieval",
        usage="python3 -m retrieval FEATURES [options]",
        description=__doc__,
        epilog=f"protocols (docs/protocols.md):\n{protocols}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("features", type=Path, metavar="FEATURES", help="folder or file of query and gallery features")
    judged = f"one or more of {', '.join(PROTOCOLS)} (the dataset's, else market)"
    parser.add_argument("--protocol", nargs="+", metavar="NAME", help=judged)
    parser.add_argument("--scorer", metavar="NAME", help=f"one of {', '.join(SCORERS)} (as extracted, else cosine)")
    parser.add_argument("--rerank", action="store_true", help="k-reciprocal re-ranking (Zhong 2017)")
    parser.add_argument("--k1", type=int, metavar="N", help=f"its neighbours ({default.k1})")
    parser.add_argument("--k2", type=int, metavar="N", help=f"its query expansion ({default.k2})")
    share = f"its share of the original distance ({default.lam})"
    parser.add_argument("--lambda", type=float, metavar="X", help=share)
    parser.add_argument("--expand", metavar="NAME", help=f"query or database expansion: {', '.join(EXPANSIONS)}")
    parser.add_argument(
        "--index",
        metavar="NAME",
        help=f"what finds neighbours for these: {', '.join(INDEXES)} (exact)",
    )
    parser.add_argument("--ranks", type=int, nargs="+", default=CMC_RANKS, metavar="K", help="where to read the CMC")
    parser.add_argument("--cameras", action="store_true", help="also a table by cameras of query and gallery")
    parser.add_argument(
        "--top", type=int, metavar="K", help="write each query's K best to --out, as the first protocol has it"
    )
    parser.add_argument("--out", type=Path, metavar="FILE.csv", help=f"where to ({_LISTS})")
    parser.add_argument("--device", default="cpu", help="cpu (default) or cuda:0")
    parser.add_argument("--json", action="store_true", help="print one JSON object; everything else goes to stderr")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    options = _parser().parse_args(arguments)
    _check(options)
    query, gallery = read_pair(options.features)
    made = _manifest(options.features)
    question = Question(
        protocols=options.protocol or [made.get("protocol", "market")],
        scorer=options.scorer or made.get("scorer", "cosine"),
        expand=options.expand,
        rerank=_reranking(options),
        index=options.index or "exact",
        ranks=sorted(set(options.ranks)),
        cameras=options.cameras,
        dataset=made.get("dataset"),
        own=made.get("protocol", "market"),
    )
    if options.top is not None:
        question.check()
        protocol_of(question.protocols[0]).require_one_gallery("--top")
    answer = study(query.features, gallery.features, question, device=options.device)
    told = f"ranked {len(query.features)} queries in {answer.seconds:.1f} s ({answer.backend})"
    if (gallery.features.columns.camids == UNKNOWN).all():
        told += "; no camera is known, so nothing is junk for having been seen by the same one"
    if options.top is not None:
        write_lists(options.out or _LISTS, answer, query.paths, gallery.paths, options.top, options.device)
        told += f"; the {options.top} best of each are in {options.out or _LISTS}"
    print(told, file=sys.stderr if options.json else sys.stdout)
    facts = {**answer.as_dict(), "features": str(options.features)}
    facts |= {"backend": str(answer.backend), "seconds": answer.seconds}
    print(json.dumps(facts, indent=2) if options.json else answer.text())
    return 0


def _check(options: argparse.Namespace) -> None:
    """Refuse what cannot be done, and what would be asked in vain."""
    if options.top is not None and options.top < 1:
        raise UserError(f"--top {options.top}: expected a whole number from 1 on")
    if options.out is not None and options.top is None:
        raise UserError("--out is where --top writes lists to: give --top K too")
    if options.out is not None and options.out.is_dir():
        raise UserError(f"--out {options.out} is a folder: name a file in it, such as {options.out / _LISTS}")
    if not options.rerank:
        for name in ("k1", "k2", "lambda"):
            if getattr(options, name) is not None:
                raise UserError(f"--{name} is for re-ranking: give --rerank too")
        if options.index is not None and options.expand is None:
            raise UserError("--index finds neighbours for --rerank and --expand: give one of them too")
    try:
        torch.empty(1, device=options.device).cpu()
    except (RuntimeError, AssertionError, NotImplementedError):
        raise UserError(f"--device {options.device}: there is no such device here; use cpu") from None


def _reranking(options: argparse.Namespace) -> Reranking | None:
    if not options.rerank:
        return None
    default = Reranking()
    given = (getattr(options, name) for name in ("k1", "k2", "lambda"))
    return Reranking(*(usual if value is None else value for usual, value in zip(astuple(default), given, strict=True)))


def _manifest(path: Path) -> dict[str, str]:
    """What eval.py wrote down of these features; nothing is known of those from elsewhere."""
    folder = path / "query"
    return read_features(folder).manifest if (folder / MANIFEST).is_file() else {}


if __name__ == "__main__":
    sys.exit(exit_status(main))
