"""Random graphs of the wider kind, grown with verification off: which students are wrong, and which do not run.

    python benchmarks/random_graphs.py 10000 --seed 0
    python benchmarks/random_graphs.py 10000 --seed 0 --exact

Prints the seeds that fail, each with what failed and by how much, and a tally. ``--show SEED`` prints one teacher.
With ``--exact``, the exact check is asked about each student and about the same with one weight changed by a hundredth;
what fails is a student of which it says the opposite of the run. What it leaves undecided is told with reasons.
With ``--pieces``, teachers have pieces of known networks, such as U-Nets.
Exit code 1 if anything failed. A seed that ends the process, as some graphs do in ONNX Runtime, is told as well.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import re
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

Outcome = dict[str, Any]


def work(first: int, end: int, *, exact: bool, pieces: bool) -> None:
    """Try seeds, and print one line of JSON for each: as it begins, and what became of it."""
    from helpers.wild.trial import trial

    for seed in range(first, end):
        print(json.dumps({"began": seed}), flush=True)
        print(json.dumps(dataclasses.asdict(trial(seed, exact=exact, pieces=pieces))), flush=True)


def outcomes(first: int, end: int, *, exact: bool, pieces: bool) -> Iterator[Outcome]:
    """Try seeds in a process of their own, and in another one after each that ends it."""
    environment = {"OMP_NUM_THREADS": "1", "ONNX_N2N_RAISE": "1", **os.environ}
    while first < end:
        flags = [flag for flag, given in (("--exact", exact), ("--pieces", pieces)) if given]
        command = [sys.executable, __file__, "--worker", str(first), str(end), *flags]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as worker:
            assert worker.stdout is not None
            for line in worker.stdout:
                found = json.loads(line)
                if "began" in found:
                    first = found["began"]
                else:
                    yield found
                    first += 1
        if first < end:
            why = f"the process ended with code {worker.returncode}"
            yield {"seed": first, "uncounted": why, "failures": [], "agreements": []}
            first += 1


def general(why: str) -> str:
    """Return an operator and a reason without the names and numbers of one model."""
    return re.sub(r"[0-9][0-9.,e+-]*%?", "#", re.sub(r"'[^']*'", "…", why))


def main() -> int:
    """Run all of them and print a tally."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("number", type=int, nargs="?", default=1000)
    parser.add_argument("--seed", type=int, default=0, help="the first seed; the others follow")
    parser.add_argument("--exact", action="store_true", help="compare the exact check with the run")
    parser.add_argument("--pieces", action="store_true", help="with pieces of known networks")
    parser.add_argument("--show", type=int, metavar="SEED")
    parser.add_argument("--worker", type=int, nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(*options.worker, exact=options.exact, pieces=options.pieces)
        return 0
    if options.show is not None:
        import onnx

        from helpers.wild.teacher import teacher

        print(onnx.printer.to_text(teacher(options.show, pieces=options.pieces)))
        return 0
    tally: Counter[str] = Counter()
    verdicts: Counter[str] = Counter()
    undecided: Counter[str] = Counter()
    seconds, first = [], options.seed
    for found in outcomes(first, first + options.number, exact=options.exact, pieces=options.pieces):
        tally["seeds"] += 1
        if tally["seeds"] % (50 if options.exact else 500) == 0:
            print(json.dumps(tally), file=sys.stderr, flush=True)
        if found["uncounted"]:
            tally["not counted"] += 1
            if "process" in found["uncounted"]:
                print(found["seed"], found["uncounted"], flush=True)
                tally["process ended"] += 1
            continue
        tally.update({"counted": 1, "students": found["ways"], "groups grown": found["grown"]})
        tally["teachers in which something grew"] += bool(found["grown"])
        tally["failed"] += bool(found["failures"])
        for each in found["agreements"]:
            student = "changed" if each["changed"] else "students"
            verdicts[f"{student}: run {'wrong' if each['failure'] else 'same'}, check {each['state']}"] += 1
            if not each["changed"]:
                seconds.append(each["seconds"])
                if each["state"] == "undecided":
                    undecided[general(each["why"])] += 1
                    print(found["seed"], each["way"], each["why"], file=sys.stderr, flush=True)
        for failure in found["failures"]:
            print(found["seed"], failure, flush=True)
    print(json.dumps(tally))
    if options.exact:
        print(json.dumps(verdicts, indent=1))
        print(f"median {statistics.median(seconds or [0]):.2f} s, longest {max(seconds, default=0):.1f} s")
        for why, times in undecided.most_common():
            print(f"{times:6} {why}")
    return 1 if tally["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
