"""What a page says: one document, gathered from what is known of one model or of teacher and student.

Names are short where there is one entry per node or weight, since a model may have many thousands; ``assets/page.js``
reads them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import onnx_ir as ir

from onnx_n2n.analysis.costs import costs_of as pins_by_reason
from onnx_n2n.analysis.groups import Group
from onnx_n2n.analysis.walk import Analysis, analyze
from onnx_n2n.depth.places import Places
from onnx_n2n.graph.constants import parameters
from onnx_n2n.io.history import digest, history
from onnx_n2n.reporting import layers
from onnx_n2n.reporting.blocks import blocks_of
from onnx_n2n.reporting.difference import Diff, between
from onnx_n2n.reporting.layers import Layers
from onnx_n2n.reporting.pairing import paired
from onnx_n2n.version import VERSION
from onnx_n2n.width.plan import ways

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Made:
    """What else is known of a student than what its file says.

    Attributes:
        passes: The passes that made it; empty if it was only compared.
        report: The report of the passes, or the verdict, as ``--json`` prints it.
        sentences: What came of verification, in words.
    """

    passes: str = ""
    report: Mapping[str, Any] = field(default_factory=dict)
    sentences: Sequence[str] = ()

    @property
    def ok(self) -> bool | None:
        """Whether the student was found to compute what the teacher computes; None if that is not known."""
        ran, exact = self.report.get("verification"), self.report.get("exact")
        state = exact["state"] if exact else ""
        if state == "different" or (ran and not ran["ok"]):
            return False
        return True if ran or state == "equal" else None


@dataclass(frozen=True)
class Page:
    """A page before it is written.

    Attributes:
        fields: What it says, as JSON-ready values.
    """

    fields: Mapping[str, Any] = field(repr=False)


def page_of_model(name: str, analysis: Analysis, depth: Places) -> Page:
    """Return the page of a model: what can grow in it, what that costs, and why the rest cannot."""
    model = analysis.model
    nodes, grows = layers.of_one(model), ways(analysis)
    facts = [
        {"label": "Parameters", "sides": [parameters(model)]},
        _multiply_adds(nodes),
        {"label": "Nodes", "sides": [len(nodes.nodes)]},
        {"label": "Groups that can grow", "sides": [len(analysis.weighty)]},
        {"label": "Places for depth", "sides": [len(depth.found)]},
    ]
    groups = [
        {
            "name": group.name,
            "sides": [group.size],
            "grows": grows[group.factor] + ", if named" * (group.factor in analysis.head_sizes),
            "one": analysis.cost(group, group.size + 1),
            "double": analysis.cost(group, 2 * group.size),
            **_members(group),
        }
        for group in analysis.weighty
    ]
    found = depth.to_json()
    return Page(
        {
            "kind": "inspect",
            "title": name,
            "lead": "What can grow, and why the rest cannot",
            **_common(nodes, facts),
            "groups": groups,
            "pins": _pins(analysis),
            "places": found["places"],
            "barred": found["barred"],
            "lineage": _lineage(model),
        }
    )


def page_of_pair(
    kind: str, names: Sequence[str], models: Sequence[ir.Model], made: Made | None = None, shapes: Shapes | None = None
) -> Page:
    """Return the page of a teacher and its student.

    Args:
        kind: The command: ``diff``, ``verify``, or the pass.
        names: What people call the two models.
        models: The teacher and the student.
        made: What is known of how it was made, and of its verification.
        shapes: Shapes of graph inputs at which multiply-adds are counted.
    """
    made, (teacher, student) = made or Made(), models
    pairing, analysis = paired(teacher, student), analyze(teacher)
    found = between(teacher, student, pairing, analysis)
    nodes = layers.of_two(teacher, student, pairing, found, shapes)
    report = made.report
    passes = made.passes or ", then ".join(entry.text for entry in found.passes or () if not entry.idle)
    facts = [
        {"label": "Parameters", "sides": [found.parameters_before, found.parameters_after]},
        _multiply_adds(nodes),
        {"label": "Nodes", "sides": [found.nodes_before, found.nodes_after]},
        {"label": "Weights that differ", "sides": [len(found.weights)]},
    ]
    if found.groups:
        facts.insert(3, {"label": "Groups that grew", "sides": [len(found.grown)], "of": len(found.groups)})
    return Page(
        {
            "kind": kind,
            "title": " → ".join(names),
            "lead": passes or ("Nothing differs" if found.same else "What differs"),
            **_common(nodes, facts),
            "groups": _groups(analysis, found, report),
            "pins": _pins(analysis) if made.passes or found.passes else [],
            "kept": [[each["group"], each["size"], each["reason"]] for each in report.get("kept", ())],
            "left_out": [[each["group"], each["error"], each["command"]] for each in report.get("left_out", ())],
            "notes": _notes(report),
            "added": [[each["place"], each["what"]] for each in report.get("added", ())],
            "weights": _weights(found),
            "rest": _rest(found),
            "sentences": list(made.sentences),
            "ok": made.ok,
            "outputs": list((report.get("verification") or {}).get("outputs", ())),
            "lineage": _lineage(student),
        }
    )


def _common(nodes: Layers, facts: Iterable[Mapping[str, Any] | None]) -> dict[str, Any]:
    tree = [each if isinstance(each, int) else each.to_json() for each in blocks_of(nodes.nodes)]
    return {"version": VERSION, "facts": [each for each in facts if each], "nodes": nodes.rows, "tree": tree}


def _multiply_adds(nodes: Layers) -> dict[str, Any] | None:
    costs = [each.cost for each in nodes.costs]
    if any(cost is None for cost in costs):
        return None
    known = [cost for cost in costs if cost is not None]
    inputs = ", ".join(f"{name} {list(shape)}" for name, shape in known[-1].inputs.items())
    notes = [f"in a run on {inputs}"] * bool(inputs)
    notes += [f"{', '.join(known[-1].assumed)} taken as 1"] * bool(known[-1].assumed)
    notes += [f"{len(known[-1].uncounted)} nodes not counted"] * bool(known[-1].uncounted)
    return {"label": "Multiply-adds", "sides": [cost.total for cost in known], "note": "; ".join(notes)}


def _members(group: Group) -> dict[str, list[str]]:
    """Return the layers that make the channels of a group, and those that read them."""
    matrices = [member for member in group.members if sum(length > 1 for length in member.shape) > 1] or group.members
    make, read = ([member.title for member in matrices if member.consumes is side] for side in (False, True))
    return {"make": list(dict.fromkeys(make)), "read": list(dict.fromkeys(read))}


def _groups(analysis: Analysis, found: Diff, report: Mapping[str, Any]) -> list[dict[str, Any]]:
    said: dict[str, list[str]] = {}
    for each in report.get("grown", ()):
        notes = [each["note"], each["copies"] and f"copies: {each['copies']}"]
        said.setdefault(each["group"], []).extend(filter(None, notes))
    for each in report.get("kept", ()):
        said.setdefault(each["group"], []).append(each["reason"])
    members = {group.name: _members(group) for group in analysis.weighty}
    return [
        {
            "name": group.name,
            "sides": [group.before, group.after],
            "note": "; ".join(dict.fromkeys(said.get(group.name, ()))),
            **members.get(group.name, {"make": [], "read": []}),  # that of a longer output is no group of the teacher
        }
        for group in found.groups
    ]


def _pins(analysis: Analysis) -> list[dict[str, Any]]:
    return [
        {
            "reason": cost.reason,
            "parameters": cost.parameters,
            "axes": [[pinned.weight, pinned.axis, pinned.size] for pinned in cost.pins],
        }
        for cost in pins_by_reason(analysis.pins)
    ]


def _notes(report: Mapping[str, Any]) -> list[str]:
    notes = list(report.get("notes", ()))
    notes += [f"{each['pass']} did nothing: {each['reason']}" for each in report.get("idle", ())]
    settings = report.get("settings", ())
    return notes + [
        f"In your code {each['node']} {each['name']} is {each['after']}" for each in settings
        if each["before"] != each["after"]
    ]  # fmt: skip


def _weights(found: Diff) -> list[list[Any]]:
    rows = []
    for each in found.weights:
        values = each.values
        numbers = [] if values is None else [values.elements, values.different, values.largest]
        rows.append([each.name, each.what, each.before, each.after, each.was, *numbers])
    return rows


def _rest(found: Diff) -> list[list[str | None]]:
    """Return what differs outside of nodes and weights."""
    rows: list[list[str | None]] = [
        [each.where, each.name, each.teacher or None, each.student or None] for each in found.interface
    ]
    kinds = {"header": found.header, "opset": found.opsets, "function": found.functions, "metadata": found.metadata}
    for kind, entries in kinds.items():
        rows += [[kind, each.name or "ai.onnx", each.before, each.after] for each in entries]
    inner = [each for each in found.nodes if each.scope]
    rows += [[f"node in {each.scope}", f"{each.name} ({each.operator})", None, each.what] for each in inner]
    return rows


def _lineage(model: ir.Model) -> list[list[Any]]:
    """Return the passes that made a model with the digests around them, the model's own last."""
    entries = history(model)
    rows: list[list[Any]] = [[each.text, each.seed, each.parent, each.version, each.idle] for each in entries]
    return [*rows, ["", None, digest(model), "", ""]]
