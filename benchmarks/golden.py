"""Golden models under mistakes and under optimizers: what the pytest plugin catches, and what it passes.

    python benchmarks/golden.py [--corpus FOLDER] [--models 20] [--seeds 20] [--out benchmarks/results/golden-DATE.md]

Each model of ``models/``, and some of FOLDER, is recorded as `onnx_golden.check` records it. Then

- mistakes are made in those of ``models/``: one of each seed of `exact_mistakes`, a norm that is folded into its
  convolution in a wrong way, and a version of operators that is stated without a conversion. What the plugin passes is
  given to the exact check, which says whether the mistake changes what is computed at all;
- all are rewritten by onnxslim, onnxsim and onnxscript's optimizer, and converted to other versions of operators. What
  the plugin does not pass is given to `onnx_n2n.verify`, and to the exact check (extra ``benchmarks``).
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper, version_converter

sys.path.insert(0, str(Path(__file__).parent))

from exact import REWRITES, rewritten
from exact_mistakes import KINDS, changed

import onnx_n2n
from onnx_n2n.errors import N2NError
from onnx_n2n.testing import Goldens

MODELS = Path(__file__).parents[1] / "models"
LARGEST = 1 << 20  # bytes of a model of the corpus
LIMIT = 120  # seconds for a rewrite
NEWER = (18, 23)  # versions of operators that models are converted to

PAGE = """# Golden models

{date}, `python benchmarks/golden.py`; {machine}; {versions}.

Each model is recorded as `onnx_golden.check(model)` does it. One check takes {passing:.2f} CPU seconds where it passes,
and {failing:.2f} where it fails and is located (medians).

## Mistakes

{mistakes} mistakes in the five models of `models/`: {caught} caught. Of the {passed} that passed, the exact check says:
{verdicts}. With `exact=True`, a check fails where the exact check does not say *equal*.
A number that a kind moves by little is moved by 1e-2 of itself: less is what rounding may do.

| kind | made | caught | passed, and change nothing | passed |
| --- | --- | --- | --- | --- |
{table}

What passed, and is not shown to change nothing:

{left}

## Rewrites

| by | rewritten | passed | not passed | not rewritten |
| --- | --- | --- | --- | --- |
{rewrites}

What did not pass, or was not rewritten:

{rest}

Models of the corpus: {models}.
"""


@dataclass(frozen=True)
class Checked:
    """What came of one check: what was done to which model, and what the plugin said; empty if it passes."""

    model: str
    what: str
    where: str
    said: str
    seconds: float
    more: str = ""


def golden(folder: Path, name: str, *, update: bool) -> Goldens:
    """Return what the fixture is in a test of a model."""
    return Goldens(folder, ("test_it",), f"test_it.py::test_it[{name}]", update=update, on_record=lambda _: None)


def check(folder: Path, name: str, model: Path | onnx.ModelProto, what: str, where: str = "") -> Checked:
    """Hold a model against what is recorded."""
    started, said = time.process_time(), ""
    try:
        golden(folder, name, update=False).check(model)
    except AssertionError as error:
        said = str(error)
    return Checked(name, what, where, said, time.process_time() - started)


def folded(model: onnx.ModelProto, wrong: Callable[[dict[str, np.ndarray]], None]) -> onnx.ModelProto | None:
    """Fold the first norm behind a convolution into it, by numbers that are changed before; None without one."""
    found = onnx.ModelProto.FromString(model.SerializeToString())
    graph = found.graph
    tensors = {each.name: each for each in graph.initializer}
    makers = {node.output[0]: node for node in graph.node if node.op_type == "Conv"}
    for norm in graph.node:
        if norm.op_type != "BatchNormalization" or norm.input[0] not in makers:
            continue
        conv = makers[norm.input[0]]
        if not tensors.keys() >= {*conv.input[1:], *norm.input[1:]}:
            continue
        names = ("scale", "bias", "mean", "variance")
        numbers = {name: numpy_helper.to_array(tensors[each]) for name, each in zip(names, norm.input[1:], strict=True)}
        numbers["weight"] = numpy_helper.to_array(tensors[conv.input[1]])
        numbers["epsilon"] = np.float32(next((each.f for each in norm.attribute if each.name == "epsilon"), 1e-5))
        numbers["before"] = numpy_helper.to_array(tensors[conv.input[2]]) if len(conv.input) > 2 else np.float32(0)
        wrong(numbers)
        share = numbers["scale"] / np.sqrt(numbers["variance"] + numbers["epsilon"])
        weight = numbers["weight"] * share.reshape(-1, *[1] * (numbers["weight"].ndim - 1))
        bias = (numbers["before"] - numbers["mean"]) * share + numbers["bias"]
        graph.initializer.extend(numpy_helper.from_array(each.astype(np.float32), name)
                                 for name, each in (("folded_w", weight), ("folded_b", bias)))  # fmt: skip
        conv.input[:] = [conv.input[0], "folded_w", "folded_b"]
        conv.output[0] = norm.output[0]
        graph.node.remove(norm)
        return found
    return None


FOLDS: dict[str, Callable[[dict[str, np.ndarray]], None]] = {
    "a norm folded with epsilon 1e-3": lambda numbers: numbers.update(epsilon=np.float32(1e-3)),
    "a norm folded without its mean": lambda numbers: numbers.update(mean=0 * numbers["mean"]),
    "a norm folded without its bias": lambda numbers: numbers.update(bias=0 * numbers["bias"]),
    "a norm folded with the scale of the next channel": lambda n: n.update(scale=np.roll(n["scale"], 1)),
    "a norm folded with a variance for a deviation": lambda n: n.update(variance=n["variance"] ** 2),
}


def mistakes(model: onnx.ModelProto, seeds: range) -> Iterator[tuple[str, str, onnx.ModelProto]]:
    """Yield wrong models, each with the kind of its mistake and where it is."""
    for seed in seeds:
        kind = list(KINDS)[seed % len(KINDS)]
        if (made := changed(model, kind, seed, large=True)) is not None:
            yield kind, made[1], made[0]
    for kind, wrong in FOLDS.items():
        if (found := folded(model, wrong)) is not None:
            yield kind, "", found
    for opset in (7, 11, 13, 17):
        found = onnx.ModelProto.FromString(model.SerializeToString())
        for each in found.opset_import:
            if not each.domain and each.version != opset:
                each.version = opset
                yield "a version of operators, stated without a conversion", str(opset), found


def explained(teacher: Path, student: Path | onnx.ModelProto) -> str:
    """Return what the exact check says."""
    try:
        return onnx_n2n.exact.check(str(teacher), student).state
    except Exception as error:
        return f"not checked: {type(error).__name__}"


def caught(folder: Path, names: dict[str, Path], seeds: int) -> list[Checked]:
    """Check all mistakes."""
    found = []
    for number, (name, path) in enumerate(names.items()):
        for kind, where, wrong in mistakes(onnx.load(path), range(number * seeds, (number + 1) * seeds)):
            each = check(folder, name, wrong, kind, where)
            more = "" if each.said else explained(path, wrong)
            found.append(Checked(name, kind, where, each.said, each.seconds, more))
            print(name, kind, "caught" if each.said else f"passed: {more}", f"{each.seconds:.2f}", flush=True)
    return found


def rewrite(path: Path, by: str, out: Path) -> str:
    """Rewrite a model into a file, in a process of its own; return why not."""
    warnings.simplefilter("ignore")
    try:
        model = onnx.load(path)
        onnx.save(
            version_converter.convert_version(model, int(by.split()[-1])) if by.startswith("opset")
            else rewritten(model, by), out
        )  # fmt: skip
    except Exception as error:
        return f"{type(error).__name__}: {' '.join(str(error).split())[:120].strip()}"
    return ""


def passed(folder: Path, names: dict[str, Path], out: Path) -> list[Checked]:
    """Check all rewrites."""
    found = []
    pool = ProcessPoolExecutor(1, get_context("spawn"))
    for by in (*REWRITES, *(f"opset {number}" for number in NEWER)):
        for number, (name, path) in enumerate(names.items()):
            student = out / f"{number}-{by}.onnx"
            try:
                refused = pool.submit(rewrite, path, by, student).result(LIMIT)
            except (BrokenProcessPool, TimeoutError) as failure:
                refused = f"its process ended: {type(failure).__name__}"
                pool = ProcessPoolExecutor(1, get_context("spawn"))
            if refused:
                found.append(Checked(name, by, "not rewritten", refused, 0.0))
                continue
            each = check(folder, name, student, by)
            if each.said:
                each = Checked(name, by, "", each.said, each.seconds, judged(path, student))
            found.append(each)
            print(name, by, each.said or "passed", each.more, flush=True)
    pool.shutdown()
    return found


def judged(teacher: Path, student: Path) -> str:
    """Return what runs of both models say, and the exact check."""
    try:
        run = onnx_n2n.verify(str(teacher), str(student)).short
    except N2NError as error:
        run = str(error)
    return f"`verify`: {run}; exact check: {explained(teacher, student)}"


def recorded(folder: Path, names: dict[str, Path]) -> dict[str, Path]:
    """Record models; return those that can be."""
    found = {}
    for name, path in names.items():
        try:
            golden(folder, name, update=True).check(path)
            found[name] = path
        except AssertionError as error:
            print(name, "not recorded:", error, flush=True)
    return found


def said(each: Checked) -> str:
    """Return what a failure says, on one line, without its first line and what to do."""
    return "; ".join(line.strip() for line in each.said.splitlines()[1:-1])


def page(wrong: list[Checked], rewrites: list[Checked], corpus: list[str]) -> str:
    """Return the results in Markdown."""
    kinds = dict.fromkeys(each.what for each in wrong)
    rows = []
    for kind in kinds:
        of = [each for each in wrong if each.what == kind]
        states = Counter("caught" if each.said else each.more for each in of)
        left = len(of) - states["caught"] - states["equal"]
        rows.append(f"| {kind} | {len(of)} | {states['caught']} | {states['equal']} | {left} |")
    verdicts = Counter(each.more for each in wrong if not each.said)
    left = [
        f"- {each.model}: {each.what} ({each.where}); exact check: {each.more}"
        for each in wrong
        if not each.said and each.more != "equal"
    ]
    table, rest = [], []
    for by in dict.fromkeys(each.what for each in rewrites):
        of = [each for each in rewrites if each.what == by]
        out = [each for each in of if each.where == "not rewritten"]
        bad = [each for each in of if each.said and each not in out]
        done = len(of) - len(out)
        table.append(f"| {by} | {done} | {done - len(bad)} | {len(bad)} | {len(out)} |")
        rest += [f"- {by}, {each.model}, not rewritten: {each.said}" for each in out]
        rest += [f"- {by}, {each.model}: {said(each)} ({each.more})" for each in bad]
    both = [each for each in (*wrong, *rewrites) if each.seconds]
    times = [[each.seconds for each in both if bool(each.said) is fails] for fails in (False, True)]
    passing, failing = (float(np.median(each)) if each else 0.0 for each in times)
    packages = ("onnx", "onnxruntime-gpu", "onnxslim", "onnxsim", "onnxscript")
    return PAGE.format(
        date=datetime.datetime.now(datetime.UTC).date(),
        machine=f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}",
        versions=", ".join(f"{name} {version(name)}" for name in packages),
        passing=passing, failing=failing, mistakes=len(wrong), caught=sum(bool(each.said) for each in wrong),
        passed=sum(not each.said for each in wrong),
        verdicts=", ".join(f"{count} {state}" for state, count in verdicts.most_common()) or "nothing",
        table="\n".join(rows), left="\n".join(left) or "- nothing", rewrites="\n".join(table),
        rest="\n".join(rest) or "- nothing", models=", ".join(corpus) or "none",
    )  # fmt: skip


def main() -> None:
    """Record, check, print, and write if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--corpus", type=Path)
    parser.add_argument("--models", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    own = {path.stem: path for path in sorted(MODELS.glob("*.onnx"))}
    others: dict[str, Path] = {}
    if options.corpus:
        small = sorted(path for path in options.corpus.rglob("*.onnx") if path.stat().st_size <= LARGEST)
        some = small[:: max(1, len(small) // options.models)][: options.models]
        others = {str(path.relative_to(options.corpus).with_suffix("")): path for path in some}
    with tempfile.TemporaryDirectory() as out:
        folder = Path(out, "golden")
        names = recorded(folder, own | others)
        rewrites = passed(folder, names, Path(out))
        wrong = caught(folder, {name: path for name, path in names.items() if name in own}, options.seeds)
    text = page(wrong, rewrites, [name for name in names if name not in own])
    print(text)
    if options.out:
        options.out.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
