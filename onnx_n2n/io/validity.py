"""What a file must keep to before anything else looks at it: the signatures of ONNX's operators, and depth.

The rest of this project reads attributes and inputs as ONNX declares them. So every node of a known operator is held
against its schema once, when a model is read. Nothing is refused that ONNX Runtime runs: an operator that ONNX does not
know, or not at this version, may have any attributes and inputs.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeAlias

import onnx
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError
from onnx import AttributeProto

from onnx_n2n.errors import ModelError
from onnx_n2n.graph.operators import operator_of, plain

Block: TypeAlias = onnx.GraphProto | onnx.FunctionProto
Identity: TypeAlias = tuple[str, str, str]  # domain, name and overload of a function, or of what a node calls

DEEPEST = 32
"""Graphs inside graphs: protobuf reads messages 100 deep, and a graph inside another lies three deeper."""

NEWEST = 1000  # far above every version of ONNX and of its file format there will be
_INT32 = 2**31
_STANDARD = frozenset(schema.domain for schema in onnx.defs.get_all_schemas())
_TYPES = frozenset(onnx.TensorProto.DataType.values())
_HOLDS_A_TYPE = frozenset({("Cast", "to"), ("SequenceEmpty", "dtype"), ("EyeLike", "dtype"), ("Bernoulli", "dtype"),
    ("RandomNormal", "dtype"), ("RandomUniform", "dtype"), ("RandomNormalLike", "dtype"),
    ("RandomUniformLike", "dtype"), ("Multinomial", "dtype"), ("QuantizeLinear", "output_dtype"),
    ("DequantizeLinear", "output_dtype"), ("BlackmanWindow", "output_datatype"), ("HannWindow", "output_datatype"),
    ("HammingWindow", "output_datatype"), ("MelWeightMatrix", "output_datatype"), ("BitCast", "to"),
})  # fmt: skip
_PAIRED = frozenset({"If", "Loop", "Scan", "SequenceMap"})  # their bodies take and give what they do, in order
_FIELDS = {AttributeProto.GRAPH: "g", AttributeProto.TENSOR: "t"}


@dataclass(frozen=True)
class Signature:
    """What a schema says of the nodes of one operator.

    Attributes:
        attributes: The type of each attribute.
        required: The attributes that must be there.
        inputs: The fewest and most inputs.
        outputs: The fewest and most outputs.
        given: The inputs that may not be left out by an empty name.
        since: The version that it is of.
    """

    attributes: Mapping[str, int]
    required: frozenset[str]
    inputs: tuple[int, int]
    outputs: tuple[int, int]
    given: tuple[int, ...]
    since: int


def check(proto: onnx.ModelProto) -> None:
    """Hold a model against what ONNX says of its versions, functions and operators.

    Raises:
        ModelError: A text is not UTF-8, a version is absurd, graphs are nested too deep, functions call themselves, or
            a node does not have the attributes, inputs or outputs of its operator.
    """
    _check_texts(proto)
    if not 0 <= proto.ir_version <= NEWEST:
        raise ModelError(f"the model says that it is written in version {proto.ir_version} of ONNX's file format")
    versions = _versions(proto, "the model")
    functions = {(plain(each.domain), each.name, each.overload): each for each in proto.functions}
    calls: dict[Identity, list[Identity]] = {}
    _check_block(proto.graph, versions, functions)
    for identity, function in functions.items():
        own = {**versions, **_versions(function, f"function {function.name!r}")}
        _check_block(function, own, functions, calls.setdefault(identity, []))
    _check_calls(calls)


def _check_texts(proto: onnx.ModelProto) -> None:
    """Refuse texts that are not UTF-8, of which Python makes bytes and which cannot be written again."""
    try:
        _strict().FromString(proto.SerializeToString())
    except DecodeError as error:
        raise ModelError("a name or another text in the model is not UTF-8") from error


@functools.cache
def _strict() -> Any:
    """Return ``ModelProto`` in the syntax in which protobuf itself checks all texts while it reads."""
    file = descriptor_pb2.FileDescriptorProto()
    onnx.ModelProto.DESCRIPTOR.file.CopyToProto(file)
    file.syntax = "proto3"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(onnx.ModelProto.DESCRIPTOR.full_name))


def _versions(holder: Any, name: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for entry in holder.opset_import:
        domain, version = plain(entry.domain), entry.version
        said = f"version {version} of {domain or 'ai.onnx'!r}"
        if not (1 <= version <= NEWEST if domain == "" else -_INT32 <= version < _INT32):
            raise ModelError(f"{name} imports {said}, which there cannot be")
        if found.setdefault(domain, version) != version:
            raise ModelError(f"{name} imports {said}, and version {found[domain]} too")
    return found


def _check_block(
    block: Block,
    versions: Mapping[str, int],
    functions: Mapping[Identity, Any],
    calls: list[Identity] | None = None,
    depth: int = 1,
) -> None:
    """Check the nodes of a graph or function and of the graphs inside.

    In a function, the functions that it calls are added to ``calls``; None stands for the main graph.
    """
    if depth > DEEPEST:
        raise ModelError(f"graphs are nested more than {DEEPEST} deep")
    for node in block.node:
        domain, operator = operator_of(node)
        signature = None
        if functions and (identity := (domain, operator, node.overload)) in functions:
            if calls is not None:
                calls.append(identity)
        elif domain in _STANDARD:
            signature = _signature(operator, domain, versions.get(domain, 1))
        if signature is not None:
            _check_ends(node, signature)
        if node.attribute or (signature is not None and signature.required):
            for body in _check_attributes(node, signature, refers=calls is not None):
                if signature is not None and operator in _PAIRED:
                    _check_body(node, body, signature)
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


def _check_attributes(node: onnx.NodeProto, signature: Signature | None, *, refers: bool) -> Iterator[onnx.GraphProto]:
    """Check the attributes of a node, and yield the graphs among them; ``refers`` says whether it is in a function."""
    seen: set[str] = set()
    for attribute in node.attribute:
        name, kind = attribute.name, attribute.type
        if name in seen:
            raise _invalid(node, f"attribute {name!r} is there twice")
        seen.add(name)
        wanted = signature.attributes.get(name) if signature is not None else None
        if wanted is not None and kind != wanted:
            raise _invalid(node, f"attribute {name!r} is of type {_type(kind)}, and should be of type {_type(wanted)}")
        if attribute.ref_attr_name:
            if not refers:
                raise _invalid(node, f"attribute {name!r} refers to one of a function, and its node is in none")
            continue
        field = _FIELDS.get(kind)
        if field is not None and not attribute.HasField(field):
            raise _invalid(node, f"attribute {name!r} is of type {_type(kind)}, and holds nothing")
        if kind == AttributeProto.GRAPH:
            yield attribute.g
        elif kind == AttributeProto.GRAPHS:
            yield from attribute.graphs
        elif attribute.HasField("g") or attribute.graphs:
            raise _invalid(node, f"attribute {name!r} is of type {_type(kind)}, and holds a graph")
        elif wanted == AttributeProto.INT and (node.op_type, name) in _HOLDS_A_TYPE and attribute.i not in _TYPES:
            raise _invalid(node, f"attribute {name!r} is {attribute.i}, which is no type of elements")
    if signature is not None and not signature.required <= seen:
        missing = min(signature.required - seen)
        raise _invalid(node, f"a node lacks attribute {missing!r}, which its operator needs")


def _check_body(node: onnx.NodeProto, body: onnx.GraphProto, signature: Signature) -> None:
    """Check that a body takes and gives as much as its node does: the rest of this project pairs them one by one."""
    given = len(node.output) + (node.op_type == "Loop")  # its body also says whether to go on
    taken = 0 if node.op_type == "If" else len(node.input) - (node.op_type == "Scan" and signature.since < 9)
    stored = {tensor.name for tensor in body.initializer}
    inputs = sum(value.name not in stored for value in body.input)
    for said, found, wanted in (("inputs", inputs, taken), ("outputs", len(body.output), given)):
        if found != wanted:
            raise _invalid(node, f"graph {body.name!r} inside a node has {found} {said}, where the node needs {wanted}")


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
    """Return what ONNX says of an operator; None where it says nothing, or only that it is no more.

    Of an operator that is younger than the version, it is what the newest version says: rules go by names too.
    """
    schema: Any = None
    for bound in ((min(max(version, 1), NEWEST), domain), (domain,)):
        with suppress(onnx.defs.SchemaError):
            schema = schema or onnx.defs.get_schema(operator, *bound)
    if schema is None or schema.deprecated:
        return None
    single = onnx.defs.OpSchema.FormalParameterOption.Single
    return Signature(
        {name: int(attribute.type.value) for name, attribute in schema.attributes.items()},
        frozenset(name for name, attribute in schema.attributes.items() if attribute.required),
        (schema.min_input, schema.max_input),
        (schema.min_output, schema.max_output),
        tuple(slot for slot, parameter in enumerate(schema.inputs) if parameter.option == single),
        schema.since_version,
    )


def _invalid(node: onnx.NodeProto, reason: str) -> ModelError:
    return ModelError(reason, node=node.name, operator=node.op_type)


def _type(kind: int) -> str:
    return str(AttributeProto.AttributeType.Name(kind)) if kind in AttributeProto.AttributeType.values() else str(kind)
