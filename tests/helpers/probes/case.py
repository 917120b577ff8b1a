"""One probe of a rule: a small graph in which the channels of a first layer meet the operator and are summed again."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import Any

import onnx

from helpers.graphs import Judge, model, opened, refer, run
from onnx_n2n.analysis.walk import Analysis, analyze

STREAMS = {  # the input, the first layer with its weight, and the axis of its channels
    "image": ("float[2,3,4,6] x", "h = Conv(x, W)", (12, 3, 1, 1), 1),
    "rows": ("float[2,5,3] x", "h = MatMul(x, W)", (3, 12), -1),
    "flat": ("float[4,3] x", "h = MatMul(x, W)", (3, 12), -1),
}
OUT = 3  # channels of the pinned output


@dataclass(frozen=True)
class Case:
    """A graph around one operator, and the sizes of the groups that must be found in it.

    Attributes:
        body: What lies between ``h`` and the tensors named in ``ends``.
        groups: Sizes of all groups, sorted.
        stream: Where ``h`` comes from.
        close: The axes of each end that a last layer sums over; none when the operator has summed itself.
        together: Whether the groups only grow together, by one factor.
        reference: Whether ONNX's reference implementation runs it, because ONNX Runtime cannot.
    """

    body: str
    groups: tuple[int, ...]
    stream: str
    close: tuple[int, ...]
    ends: tuple[str, ...]
    x: str
    opset: int
    together: bool
    reference: bool
    constants: dict[str, Any] = field(repr=False)

    @functools.cached_property
    def teacher(self) -> onnx.ModelProto:
        _, first, shape, _ = STREAMS[self.stream]
        body, constants = f"{first} {self.body}", {"W": shape, **self.constants}
        bare = model(body, self.x, ", ".join(self.ends), opset=self.opset, **constants)
        outputs = []
        for name, example in zip(self.ends, self._judge(bare).expected[0], strict=True):
            body, name = f"{body} {name}_f = Cast<to=1>({name})", f"{name}_f"
            for axis in self.close:
                swap = list(range(example.ndim))
                swap[axis], swap[-1] = swap[-1], swap[axis]
                constants[f"{name}_V"] = (example.shape[axis], OUT)
                body += f" {name}_t = Transpose<perm={swap}>({name}) {name}_u = MatMul({name}_t, {name}_V)"
                body, name = f"{body} {name}_y = Transpose<perm={swap}>({name}_u)", f"{name}_y"
            outputs.append(name)
        return model(body, self.x, ", ".join(outputs), opset=self.opset, **constants)

    def analysis(self) -> Analysis:
        return analyze(opened(self.teacher))

    @functools.cached_property
    def judge(self) -> Judge:
        return self._judge(self.teacher)

    def _judge(self, teacher: onnx.ModelProto) -> Judge:
        return Judge(teacher, runtime=refer if self.reference else run)


def case(
    body: str,
    *groups: int,
    stream: str = "image",
    close: tuple[int, ...] | int | None = None,
    ends: str = "z",
    x: str = "",
    opset: int = 17,
    together: bool = False,
    reference: bool = False,
    **constants: Any,
) -> Case:
    close = STREAMS[stream][3] if close is None else close
    close = close if isinstance(close, tuple) else (close,)
    x = x or STREAMS[stream][0]
    return Case(
        body, tuple(sorted(groups)), stream, close, tuple(ends.split()), x, opset, together, reference, constants
    )


flat, rows = functools.partial(case, stream="flat"), functools.partial(case, stream="rows")
FAR = 2**31 - 1
K = "k = Conv(x, w)"  # a second producer beside h
TWIN = {"w": (12, 3, 1, 1)}
BESIDE = "a = Relu(h) k = Conv(a, o)"  # what pins ``k`` leaves ``h`` alone
FIVE = {"o": (5, 12, 1, 1)}
