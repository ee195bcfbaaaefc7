"""The benchmark of the exemplar memory runs and prints what its readers rely on."""

from __future__ import annotations

import json
import sys

from tests.doors import shell


def test_one_object_with_the_promised_numbers() -> None:
    size = ("--rows", "2000", "--dim", "64", "--repeats", "1")
    outcome = shell(sys.executable, "-m", "benchmarks.memory_bank", *size, "--json")
    assert outcome.status == 0, outcome.err
    told = json.loads(outcome.out)
    assert told["gemm_seconds"] > 0
    assert told["step_over_gemm"] > 0
    assert told["step_seconds"] > 0
