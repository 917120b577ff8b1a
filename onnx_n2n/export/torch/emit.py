"""From a program to the graph of a ``torch.fx.GraphModule``: one call per step, in Python that can be read."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
from torch import fx, nn

from onnx_n2n.errors import ExportError
from onnx_n2n.export import lists
from onnx_n2n.export.calling import Call, made, refuse
from onnx_n2n.export.lanes import call_of
from onnx_n2n.export.names import arguments
from onnx_n2n.export.operators.table import table_of
from onnx_n2n.export.program import Block, Program, ProgramStep
from onnx_n2n.export.torch import arrays, dtypes, layers
from onnx_n2n.export.torch.network import Graph, Network
from onnx_n2n.export.torch.norm import batch_norm_as_is
from onnx_n2n.record.layouts import SAME, Layout

TABLE = table_of(arrays)

Captured = tuple[str, bool]
"""A value from outside, and whether it is wanted on the host."""

STATISTICS = ("weight", "bias", "running_mean", "running_var")

UNSIGNED = frozenset({ir.DataType.UINT16.value, ir.DataType.UINT32.value, ir.DataType.UINT64.value})
UNCOUNTED = frozenset(
    {
        "Abs", "Add", "ArgMax", "ArgMin", "BitShift", "BitwiseNot", "Clip", "Compress", "Div", "Einsum",
        "GatherElements", "Gemm", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "MatMul", "Max", "Min", "Mod",
        "Neg", "NonZero", "Pow", "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean",
        "ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare", "ReverseSequence", "Scatter", "ScatterElements",
        "ScatterND", "Sign", "Sub", "Sum", "Trilu",
    }
)  # fmt: skip
"""Operators that PyTorch does not do with unsigned numbers of more than 8 bits."""


def packed(*parts: torch.Tensor, layout: str) -> torch.Tensor:
    """Make a weight as ONNX has it of the tensors that PyTorch has."""
    weight: torch.Tensor = Layout.read(layout).pack(parts, torch)
    return weight


class Emitter:
    """Writes the steps of one block into an fx graph."""

    def __init__(self, program: Program, root: nn.Module, outer: Emitter | None = None) -> None:
        self.program, self.root, self.outer = program, root, outer
        self.graph = Graph()
        self.captured: list[Captured] = []
        self._device: dict[str, Any] = {}
        self._host: dict[str, Any] = {}
        self._last_input: fx.Node | None = None
        self._anchor: str = program.main.inputs[0] if program.main.inputs else ""
        self._constants: fx.Node | None = None
        self._names: list[str] = []  # of what comes in
        self._outermost = frozenset(name.partition(".")[0] for name in program.tensors)
        self.constants = ""
        self.arrays: list[np.ndarray] = []

    # Values -----------------------------------------------------------------------------------------------------------

    def input(self, name: str, *, number: bool = False) -> None:
        """Add an input."""
        (self._host if number else self._device)[name] = self._placeholder(name)

    def device(self, name: str) -> Any:
        """Return a value as a tensor."""
        if not name:
            return None
        if name not in self._device:
            self._device[name] = self._found(name)
        return self._device[name]

    def host(self, name: str) -> Any:
        """Return a value as a number, or a list of them."""
        if not name:
            return None
        if name in self.program.constants:
            return self.program.constants[name].tolist()
        if name not in self._host:
            if name in self._device or name in self.program.weights:
                self._host[name] = self.graph.call_function(dtypes.fetched, (self.device(name),))
            elif self.outer is not None:
                self._host[name] = self._capture(name, number=True)
            else:
                raise AssertionError(f"no value {name}")
        return self._host[name]

    def like(self) -> Any:
        """Return a tensor on whose device new ones are made."""
        return self.device(self._anchor) if self._anchor else None

    def _found(self, name: str) -> Any:
        if name in self._host:
            return self.graph.call_function(dtypes.sent, (self._host[name], self.like()))
        if self.outer is not None:
            return self._capture(name, number=False)
        if name in self.program.weights:
            return self._weight(name)
        if name in self.program.constants:
            if self._constants is None:
                self.constants = self.free("constants")
                self._constants = self.graph.call_module(self.constants)
            self.arrays.append(self.program.constants[name])
            return self.graph.call_function(operator.getitem, (self._constants, len(self.arrays) - 1))
        raise AssertionError(f"no value {name}")

    def _weight(self, name: str) -> Any:
        weight = self.program.weights[name]
        parts = [self.graph.get_attr(part) for part in weight.parts]
        for part in weight.parts:
            self.place(part)
        if weight.layout == SAME:
            return parts[0]
        return self.graph.call_function(packed, tuple(parts), {"layout": str(weight.layout)})

    def _capture(self, name: str, *, number: bool) -> fx.Node:
        self.captured.append((name, number))
        return self._placeholder(name)

    def _placeholder(self, name: str) -> fx.Node:
        """Add an input behind the others, which come before everything else."""
        self._names.append(name)
        with self.graph.inserting_after(self._last_input) if self._last_input else self.graph.inserting_before():
            self._last_input = self.graph.placeholder(arguments(self._names)[-1])
        return self._last_input

    # Modules ----------------------------------------------------------------------------------------------------------

    def place(self, name: str) -> None:
        """Register a tensor of the program under its dotted name."""
        tensor = self.program.tensors[name]
        *path, leaf = name.split(".")
        owner = self._owner(path)
        if leaf in owner._parameters or leaf in owner._buffers:
            return
        data = dtypes.to_tensor(tensor.array)
        if tensor.trained:
            owner.register_parameter(leaf, nn.Parameter(data))
        else:
            owner.register_buffer(leaf, data)

    def add(self, name: str, module: nn.Module) -> str:
        """Register a module, at the root of all blocks or of this one; return its name."""
        name = self.free(name)
        self.root.add_module(name, module)
        return name

    def free(self, wish: str) -> str:
        """Return a name for a module that no other one has or will have."""
        name, number = wish, 1
        while name in (self.constants, *self._outermost) or hasattr(self.root, name):
            number += 1
            name = f"{wish}_{number}"
        return name

    def _owner(self, path: list[str]) -> nn.Module:
        owner = self.root
        for part in path:
            if part not in owner._modules:
                owner.add_module(part, nn.Module())
            found = owner._modules[part]
            assert found is not None
            owner = found
        return owner

    # Steps ------------------------------------------------------------------------------------------------------------

    def step(self, step: ProgramStep) -> None:
        """Write one step."""
        refuse(step)
        _refuse_types(step)
        if step.operator in SPECIAL:
            SPECIAL[step.operator](self, step)
        else:
            call = call_of(step, TABLE, self.program.host)
            node = self._call(step, call)
            lane = self._host if call.gives_numbers else self._device
            if call.several:
                self.give(step, node, lane)
            else:
                lane[step.outputs[0]] = node

    def _call(self, step: ProgramStep, call: Call) -> fx.Node:
        arguments = tuple(
            self.host(name) if number else self.device(name)
            for name, number in zip(step.inputs, call.takes_numbers, strict=True)
        )
        keywords = {
            key: value.tolist() if isinstance(value, np.ndarray) else value for key, value in call.keywords.items()
        }
        if call.known_shapes:
            keywords["known_shapes"] = self._shapes(step)
        if call.like:
            keywords["like"] = self.like()
        return self.graph.call_function(call.function, arguments, keywords)

    def _shapes(self, step: ProgramStep) -> list[list[int] | None]:
        """Return the shapes of inputs that are weights as the framework has them, or constants."""
        tensors, weights = self.program.tensors, self.program.weights
        held = {name: tensors[weights[name].parts[0]].array for name in step.inputs if self._is_tensor(name)}
        held |= {name: self.program.constants[name] for name in step.inputs if name in self.program.constants}
        return [list(held[name].shape) if name in held else None for name in step.inputs]

    def _is_tensor(self, name: str) -> bool:
        return name in self.program.weights and self.program.weights[name].layout == SAME

    def give(self, step: ProgramStep, node: fx.Node, lane: dict[str, Any] | None = None) -> None:
        """Make the entries of a tuple the outputs of a step."""
        for slot, name in enumerate(step.outputs):
            if name:
                (self._device if lane is None else lane)[name] = self.graph.call_function(
                    operator.getitem, (node, slot)
                )

    def block(self, block: Block, inputs: Sequence[bool], outputs: Sequence[bool]) -> tuple[Network, list[Captured]]:
        """Write a block inside of a step as a module, which takes its inputs and then what it captures.

        Args:
            block: The block.
            inputs: For every input whether it is a number.
            outputs: The same for every output.
        """
        inner = Emitter(self.program, nn.Module(), self)
        for name, number in zip(block.inputs, inputs, strict=True):
            inner.input(name, number=number)
        for step in block.steps:
            inner.step(step)
        found = [
            inner.host(name) if number else inner.device(name)
            for name, number in zip(block.outputs, outputs, strict=True)
        ]
        inner.graph.output(tuple(found))
        return Network(inner.root, inner.graph, class_name="Block"), inner.captured

    def outside(self, captured: Sequence[Captured]) -> tuple[Any, ...]:
        """Return what a block captures."""
        return tuple(self.host(name) if number else self.device(name) for name, number in captured)


def _refuse_types(step: ProgramStep) -> None:
    reason = ""
    if step.operator in UNCOUNTED and UNSIGNED.intersection(step.types):
        reason = "PyTorch has no arithmetic with unsigned numbers of 16 and more bits"
    elif unknown := made(step) - dtypes.TYPES.keys() - {0}:
        reason = f"PyTorch has no type {ir.DataType(unknown.pop()).name}"
    if reason:
        raise ExportError(reason, node=step.name, operator=step.operator)


# Operators that are modules -------------------------------------------------------------------------------------------


def _batch_norm(emitter: Emitter, step: ProgramStep) -> None:
    epsilon, momentum = step.attributes.get("epsilon", 1e-5), step.attributes.get("momentum", 0.9)
    x = emitter.device(step.inputs[0])
    weights = [emitter.program.weights.get(name) for name in step.inputs[1:5]]
    names = [weight.parts[0] if weight is not None else "" for weight in weights]
    where = names[0].rpartition(".")[0]
    if emitter.outer is not None or not where or names != [f"{where}.{leaf}" for leaf in STATISTICS]:
        parts = [emitter.device(name) for name in step.inputs[1:5]]
        node = emitter.graph.call_function(batch_norm_as_is, (x, *parts, epsilon))
    else:
        for name in names:
            emitter.place(name)
        module = emitter.root.get_submodule(where)
        if not isinstance(module, nn.modules.batchnorm._BatchNorm):
            parent, _, leaf = where.rpartition(".")
            emitter.root.get_submodule(parent).add_module(leaf, _norm(module, epsilon, momentum))
        node = emitter.graph.call_module(where, (x,))
    emitter._device[step.outputs[0]] = node


def _norm(tensors: Any, epsilon: float, momentum: float) -> nn.Module:
    """Return PyTorch's module with these tensors."""
    norm = layers.BatchNorm(len(tensors.weight), eps=epsilon, momentum=1 - momentum)
    for name in ("weight", "bias"):  # which may be frozen
        delattr(norm, name)
        tensor = getattr(tensors, name)
        (norm.register_parameter if isinstance(tensor, nn.Parameter) else norm.register_buffer)(name, tensor)
    norm.running_mean, norm.running_var = tensors.running_mean, tensors.running_var
    for kind in ("_parameters", "_buffers", "_modules"):  # what its own class has besides
        mine, theirs = getattr(norm, kind), getattr(tensors, kind)
        mine.update({name: held for name, held in theirs.items() if name not in STATISTICS})
    return norm


def _dropout(emitter: Emitter, step: ProgramStep) -> None:
    ratio = (
        emitter.host(step.inputs[1]) if len(step.inputs) > 1 and step.inputs[1] else step.attributes.get("ratio", 0.5)
    )
    ratio = lists.flat(ratio)[0] if not isinstance(ratio, fx.Node) else 0.5
    name = emitter.add("dropout", nn.Dropout(ratio))
    node = emitter.graph.call_module(name, (emitter.device(step.inputs[0]),))
    emitter._device[step.outputs[0]] = node
    if len(step.outputs) > 1:
        emitter._device[step.outputs[1]] = emitter.graph.call_function(torch.ones_like, (node,), {"dtype": torch.bool})


def _if(emitter: Emitter, step: ProgramStep) -> None:
    condition = emitter.host(step.inputs[0])
    branches = [step.blocks[name] for name in ("then_branch", "else_branch")]
    modules, captured = zip(*(emitter.block(each, [], [False] * len(each.outputs)) for each in branches), strict=True)
    together = list(dict.fromkeys([*captured[0], *captured[1]]))
    taken = [[together.index(each) for each in one] for one in captured]
    name = emitter.add("branch", layers.If(modules[0], modules[1], taken))
    emitter.give(step, emitter.graph.call_module(name, (condition, *emitter.outside(together))))


def _loop(emitter: Emitter, step: ProgramStep) -> None:
    body = step.blocks["body"]
    carried = len(body.inputs) - 2
    module, captured = emitter.block(body, [True, True] + [False] * carried, [True] + [False] * (len(body.outputs) - 1))
    inputs = [*step.inputs, *[""] * (2 - len(step.inputs))]
    numbers = [emitter.host(name) for name in inputs[:2]]
    values = [emitter.device(name) for name in inputs[2:]]
    name = emitter.add("loop", layers.Loop(module, carried, len(body.outputs) - 1 - carried))
    emitter.give(step, emitter.graph.call_module(name, (*numbers, *values, *emitter.outside(captured))))


def _scan(emitter: Emitter, step: ProgramStep) -> None:
    body, scanned = step.blocks["body"], int(step.attributes["num_scan_inputs"])
    states = len(body.inputs) - scanned
    module, captured = emitter.block(body, [False] * len(body.inputs), [False] * len(body.outputs))
    options = {
        "gathers": len(body.outputs) - states,
        "input_axes": step.attributes.get("scan_input_axes") or [0] * scanned,
        "input_directions": step.attributes.get("scan_input_directions") or [0] * scanned,
        "output_axes": step.attributes.get("scan_output_axes"),
        "output_directions": step.attributes.get("scan_output_directions"),
    }
    values = [emitter.device(name) for name in step.inputs]
    name = emitter.add("scan", layers.Scan(module, states, scanned, options))
    emitter.give(step, emitter.graph.call_module(name, (*values, *emitter.outside(captured))))


SPECIAL: dict[str, Any] = {
    "BatchNormalization": _batch_norm,
    "Dropout": _dropout,
    "If": _if,
    "Loop": _loop,
    "Scan": _scan,
}
