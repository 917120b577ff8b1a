"""A graph in the making, of which everything is drawn: choices, nodes, constants, and the smallest layers."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import onnx
from hypothesis import strategies as st
from onnx import helper, numpy_helper


class Drawn:
    """A graph in the making: ``draw`` decides, and methods add nodes."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.opset = draw(st.sampled_from([11, 13, 17, 21, 23]))
        self.rng = np.random.default_rng(draw(st.integers(0, 2**20)))
        self.nodes: list[onnx.NodeProto] = []
        self.weights: dict[str, np.ndarray] = {}
        self.count = 0
        self.reads: Counter[str] = Counter()

    # --- choices

    def chance(self, percent: int = 50) -> bool:
        return self.draw(st.integers(0, 99)) >= 100 - percent

    def one_of(self, choices: Any) -> Any:
        return self.draw(st.sampled_from(list(choices)))

    def divisor(self, number: int) -> int:
        return int(self.one_of(n for n in range(1, number + 1) if number % n == 0))

    # --- nodes and constants

    def name(self, stem: str) -> str:
        self.count += 1
        return f"{stem}_{self.count}"

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        return self.several(1, operator, *inputs, **attributes)[0]

    def several(self, outputs: int, operator: str, *inputs: str, **attributes: Any) -> list[str]:
        names = [self.name(operator.lower()) for _ in range(outputs)]
        name = self.name(operator) if self.rng.random() < 0.8 else ""
        self.reads.update(inputs)
        self.nodes.append(helper.make_node(operator, list(inputs), names, name=name, **attributes))
        return names

    def constant(self, array: Any, stem: str = "constant") -> str:
        """Add a constant: an initializer or a Constant node, and now and then one that is there already."""
        array = np.asarray(array)
        same = [n for n, other in self.weights.items() if other.dtype == array.dtype and np.array_equal(other, array)]
        if same and self.chance(70):  # exporters merge what is equal
            return same[0]
        if self.chance(15):
            return self.add("Constant", value=numpy_helper.from_array(array))
        name = self.name(f"{stem}.weight" if array.ndim > 1 and array.dtype == np.float32 else stem)
        self.weights[name] = array
        return name

    def ints(self, *numbers: int) -> str:
        return self.constant(np.array(numbers, np.int64))

    def weight(self, *shape: int, stem: str = "layer") -> str:
        """Add a weight, sometimes behind nodes that carry it to where it is used."""
        scale = 1.4 / math.sqrt(max(1, math.prod(shape[1:])))
        array = (self.rng.standard_normal(shape) * scale).astype(np.float32)
        kind = self.draw(st.integers(0, 9))
        if kind == 0:
            return self.add("Identity", self.constant(array, stem))
        if kind == 1:
            swap = [1, 0, *range(2, len(shape))]
            return self.add("Transpose", self.constant(array.transpose(swap), stem), perm=swap)
        if kind == 2:
            return self.add("Cast", self.constant(array.astype(np.float64), stem), to=onnx.TensorProto.FLOAT)
        return self.constant(array, stem)

    def vector(self, length: int, *after: int, low: float = -0.5, high: float = 0.5) -> str:
        """Add a bias or a scale; zeros are common, so that they are merged."""
        zeros = low < 0 and self.chance()
        array = np.zeros(length) if zeros else self.rng.uniform(low, high, length)
        return self.constant(array.astype(np.float32).reshape(-1, *after), "vector")

    def axes(self, operator: str, value: str, *axes: int, since: int = 13, **attributes: Any) -> str:
        """Add a node whose axes are an input since ``since`` and an attribute before."""
        if self.opset >= since:
            return self.add(operator, value, self.ints(*axes), **attributes)
        return self.add(operator, value, axes=list(axes), **attributes)

    @property
    def halves(self) -> dict[str, Any]:
        """What Split needs to be told when it cuts an axis into two equal parts."""
        return {"num_outputs": 2} if self.opset >= 18 else {}

    # --- layers

    def linear(self, value: str, width: int, to: int, *, flat: bool = True) -> str:
        if flat and self.chance():
            flip = int(self.chance())
            weight = self.weight(to, width, stem="linear") if flip else self.weight(width, to, stem="linear")
            return self.add("Gemm", value, weight, self.vector(to), transB=flip)
        return self.add("Add", self.add("MatMul", value, self.weight(width, to, stem="linear")), self.vector(to))

    def layer_norm(self, value: str) -> str:
        centred = self.add("Sub", value, self.axes("ReduceMean", value, -1, since=18, keepdims=1))
        variance = self.axes("ReduceMean", self.add("Mul", centred, centred), -1, since=18, keepdims=1)
        spread = self.add("Sqrt", self.add("Add", variance, self.constant(np.float32(0.1))))
        return self.add("Div", centred, spread)
