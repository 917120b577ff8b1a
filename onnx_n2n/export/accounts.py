"""What became of every floating-point tensor of a file in an export: none is left out, and each has a reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

import onnx_ir as ir

from onnx_n2n.export.choice import Decision
from onnx_n2n.export.program import Account, Program, Tensor
from onnx_n2n.graph.constants import FLOATS

UNREAD = Decision("constant", "nothing reads it, so that it is left out")


def accounts_of(
    decisions: Mapping[ir.Value, tuple[Decision, ir.TensorProtocol]],
    copies: Mapping[ir.Value, ir.Value],
    program: Program,
    stored: Mapping[str, ir.TensorProtocol],
) -> Iterator[Account]:
    """Yield what became of every floating-point tensor, in the order of the file.

    Args:
        decisions: What was decided over each value that is known before any data is.
        copies: Which of them are copies of others.
        program: What was made.
        stored: All tensors of the file by name, also those that nothing reads.
    """
    made: dict[str, list[str]] = {}
    for made_tensor in program.tensors.values():
        for name in made_tensor.initializers:
            made.setdefault(name, []).append(made_tensor.name)
    for copy, original in copies.items():
        made.setdefault(str(original.name), []).extend(made.get(str(copy.name), ()))
    known = set()
    for value, (decision, tensor) in decisions.items():
        name = str(value.name)
        known.add(name)
        computed = name not in stored and value not in copies
        if value in copies or not _floating(tensor) or (computed and name not in program.constants):
            continue
        tensors = tuple(dict.fromkeys(made.get(name, ())))
        yield _account(name, _with_uses(decision, [program.tensors[each] for each in tensors]), tensor, tensors)
    for name, tensor in stored.items():
        if name not in known and _floating(tensor):
            yield _account(name, UNREAD, tensor, ())


def _with_uses(decision: Decision, tensors: Iterable[Tensor]) -> Decision:
    """Return what a tensor is for those who read it, where they were decided over one by one."""
    kinds = Counter("trained" if tensor.trained else "state" for tensor in tensors)
    found = next((tensor for tensor in tensors if tensor.trained or not kinds["trained"]), None)
    if found is None:
        return decision
    return Decision("trained" if found.trained else "state", found.because, found.guess)


def _account(name: str, decision: Decision, tensor: ir.TensorProtocol, tensors: tuple[str, ...]) -> Account:
    shape = tuple(int(length) for length in tensor.shape.numpy())
    return Account(name, decision.kind, decision.because, decision.guess, shape, tensor.dtype.name, tensors)


def _floating(tensor: ir.TensorProtocol) -> bool:
    return tensor.dtype in FLOATS or tensor.dtype.name.startswith("FLOAT")
