"""Every node test that the onnx package ships, as a model to widen: what grows, what is refused, and what must not be.

    python benchmarks/node_tests.py [--behind | --probes] [--only PART] [--out benchmarks/results/node-tests-DATE.json]

Most of these models are one operator without weights, so that nothing in them can grow; they show that any operator
with any attributes can be read. A student is verified in ONNX Runtime. With ``--behind``, layers make what a node reads
and read what it makes, and each of its inputs is a weight in turn; students are made with verification off, and judged
here. With ``--probes``, so are students of the tests' own probes, whose weights are computed instead. Exit code 1 if
anything crashed or was wrong.
"""

from __future__ import annotations

import argparse
import datetime
import json
import platform
import sys
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx.backend.test.case.node import collect_testcases
from onnx.backend.test.loader import load_model_tests

import onnx_n2n

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
STORED = ("simple", "pytorch-converted", "pytorch-operator")  # kinds of tests that are files


def models() -> dict[str, onnx.ModelProto]:
    """Return all models, by name."""
    found = {case.name: case.model for case in collect_testcases() if case.model is not None}
    stored = [case for kind in STORED for case in load_model_tests(kind=kind)]
    return found | {case.name: onnx.load(Path(case.model_dir) / "model.onnx") for case in stored if case.model_dir}


def behind(part: str) -> dict[str, str]:
    """Return what became of each node test behind layers, and of each with an input made a weight."""
    from helpers.wild.behind import draws, teachers

    found = {}
    cases = {case.name: case for case in collect_testcases() if case.model is not None and case.data_sets}
    for name, case in cases.items():
        inputs = [np.asarray(each) for each in case.data_sets[0][0] if isinstance(each, np.ndarray | np.generic)]
        if part not in name or len(inputs) < len(case.data_sets[0][0]) or draws(case.model):
            continue
        for teacher in teachers(name, case.model, inputs, 0):
            found[teacher.name] = _judged(teacher)
    return found


def probes(part: str) -> dict[str, str]:
    """Return what became of each probe of the rules whose weights are computed, one by one and all together."""
    from helpers.probes import CASES
    from helpers.wild.behind import without_weights

    found = {}
    for operator, cases in CASES.items():
        for number, case in enumerate(cases):
            if part in operator and not case.reference:
                for teacher in without_weights(f"{operator} {number}", case.teacher, 0):
                    found[teacher.name] = _judged(teacher)
    return found


def _judged(teacher: Any) -> str:
    from helpers.wild.judge import Judge

    try:
        judge = Judge(teacher.model, teacher.feeds, np.random.default_rng(0), afresh=True)
    except Exception as error:  # ONNX Runtime has no kernel for it, or does not take it
        return f"does not run: {type(error).__name__}"
    return _students(teacher.model, judge) if judge.meaningful else "its outputs hardly move"


def _students(model: onnx.ModelProto, judge: Any) -> str:
    modified = False
    for factor in (1.5, 3):
        try:
            result = onnx_n2n.widen(model, factor, init="net2net", verify=False)
        except Exception as error:  # that is what is looked for
            return f"CRASH: {factor}: {type(error).__name__}: {error}"
        if failure := judge.failure(result.model):
            return f"WRONG: {factor}: {failure}"
        modified = modified or result.modified
    return "grown" if modified else "nothing in it can grow"


def outcome(model: onnx.ModelProto) -> str:
    """Return what became of one model."""
    try:
        result = onnx_n2n.widen(model, 1.5, strict=True)
    except onnx_n2n.VerificationError as error:
        return f"WRONG: {error}"
    except onnx_n2n.N2NError as error:
        return f"refused: {type(error).__name__}"
    except Exception as error:  # that is what is looked for
        return f"CRASH: {type(error).__name__}: {error}"
    return "grown" if result.modified else "nothing in it can grow"


def main() -> int:
    """Run all of them and print a tally."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--behind", action="store_true", help="put layers around every node")
    parser.add_argument(
        "--probes", action="store_true", help="the tests' probes of all operators, with computed weights"
    )
    parser.add_argument("--only", default="", metavar="PART", help="of the names of tests behind layers")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    if options.behind or options.probes:
        found = behind(options.only) if options.behind else probes(options.only)
    else:
        found = {name: outcome(model) for name, model in models().items()}
    tally = Counter(found.values())
    bad = {name: what for name, what in found.items() if what.startswith(("WRONG", "CRASH"))}
    table = {
        "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        "python": platform.python_version(),
        "onnx": onnx.__version__,
        "onnxruntime": onnxruntime.__version__,
        "models": len(found),
        "tally": dict(tally.most_common()),
        "bad": bad,
    }
    text = json.dumps(table, indent=1)
    print(text)
    if options.out:
        options.out.write_text(text + "\n", "utf-8")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
