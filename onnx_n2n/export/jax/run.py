"""A program, run step by step. JAX sees it once, while it traces; lengths are numbers of Python then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from onnx_n2n.errors import ExportError
from onnx_n2n.export import lists
from onnx_n2n.export.calling import NO_TURN, Call, refuse
from onnx_n2n.export.jax import arrays, dtypes
from onnx_n2n.export.jax.norm import batch_norm
from onnx_n2n.export.lanes import call_of
from onnx_n2n.export.operators.table import table_of
from onnx_n2n.export.program import Block, Program, ProgramStep

TABLE = table_of(arrays)


@dataclass(frozen=True)
class CompiledProgram:
    """A program whose steps have found their functions.

    Attributes:
        program: The program.
        calls: By the identity of each step, what it calls.
    """

    program: Program
    calls: Mapping[int, Call]


def prepared(program: Program) -> CompiledProgram:
    """Find the function of every step.

    Raises:
        ExportError: A step asks for what its function does not know.
    """
    calls = {}
    for step in program.main.walk():
        refuse(step)
        if step.operator not in SPECIAL:
            calls[id(step)] = call_of(step, TABLE, program.host)
    return CompiledProgram(program, calls)


@dataclass
class Frame:
    """The values of one block while it runs.

    Attributes:
        recipe: What is run.
        tensors: The parameters and the state, by dotted name; what a step changes is changed here.
        train: Whether BatchNormalization and Dropout train.
        key: What Dropout draws from; without one it lets everything through.
        outer: The values of the block around this one.
    """

    recipe: CompiledProgram
    tensors: dict[str, Array]
    train: bool
    key: Any = None
    outer: Frame | None = None
    arrays: dict[str, Any] = field(default_factory=dict)
    numbers: dict[str, Any] = field(default_factory=dict)

    def device(self, name: str) -> Any:
        """Return a value as an array."""
        if not name:
            return None
        if name not in self.arrays:
            self.arrays[name] = self._found(name)
        return self.arrays[name]

    def _found(self, name: str) -> Any:
        """Make a value; one of an outer block is not kept there, as this one may be traced by itself."""
        if name in self.arrays:
            return self.arrays[name]
        if name in self.numbers:
            return dtypes.sent(self.numbers[name])
        if self.outer is not None:
            return self.outer._found(name)
        if name in self.recipe.program.weights:
            weight = self.recipe.program.weights[name]
            return weight.layout.pack([self.tensors[part] for part in weight.parts], jnp)
        return dtypes.to_jax(self.recipe.program.constants[name])

    def host(self, name: str) -> Any:
        """Return a value as a number, or a list of them."""
        if not name:
            return None
        if name in self.numbers:
            return self.numbers[name]
        if name in self.recipe.program.constants:
            return self.recipe.program.constants[name].tolist()
        if name not in self.arrays and self.outer is not None:
            return self.outer.host(name)
        return dtypes.fetched(self.device(name))

    def inner(self) -> Frame:
        """Return a frame for a block inside of a step."""
        return Frame(self.recipe, self.tensors, self.train, None, self)

    def run(self, block: Block) -> None:
        """Take all steps."""
        for step in block.steps:
            self.step(step)

    def step(self, step: ProgramStep) -> None:
        """Take one step."""
        if step.operator in SPECIAL:
            self.give(step, SPECIAL[step.operator](self, step))
            return
        call = self.recipe.calls[id(step)]
        arguments = [
            self.host(name) if number else self.device(name)
            for name, number in zip(step.inputs, call.takes_numbers, strict=True)
        ]
        found = call.function(*arguments, **call.keywords)
        self.give(step, found if call.several else (found,), self.numbers if call.gives_numbers else self.arrays)

    def give(self, step: ProgramStep, values: Sequence[Any], lane: dict[str, Any] | None = None) -> None:
        """Keep what a step returns."""
        for name, value in zip(step.outputs, values, strict=False):
            if name:
                (self.arrays if lane is None else lane)[name] = value


# Operators with a state, or with graphs inside of them ----------------------------------------------------------------


def _batch_norm(frame: Frame, step: ProgramStep) -> tuple[Array, ...]:
    x, scale, bias, mean, variance = (frame.device(name) for name in step.inputs)
    weights = [frame.recipe.program.weights.get(name) for name in step.inputs[3:5]]
    train = frame.train and frame.outer is None and None not in weights
    epsilon, momentum = step.attributes.get("epsilon", 1e-5), step.attributes.get("momentum", 0.9)
    y, mean, variance = batch_norm(x, scale, bias, mean, variance, epsilon, momentum, train)
    if train:
        for weight, value in zip(weights, (mean, variance), strict=True):
            assert weight is not None
            frame.tensors[weight.parts[0]] = value
    return (y,)


def _dropout(frame: Frame, step: ProgramStep) -> tuple[Array, ...]:
    x = frame.device(step.inputs[0])
    ratio = step.attributes.get("ratio", 0.5)
    if len(step.inputs) > 1 and step.inputs[1]:
        ratio = lists.flat(frame.host(step.inputs[1]))[0]
    if not frame.train or frame.key is None or ratio == 0:
        return x, jnp.ones(x.shape, bool)
    frame.key, key = jax.random.split(frame.key)
    kept = jax.random.bernoulli(key, 1 - ratio, x.shape)
    return jnp.where(kept, x / (1 - ratio), 0).astype(x.dtype), kept


def _if(frame: Frame, step: ProgramStep) -> tuple[Any, ...]:
    def branch(name: str) -> tuple[Any, ...]:
        inner = frame.inner()
        inner.run(step.blocks[name])
        return tuple(inner.device(output) for output in step.blocks[name].outputs)

    name = step.inputs[0]
    if name not in frame.recipe.program.host and name not in frame.recipe.program.constants:
        condition = frame.device(name)
        if isinstance(condition, jax.core.Tracer):
            found: tuple[Any, ...] = lax.cond(
                condition.reshape(()), lambda: branch("then_branch"), lambda: branch("else_branch")
            )
            return found
    return branch("then_branch" if lists.flat(frame.host(name))[0] else "else_branch")


def _loop(frame: Frame, step: ProgramStep) -> tuple[Any, ...]:
    body = step.blocks["body"]
    carried = len(body.inputs) - 2
    limits = [*step.inputs, "", ""][:2]
    trips, going = (lists.flat(frame.host(name))[0] if name else None for name in limits)
    values = [frame.device(name) for name in step.inputs[2:]]
    gathered: list[list[Any]] = []
    turn, alive = 0, going is None or bool(going)
    while alive and (trips is None or turn < trips):
        inner = frame.inner()
        inner.numbers.update(zip(body.inputs[:2], (turn, alive), strict=True))
        inner.arrays.update(zip(body.inputs[2:], values, strict=True))
        inner.run(body)
        alive = bool(lists.flat(inner.host(body.outputs[0]))[0])
        found = [inner.device(name) for name in body.outputs[1:]]
        values = found[:carried]
        gathered.append(found[carried:])
        turn += 1
    if not gathered and len(body.outputs) > 1 + carried:
        raise ExportError(NO_TURN, node=step.name, operator=step.operator)
    return *values, *(jnp.stack(column) for column in zip(*gathered, strict=True))


def _scan(frame: Frame, step: ProgramStep) -> tuple[Any, ...]:
    body, scanned = step.blocks["body"], int(step.attributes["num_scan_inputs"])
    states = len(body.inputs) - scanned
    gathered = len(body.outputs) - states
    axes, backs, places, turns = (
        step.attributes.get(name) or [0] * count
        for name, count in (
            ("scan_input_axes", scanned),
            ("scan_input_directions", scanned),
            ("scan_output_axes", gathered),
            ("scan_output_directions", gathered),
        )
    )
    values = [frame.device(name) for name in step.inputs]
    along = [jnp.moveaxis(x, axis, 0) for x, axis in zip(values[states:], axes, strict=True)]
    along = [jnp.flip(x, 0) if back else x for x, back in zip(along, backs, strict=True)]

    def one(carry: tuple[Any, ...], slices: tuple[Any, ...]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        inner = frame.inner()
        inner.arrays.update(zip(body.inputs, (*carry, *slices), strict=True))
        inner.run(body)
        found = tuple(inner.device(name) for name in body.outputs)
        return found[:states], found[states:]

    last, columns = lax.scan(one, tuple(values[:states]), tuple(along))
    turned = [jnp.flip(y, 0) if turn else y for y, turn in zip(columns, turns, strict=True)]
    return *last, *(jnp.moveaxis(y, 0, place) for y, place in zip(turned, places, strict=True))


SPECIAL: dict[str, Any] = {
    "BatchNormalization": _batch_norm,
    "Dropout": _dropout,
    "If": _if,
    "Loop": _loop,
    "Scan": _scan,
}
