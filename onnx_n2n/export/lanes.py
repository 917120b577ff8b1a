"""Which values are worked out on the host, as Python numbers, and which on the device, with data.

Lengths, and what is computed with them, are known before any data is: a Reshape should not have to wait for the device
to tell it a length. So what an operator wants to know as a number, and can be known as one, is worked out on the host,
with everything that it is made of. All the rest is data. A value that is wanted in both lanes is worked out on the
host, and sent over.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping

from onnx_n2n.export import host
from onnx_n2n.export.calling import Call, Table, bind
from onnx_n2n.export.program import Block, ProgramStep

# Inputs that an operator wants as numbers, by slot.
WANTED: Mapping[str, frozenset[int]] = {
    "CenterCropPad": frozenset({1}),
    "ConstantOfShape": frozenset({0}),
    "CumSum": frozenset({1}),
    "Dropout": frozenset({1, 2}),
    "Expand": frozenset({1}),
    "If": frozenset({0}),
    "Loop": frozenset({0, 1}),
    "OneHot": frozenset({1}),
    "Pad": frozenset({1, 2, 3}),
    "Range": frozenset({0, 1, 2}),
    "Reshape": frozenset({1}),
    "Resize": frozenset({1, 2, 3}),
    "SequenceAt": frozenset({1}),
    "Slice": frozenset({1, 2, 3, 4}),
    "Split": frozenset({1}),
    "SplitToSequence": frozenset({1}),
    "Squeeze": frozenset({1}),
    "Tile": frozenset({1}),
    "TopK": frozenset({1}),
    "Trilu": frozenset({1}),
    "Unsqueeze": frozenset({1}),
    "Upsample": frozenset({1}),
} | {f"Reduce{kind}": frozenset({1}) for kind in (
    "L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare",
)}  # fmt: skip

LENGTHS = frozenset({"Shape", "Size"})  # the doors from the device to the host


def wants_number(operator: str, slot: int) -> bool:
    """Say whether an operator wants an input on the host."""
    return slot in WANTED.get(operator, frozenset())


def call_of(step: ProgramStep, table: Table, numbers: Container[str]) -> Call:
    """Return what a step calls: a function of the host lane, or of a framework.

    Args:
        step: The step.
        table: The functions of the framework.
        numbers: The values that are worked out on the host.

    Raises:
        ExportError: There is no function, or it cannot do what the step says.
    """
    if step.operator in LENGTHS:
        return bind(table, step, [False] * len(step.inputs), True)
    if step.outputs and step.outputs[0] in numbers:
        return bind(host.TABLE, step, [True] * len(step.inputs), True)
    return bind(table, step, [wants_number(step.operator, slot) for slot in range(len(step.inputs))], False)


def on_host(block: Block, known: Iterable[str]) -> frozenset[str]:
    """Return the values that are worked out on the host.

    Args:
        block: The main graph.
        known: Values without data: constants.
    """
    steps = list(block.walk())
    makers = {output: step for step in steps for output in step.outputs}
    available = _available(steps, set(known))
    found: set[str] = set()
    queue = [
        value
        for step in steps
        for slot, value in enumerate(step.inputs)
        if value in available and wants_number(step.operator, slot)
    ]
    queue += [step.blocks["body"].outputs[0] for step in steps if step.operator == "Loop"]
    while queue:
        value = queue.pop()
        if value in found or value not in available or value not in makers:
            continue
        found.update(makers[value].outputs)
        if makers[value].operator not in LENGTHS:
            queue.extend(makers[value].inputs)
    return frozenset(found)


def _available(steps: list[ProgramStep], known: set[str]) -> set[str]:
    """Return what can be known without data; blocks inside of steps come after what they use."""
    found = {"", *known}
    for step in steps:
        if step.operator == "Loop":
            found.update(step.blocks["body"].inputs[:2])  # the number of the turn, and whether it goes on
    for _ in range(2):  # a block inside of a step is walked before the step, and may use what comes later in the list
        for step in steps:
            if step.operator in LENGTHS or (step.operator in host.TABLE and found.issuperset(step.inputs)):
                found.update(step.outputs)
    return found
