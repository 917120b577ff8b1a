"""Layers over rows: feed-forward, attention, residual streams, recurrent ones."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from helpers.drawn import Drawn


class Rows(Drawn):
    """A graph whose layers work on tensors of shape [batch, places, width]."""

    def rows(self, image: str, width: int, places: int) -> tuple[str, int]:
        """Turn an image into rows and let a few layers mix their widths; return them averaged over the places."""
        value = self.add("Reshape", image, self.ints(0, self.one_of([-1, width]), places))
        value = self.add("Transpose", value, perm=[0, 2, 1])
        for _ in range(self.draw(st.integers(1, 3))):
            layers = [self.perceptron, self.tied, self.gated, self.heads, self.unit_length, self.recurrent, self.stream]
            value, width = self.one_of(layers)(value, width, places)
        return self.axes("ReduceMean", value, 1, since=18, keepdims=0), width

    def perceptron(self, value: str, width: int, places: int) -> tuple[str, int]:
        inner = self.add("Relu", self.linear(value, width, 5, flat=False))
        found = self.add("Add", value, self.linear(inner, 5, width, flat=False))
        return (self.layer_norm(found) if self.chance() else found), width

    def tied(self, value: str, width: int, places: int) -> tuple[str, int]:
        weight = self.weight(width, 6)
        inner = self.add("Tanh", self.add("MatMul", value, weight))
        return self.add("MatMul", inner, self.add("Transpose", weight, perm=[1, 0])), width

    def gated(self, value: str, width: int, places: int) -> tuple[str, int]:
        both = self.linear(value, width, 8, flat=False)
        one, other = self.several(2, "Split", both, axis=-1, **self.halves)
        return self.add("Mul", one, self.add("Sigmoid", other)), 4

    def heads(self, value: str, width: int, places: int) -> tuple[str, int]:
        heads, inner = self.one_of([1, 2, 3]), self.one_of([2, 4])
        names = []
        for _ in range(3):
            wide = self.linear(value, width, heads * inner, flat=False)
            apart = self.add("Reshape", wide, self.ints(0, places, heads, self.one_of([-1, inner])))
            names.append(self.add("Transpose", apart, perm=[0, 2, 1, 3]))
        score = self.add("MatMul", names[0], self.add("Transpose", names[1], perm=[0, 1, 3, 2]))
        mixed = self.add("MatMul", self.add("Softmax", score, axis=3), names[2])
        back = self.add("Transpose", mixed, perm=[0, 2, 1, 3])
        merged = self.add("Reshape", back, self.ints(0, places, heads * inner))
        if self.chance():
            return self.add("Add", value, self.linear(merged, heads * inner, width, flat=False)), width
        return merged, heads * inner

    def stream(self, value: str, width: int, places: int) -> tuple[str, int]:
        """A residual stream that some layers write to, each behind a norm, with another norm at the end."""
        width, value = 6, self.linear(value, width, 6, flat=False)
        if self.chance():
            value = self.add("Add", value, self.constant(self.rng.standard_normal((1, places, 6)).astype(np.float32)))
        for _ in range(self.draw(st.integers(1, 2))):
            read = self.norm(value, width)
            if self.chance():
                inner = self.add("Relu", self.linear(read, width, 8, flat=False))
                written = self.linear(inner, 8, width, flat=False)
            else:
                merged, inside = self.attend(read, width, places)
                written = self.linear(merged, inside, width, flat=False)
            if self.chance(30):  # a scale of what a layer writes
                written = self.add("Mul", written, self.vector(width, low=0.5, high=1.5))
            value = self.add("Add", value, written)
        return (self.norm(value, width) if self.chance(70) else value), width

    def norm(self, value: str, width: int) -> str:
        """LayerNormalization or RMSNormalization, as one operator or written out."""
        gain = self.vector(width, low=0.5, high=1.5)
        if self.opset >= 17 and self.chance():
            bias = [self.vector(width)] if self.chance() else []
            return self.add("LayerNormalization", value, gain, *bias, axis=-1, epsilon=0.1)
        if self.opset >= 23 and self.chance():
            return self.add("RMSNormalization", value, gain, axis=-1, epsilon=0.1)
        if self.chance():
            return self.add("Add", self.add("Mul", self.layer_norm(value), gain), self.vector(width))
        squares = self.add("Pow", value, self.constant(np.float32(2)))
        mean = self.axes("ReduceMean", squares, -1, since=18, keepdims=1)
        spread = self.add("Sqrt", self.add("Add", mean, self.constant(np.float32(0.1))))
        return self.add("Mul", self.add("Mul", value, self.add("Reciprocal", spread)), gain)

    def attend(self, value: str, width: int, places: int) -> tuple[str, int]:
        """Attention as one operator, where groups of query heads share those of keys."""
        if self.opset < 23:
            return self.heads(value, width, places)
        shared, each, inner, outer = self.one_of([1, 2]), self.one_of([1, 2]), self.one_of([2, 4]), self.one_of([2, 3])
        sizes = [shared * each * inner, shared * inner, shared * outer]
        operands = [self.linear(value, width, size, flat=False) for size in sizes]
        scale = {"scale": 0.4} if self.chance() else {}
        found = self.add("Attention", *operands, q_num_heads=shared * each, kv_num_heads=shared, **scale)
        return found, shared * each * outer

    def recurrent(self, value: str, width: int, places: int) -> tuple[str, int]:
        """LSTM, GRU or RNN over the places, in one direction or both."""
        operator, hidden = self.one_of(["LSTM", "GRU", "RNN"]), self.one_of([2, 3, 4])
        gates, ways = {"LSTM": 4, "GRU": 3, "RNN": 1}[operator], self.one_of([1, 2])
        shapes = [(ways, gates * hidden, width), (ways, gates * hidden, hidden), (ways, 2 * gates * hidden)]
        weights = [self.constant((self.rng.standard_normal(s) / 2).astype(np.float32), "recurrent") for s in shapes]
        turned = self.add("Transpose", value, perm=[1, 0, 2])
        direction = "bidirectional" if ways == 2 else self.one_of(["forward", "reverse"])
        found = self.add(operator, turned, *weights, hidden_size=hidden, direction=direction)
        back = self.add("Transpose", found, perm=[2, 0, 1, 3])
        return self.add("Reshape", back, self.ints(0, places, self.one_of([-1, ways * hidden]))), ways * hidden

    def unit_length(self, value: str, width: int, places: int) -> tuple[str, int]:
        length = self.axes("ReduceL2", value, -1, since=18, keepdims=1)
        return self.add("Div", value, self.add("Add", length, self.constant(np.float32(0.1)))), width
