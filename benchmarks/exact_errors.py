"""Seeded errors in students of real models: which of them the exact check calls equal.

    python benchmarks/exact_errors.py 1000 [--corpus FOLDER] [--largest BYTES] [--slowest SECONDS] [--workers 2]
        [--seed 0] [--explain] [--out FILE]

Students of ``models/`` and of the smallest models in FOLDER are grown in four ways. Each seed makes one error of one
kind (`exact_mistakes.KINDS`) in one of them. An error that is called equal is made again, larger, and both students
are run by the reference implementation of the onnx package in doubles: what changes an output is a false "equal".
The table also says how many of the same errors a run in ONNX Runtime lets pass.

Residues that differ are never called equal, so the search for an input that shows a difference, which takes most of
the time, is left out unless ``--explain`` asks for it. Exit code 1 if there is a false "equal".
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import onnx

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).parent))

from exact_mistakes import KINDS, changed
from exact_reference import moved

import onnx_n2n
from helpers.patience import TooLong, patience
from onnx_n2n import exact
from onnx_n2n.exact import pair
from onnx_n2n.exact.undecided import Undecided

MODELS = Path(__file__).parents[1] / "models"
WAYS: dict[str, Callable[..., Any]] = {
    "widen": lambda source, **options: onnx_n2n.widen(source, 1.5, **options),
    "net2net": lambda source, **options: onnx_n2n.widen(source, 1.5, init="net2net", **options),
    "deepen": onnx_n2n.deepen,
    "run": lambda source, **options: onnx_n2n.run(source, "widen{factor=1.5},deepen{count=1}", **options),
}
LIMIT = 20  # seconds of a processor for one student or error
TOLERANCE = 1e-9  # relative to the largest number of an output, between two runs in doubles


@dataclass(frozen=True)
class Student:
    """A student that the exact check calls equal.

    Args:
        name: The teacher's name and the growth.
        teacher: The teacher's file.
        file: The student's file.
        record: Its growth record.
        seconds: How long the check of the student took.
    """

    name: str
    teacher: Path
    file: Path
    record: Path
    seconds: float


@contextlib.contextmanager
def unexplained() -> Iterator[None]:
    """Leave out the search for a witness: residues that differ are reason enough not to say equal."""
    found = exact.Verdict("undecided", reason="residues differ")
    with mock.patch.object(pair.Pair, "explained", return_value=found):
        yield


def grown(teacher: Path, growth: str, folder: Path) -> dict[str, Any]:
    """Grow a model and check it; return what a `Student` is made of, or why there is none."""
    folder.mkdir(parents=True)
    file, record = folder / "student.onnx", folder / "growth.safetensors"
    try:
        with patience(LIMIT):
            result = WAYS[growth](teacher, output=file, verify=False)
            if not file.exists():
                return {"left": "not grown"}
            result.growth.save(record)
            with unexplained():
                verdict = exact.check(teacher, file, record=record)
    except TooLong:
        return {"left": "too slow"}
    except Exception as error:
        return {"left": f"not grown: {error}"[:200]}
    if verdict.state != "equal":
        return {"left": f"{verdict.state}: {verdict.reason}"[:200]}
    paths = {"teacher": str(teacher), "file": str(file), "record": str(record)}
    return {"name": f"{teacher.stem} {growth}", **paths, "seconds": verdict.seconds}


def trial(seed: int, students: list[Student], explain: bool = False) -> dict[str, Any]:
    """Make one error: return what the exact check and the run said of it."""
    kind = list(KINDS)[seed % len(KINDS)]
    order = np.random.default_rng(seed).permutation(len(students))
    for student in (students[place] for place in order):
        sound = onnx.load(student.file)
        made = changed(sound, kind, seed, large=False)
        if made is not None:
            break
    else:
        return {"seed": seed, "kind": kind, "state": "no place"}
    wrong, where = made
    row: dict[str, Any] = {"seed": seed, "kind": kind, "student": student.name, "where": where}
    try:
        with patience(LIMIT), contextlib.nullcontext() if explain else unexplained():
            verdict = exact.check(student.teacher, wrong, record=student.record)
        row |= {"state": verdict.state, "reason": verdict.reason, "seconds": verdict.seconds}
        if verdict.reason == "residues differ":
            row["state"] = "unequal residues"
    except TooLong:
        return row | {"state": "too slow"}
    except Undecided as error:
        return row | {"state": "undecided", "reason": str(error)}
    except Exception as error:
        return row | {"state": "crashed", "reason": f"{type(error).__name__}: {error}"}
    if verdict.state == "equal":
        again = changed(sound, kind, seed, large=True)
        assert again is not None
        row["judged"] = judged(sound, again[0], verdict.shapes)
    try:
        with patience(LIMIT):
            row["run"] = "passes" if onnx_n2n.verify(student.teacher, wrong, time_limit=20) else "rejects"
    except TooLong:
        row["run"] = "too slow"
    except Exception as error:
        row["run"] = f"does not run: {type(error).__name__}"
    return row


def judged(sound: onnx.ModelProto, larger: onnx.ModelProto, shapes: Any) -> str:
    """Say whether an error that was made larger changes an output, by the reference implementation in doubles."""
    try:
        with patience(3 * LIMIT):
            by = moved(sound, larger, shapes)
    except TooLong:
        return "unknown: too slow"
    except Exception as error:
        return f"unknown: {type(error).__name__}: {str(error)[:200]}"
    return "no change" if by <= TOLERANCE else f"FALSE EQUAL: an output moves by {by:.1e}"


def teachers(corpus: Path | None, largest: int) -> list[Path]:
    """Return the models of a folder that are not too large, smallest first, then those of ``models/``."""
    found = [] if corpus is None else [each for each in corpus.rglob("*.onnx") if each.stat().st_size <= largest]
    return sorted(found, key=lambda each: each.stat().st_size) + sorted(MODELS.glob("*.onnx"))


def work(pipe: Any) -> None:
    """Answer calls until there are no more."""
    import warnings

    warnings.simplefilter("ignore")
    while (call := pipe.recv()) is not None:
        name, arguments = call
        pipe.send(globals()[name](*arguments))


def answers(calls: list[tuple[str, tuple[Any, ...]]], workers: int) -> Iterator[tuple[int, Any]]:
    """Yield the results of calls, with their places, as they come; None from one that ended its process."""
    context = multiprocessing.get_context("spawn")
    left = list(enumerate(calls))[::-1]
    busy: dict[Any, tuple[Any, int]] = {}

    def begin(pipe: Any = None, process: Any = None) -> None:
        if not left:
            if pipe is not None:
                pipe.send(None)
            return
        if pipe is None:
            pipe, theirs = context.Pipe()
            process = context.Process(target=work, args=(theirs,), daemon=True)
            process.start()
            theirs.close()
        place, call = left.pop()
        pipe.send(call)
        busy[pipe] = process, place

    for _ in range(workers):
        begin()
    while busy:
        for pipe in multiprocessing.connection.wait(list(busy)):
            process, place = busy.pop(pipe)
            try:
                found = pipe.recv()
            except EOFError:
                found, pipe = None, None
            yield place, found
            begin(pipe, process)


def table(rows: list[dict[str, Any]]) -> str:
    """Return what became of the errors of each kind, in Markdown."""
    by: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        by[row["kind"]].append(row)
    lines = [
        "| error | made | not equal | equal, and changes nothing | false equal | the run passes |",
        "|---|---|---|---|---|---|",
    ]
    for kind in KINDS:
        made = [row for row in by[kind] if "student" in row]
        equal = [row for row in made if row["state"] == "equal"]
        same = sum(row["judged"] == "no change" for row in equal)
        false = sum(row["judged"].startswith("FALSE") for row in equal)
        passes = sum(row.get("run") == "passes" and row not in equal for row in made)
        lines.append(f"| {kind} | {len(made)} | {len(made) - len(equal)} | {same} | {false} | {passes} |")
    return "\n".join(lines)


def tally(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return how many of each outcome there are."""
    made = [row for row in rows if "student" in row]
    judged = Counter(row["judged"].split(":")[0] for row in made if "judged" in row)
    return {
        "errors": len(made),
        "kinds": len({row["kind"] for row in made}),
        "students": len({row["student"] for row in made}),
        "states": Counter(row["state"] for row in made),
        "equal": judged,
        "run, of those not equal": Counter(row.get("run", "not run") for row in made if row["state"] != "equal"),
    }


def main() -> int:
    """Grow students, make errors, print what became of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("number", type=int, nargs="?", default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--corpus", type=Path)
    parser.add_argument("--largest", type=int, default=3_000_000)
    parser.add_argument("--slowest", type=float, default=10, help="leave out students whose check takes longer")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--explain", action="store_true", help="look for an input that shows a difference")
    parser.add_argument("--students", type=Path, help="a folder to keep students in, from one run to the next")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory() as temporary:
        students, left = kept(options, options.students or Path(temporary))
        print(json.dumps({"students": len(students), "left out": left}), flush=True)
        seeds = range(options.seed, options.seed + options.number)
        calls = [("trial", (seed, students, options.explain)) for seed in seeds]
        rows = []
        for place, found in answers(calls, options.workers):
            seed = seeds[place]
            row = found or {"seed": seed, "kind": list(KINDS)[seed % len(KINDS)], "state": "the process ended"}
            rows.append(row)
            if row["state"] in {"equal", "crashed", "the process ended", "too slow"}:
                print(json.dumps(row), flush=True)
            if options.out and len(rows) % 50 == 0:
                options.out.write_text(json.dumps({"tally": tally(rows), "rows": rows}, indent=1) + "\n")
    rows.sort(key=lambda row: row["seed"])
    print(table(rows))
    print(json.dumps(tally(rows)))
    if options.out:
        options.out.write_text(json.dumps({"tally": tally(rows), "rows": rows}, indent=1) + "\n")
    return int(any(row.get("judged", "").startswith("FALSE") for row in rows))


def kept(options: argparse.Namespace, folder: Path) -> tuple[list[Student], Counter[str]]:
    """Return the students, and why others were left out; those of an earlier run are read again."""
    notes = folder / "students.json"
    if not notes.exists():
        started = time.monotonic()
        folder.mkdir(parents=True, exist_ok=True)
        places = list(enumerate(teachers(options.corpus, options.largest)))
        calls = [
            ("grown", (path, list(WAYS)[place % len(WAYS)], folder.resolve() / f"{place}")) for place, path in places
        ]
        found = [each for _, each in sorted(answers(calls, options.workers), key=lambda pair: pair[0])]
        rows = [each or {"left": "the process ended"} for each in found]
        notes.write_text(json.dumps(rows, indent=1) + "\n")
        print(f"grown in {time.monotonic() - started:.0f} s", file=sys.stderr)
    rows = json.loads(notes.read_text())
    students = [
        Student(each["name"], Path(each["teacher"]), Path(each["file"]), Path(each["record"]), each["seconds"])
        for each in rows
        if "left" not in each
    ]
    left = Counter(each["left"].split(":")[0] for each in rows if "left" in each)
    quick = [each for each in students if each.seconds <= options.slowest]
    left["slow"] = len(students) - len(quick)
    return quick, left


if __name__ == "__main__":
    sys.exit(main())
