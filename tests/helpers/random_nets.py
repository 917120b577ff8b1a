"""Networks drawn at random: blocks of nodes over images, and then layers over rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx
from hypothesis import assume
from hypothesis import strategies as st
from onnx import helper, numpy_helper, shape_inference

from helpers.random_rows import Rows

SIDE = 4  # of the first image


@dataclass(frozen=True)
class Image:
    """A tensor of shape [batch, channels, side, side]."""

    name: str
    channels: int
    side: int


class Net(Rows):
    """A network: blocks of nodes over images, then layers over rows; ``images`` are what a block may use."""

    def __init__(self, draw: st.DrawFn) -> None:
        super().__init__(draw)
        self.batch = draw(st.sampled_from([2, "N"]))
        self.images = [Image("x", 3, SIDE)]
        self.functions: list[onnx.FunctionProto] = []

    def image(self, suits: Callable[[Image], bool] = lambda image: True) -> Image:
        """Choose an image, mostly a late one; give the example up if none suits."""
        found = [image for image in self.images if suits(image)]
        assume(found)
        return found[-1 - self.draw(st.integers(0, min(2, len(found) - 1)))]

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

    # --- the end

    def head(self) -> str:
        image = self.images[-1]
        n, places = image.channels, image.side**2
        kind = self.one_of(["rows", "rows", "rows", "pool", "mean", "flatten", "reshape", "max"])
        if kind == "rows":
            value, width = self.rows(image.name, n, places)
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
