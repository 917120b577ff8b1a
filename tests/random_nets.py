"""Networks drawn at random: blocks of nodes over images, and layers over rows."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from hypothesis import assume
from hypothesis import strategies as st
from onnx import helper, numpy_helper, shape_inference

SIDE = 4  # of the first image


@dataclass(frozen=True)
class Image:
    """A tensor of shape [batch, channels, side, side]."""

    name: str
    channels: int
    side: int


class Net:
    """A network in the making: ``draw`` decides, methods add blocks of nodes, and ``images`` are what they may use."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.opset = draw(st.sampled_from([11, 13, 17, 21, 23]))
        self.rng = np.random.default_rng(draw(st.integers(0, 2**20)))
        self.batch = draw(st.sampled_from([2, "N"]))
        self.nodes: list[onnx.NodeProto] = []
        self.weights: dict[str, np.ndarray] = {}
        self.count = 0
        self.images = [Image("x", 3, SIDE)]
        self.functions: list[onnx.FunctionProto] = []
        self.reads: Counter[str] = Counter()

    # --- choices

    def chance(self, percent: int = 50) -> bool:
        return self.draw(st.integers(0, 99)) >= 100 - percent

    def one_of(self, choices: Any) -> Any:
        return self.draw(st.sampled_from(list(choices)))

    def image(self, suits: Callable[[Image], bool] = lambda image: True) -> Image:
        """Choose an image, mostly a late one; give the example up if none suits."""
        found = [image for image in self.images if suits(image)]
        assume(found)
        return found[-1 - self.draw(st.integers(0, min(2, len(found) - 1)))]

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

    # --- blocks: each takes images and returns one

    def conv(self, image: Image, channels: int | None = None, group: int = 1) -> Image:
        channels = channels or group * self.one_of([2, 3, 4, 6])
        kernel = self.one_of([1, 3])
        weight = self.weight(channels, image.channels // group, kernel, kernel)
        bias = [self.vector(channels)] if self.chance() else []
        pads = [kernel // 2] * 4
        return Image(self.add("Conv", image.name, weight, *bias, group=group, pads=pads), channels, image.side)

    def convolution(self) -> Image:
        image = self.image()
        group = self.divisor(image.channels) if self.chance(40) else 1
        return self.conv(image, group=group)

    def depthwise(self) -> Image:
        image = self.image()
        return self.conv(image, image.channels * self.one_of([1, 2]), image.channels)

    def transposed(self) -> Image:
        image = self.image(lambda image: image.side <= SIDE)
        group = self.divisor(image.channels) if self.chance(40) else 1
        inner = self.one_of([2, 3])
        weight = self.weight(image.channels, inner, 2, 2)
        name = self.add("ConvTranspose", image.name, weight, group=group, strides=[2, 2])
        return Image(name, inner * group, 2 * image.side)

    def twins(self) -> Image:
        """One weight for two images."""
        one = self.image()
        other = self.image(lambda image: (image.channels, image.side) == (one.channels, one.side))
        weight = self.weight(4, one.channels, 1, 1)
        names = [self.add("Conv", image.name, weight) for image in (one, other)]
        return Image(self.add("Mul", names[0], self.add("Sigmoid", names[1])), 4, one.side)

    def activation(self) -> Image:
        image = self.image()
        operator = self.one_of(["Relu", "Sigmoid", "Tanh", "LeakyRelu", "Elu", "PRelu", "Clip", "Softplus"])
        more = [self.vector(image.channels, 1, 1)] if operator == "PRelu" else []
        if operator == "Clip":
            more = [self.constant(np.float32(-1)), self.constant(np.float32(1))]
        return Image(self.add(operator, image.name, *more), image.channels, image.side)

    def normalisation(self) -> Image:
        image = self.image()
        n = image.channels
        kind = self.one_of(["Batch", "Instance", "Group", "GroupOp"])
        scale, bias = self.vector(n, low=0.5, high=1.5), self.vector(n)
        if kind == "Instance":
            name = self.add("InstanceNormalization", image.name, scale, bias, epsilon=0.1)
        elif kind == "GroupOp" and self.opset >= 21:
            name = self.add("GroupNormalization", image.name, scale, bias, num_groups=self.divisor(n), epsilon=0.1)
        elif kind == "Group":
            groups = self.divisor(n)
            unit = (self.constant(np.full(groups, value, np.float32)) for value in (1, 0))
            flat = self.add("Reshape", image.name, self.ints(0, groups, -1))
            normal = self.add("InstanceNormalization", flat, *unit, epsilon=0.1)
            name = self.add("Reshape", normal, self.shape_of(image))
        else:
            variance = self.vector(n, low=0.5, high=1.5)
            name = self.add("BatchNormalization", image.name, scale, bias, self.vector(n), variance)
        return Image(name, n, image.side)

    def shape_of(self, image: Image) -> str:
        if self.chance():
            return self.add("Shape", image.name)
        return self.ints(*self.one_of([(0, image.channels, image.side, image.side), (0, -1, image.side, image.side)]))

    def residual(self) -> Image:
        image = self.image()
        names = [image.name, self.conv(self.conv(image), image.channels).name]
        return Image(self.add("Add", *self.draw(st.permutations(names))), image.channels, image.side)

    def meeting(self) -> Image:
        one = self.image()
        other = self.image(lambda image: (image.channels, image.side) == (one.channels, one.side))
        return Image(self.add(self.one_of(["Add", "Mul", "Max"]), one.name, other.name), one.channels, one.side)

    def concat(self) -> Image:
        side = self.image().side
        images = [self.image(lambda image: image.side == side) for _ in range(self.one_of([2, 3]))]
        channels = sum(image.channels for image in images)
        assume(channels <= 48)
        return Image(self.add("Concat", *(image.name for image in images), axis=1), channels, side)

    def split(self) -> Image:
        image = self.image(lambda image: image.channels >= 2)
        cut = self.draw(st.integers(1, image.channels - 1))
        more: list[str] = []
        if image.channels % 2 == 0 and self.chance():
            cut, stated = image.channels // 2, self.halves
        elif self.opset >= 13:
            more, stated = [self.ints(cut, image.channels - cut)], {}
        else:
            stated = {"split": [cut, image.channels - cut]}
        names = self.several(2, "Split", image.name, *more, axis=1, **stated)
        if self.chance():
            return Image(self.add("Concat", *reversed(names), axis=1), image.channels, image.side)
        self.images.append(Image(names[0], cut, image.side))
        return Image(names[1], image.channels - cut, image.side)

    def slice(self) -> Image:
        image = self.image()
        start = self.draw(st.integers(0, image.channels - 1))
        end = self.draw(st.integers(start + 1, image.channels))
        first = self.one_of([start, start - image.channels])
        last = self.one_of([2**31 - 1, 100]) if end == image.channels else self.one_of([end, end - image.channels])
        name = self.add("Slice", image.name, self.ints(first), self.ints(last), self.ints(self.one_of([1, -3])))
        return Image(name, end - start, image.side)

    def gather(self) -> Image:
        image = self.image()
        n, cut = image.channels, self.draw(st.integers(0, image.channels - 1))
        groups = self.divisor(n)
        shuffled = np.arange(n).reshape(groups, -1).T.ravel()
        picks = self.one_of([(*range(cut, n), *range(cut)), range(cut, n), shuffled.tolist(), [cut]])
        return Image(self.add("Gather", image.name, self.ints(*picks), axis=1), len(picks), image.side)

    def shuffle(self) -> Image:
        image = self.image()
        n, side, groups = image.channels, image.side, self.divisor(image.channels)
        apart = self.add("Reshape", image.name, self.ints(0, groups, self.one_of([-1, n // groups]), side, side))
        swapped = self.add("Transpose", apart, perm=[0, 2, 1, 3, 4])
        return Image(self.add("Reshape", swapped, self.shape_of(image)), n, side)

    def squeeze_and_excite(self) -> Image:
        image = self.image()
        pooled = Image(self.add(self.one_of(["GlobalAveragePool", "GlobalMaxPool"]), image.name), image.channels, 1)
        inner = self.conv(pooled)
        outer = self.conv(Image(self.add("Relu", inner.name), inner.channels, 1), image.channels)
        return Image(self.add("Mul", image.name, self.add("Sigmoid", outer.name)), image.channels, image.side)

    def pool(self) -> Image:
        image = self.image(lambda image: image.side % 2 == 0)
        operator = self.one_of(["MaxPool", "AveragePool"])
        name = self.add(operator, image.name, kernel_shape=[2, 2], strides=[2, 2])
        return Image(name, image.channels, image.side // 2)

    def pad(self) -> Image:
        image = self.image()
        before, after = self.one_of([(0, 1), (2, 0), (1, 2)])
        name = self.add("Pad", image.name, self.ints(0, before, 0, 0, 0, after, 0, 0))
        return Image(name, image.channels + before + after, image.side)

    def depth_to_space(self) -> Image:
        image = self.image(lambda image: image.side <= SIDE)
        wide = self.conv(image, 4 * self.one_of([1, 2, 3]))
        mode = self.one_of(["DCR", "CRD"])
        return Image(self.add("DepthToSpace", wide.name, blocksize=2, mode=mode), wide.channels // 4, 2 * image.side)

    def attention(self) -> Image:
        """Several heads that look over all places."""
        image = self.image(lambda image: image.side <= SIDE)
        heads, width, places = self.one_of([1, 2, 3]), self.one_of([2, 4]), image.side**2
        merged = self.conv(image, 3 * heads * width)
        order = self.one_of([(3, heads, width), (heads, 3, width)])
        apart = self.add("Reshape", merged.name, self.ints(0, *order, places))
        axis = 1 + order.index(3)
        sizes = [self.ints(1, 1, 1)] if self.opset >= 13 else []
        q, k, v = (self.axes("Squeeze", name, axis) for name in self.several(3, "Split", apart, *sizes, axis=axis))
        score = self.add("MatMul", self.add("Transpose", q, perm=[0, 1, 3, 2]), k)
        attended = self.add("MatMul", v, self.add("Transpose", self.add("Softmax", score, axis=3), perm=[0, 1, 3, 2]))
        flat = self.add("Reshape", attended, self.ints(0, heads * width, image.side, image.side))
        return Image(flat, heads * width, image.side)

    # --- blocks in bodies and functions

    def inside(self, image: Image, channels: int, *, alone: bool = False) -> tuple[list[onnx.NodeProto], Image]:
        """Return the nodes of some blocks that make ``channels`` of an image, and perhaps of others, when not alone."""
        nodes, images = self.nodes, self.images
        self.nodes, self.images = [], [image] if alone else [*images, image]
        kept = [self.conv(image, channels)] if self.chance(30) else []
        block = self.one_of([self.convolution, self.depthwise, self.activation, self.normalisation, self.residual,
                             self.split, self.shuffle, self.squeeze_and_excite])  # fmt: skip
        made = kept[0] if kept else block()
        assume(made.side == image.side)
        if made.channels != channels or self.chance(30):
            made = self.conv(made, channels)
        found, self.nodes, self.images = self.nodes, nodes, images
        return found, made

    def body(self, inputs: list[onnx.ValueInfoProto], nodes: list[onnx.NodeProto], *outputs: Image) -> onnx.GraphProto:
        """Return a graph; now and then it has the weights that it reads for itself."""
        ends = [self.typed(image) for image in outputs]
        graph = helper.make_graph(nodes, self.name("body"), inputs, ends)
        read = Counter(name for node in nodes for name in node.input)
        if self.chance(30):
            for name in [name for name in read if name in self.weights and read[name] == self.reads[name]]:
                graph.initializer.append(numpy_helper.from_array(self.weights.pop(name), name))
        return graph

    def typed(self, image: Image) -> onnx.ValueInfoProto:
        shape = [self.batch, image.channels, image.side, image.side]
        return helper.make_tensor_value_info(image.name, onnx.TensorProto.FLOAT, shape)

    def condition(self) -> str:
        """Add something that only run time knows."""
        return self.add("Greater", self.add("ReduceMax", "x", keepdims=0), self.constant(np.float32(1.5)))

    def branch(self) -> Image:
        image = self.image()
        channels = self.one_of([image.channels, 4, 6])
        bodies = [self.body([], *self.inside(image, channels)) for _ in range(2)]
        name = self.add("If", self.condition(), then_branch=bodies[0], else_branch=bodies[1])
        return Image(name, channels, image.side)

    def loop(self) -> Image:
        image = self.image()
        state = Image(self.name("state"), image.channels, image.side)
        counters = [
            helper.make_tensor_value_info(self.name("counter"), onnx.TensorProto.INT64, []),
            helper.make_tensor_value_info(self.name("condition"), onnx.TensorProto.BOOL, []),
        ]
        nodes, made = self.inside(state, state.channels, alone=self.chance())
        assume(made.name != state.name)
        go_on = self.name("condition")
        nodes.append(helper.make_node("Identity", [counters[1].name], [go_on]))
        graph = self.body([*counters, self.typed(state)], nodes, made)
        graph.output.insert(0, helper.make_tensor_value_info(go_on, onnx.TensorProto.BOOL, []))
        trips = self.constant(np.array(self.one_of([0, 1, 2])))
        return Image(self.add("Loop", trips, "", image.name, body=graph), image.channels, image.side)

    def scan(self) -> Image:
        """Walk over the columns with a state that sums them up."""
        image = self.image()
        state, column, total, out = (self.name(stem) for stem in ("state", "column", "total", "out"))
        start = self.axes("ReduceMax", image.name, 3, since=18, keepdims=0)
        nodes = [
            helper.make_node("Mul", [state, self.vector(image.channels, 1)], [f"{total}_a"]),
            helper.make_node("Add", [f"{total}_a", column], [total]),
            helper.make_node("Tanh", [total], [out]),
        ]
        kind = [onnx.TensorProto.FLOAT, [self.batch, image.channels, image.side]]
        values = [helper.make_tensor_value_info(name, *kind) for name in (state, column, total, out)]
        graph = helper.make_graph(nodes, self.name("body"), values[:2], values[2:])
        axes = {"scan_input_axes": [3], "scan_output_axes": [-1]}
        _, name = self.several(2, "Scan", start, image.name, body=graph, num_scan_inputs=1, **axes)
        return Image(name, image.channels, image.side)

    def call(self) -> Image:
        """Call a function with all that its nodes read."""
        image = self.image()
        nodes, made = self.inside(image, self.one_of([image.channels, 4, 6]))
        assume(nodes)
        inner = {name for node in nodes for name in node.output}
        read = list(dict.fromkeys(name for node in nodes for name in node.input if name and name not in inner))
        imports = [helper.make_opsetid("", self.opset)]
        self.functions.append(helper.make_function("f", self.name("F"), read, [made.name], nodes, imports))
        name = self.add(self.functions[-1].name, *read, domain="f")
        return Image(name, made.channels, made.side)

    def block(self) -> None:
        blocks = [
            self.convolution, self.convolution, self.depthwise, self.transposed, self.twins, self.activation,
            self.activation, self.normalisation, self.residual, self.meeting, self.concat, self.split, self.slice,
            self.gather, self.shuffle, self.squeeze_and_excite, self.pool, self.pad, self.depth_to_space,
            self.attention, self.branch, self.loop, self.scan, self.call,
        ]
        self.images.append(self.one_of(blocks)())

    # --- rows: tensors of shape [batch, places, width]

    def rows(self, image: Image) -> tuple[str, int]:
        """Turn an image into rows and let a few layers mix their widths; return them averaged over the places."""
        places, width = image.side**2, image.channels
        value = self.add("Reshape", image.name, self.ints(0, self.one_of([-1, width]), places))
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

    # --- the end

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

    def head(self) -> str:
        image = self.images[-1]
        n, places = image.channels, image.side**2
        kind = self.one_of(["rows", "rows", "rows", "pool", "mean", "flatten", "reshape", "max"])
        if kind == "rows":
            value, width = self.rows(image)
        elif kind == "pool":
            value, width = self.add("Flatten", self.add("GlobalAveragePool", image.name)), n
        elif kind in {"mean", "max"}:
            value, width = self.axes(f"Reduce{kind.title()}", image.name, 2, 3, since=18, keepdims=0), n
        elif kind == "flatten":
            value, width = self.add("Flatten", image.name), n * places
        else:
            to = self.ints(*self.one_of([(0, -1), (-1, n * places)]))
            value, width = self.add("Reshape", image.name, to), n * places
        value = self.add("Relu", self.linear(value, width, 6))
        if self.chance():
            value = self.layer_norm(value)
        if self.chance():
            value = self.add("Add", value, self.linear(self.add("Tanh", self.linear(value, 6, 8)), 8, 6))
        self.weights["hidden.weight"] = self.rng.standard_normal((6, 5)).astype(np.float32)
        return self.linear(self.add("Tanh", self.add("MatMul", value, "hidden.weight")), 5, 3)

    def model(self) -> onnx.ModelProto:
        ends = {self.head(): [self.batch, 3]}
        if self.chance(20) and self.images[1:]:  # an inner tensor that is looked at from outside
            image = self.one_of(self.images[1:])
            ends[image.name] = [self.batch, image.channels, image.side, image.side]
        given = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [self.batch, 3, SIDE, SIDE])
        tensors = [numpy_helper.from_array(array, name) for name, array in self.weights.items()]
        listed = [helper.make_tensor_value_info(t.name, t.data_type, t.dims) for t in tensors if self.chance(5)]
        outputs = [helper.make_tensor_value_info(end, onnx.TensorProto.FLOAT, shape) for end, shape in ends.items()]
        graph = helper.make_graph(self.nodes, "random", [given, *listed], outputs, tensors)
        imports = [helper.make_opsetid("", self.opset), helper.make_opsetid("f", 1)]
        bare = helper.make_model(graph, opset_imports=imports, ir_version=8, functions=self.functions)
        found = shape_inference.infer_shapes(bare, data_prop=True)
        if self.chance():
            del found.graph.value_info[:]
        return found


@st.composite
def teachers(draw: st.DrawFn) -> onnx.ModelProto:
    net = Net(draw)
    for _ in range(draw(st.integers(1, 8))):
        net.block()
    return net.model()
