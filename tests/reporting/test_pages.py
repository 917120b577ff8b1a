"""Pages of ``--html``: what they say, that nothing in a model can become markup, and how files are written."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import onnx_n2n
from helpers.calling import MODELS, call, files, net
from helpers.evil import EVIL, evil
from helpers.graphs import STABLE, model
from helpers.random_nets import teachers
from onnx_n2n.costs.cost import multiply_adds
from onnx_n2n.graph.constants import parameters
from onnx_n2n.reporting.blocks import LONG, Block, blocks_of, paths_of
from onnx_n2n.reporting.html import embedded, render
from onnx_n2n.reporting.layers import of_one
from onnx_n2n.reporting.page import Page, page_of_pair

DATA = re.compile(r'<script id="data" type="application/json">(.*?)</script>', re.DOTALL)


def document(page: Path) -> dict[str, Any]:
    (found,) = DATA.findall(page.read_text("utf-8"))
    return json.loads(found)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    onnx.save(net(), "net.onnx")
    return tmp_path


PAGES = {
    "inspect": "inspect net.onnx",
    "diff": "diff net.onnx net.onnx",
    "verify": "verify net.onnx net.onnx",
    "verify --exact": "verify net.onnx net.onnx --exact",
    "widen": "widen net.onnx -o out.onnx",
    "deepen": "deepen net.onnx -o out.onnx --no-verify",
    "enlarge": "enlarge net.onnx -o out.onnx --no-verify --kernel 3x3",
    "run": "run net.onnx -p widen,deepen -o out.onnx --no-verify",
    "outputs": "widen net.onnx --outputs 5 -o out.onnx --no-verify",
}


@pytest.mark.parametrize("name", PAGES)
def test_every_command_that_makes_or_compares_models_writes_a_page(folder: Path, name: str) -> None:
    line = PAGES[name].split()
    if name == "outputs":
        onnx.save(model("y = MatMul(x, w)", "float[N,3] x", "y", w=(3, 4)), "net.onnx")
    outcome = call(*line, "--html", "page.html")
    assert outcome.exit_code == 0, outcome.output
    found = document(folder / "page.html")
    assert found["kind"] == line[0]
    assert {len(fact["sides"]) for fact in found["facts"][:3]} == {1 if name == "inspect" else 2}
    assert len(found["nodes"]) >= len(onnx.load(folder / "net.onnx").graph.node)
    assert found.get("ok") is (None if "no-verify" in " ".join(line) or name in ("inspect", "diff") else True)


def numbers(entries: list[Any]) -> Iterator[int]:
    for each in entries:
        yield from [each] if isinstance(each, int) else numbers(each[1])


@settings(STABLE, max_examples=15)
@given(teachers())
def test_the_tree_has_every_node_once_and_all_that_it_costs(teacher: onnx.ModelProto) -> None:
    opened = onnx_n2n.analyze(teacher).model
    found = of_one(opened)
    blocks = [each if isinstance(each, int) else each.to_json() for each in blocks_of(found.nodes)]
    assert sorted(numbers(blocks)) == list(range(len(found.nodes)))
    cost = multiply_adds(opened)
    assert sum(row.get("m", [0])[0] for row in found.rows) == cost.total
    assert sum(row.get("p", [0])[0] for row in found.rows) <= parameters(opened)


@settings(STABLE, max_examples=8)
@given(teachers(), st.text(st.sampled_from("<>&'\"/ab\u2028é\ud800"), min_size=1))
def test_no_name_in_a_model_stands_in_a_page_as_it_is(teacher: onnx.ModelProto, name: str) -> None:
    fields = {"names": [name, EVIL], "nested": {name: EVIL}}
    text = embedded(Page(fields))
    assert not set(text) & set("<>&\u2028")
    assert json.loads(text) == fields


def test_every_name_of_a_model_is_data(tmp_path: Path) -> None:
    teacher, student = tmp_path / "a.onnx", tmp_path / "b.onnx"
    onnx.save(evil(), teacher)
    onnx.save(net(), student)
    for one, other in ((teacher, student), (student, teacher)):
        text = render(page_of_pair("diff", (EVIL, EVIL), [onnx_n2n.load(one), onnx_n2n.load(other)]))
        assert EVIL not in text
        assert "onerror" in text
        assert text.count("</script>") == 2


def test_a_page_loads_nothing(folder: Path) -> None:
    call("inspect", "net.onnx", "--html", "page.html")
    text = DATA.sub("", (folder / "page.html").read_text("utf-8"))
    assert "default-src 'none'" in text
    loads, writes = r"https?:|\bsrc=|<link|@import|url\(|fetch\(", r"innerHTML|insertAdjacent|document\.write|eval\("
    assert not re.search(f"{loads}|{writes}", text)


def test_the_same_command_writes_the_same_page(folder: Path) -> None:
    for name in ("a", "b"):
        call("widen", "net.onnx", "-o", "out.onnx", "--force", "--no-verify", "--html", f"{name}.html")
    assert (folder / "a.html").read_bytes() == (folder / "b.html").read_bytes()


REFUSED = {
    "exists already": "inspect net.onnx --html there.html",
    "is a folder": "diff net.onnx net.onnx --html . --force",
    "reads or writes besides": "widen net.onnx -o out.onnx --html out.onnx --force",
    "reads or writes": "verify net.onnx net.onnx --html ./net.onnx --force",
    "that the command reads or writes": "widen net.onnx --html net.widened.onnx --force",
    "not written to stdout": "inspect net.onnx --html -",
    "stdout is none": "widen net.onnx -o - --html page.html",
    "does not exist": "widen net.onnx --html no/page.html",
}


@pytest.mark.parametrize("reason", REFUSED)
def test_a_page_never_replaces_what_it_may_not(folder: Path, reason: str) -> None:
    (folder / "there.html").write_text("mine")
    before = files(folder)
    outcome = call(*REFUSED[reason].split())
    assert outcome.exit_code == 2, outcome.output
    assert reason in outcome.output
    assert files(folder) == before


def test_the_weights_of_a_model_are_no_place_for_a_page(folder: Path) -> None:
    onnx.save(net(), "net.onnx", save_as_external_data=True, location="net.data", size_threshold=0)
    before = files(folder)
    for line in ("inspect net.onnx", "diff net.onnx net.onnx", "verify net.onnx net.onnx"):
        outcome = call(*line.split(), "--html", "net.data", "--force")
        assert (outcome.exit_code, files(folder)) == (2, before), outcome.output


def test_force_replaces_a_page(folder: Path) -> None:
    (folder / "page.html").write_text("old")
    assert call("inspect", "net.onnx", "--html", "page.html", "--force").exit_code == 0
    assert document(folder / "page.html")["title"] == "net.onnx"


def test_a_wrong_student_has_a_page_of_its_errors(folder: Path) -> None:
    wrong = net()
    wrong.graph.initializer[1].raw_data = bytes(len(wrong.graph.initializer[1].raw_data))
    onnx.save(wrong, "wrong.onnx")
    assert call("verify", "net.onnx", "wrong.onnx", "--html", "page.html").exit_code == 1
    found = document(folder / "page.html")
    assert found["ok"] is False
    assert [each["ok"] for each in found["outputs"]] == [False]
    assert found["sentences"][0].startswith("Not the same")


def test_the_groups_of_a_page_are_those_of_the_report(tmp_path: Path) -> None:
    line = ("widen", MODELS / "resnet.onnx", "--exclude", "stages.5.*", "-o", tmp_path / "w.onnx", "--no-verify")
    report = json.loads(call(*line, "--json", "--html", tmp_path / "page.html").stdout)
    found = document(tmp_path / "page.html")
    grown = {each["group"]: [each["before"], each["after"]] for each in report["grown"]}
    assert {each["name"]: each["sides"] for each in found["groups"] if each["sides"][0] != each["sides"][1]} == grown
    facts = {each["label"]: each["sides"] for each in found["facts"]}
    assert facts["Parameters"] == [report["parameters"]["before"], report["parameters"]["after"]]
    assert [each["parameters"] for each in found["pins"]] == [530, 117990]
    assert found["lineage"][0][0] == report["pass"]
    assert found["lineage"][-1][2] == report["digest"]


def scoped(name: str, weight: str = "w", **metadata: str) -> list[tuple[str, ...]]:
    proto = model(f"h = MatMul(x, {weight}) y = Relu(h)", "float[1,3] x", "y", **{weight: (3, 3)})
    proto.graph.node[0].name = name
    for key, value in metadata.items():
        proto.graph.node[0].metadata_props.add(key=key.replace("_scopes", "pkg.torch.onnx.name_scopes"), value=value)
    return list(paths_of(tuple(onnx_n2n.analyze(proto).model.graph)))


@pytest.mark.parametrize(
    ("name", "metadata", "path"),
    [
        ("/layers.0/attn/MatMul", {}, ("layers.0", "attn")),
        ("encoder.layer.11.attn.MatMul", {}, ("encoder", "layer.11", "attn")),
        ("MatMul_5", {}, ()),
        ("node_1", {"_scopes": "['', 'h', 'h.3', 'h.3.mlp', 'linear']"}, ("h.3", "mlp")),
        ("node_1", {"_scopes": "['', '_empty_nn_module_stack_from_metadata_hook', 'x']"}, ()),
        ("/a/b", {"_scopes": "[[["}, ("a",)),
        ("MatMul.0", {}, ()),
        ("MatMul.x.0", {}, ("MatMul", "x")),
        ("/a/b", {"_scopes": "[]"}, ("a",)),
        ("/".join("abcdefghijklmnopqrst"), {}, tuple("abcdefghijkl")),
    ],
)
def test_a_scope_is_what_an_exporter_wrote(name: str, metadata: dict[str, str], path: tuple[str, ...]) -> None:
    assert scoped(name, **metadata) == [path, path]  # that of the node before, where nothing tells


def test_nodes_that_repeat_each_other_become_blocks() -> None:
    pairs = " ".join(f"a{n} = Relu(b{n}) b{n + 1} = Abs(a{n})" for n in range(LONG))
    proto = model(f"b0 = Exp(x) {pairs} y = Neg(b{LONG})", "float[3] x", "y")
    first, block, last = blocks_of(tuple(onnx_n2n.analyze(proto).model.graph))
    assert (first, last) == (0, 2 * LONG + 1)
    assert isinstance(block, Block)
    assert block.title == f"Relu · Abs × {LONG}"
    assert [each.inside for each in block.inside if isinstance(each, Block)][:2] == [(1, 2), (3, 4)]


def test_a_long_row_is_cut_into_hundreds() -> None:
    proto = model(" ".join(f"a{n + 1} = Relu(a{n})" for n in range(250)), "float[3] a0", "a250")
    (block,) = blocks_of(tuple(onnx_n2n.analyze(proto).model.graph))
    assert isinstance(block, Block)
    assert block.title == "Relu × 250"
    assert [each.title for each in block.inside if isinstance(each, Block)] == ["1–100", "101–200", "201–250"]
    assert list(numbers([block.to_json()])) == list(range(250))


def test_nodes_between_blocks_become_a_block() -> None:
    body = "a = Relu(x) b = Abs(a) c = Abs(b) h = MatMul(c, w) y = Neg(h)"
    proto = model(body, "float[1,3] x", "y", w=(3, 3))
    proto.graph.node[3].name = "/layer/MatMul"
    found = blocks_of(tuple(onnx_n2n.analyze(proto).model.graph))
    assert [each.to_json() for each in found if isinstance(each, Block)] == [
        ["Relu · Abs", [0, 1, 2]], ["layer", [3, 4]],
    ]  # fmt: skip


def test_rows_say_what_was_added_removed_and_changed() -> None:
    teacher = onnx.load(MODELS / "resnet.onnx")
    student = onnx_n2n.deepen(teacher, count=1, verify=False).model
    for (one, other), sign in (((teacher, student), "+"), ((student, teacher), "-")):
        found = onnx_n2n.diff(one, other)
        opened = [onnx_n2n.analyze(each).model for each in (one, other)]
        rows = page_of_pair("diff", ("a", "b"), opened).fields["nodes"]
        alone = [each.name for each in found.nodes if each.what != "changed"]
        assert [row["n"] for row in rows if row.get("s") == sign] == alone
        assert [row["n"] for row in rows if row.get("s") == "~"] == [e.name for e in found.nodes if e.what == "changed"]
        assert sorted(row["n"] for row in rows) == sorted(node.name for node in student.graph.node)
        gone = [place for place, row in enumerate(rows) if row.get("s") == "-"]
        assert not gone or gone[-1] < len(rows) / 2  # they stand where they were, near the beginning
        assert sum(row.get("p", [0, 0])[1] for row in rows) == found.parameters_after
