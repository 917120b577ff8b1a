"""From a model to its program.

model -> functions written out -> constants folded -> weights named -> steps -> lanes
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnx_ir.passes.common as common

from onnx_n2n.analysis.functions import defined_by_onnx
from onnx_n2n.errors import ExportError
from onnx_n2n.export import lanes
from onnx_n2n.export.accounts import accounts_of
from onnx_n2n.export.choice import Choice, Decision
from onnx_n2n.export.program import Block, Program, ProgramStep
from onnx_n2n.export.trained import Decider
from onnx_n2n.export.weights import Weights
from onnx_n2n.graph.constants import FOLDED, SMALL, constant_tensor, constants_of, elements, evaluate
from onnx_n2n.graph.operators import plain, qualified
from onnx_n2n.graph.unfolding import write_out
from onnx_n2n.io.model import ModelLike, open_model
from onnx_n2n.record.provenance import Origins

LARGEST = 2**24  # elements up to which a tensor of one number is stored, not made at run time
Known = Callable[[str, int], bool]
"""Says whether a framework has an operator, at a version."""


def program_of(model: ModelLike, known: Known, *, freeze: Iterable[str] = (), train: Iterable[str] = ()) -> Program:
    """Turn a model into a program for a framework.

    Args:
        model: Stays as it is.
        known: The operators that the framework has. Others are written out as ONNX defines them, if it does.
        freeze: Globs of names of tensors, in the file or in the framework, that are not trained.
        train: Globs of those that are; they hold where both match.

    Raises:
        OptionError: A glob matches no tensor, or what cannot be trained.
        ExportError: There are operators that the framework does not have.
        ModelError: The model cannot be read, or its functions are too many nodes to be written out.
    """
    working, choice = open_model(model).model, Choice(freeze, train)
    write_out(working)
    _write_out(working, known)
    stored = {str(value.name): tensor for graph in working.graphs() for value, tensor in constants_of(graph)}
    common.RemoveUnusedNodesPass()(working)
    build = _Build(working, choice)
    program = build.program()
    accounts = tuple(accounts_of(build.decisions, build.copies, program, stored))
    unread = stored.keys() - {str(value.name) for value in build.decisions}
    choice.check([name for each in accounts for name in (each.name, *each.tensors)], unread)
    return replace(program, accounts=accounts)


def _write_out(model: ir.Model, known: Known) -> None:
    """Replace operators that the framework lacks by what ONNX defines them as."""
    for _ in range(4):  # definitions are made of operators that may need one, too
        lacking = [
            node
            for node in model.graph.all_nodes()
            if not known(qualified(node), version_of(node, model)) and not _is_constant(node)
        ]
        if not lacking:
            return
        if any(value is not None and value.dtype is None for node in lacking for value in node.inputs):
            common.ShapeInferencePass(check_type=False, strict_mode=False)(model)  # what was written out has no types
        written = [node for node in lacking if _as_function(node, model)]
        if not written:
            names = sorted({qualified(node) for node in lacking})
            raise ExportError(
                "the operator has no counterpart in the framework" if len(names) == 1
                else f"these operators have no counterpart in the framework: {', '.join(names)}",
                node=lacking[0].name or "",
                operator=qualified(lacking[0]),
            )  # fmt: skip
        write_out(model)


def _is_constant(node: ir.Node) -> bool:
    return qualified(node) == "Constant" and constant_tensor(node) is not None


def _as_function(node: ir.Node, model: ir.Model) -> bool:
    """Turn a node into a call of the function that ONNX defines it as."""
    types = [_type(value) for value in node.inputs]
    function = defined_by_onnx(node, version_of(node, model), types)
    if function is None or not function.outputs:  # what ONNX gives where it cannot tell from the types
        return False
    domain, name = "onnx_n2n.definitions", f"{node.op_type}_{len(model.functions)}"
    call = ir.Function(domain, name, graph=function.graph, attributes=list(function.attributes.values()))
    for inner in function.graph.all_nodes():
        inner.version = function.opset_imports.get(inner.domain, inner.version)
    model.functions[call.identifier()] = call
    node.domain, node.op_type, node.overload, node.version = domain, name, "", None
    model.opset_imports.setdefault(domain, 1)
    return True


def _type(value: ir.Value | None) -> onnx.TypeProto:
    """Return the type of a value, with the lengths that the file states: some definitions depend on them."""
    kind = onnx.TypeProto()
    if value is not None and value.dtype is not None:
        kind.tensor_type.elem_type = value.dtype.value
        if value.shape is not None:
            kind.tensor_type.shape.SetInParent()
            for length in value.shape:
                dim = kind.tensor_type.shape.dim.add()
                if isinstance(length, int):
                    dim.dim_value = length
    return kind


def version_of(node: ir.Node, model: ir.Model) -> int:
    """Return the version of the operator set that a node is of."""
    imports = model.opset_imports
    declared = imports.get(node.domain) or (None if plain(node.domain) else imports.get("") or imports.get("ai.onnx"))
    return node.version or declared or 1


class _Build:
    """The program of a model in the making."""

    def __init__(self, model: ir.Model, choice: Choice) -> None:
        self._model = model
        self.decisions: dict[ir.Value, tuple[Decision, ir.TensorProtocol]] = {}
        self.copies: dict[ir.Value, ir.Value] = {}  # what it is a copy of
        self._names: dict[ir.Value, str] = {}
        self._taken: set[str] = {""}
        self._arrays: dict[ir.Value, np.ndarray] = {}  # constants, also folded ones
        origins = Origins(model)
        self._weights = Weights(origins, Decider(model, origins, choice), self._taken)
        for value in (*model.graph.inputs, *model.graph.outputs):  # what they are called is seen from outside
            self._name(value)
        for graph in model.graphs():
            self._read(graph)

    def program(self) -> Program:
        main = self._block(self._model.graph)
        constants = {self._name(value): array for value, array in self._arrays.items()}
        given = {value for value in self._model.graph.inputs if value not in self._arrays}
        used = {name for step in main.walk() for name in (*step.inputs, *_ends(step))} | {*main.outputs}
        constants = {name: array for name, array in constants.items() if name in used}
        assert not given & self._arrays.keys()
        tensors, weights = self._weights.named()
        return Program(
            main=main,
            tensors=tensors,
            weights=weights,
            constants=constants,
            host=lanes.on_host(main, constants),
            outputs=tuple(str(value.name) for value in self._model.graph.outputs),
        )

    def _read(self, graph: ir.Graph) -> None:
        """Take in the tensors of a graph."""
        for value in graph.initializers.values():
            if value.const_value is not None:
                self._take(value, value.const_value)
        for node in graph:
            if _is_constant(node):
                tensor = constant_tensor(node)
                assert tensor is not None
                self._take(node.outputs[0], tensor)
            elif qualified(node) == "Identity" and (merged := self._weights.merged(node.inputs[0])) is not None:
                assert node.inputs[0] is not None
                self.copies[node.outputs[0]] = node.inputs[0]
                self._take(node.outputs[0], merged)
            elif (array := self._folded(node)) is not None:
                self._take(node.outputs[0], ir.Tensor(array))

    def _take(self, value: ir.Value, tensor: ir.TensorProtocol) -> None:
        if tensor.dtype == ir.DataType.STRING:
            raise ExportError("tensors of texts have no counterpart in the framework", node=str(value.name))
        decision = self._weights.take(value, tensor)
        self.decisions[value] = (decision, tensor)
        if decision.kind == "constant":
            self._arrays[value] = tensor.numpy()

    def _folded(self, node: ir.Node) -> np.ndarray | None:
        """Return what a node makes of constants."""
        if plain(node.domain) or len(node.outputs) != 1 or not node.inputs:
            return None
        if any(value is not None and value not in self._arrays for value in node.inputs):
            return None
        arrays = [self._arrays[value] for value in node.inputs if value is not None]
        if node.op_type == "ConstantOfShape":
            try:
                absurd = elements(node, arrays) > LARGEST
            except ValueError:  # a length is negative
                absurd = True
            if absurd:
                return None
            value = node.attributes.get_tensor("value") if "value" in node.attributes else None
            filling = np.zeros(1, np.float32) if value is None else value.numpy()
            return np.full(tuple(arrays[0].tolist()), filling.reshape(-1)[0], filling.dtype)
        if node.op_type not in FOLDED or any(array.size > SMALL for array in arrays):
            return None
        feeds = {str(value.name): self._arrays[value] for value in node.inputs if value is not None}
        return evaluate(node, feeds, version_of(node, self._model))

    def _block(self, graph: ir.Graph) -> Block:
        steps = tuple(self._steps(graph))
        inputs = [value for value in graph.inputs if value not in self._arrays and not self._weights.holds(value)]
        outputs = [self._operand(value, None) for value in graph.outputs]
        return Block(tuple(self._name(value) for value in inputs), tuple(outputs), steps)

    def _steps(self, graph: ir.Graph) -> Iterator[ProgramStep]:
        for node in graph:
            if all(value in self._arrays or self._weights.holds(value) for value in node.outputs):
                continue
            yield ProgramStep(
                operator=qualified(node),
                version=version_of(node, self._model),
                name=node.name or "",
                inputs=_trimmed(self._operand(value, (node, slot)) for slot, value in enumerate(node.inputs)),
                outputs=_trimmed(self._name(value) if value.uses() or value.is_graph_output() else ""
                                 for value in node.outputs),
                attributes=_attributes(node),
                blocks={
                    name: self._block(attribute.as_graph())
                    for name, attribute in node.attributes.items()
                    if attribute.type == ir.AttributeType.GRAPH
                },
                types=tuple(0 if value is None or value.dtype is None else value.dtype.value for value in node.inputs),
            )  # fmt: skip

    def _operand(self, value: ir.Value | None, use: tuple[ir.Node, int] | None) -> str:
        if value is None or not value.name:
            return ""
        if self._weights.holds(value):
            return self._weights.use(value, use)
        return self._name(value)

    def _name(self, value: ir.Value) -> str:
        if value not in self._names:
            name, number = value.name or "value", 1
            while name in self._taken:
                number += 1
                name = f"{value.name}#{number}"
            self._taken.add(name)
            self._names[value] = name
        return self._names[value]


def _ends(step: ProgramStep) -> Iterator[str]:
    for block in step.blocks.values():
        yield from block.outputs


def _trimmed(names: Iterator[str]) -> tuple[str, ...]:
    """Return names without the empty ones at the end."""
    found = list(names)
    while found and not found[-1]:
        found.pop()
    return tuple(found)


def _attributes(node: ir.Node) -> dict[str, Any]:
    """Return the attributes of a node as Python has them."""
    found = {
        name: _plain(attribute)
        for name, attribute in node.attributes.items()
        if attribute.type not in {ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS}
    }
    if qualified(node) == "ConstantOfShape":
        value = found.get("value", np.zeros(1, np.float32)).reshape(-1)
        return {"value": value[0].item(), "dtype": ir.DataType.from_numpy(value.dtype).value}
    return found


def _plain(attribute: ir.Attr) -> Any:
    if attribute.type == ir.AttributeType.TENSOR:
        return attribute.as_tensor().numpy()
    if attribute.type in {ir.AttributeType.INTS, ir.AttributeType.FLOATS, ir.AttributeType.STRINGS}:
        return list(attribute.value)
    return attribute.value
