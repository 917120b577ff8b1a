"""What a file must keep to before anything else looks at it: the signatures of ONNX's operators, and depth.

The rest of this project reads attributes and inputs as ONNX declares them. So every node of a known operator is held
against its schema once, when a model is read. Nothing is refused that ONNX Runtime runs: an operator that ONNX does not
know, or not at this version, may have any attributes and inputs.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import onnx
from onnx import AttributeProto

from onnx_n2n.errors import ModelError

Block: TypeAlias = onnx.GraphProto | onnx.FunctionProto
Identity: TypeAlias = tuple[str, str, str]  # domain, name and overload of a function, or of what a node calls

DEEPEST = 32
"""Graphs inside graphs: protobuf reads messages 100 deep, and a graph inside another lies three deeper."""

NEWEST = 1000  # far above every version of ONNX and of its file format there will be
_INT32 = 2**31
_STANDARD = frozenset(schema.domain for schema in onnx.defs.get_all_schemas())
_ELEMENT_TYPES = frozenset(onnx.TensorProto.DataType.values())
_HOLDS_A_TYPE = frozenset({("Cast", "to"), ("SequenceEmpty", "dtype"), ("EyeLike", "dtype"), ("Bernoulli", "dtype"),
    ("RandomNormal", "dtype"), ("RandomUniform", "dtype"), ("RandomNormalLike", "dtype"),
    ("RandomUniformLike", "dtype"), ("Multinomial", "dtype"), ("QuantizeLinear", "output_dtype"),
    ("DequantizeLinear", "output_dtype"), ("BlackmanWindow", "output_datatype"), ("HannWindow", "output_datatype"),
    ("HammingWindow", "output_datatype"), ("MelWeightMatrix", "output_datatype"), ("BitCast", "to"),
})  # fmt: skip
_BODIES = {AttributeProto.GRAPH: "g", AttributeProto.TENSOR: "t", AttributeProto.SPARSE_TENSOR: "sparse_tensor"}


@dataclass(frozen=True)
class Signature:
    """What a schema says of the nodes of one operator.

    Attributes:
        attributes: The type of each attribute.
        required: The attributes that must be there.
        inputs: The fewest and most inputs.
        outputs: The fewest and most outputs.
        given: The inputs that may not be left out by an empty name.
    """

    attributes: Mapping[str, int]
    required: frozenset[str]
    inputs: tuple[int, int]
    outputs: tuple[int, int]
    given: tuple[int, ...]


def check(proto: onnx.ModelProto) -> None:
    """Hold a model against what ONNX says of its versions, functions and operators.

    Raises:
        ModelError: A version is absurd, graphs are nested too deep, functions call themselves, or a node does not have
            the attributes, inputs or outputs of its operator.
    """
    if not 0 <= proto.ir_version <= NEWEST:
        raise ModelError(f"the model says that it is written in version {proto.ir_version} of ONNX's file format")
    versions = _versions(proto, "the model")
    functions = {(_plain(each.domain), each.name, each.overload): each for each in proto.functions}
    calls: dict[Identity, list[Identity]] = {}
    _check_block(proto.graph, versions, functions, [])
    for identity, function in functions.items():
        own = {**versions, **_versions(function, f"function {function.name!r}")}
        _check_block(function, own, functions, calls.setdefault(identity, []))
    _check_calls(calls)


def _versions(holder: Any, name: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for entry in holder.opset_import:
        domain, version = _plain(entry.domain), entry.version
        said = f"version {version} of {domain or 'ai.onnx'!r}"
        if not (1 <= version <= NEWEST if domain == "" else -_INT32 <= version < _INT32):
            raise ModelError(f"{name} imports {said}, which there cannot be")
        if found.setdefault(domain, version) != version:
            raise ModelError(f"{name} imports {said}, and version {found[domain]} too")
    return found


def _check_block(
    block: Block, versions: Mapping[str, int], functions: Mapping[Identity, Any], calls: list[Identity], depth: int = 1
) -> None:
    """Check the nodes of a graph or function and of the graphs inside; add the functions that they call to ``calls``."""
    if depth > DEEPEST:
        raise ModelError(f"graphs are nested more than {DEEPEST} deep")
    for node in block.node:
        domain, operator = node.domain, node.op_type
        if domain == "ai.onnx":
            domain = ""
        signature = None
        if functions and (identity := (domain, operator, node.overload)) in functions:
            calls.append(identity)
        elif domain in _STANDARD:
            signature = _signature(operator, domain, versions.get(domain, 1))
        if signature is not None:
            _check_ends(node, signature)
        if node.attribute or (signature is not None and signature.required):
            for body in _check_attributes(node, signature):
                _check_block(body, versions, functions, calls, depth + 1)


def _check_ends(node: onnx.NodeProto, signature: Signature) -> None:
    inputs, outputs = node.input, node.output
    for said, ends, (fewest, most) in (("inputs", inputs, signature.inputs), ("outputs", outputs, signature.outputs)):
        if not fewest <= len(ends) <= most:
            wanted = str(fewest) if fewest == most else f"{fewest} or more" if most > 1000 else f"{fewest} to {most}"
            raise _invalid(node, f"a node has {len(ends)} {said}, and its operator takes {wanted}")
    if "" in inputs:
        for slot in signature.given:
            if slot < len(inputs) and not inputs[slot]:
                raise _invalid(node, f"a node leaves out input {slot}, which its operator needs")


def _check_attributes(node: onnx.NodeProto, signature: Signature | None) -> Iterator[onnx.GraphProto]:
    """Check the attributes of a node, and yield the graphs among them."""
    missing = set(signature.required) if signature is not None else set()
    for attribute in node.attribute:
        name, kind = attribute.name, attribute.type
        missing.discard(name)
        wanted = signature.attributes.get(name) if signature is not None else None
        if wanted is not None and kind != wanted:
            raise _invalid(node, f"attribute {name!r} is of type {_type(kind)}, and should be of type {_type(wanted)}")
        if attribute.ref_attr_name:
            continue
        field = _BODIES.get(kind)
        if field is not None and not attribute.HasField(field):
            raise _invalid(node, f"attribute {name!r} is of type {_type(kind)}, and holds nothing")
        if kind == AttributeProto.GRAPH:
            yield attribute.g
        elif kind == AttributeProto.GRAPHS:
            yield from attribute.graphs
        elif attribute.HasField("g") or attribute.graphs:
            raise _invalid(node, f"attribute {name!r} is of type {_type(kind)}, and holds a graph")
        elif kind == AttributeProto.INT and signature is not None and (node.op_type, name) in _HOLDS_A_TYPE:
            if attribute.i not in _ELEMENT_TYPES:
                raise _invalid(node, f"attribute {name!r} is {attribute.i}, which is no type of elements")
    if missing:
        raise _invalid(node, f"a node lacks attribute {min(missing)!r}, which its operator needs")


def _check_calls(calls: Mapping[Identity, list[Identity]]) -> None:
    """Refuse functions that call themselves, also by way of others: walked without recursion, callers first."""
    finished: set[Identity] = set()
    for start in calls:
        path: dict[Identity, Iterator[Identity]] = {start: iter(calls[start])}
        while path:
            current = next(reversed(path))
            callee = next((each for each in path[current] if each not in finished), None)
            if callee is None:
                finished.add(current)
                del path[current]
            elif callee in path:
                raise ModelError(f"function {callee[1]!r} calls itself, which ONNX forbids")
            else:
                path[callee] = iter(calls[callee])


@functools.cache
def _signature(operator: str, domain: str, version: int) -> Signature | None:
    """Return what ONNX says of an operator; None where it says nothing, or only that it is no more."""
    try:
        schema = onnx.defs.get_schema(operator, min(max(version, 1), NEWEST), domain)
    except onnx.defs.SchemaError:
        return None
    if schema.deprecated:
        return None
    single = onnx.defs.OpSchema.FormalParameterOption.Single
    return Signature(
        {name: int(attribute.type.value) for name, attribute in schema.attributes.items()},
        frozenset(name for name, attribute in schema.attributes.items() if attribute.required),
        (schema.min_input, schema.max_input),
        (schema.min_output, schema.max_output),
        tuple(slot for slot, parameter in enumerate(schema.inputs) if parameter.option == single),
    )


def _invalid(node: onnx.NodeProto, reason: str) -> ModelError:
    return ModelError(reason, node=node.name, operator=node.op_type)


def _plain(domain: str) -> str:
    return "" if domain == "ai.onnx" else domain


def _type(kind: int) -> str:
    return str(AttributeProto.AttributeType.Name(kind)) if kind in AttributeProto.AttributeType.values() else str(kind)
