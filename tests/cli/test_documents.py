"""What programs read: every field of a ``--json`` document is on docs/json.md, and all that people read is in it."""

from __future__ import annotations

import contextlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import Result
from onnx.numpy_helper import to_array

from helpers.calling import MODELS, call, net
from helpers.graphs import model
from helpers.needing import needs
from onnx_n2n.checkpoint.moments import Pulled
from onnx_n2n.passes.leaving_out import LeftOut
from onnx_n2n.record.obstacles import Obstacle, followable
from onnx_n2n.record.settings import Setting
from onnx_n2n.reporting.difference import Changed
from onnx_n2n.verification.decisions import Named
from onnx_n2n.verification.interfaces import Difference
from onnx_n2n.verification.localise import Wrong
from onnx_n2n.verification.randomness import Random
from onnx_n2n.words import in_bytes

PAGE = (Path(__file__).parents[2] / "docs" / "json.md").read_text("utf-8")
NUMBER = re.compile(r"(?<![\w.-])\d[\d,]*(?:\.\d+)?(?:e[+-]\d+)?(?![\w])")


def documented() -> dict[str, frozenset[str]]:
    """Return the fields on the page, by the commands of a section, or the name of an object."""
    found: dict[str, frozenset[str]] = {}
    for section in PAGE.split("\n## ")[1:]:
        title, _, text = section.partition("\n")
        rows = re.findall(r"^\| (`.*?) \|", text, re.MULTILINE)
        fields = frozenset(name for row in rows for name in re.findall("`(.*?)`", row))
        for name in re.findall("`(.*?)`", title) or ["every"]:
            found[name] = fields
    return found


FIELDS = documented()
OBJECTS = ("verification", "exact", "clones")


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield what is in a document, with its path."""
    if isinstance(value, dict):
        for key, entry in value.items() or [("*", None)]:
            yield from leaves(entry, f"{path}.{key}".lstrip("."))
    elif isinstance(value, list):
        for entry in value or [None]:
            yield from leaves(entry, f"{path}[]")
    else:
        yield path, value


def is_documented(path: str, command: str) -> bool:
    for name in OBJECTS:
        head, inside, rest = path.partition(f"{name}.")
        if inside and (not head or head.endswith(".")):
            return is_among(rest, FIELDS[name])
    return is_among(path, FIELDS[command] | FIELDS["every"])


def is_among(path: str, fields: Iterable[str]) -> bool:
    """Say whether a field is listed, or fields inside of it are, as of a list that is empty."""
    return any(
        re.fullmatch(re.escape(field).replace(r"\*", ".*"), path) or field.startswith(f"{path}.") for field in fields
    )


def spelt(document: Any) -> set[str]:
    """Return all ways in which the text may spell the numbers of a document, and the lengths of its lists."""
    found: set[str] = set()
    for value in numbers(document):
        found |= {f"{value:{spec}}" for spec in ("", ",", "g", ".1e", ".2f", ".0f", ",.0f")}
    return found | {",".join(map(str, each)) for each in shapes(document)}


def shapes(value: Any) -> Iterator[list[int]]:
    if isinstance(value, list) and all(isinstance(entry, int) for entry in value):
        yield value
    elif isinstance(value, dict | list):
        for entry in value.values() if isinstance(value, dict) else value:
            yield from shapes(entry)


def numbers(value: Any) -> Iterator[float]:
    if isinstance(value, dict | list):
        yield len(value)
        for entry in value.values() if isinstance(value, dict) else value:
            yield from numbers(entry)
    elif isinstance(value, int | float):
        yield value


def derived(document: dict[str, Any]) -> set[str]:
    """Return what the text computes: how many times as much there is, what part of it, and how many are alike."""
    found = {f"{count:,}" for count in alike(document)}
    for group in document.get("groups", ()) if document["schema"] == "onnx-n2n.inspect" else ():
        found.add(f"{100 * group['parameters_to_double'] / document['parameters']:.1f}")
    for size in (document.get("estimate") or {}).values():
        found.add(in_bytes(size).split()[0])
    if isinstance(sizes := document.get("parameters"), dict):
        found.add(f"{sizes['after'] / sizes['before']:.2f}")
    for each in document.get("candidates", ()):
        for side, before in ((each["parameters"], document["parameters"]),
                             (each["multiply_adds"], document["multiply_adds"]["total"])):  # fmt: skip
            found |= set() if side is None else {f"{side / before:.2f}"}
    return found


def alike(value: Any) -> Iterator[int]:
    """Yield how many entries of a list agree in one field, or in two."""
    if isinstance(value, dict):
        for entry in value.values():
            yield from alike(entry)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        flat = [{key: str(part) for key, part in entry.items()} for entry in value]
        for fields in {tuple(sorted(pair)) for entry in flat for pair in product(entry, entry)}:
            yield from Counter(tuple(entry.get(field) for field in fields) for entry in flat).values()
        for entry in value:
            yield from alike(entry)


def words(text: str) -> set[str]:
    return {word.strip("'\"(),:;").removesuffix(".") for word in text.split()}


def names_of(file: Path) -> set[str]:
    """Return all names in a model that are no words of the language."""
    graph = onnx.load(file).graph
    found = {name for node in graph.node for name in (node.name, *node.output)}
    found |= {each.name for each in graph.initializer}
    return {name for name in found if re.search(r"[._/\d]", name)}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Result, Result]]:
    """Run a line once as it is and once for a document, in a folder with some models."""
    folder = tmp_path_factory.mktemp("documents")
    with contextlib.chdir(folder):
        prepare(folder)

    @cache
    def run(line: str) -> tuple[Result, Result]:
        with contextlib.chdir(folder):
            return call(*line.split()), call(*line.split(), "--json")

    return run


def prepare(folder: Path) -> None:
    onnx.save(net(), "net.onnx")
    broken = net()
    broken.graph.initializer[1].raw_data = (2 * to_array(broken.graph.initializer[1])).tobytes()
    onnx.save(broken, "other.onnx")
    onnx.save(model("y = Relu(x)", "float[N,3] x", "y"), "nothing.onnx")
    np.savez("zeros.npz", x=np.zeros((1, 3, 6, 6), np.float32))
    for name in ("resnet", "densenet"):
        (folder / f"{name}.onnx").write_bytes((MODELS / f"{name}.onnx").read_bytes())
    call("widen", "resnet.onnx", "--factor", 1.3, "--record", "record", "-o", "wide.onnx", "--no-verify")
    onnx.save(model("a = RandomNormalLike(x) y = Add(x, a) z = Relu(x)", "float[N,3] x", "y, z"), "random.onnx")
    renamed = net()
    renamed.graph.input[0].name = renamed.graph.node[0].input[0] = "other"
    onnx.save(renamed, "renamed.onnx")
    perceptron = model("h = MatMul(x, w) y = Relu(h)", "float[N,3] x", "y", w=(3, 4))
    onnx.save(perceptron, "perceptron.onnx")
    perceptron.graph.initializer[0].raw_data = (2 * to_array(perceptron.graph.initializer[0])).tobytes()
    onnx.save(perceptron, "wrong.onnx")
    onnx.save(model("h = MatMul(x, w) y = NoSuch(h)", "float[N,3] x", "y", w=(3, 4)), "unknown.onnx")
    call("run", "net.onnx", "-p", "widen{factor=1.01},deepen", "-o", "idle.onnx")
    call("export", "resnet.onnx", "--to", "safetensors", "-o", "weights")


LINES = """
inspect resnet.onnx
inspect nothing.onnx
inspect resnet.onnx --clones
inspect densenet.onnx
log net.onnx
log wide.onnx
widen resnet.onnx --factor 1.3 -o out.onnx --force --record growth
widen net.onnx -o out.onnx --force --no-verify
widen net.onnx --init net2net --noise 0 -o out.onnx --force --exact
widen net.onnx --inputs zeros.npz -o out.onnx --force
widen net.onnx -o dry.onnx --dry-run --record planned
widen nothing.onnx
deepen resnet.onnx --count 2 -o out.onnx --force
enlarge resnet.onnx -o out.onnx --force
cut resnet.onnx --before logits --free-batch -o out.onnx --force
run resnet.onnx -p widen{factor=1.2},deepen{count=1} -o out.onnx --force
verify resnet.onnx wide.onnx
verify net.onnx other.onnx
verify net.onnx net.onnx --inputs zeros.npz
diff resnet.onnx wide.onnx
diff net.onnx other.onnx
diff net.onnx random.onnx
diff net.onnx net.onnx
explore net.onnx --budget params=2x -o found --force
explore net.onnx --budget macs=2x -o found --force --no-verify
export resnet.onnx --to safetensors -o weights --force
grow-checkpoint weights/weights.safetensors --record record -o grown.safetensors --force
join record -o joined --force
log idle.onnx
run net.onnx -p widen{factor=1.01},deepen -o out.onnx --force
verify random.onnx random.onnx
verify net.onnx renamed.onnx
verify perceptron.onnx perceptron.onnx --exact
verify perceptron.onnx wrong.onnx --exact
verify perceptron.onnx unknown.onnx --exact
verify net.onnx renamed.onnx --exact
verify perceptron.onnx perceptron.onnx --exact --trace
verify perceptron.onnx wrong.onnx --exact --trace
""".strip().splitlines()
GROW = next(line for line in LINES if line.startswith("grow-checkpoint"))
TORCH = ["export resnet.onnx --to torch -o module --force", f"{GROW} --teacher resnet.onnx --student wide.onnx"]
WRONG = ("widen nothing.onnx",)


# What takes a bug, or a network of a special kind.
OF_RECORDS = {
    "settings": [Setting("norm", "epsilon", 1e-5, 2e-5).to_json()],
    "followable": followable([Obstacle("a reason", "a hint")]),
}
RARE: list[tuple[str, dict[str, Any]]] = [
    ("widen", OF_RECORDS | {"left_out": [LeftOut("group", "node", "Conv", "out", "wrong", "net.onnx", ()).to_json()]}),
    ("join", OF_RECORDS),
    ("diff", {name: [asdict(Changed("f", None, "2"))] for name in ("functions", "header", "metadata", "opsets")}),
    ("grow-checkpoint", OF_RECORDS | {"moments": Pulled().to_json()}),
    ("export", {"guessed": [{"name": "table", "as": "constant", "because": "a table of sines"}]}),
    ("verify", {"verification": {
        "wrong": asdict(Wrong("tensor", "node", "Conv", "off")), "random": [asdict(Random("y", "node", "Dropout"))],
        "as_evaluated": [asdict(Named("node", "Dropout"))], "rounded": [asdict(Named("node", "TopK"))],
        "differences": [asdict(Difference("input", "x", "missing"))],
    }, "exact": {"beyond": [{"node": "node", "operator": "Exp"}], "relations": [{"axes": [[0, 1]]}]}}),
]  # fmt: skip


@pytest.mark.parametrize("line", LINES + TORCH)
def test_the_document_says_what_the_text_says_and_the_page_describes_it(
    outcomes: Callable[[str], tuple[Result, Result]], line: str
) -> None:
    if line in TORCH:
        needs("torch")
    text, outcome = outcomes(line)
    assert outcome.exit_code == text.exit_code
    document = json.loads(outcome.stdout)
    command = line.split()[0]
    assert document["schema"] == f"onnx-n2n.{command}"
    unknown = {path for path, _ in leaves(document) if not is_documented(path, command)}
    assert not unknown, f"docs/json.md does not describe {sorted(unknown)}"
    assert (document["error"] is None) == (line not in WRONG)
    if document["error"]:
        assert document["error"]["code"] == text.exit_code
        return
    # What is tried depends on the time, and each run of the exact check draws its primes.
    said = re.sub(r"and \d+ more|Alike too.*|error below \S+|[\d.]+ s\b", "", text.stdout + text.stderr)
    strings = json.dumps(document)
    known = spelt(document) | derived(document) | set(NUMBER.findall(strings))
    missing = {number for number in NUMBER.findall(said) if number not in known}
    assert not missing, f"the document lacks {sorted(missing)} of\n{said}"
    names = {name for file in ("resnet", "densenet") for name in names_of(MODELS / f"{file}.onnx")}
    assert all(name in strings for name in words(said) & names)


def test_the_page_describes_no_field_that_is_not_there(
    outcomes: Callable[[str], tuple[Result, Result]],
) -> None:
    needs("torch")
    seen: dict[frozenset[str], set[str]] = {}
    documents = [(line.split()[0], json.loads(outcomes(line)[1].stdout)) for line in LINES + TORCH]
    for command, document in [*documents, *RARE]:
        seen.setdefault(FIELDS[command], set()).update(path for path, _ in leaves(document))
    everywhere = set().union(*seen.values())
    for section, fields in FIELDS.items():
        paths = seen.get(fields, everywhere)
        for field in fields:
            pattern = re.escape(field).replace(r"\*", ".*") + r"(\..*|\[\].*)?"
            inside = rf"(.*\.)?{section}\.{pattern}" if section in OBJECTS else pattern
            assert any(re.fullmatch(inside, path) for path in paths), (section, field)
