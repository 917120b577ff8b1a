"""What models state of themselves, besides their nodes and weights, as texts by name."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from onnx_n2n.graph.operators import plain
from onnx_n2n.graph.subgraphs import values_of
from onnx_n2n.io.carried import carried
from onnx_n2n.reporting import ends
from onnx_n2n.reporting.attributes import said
from onnx_n2n.reporting.pairing import Pairing
from onnx_n2n.verification.interfaces import Difference, declared
from onnx_n2n.words import count

HEADER = ("ir_version", "producer_name", "producer_version", "domain", "model_version", "doc_string")
ANNOTATION = "quant_parameter_tensor_names"  # the key of `onnx_ir` for what `quantization_annotation` says of a tensor


@dataclass(frozen=True)
class Changed:
    """Something that has a name and a text, in one of the models or both.

    Attributes:
        name: What it is.
        before: What it is in the teacher; None if it is not there.
        after: What it is in the student; None if it is not there.
    """

    name: str
    before: str | None
    after: str | None


def compared(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[Changed]:
    """Yield what differs between two mappings, in their order."""
    for name in dict.fromkeys((*before, *after)):
        if before.get(name) != after.get(name):
            yield Changed(name, before.get(name), after.get(name))


def header(model: ir.Model) -> dict[str, str]:
    """Return what a model states of itself and of its graph."""
    graph = model.graph
    fields = {name: getattr(model, name) for name in HEADER}
    fields |= {"graph": graph.name, "graph.doc_string": graph.doc_string}
    fields |= {f"graph.metadata_props[{key}]": text for key, text in graph.metadata_props.items()}
    fields |= {f"configuration {each.name!r}": each for each in getattr(model, "device_configurations", ())}
    if training := carried(model).training:
        data = b"".join(each.SerializeToString(deterministic=True) for each in training)
        fields["training_info"] = f"{len(training)}, SHA-256 {hashlib.sha256(data).hexdigest()}"
    for number, block in enumerate(model.graphs()):
        for value in {*values_of(block), *block.initializers.values()}:
            if stated := value.meta.get(ANNOTATION):
                where = f" in body {number}" * bool(number)
                fields[f"quantization of {value.name!r}{where}"] = sorted(stated.items())
    return {name: str(value) for name, value in sorted(fields.items()) if value not in (None, "")}


def opsets(model: ir.Model | ir.Function) -> dict[str, str]:
    """Return the versions of operator sets by domain."""
    return {plain(domain): str(version) for domain, version in model.opset_imports.items()}


def functions(teacher: ir.Model, student: ir.Model, pairing: Pairing) -> Iterator[Changed]:
    """Yield the functions that only one model has, or that take, give or state something else.

    Their nodes are compared with all others.
    """
    for identifier in dict.fromkeys((*teacher.functions, *student.functions)):
        old, new = teacher.functions.get(identifier), student.functions.get(identifier)
        texts = ["" if each is None else _stated(each) for each in (old, new)]
        if old is None or new is None or texts[0] != texts[1] or not ends.alike(old.graph, new.graph, pairing):
            sides = [None if each is None else f"{ends.shown(each.graph)}; {_stated(each)}" for each in (old, new)]
            yield Changed("::".join(part for part in identifier if part), *sides)


def _stated(function: ir.Function) -> str:
    nodes = count(sum(1 for _ in function.all_nodes()), "node")
    attributes = (
        name if each.value is None else f"{name}={said(each)} ({each.type.name})"
        for name, each in sorted(function.attributes.items())
    )
    sets = (f"{domain or 'ai.onnx'} {version}" for domain, version in sorted(opsets(function).items()))
    return "; ".join(filter(None, (nodes, ", ".join(attributes), ", ".join(sets))))


def interface(teacher: ir.Model, student: ir.Model, pairing: Pairing) -> Iterator[Difference]:
    """Yield the inputs and outputs that differ; unlike for verification, a size left open is not any size."""
    for where in ("input", "output"):
        sides: list[Sequence[ir.Value]] = [getattr(model.graph, f"{where}s") for model in (teacher, student)]
        old, new = ({str(value.name): value for value in side} for side in sides)
        for name, value in old.items():
            before, after = declared(value), declared(new[name]) if name in new else ""
            if not after:
                yield Difference(where, name, "missing", before)
            elif before != after:
                kind = "type" if before.split("[")[0] != after.split("[")[0] else "shape"
                yield Difference(where, name, kind, before, after)
            if where == "output" and after and pairing.values.get(new[name]) is not value:
                yield Difference(where, name, "source", ends.source(value), ends.source(new[name]))
        yield from (Difference(where, name, "added", "", declared(new[name])) for name in new if name not in old)
        before, after = (", ".join(str(value.name) for value in side) for side in sides)
        if before != after and set(old) == set(new):
            yield Difference(where, ", ".join(old), "order", before, after)
