"""Operators that are modules: they have a state, or graphs inside of them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from onnx_n2n.errors import ExportError
from onnx_n2n.export.calling import NO_TURN


class BatchNorm(nn.modules.batchnorm._BatchNorm):
    """BatchNormalization of inputs of any rank: PyTorch's own, in training too."""

    def _check_input_dim(self, input: Tensor) -> None:  # noqa: A002 - PyTorch's name
        """Take any rank."""


NORMS: dict[int, type[nn.modules.batchnorm._BatchNorm]] = {
    3: nn.BatchNorm1d,
    4: nn.BatchNorm2d,
    5: nn.BatchNorm3d,
}
"""By rank of the input."""


class FrozenTensors(nn.Module):
    """Constants: they move with the module, and are not in its ``state_dict``."""

    def __init__(self, tensors: list[Tensor]) -> None:
        super().__init__()
        self._names = [f"constant_{k}" for k in range(len(tensors))]
        for name, tensor in zip(self._names, tensors, strict=True):
            self.register_buffer(name, tensor, persistent=False)

    def forward(self) -> tuple[Tensor, ...]:
        """Return all of them."""
        return tuple(getattr(self, name) for name in self._names)


class If(nn.Module):
    """Runs one of two graphs. The condition is a number where it is known without data."""

    def __init__(self, then_branch: nn.Module, else_branch: nn.Module, taken: list[list[int]]) -> None:
        super().__init__()
        self.then_branch, self.else_branch = then_branch, else_branch
        self._taken = taken

    def forward(self, condition: Any, *captured: Any) -> Any:
        """Run the chosen graph with the outer values that it reads."""
        then = condition[0] if isinstance(condition, list) else condition
        branch, taken = (self.then_branch, self._taken[0]) if then else (self.else_branch, self._taken[1])
        return branch(*(captured[k] for k in taken))


class Loop(nn.Module):
    """Runs a graph repeatedly, and stacks what it gathers."""

    def __init__(self, body: nn.Module, carried: int, gathers: int) -> None:
        super().__init__()
        self.body, self._carried, self._gathers = body, carried, gathers

    def forward(self, trips: Any, going: Any, *rest: Any) -> list[Any]:
        """Run the body while trips are left and its condition holds."""
        values, captured = list(rest[: self._carried]), rest[self._carried :]
        gathered: list[list[Any]] = []
        turn, limit = 0, _number(trips)
        alive = True if going is None else bool(_number(going))
        while alive and (limit is None or turn < limit):
            alive, *found = self.body(turn, alive, *values, *captured)
            alive = bool(_number(alive))
            values = found[: self._carried]
            gathered.append(found[self._carried :])
            turn += 1
        return values + [torch.stack(list(column)) for column in _columns(gathered, self._gathers)]


class Scan(nn.Module):
    """Runs a graph along an axis."""

    def __init__(self, body: nn.Module, states: int, scanned: int, options: dict[str, Any]) -> None:
        super().__init__()
        self.body, self._states, self._scanned, self._options = body, states, scanned, options

    def forward(self, *rest: Any) -> list[Any]:
        """Run the body on one slice after the other."""
        states, captured = list(rest[: self._states]), rest[self._states + self._scanned :]
        inputs = [
            (x.flip(axis) if back else x).unbind(axis)
            for x, axis, back in zip(
                rest[self._states : self._states + self._scanned],
                self._options["input_axes"],
                self._options["input_directions"],
                strict=True,
            )
        ]
        gathered = []
        for slices in zip(*inputs, strict=True):
            found = self.body(*states, *slices, *captured)
            states = list(found[: self._states])
            gathered.append(found[self._states :])
        columns = _columns(gathered, self._options["gathers"])
        axes = self._options["output_axes"] or [0] * len(columns)
        backs = self._options["output_directions"] or [0] * len(columns)
        stacked = [torch.stack(list(column), axis) for column, axis in zip(columns, axes, strict=True)]
        return states + [y.flip(axis) if back else y for y, axis, back in zip(stacked, axes, backs, strict=True)]


def _columns(gathered: list[list[Any]], count: int) -> list[tuple[Any, ...]]:
    """Return what each output gathers.

    Raises:
        ExportError: There was no turn, so the shape of what it gathers is unknown.
    """
    if count and not gathered:
        raise ExportError(NO_TURN)
    return list(zip(*gathered, strict=True))


def _number(value: Any) -> Any:
    return value[0] if isinstance(value, list) else value
