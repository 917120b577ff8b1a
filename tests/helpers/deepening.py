"""What tests of depth share: deepening, what it adds, whether that can learn, and small networks."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from helpers.graphs import Judge, model, run
from onnx_n2n.passes import Deepen

EXACT = 1e-6  # of how far an output moves: identities are exact, and norms round


def deepen(teacher: onnx.ModelProto, **options: Any) -> onnx.ModelProto:
    result = Deepen(**options)(teacher)
    assert result.modified
    onnx.checker.check_model(result.model, full_check=True)
    return result.model


def stored_in(kind: Any, teacher: onnx.ModelProto, *, casts: int = 1) -> onnx.ModelProto:
    """Store the weights in another type, each with a Cast before it is used, or with one for each use."""
    found = onnx.ModelProto.FromString(teacher.SerializeToString())
    nodes = list(found.graph.node)
    front: list[onnx.NodeProto] = []
    for tensor in found.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT:
            continue
        array = numpy_helper.to_array(tensor).astype(kind)
        tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
        uses = [(node, slot) for node in nodes for slot, name in enumerate(node.input) if name == tensor.name]
        for number, (node, slot) in enumerate(uses):
            number %= casts
            node.input[slot] = f"{tensor.name}_cast{number}"
            if node.input[slot] not in {each.output[0] for each in front}:
                front.append(helper.make_node("Cast", [tensor.name], [node.input[slot]], f"to32/{tensor.name}/{number}",
                                              to=TensorProto.FLOAT))  # fmt: skip
    del found.graph.node[:]
    found.graph.node.extend([*front, *nodes])
    return found


def added(teacher: onnx.ModelProto, student: onnx.ModelProto) -> list[str]:
    before = [node.op_type for node in teacher.graph.node]
    after = [node.op_type for node in student.graph.node]
    for operator in before:
        after.remove(operator)
    return sorted(after)


def new_weights(teacher: onnx.ModelProto, student: onnx.ModelProto) -> list[str]:
    known = {tensor.name for tensor in teacher.graph.initializer}
    return [tensor.name for tensor in student.graph.initializer if tensor.name not in known]


def changed(student: onnx.ModelProto, names: list[str], amount: float, seed: int = 0) -> onnx.ModelProto:
    """Add noise to some weights, as a step of training does."""
    rng = np.random.default_rng(seed)
    moved = onnx.ModelProto.FromString(student.SerializeToString())
    for tensor in moved.graph.initializer:
        if tensor.name in names:
            array = numpy_helper.to_array(tensor)
            noise = amount * rng.standard_normal(array.shape)
            tensor.CopyFrom(numpy_helper.from_array(array + noise.astype(array.dtype), tensor.name))
    return moved


def distance(one: onnx.ModelProto, other: onnx.ModelProto, judge: Judge) -> float:
    return max(
        float(np.abs(a - b).max())
        for feed in judge.feeds
        for a, b in zip(run(one, feed), run(other, feed), strict=True)
    )


IMAGE, ROWS, FLAT = "float[2,3,8,9] x", "float[2,5,3] x", "float[4,3] x"
BN = {"s": (8,), "b": (8,), "m": (8,), "v": np.linspace(0.5, 2, 8, dtype=np.float32)}
CONV, NORM = "h = Conv<pads=[1,1,1,1]>(x, W, c)", "n = BatchNormalization(h, s, b, m, v)"
W, C, V = (8, 3, 3, 3), (8,), (3, 8, 1, 1)

LN = "LayerNormalization"
FFN = "u = MatMul({n}, A) r = Relu(u) m = MatMul(r, B)"
ATTENTION = (
    "q = MatMul({n}, Q) k = MatMul({n}, K) v = MatMul({n}, S) t = Transpose<perm=[0,2,1]>(k) s = MatMul(q, t) "
    "a = Softmax(s) o = MatMul(a, v) p = MatMul(o, O)"
)
SHAPES: dict[str, Any] = {
    "W": (3, 8), "V": (8, 3), "A": (8, 12), "B": (12, 8), "Q": (8, 8), "K": (8, 8), "S": (8, 8), "O": (8, 8),
    "g": (8,), "b": (8,), "g2": (8,), "b2": (8,), "bias": (8,),
    "R": (8, 4), "C": (4, 12, 8), "D": (4, 8, 12), "two": [2], "inner": [2, 4], "last": [4], "share": [3], "along": [2],
}  # fmt: skip
PRE_NORM = (
    f"h = MatMul(x, W) n = {LN}(h, g, b) {ATTENTION.format(n='n')} i = Add(h, p) l = {LN}(i, g2, b2) "
    f"{FFN.format(n='l')} z = Add(i, m) y = MatMul(z, V)"
)
EXPERTS = (  # of four, two for each row
    f"h = MatMul(x, W) n = {LN}(h, g, b) s = MatMul(n, R) k = Softmax(s) t, e = TopK(k, two) d = Unsqueeze(n, inner) "
    "EA = Gather(C, e) u = MatMul(EA, d) r = Relu(u) {last} m = MatMul(EB, r) q = Squeeze(m, last) "
    "f = Unsqueeze(t, share) w = Mul(q, f) o = ReduceSum<keepdims=0>(w, along) z = Add(h, o) y = MatMul(z, V)"
)

BLOCKS: dict[str, tuple[str, int]] = {  # what is between x and y, and how many blocks are copied
    "pre-norm": (PRE_NORM, 2),
    "post-norm": (f"h = MatMul(x, W) {ATTENTION.format(n='h')} i = Add(p, h) l = {LN}(i, g, b) {FFN.format(n='l')} "
                  f"j = Add(l, m) z = {LN}(j, g2, b2) y = MatMul(z, V)", 2),
    "parallel": (f"h = MatMul(x, W) n = {LN}(h, g, b) {ATTENTION.format(n='n')} {FFN.format(n='n')} c = Add(p, m) "
                 "z = Add(c, h) y = MatMul(z, V)", 1),
    "biased": (f"h = MatMul(x, W) n = {LN}(h, g, b) {FFN.format(n='n')} c = Add(bias, m) z = Add(h, c) "
               "y = MatMul(z, V)", 1),
    "a mask made of the stream": (
        f"h = MatMul(x, W) z0 = Shape(h) f = ConstantOfShape(z0) n = {LN}(h, g, b) n2 = Add(n, f) {FFN.format(n='n2')} "
        f"i = Add(h, m) l = {LN}(i, g2, b2) l2 = Mul(l, bias) l3 = Add(l2, f) p = MatMul(l3, O) z = Add(i, p) "
        "y = MatMul(z, V)", 2),
    "a gate": (f"h = MatMul(x, W) n = {LN}(h, g, b) u = MatMul(n, A) k = Sigmoid(u) w = Mul(u, k) m = MatMul(w, B) "
               "z = Add(h, m) y = MatMul(z, V)", 1),
    "a gate at the end": (f"h = MatMul(x, W) n = {LN}(h, g, b) u = MatMul(n, Q) k = Sigmoid(u) m = Mul(u, k) "
                          "z = Add(h, m) y = MatMul(z, V)", 1),
    "a layer scale": (f"h = MatMul(x, W) n = {LN}(h, g, b) {FFN.format(n='n')} c = Mul(m, bias) z = Add(h, c) "
                      "y = MatMul(z, V)", 1),
    "a factor of a square": (f"h = MatMul(x, W) n = {LN}(h, g, b) u = MatMul(n, Q) p = MatMul(n, K) w = Mul(p, u) "
                             "m = Mul(u, w) z = Add(h, m) y = MatMul(z, V)", 1),
    "experts": (EXPERTS.format(last="EB = Gather(D, e)"), 1),
    "experts of one table": (EXPERTS.format(last="E = Gather(C, e) EB = Transpose<perm=[0,1,2,4,3]>(E)"), 1),
    "a tied weight": (f"h = MatMul(x, W) n = {LN}(h, g, b) t = Transpose(A) u = MatMul(n, A) r = Relu(u) "
                      "m = MatMul(r, t) z = Add(h, m) y = MatMul(z, V)", 1),
}  # fmt: skip


def block(body: str, outputs: str = "y") -> onnx.ModelProto:
    """Return a network of what is between x and its outputs."""
    words = set(body.replace("(", " ").replace(")", " ").replace(",", " ").split())
    return model(body, ROWS, outputs, **{name: shape for name, shape in SHAPES.items() if name in words})


def check_learning(teacher: onnx.ModelProto, student: onnx.ModelProto, judge: Judge) -> None:
    """Gradients: the zero weights get one at once, and all others once these have taken a step."""
    tensors = {t.name: numpy_helper.to_array(t) for t in student.graph.initializer}
    new = [name for name in new_weights(teacher, student) if tensors[name].dtype.kind == "f"]
    zero = [name for name in new if not tensors[name].any()]
    last = [name for name in zero if distance(student, changed(student, [name], 0.3), judge) > 1e-4]
    assert last
    for name in last:  # a tenth of a step does about a tenth, not a hundredth
        small, whole = (distance(student, changed(student, [name], step), judge) for step in (0.01, 0.1))
        assert small > whole / 30, name
    stepped = changed(student, last, 0.3)
    for name in new:
        assert distance(stepped, changed(stepped, [name], 0.5, seed=1), judge) > 1e-5, name


def resnet(blocks: int = 3, *, norm: bool = True) -> onnx.ModelProto:
    body, weights = "h = Conv(x, W) r0 = Relu(h)", {"W": (8, 3, 1, 1), "V": V}
    for number in range(blocks):
        one, two = f"a{number}", f"b{number}"
        weights |= {f"layers_{number}_{each}_weight": (8, 8, 3, 3) for each in (one, two)}
        body += f" c{number} = Conv<pads=[1,1,1,1]>(r{number}, layers_{number}_{one}_weight)"
        body += f" d{number} = Relu(c{number})"
        body += f" e{number} = Conv<pads=[1,1,1,1]>(d{number}, layers_{number}_{two}_weight)"
        tip = f"e{number}"
        if norm:
            weights |= {f"{key}{number}": value for key, value in BN.items()}
            body += f" n{number} = BatchNormalization({tip}, s{number}, b{number}, m{number}, v{number})"
            tip = f"n{number}"
        body += f" f{number} = Add({tip}, r{number}) r{number + 1} = Relu(f{number})"
    return model(f"{body} y = Conv(r{blocks}, V)", IMAGE, "y", **weights)


def transformer() -> onnx.ModelProto:
    """A block of attention and one of a feed-forward layer, each behind a norm."""
    return block(PRE_NORM)
