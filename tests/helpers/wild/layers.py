"""Steps that compute: layers with weights, elementwise operators, norms, reductions."""

from __future__ import annotations

from typing import Any

import numpy as np

from helpers.wild.sheet import DOMAIN, Sheet, Skip

UNARY = [
    "Relu", "Tanh", "Sigmoid", "LeakyRelu", "Elu", "Softplus", "Abs", "Neg", "Sin", "Erf", "Exp", "Softsign",
    "Identity", "HardSigmoid", "Celu", "Selu", "Floor", "Sqrt", "Log", "Reciprocal", "Cos", "Sinh", "Round",
]  # fmt: skip
BINARY = [
    "Add", "Add", "Mul", "Mul", "Sub", "Div", "Max", "Min", "Pow", "Where", "Mean", "PRelu", "Mod",
]  # fmt: skip


def linear(s: Sheet) -> None:
    """A layer over the last axis, or over the one before it from the left, or with a vector."""
    value = s.pick(lambda v: v.shape[-1] is not None)
    last, kind = value.shape[-1], s.one_of(["right", "right", "right", "left", "vector", "batched", "fused"])
    assert last
    if kind == "right":
        made = s.add("MatMul", value.name, s.weight(last, s.length()))
        if s.chance():
            s.add("Add", *s.rng.permutation([made, s.weight(s.values[made].shape[-1] or 1)]).tolist())
    elif kind == "left":
        if value.rank < 2 or value.shape[-2] is None:
            raise Skip
        s.add("MatMul", s.weight(s.length(), value.shape[-2]), value.name)
    elif kind == "vector":
        s.add("MatMul", value.name, s.weight(last))
    elif kind == "fused":
        turned = s.chance()
        weight = s.weight(*((s.length(), last) if turned else (last, s.length())))
        s.add("FusedMatMul", value.name, weight, transB=int(turned), alpha=s.one_of([1.0, 0.5]), domain=DOMAIN)
    else:
        lead = tuple(1 if n is None else n for n in value.shape[:-2])
        s.add("MatMul", value.name, s.weight(*lead, last, s.length()))


def gemm(s: Sheet) -> None:
    value = s.pick(lambda v: v.rank == 2)
    turned, across = s.chance(25), s.chance()
    inner = value.shape[0 if turned else 1]
    if inner is None:
        raise Skip
    n, rows = s.length(), value.shape[1 if turned else 0]
    weight = s.operand((n, inner) if across else (inner, n), 85)
    bias = [s.operand(s.narrowed((rows, n)), 90)] if s.chance() else []
    s.add("Gemm", value.name, weight, *bias, transA=int(turned), transB=int(across), alpha=s.one_of([1.0, 0.5]),
          beta=s.one_of([1.0, 2.0]))  # fmt: skip


def matmul(s: Sheet) -> None:
    """Two computed tensors, which may share axes; also a weight by a weight."""
    one, other = s.pick(weights=25), s.pick(weights=25)
    names = [one.name, other.name]
    if other.rank > 1 and s.chance():
        names[1] = s.add("Transpose", other.name, perm=[*range(other.rank - 2), other.rank - 1, other.rank - 2])
    s.add("MatMul", *names)


def einsum(s: Sheet) -> None:
    value = s.pick(lambda v: 2 <= v.rank <= 4)
    letters = "abcd"[: value.rank]
    other = [str(letter) for letter in s.rng.permutation(list(letters + "k"))[: int(s.rng.integers(1, 4))]]
    sizes = dict(zip(letters, value.shape, strict=True)) | {"k": s.length()}
    shape = [sizes[letter] for letter in other]
    operand = s.operand(shape, 85)
    both = [letter for letter in dict.fromkeys([*letters, *other]) if s.chance(75)]
    ends = "".join(str(letter) for letter in s.rng.permutation(both)) if both else ""
    s.add("Einsum", value.name, operand, equation=f"{letters},{''.join(other)}->{ends}")


def convolution(s: Sheet) -> None:
    value = s.pick(lambda v: v.rank in {3, 4} and v.shape[1] is not None)
    channels, spatial = value.shape[1], value.rank - 2
    assert channels
    group, k = s.divisor(channels) if s.chance(40) else 1, s.one_of([1, 2, 3])
    out = group * s.one_of([1, 2, 3])
    if s.chance(30):
        weight = s.operand((channels, out // group, *[k] * spatial), 90)
        operator, more = "ConvTranspose", {"strides": [s.one_of([1, 2])] * spatial}
    else:
        weight = s.operand((out, channels // group, *[k] * spatial), 90)
        operator, more = "Conv", {"pads": [k // 2, *[k // 2] * (2 * spatial - 1)]}
    bias = [s.operand((out,), 90)] if s.chance() else []
    s.add(operator, value.name, weight, *bias, group=group, **more)


def unary(s: Sheet) -> None:
    operator = s.one_of(UNARY)
    value = s.pick().name
    if operator in {"Sqrt", "Log", "Reciprocal"}:
        value = s.add("Add", s.add("Abs", value), s.scalar(s.one_of([0.5, 1.0])))
    s.add(operator, value)


def binary(s: Sheet) -> None:
    """Two tensors that broadcast, of any rank from 0 on; the weight may be the wider one."""
    value = s.pick(weights=20)
    shape: tuple[int | None, ...] = s.narrowed(value.shape) if s.chance(65) else value.shape
    if s.chance(15):
        shape = tuple(s.length() if n == 1 and s.chance() else n for n in (*[1] * s.one_of([0, 1]), *shape))
    other = s.operand(shape, 65)
    operator = s.one_of(BINARY)
    names = [value.name, other]
    if operator == "PRelu":
        s.add("PRelu", *names)
        return
    if s.chance():
        names.reverse()
    if operator == "Where":
        condition = s.add(s.one_of(["Greater", "LessOrEqual"]), s.one_of(names), s.operand(s.narrowed(value.shape), 60))
        s.add("Where", condition, *names)
    elif operator in {"Div", "Pow", "Mod"}:
        names = [s.add("Add", s.add("Abs", name), s.scalar(0.5)) for name in names]
        s.add(operator, *names, **({"fmod": 1} if operator == "Mod" else {}))
    else:
        more = [s.weight(*s.narrowed(value.shape))] if operator in {"Max", "Mean"} and s.chance(30) else []
        s.add(operator, *names, *more)


def clip(s: Sheet) -> None:
    value = s.pick()
    low = s.scalar(-0.5) if s.chance() else s.add("ReduceMin", s.pick(weights=50).name, keepdims=0)
    s.add("Clip", value.name, low, *([s.scalar(1)] if s.chance() else []))


def reduction(s: Sheet) -> None:
    value = s.pick()
    operator = s.one_of(["ReduceMean", "ReduceMean", "ReduceSum", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL2",
                         "ReduceL1", "ReduceLogSumExp", "ReduceSumSquare", "ReduceProd"])  # fmt: skip
    count = int(s.rng.integers(0, min(value.rank, 3) + 1))
    axes = [int(i) - s.one_of([0, value.rank]) for i in s.rng.permutation(value.rank)[:count]]
    keep = int(s.chance())
    if not axes:
        s.add(operator, value.name, keepdims=keep)
    elif s.opset >= 18 or (operator == "ReduceSum" and s.opset >= 13):
        s.add(operator, value.name, s.numbers(*axes, computed=5), keepdims=keep)
    else:
        s.add(operator, value.name, axes=axes, keepdims=keep)


def along(s: Sheet) -> None:
    """What runs along one axis."""
    value = s.pick()
    axis = int(s.rng.integers(-value.rank, value.rank))
    operator = s.one_of(["Softmax", "Softmax", "LogSoftmax", "CumSum", "LpNormalization", "ArgMax", "TopK", "Hardmax"])
    if operator == "CumSum":
        s.add("CumSum", value.name, s.constant(np.array(axis)), reverse=int(s.chance()), exclusive=int(s.chance()))
    elif operator == "ArgMax":
        found = s.add("ArgMax", value.name, axis=axis, keepdims=int(s.chance()))
        s.add("Cast", found, to=1)
    elif operator == "TopK":
        values, _ = s.several(2, "TopK", value.name, s.numbers(s.one_of([1, 2, 3])), axis=axis)
        assert values
    else:
        s.add(operator, value.name, axis=axis)


def norm(s: Sheet) -> None:
    kind = s.one_of(["layer", "layer", "rms", "instance", "group", "batch", "skip", "simplified", "lrn"])
    if kind in {"layer", "rms", "simplified", "skip"}:
        _norm_of_last(s, kind)
        return
    value = s.pick(lambda v: v.rank >= 3 and v.shape[1] is not None)
    n = value.shape[1]
    assert n
    scale, bias = s.operand((n,), 90), s.operand((n,), 90)
    if kind == "lrn":
        s.add("LRN", value.name, size=3)
    elif kind == "instance":
        s.add("InstanceNormalization", value.name, scale, bias, epsilon=0.1)
    elif kind == "group":
        if s.opset < 21:
            raise Skip
        s.add("GroupNormalization", value.name, scale, bias, num_groups=s.divisor(n), epsilon=0.1)
    else:
        variance = s.add("Add", s.add("Abs", s.weight(n)), s.scalar(0.5))
        s.add("BatchNormalization", value.name, scale, bias, s.weight(n), variance)


def _norm_of_last(s: Sheet, kind: str) -> None:
    axis = s.one_of([-1, -1, -2, 1])
    value = s.pick(lambda v: v.rank >= 2 and None not in v.shape[axis:])
    shape: list[Any] = list(value.shape[axis:])
    if kind == "skip":
        names = [s.operand(value.shape, 50), s.weight(shape[-1]), s.weight(shape[-1])]
        if s.chance():
            names.append(s.weight(shape[-1]))
        s.add("SkipLayerNormalization", value.name, *names, epsilon=0.1, domain=DOMAIN)
    elif kind == "layer":
        count = 3 if s.chance(20) else 1
        bias = [s.operand(shape, 90)] if s.chance() else []
        if s.opset < 17:
            raise Skip
        s.several(count, "LayerNormalization", value.name, s.operand(shape, 90), *bias, axis=axis, epsilon=0.1)
    elif kind == "rms" and s.opset >= 23:
        s.add("RMSNormalization", value.name, s.operand(s.narrowed(shape) or (1,), 90), axis=axis, epsilon=0.1)
    else:
        s.add("SimplifiedLayerNormalization", value.name, s.operand(shape, 90), axis=axis, epsilon=0.1)


def written_norm(s: Sheet) -> None:
    """A norm in single nodes, over any axis, with gains of any rank."""
    value = s.pick()
    axis = int(s.rng.integers(-value.rank, value.rank))
    stated = {"axes": [axis]} if s.opset < 18 else {}
    more = [] if stated else [s.constant(np.array([axis]))]
    centred = value.name
    if s.chance(70):
        centred = s.add("Sub", value.name, s.add("ReduceMean", value.name, *more, **stated))
    spread = s.add("ReduceMean", s.add("Mul", centred, centred), *more, **stated)
    root = s.add("Sqrt", s.add("Add", spread, s.scalar(0.1)))
    normal = s.add("Div", centred, root)
    s.add("Mul", normal, s.weight(*s.narrowed(value.shape)))


def residual(s: Sheet) -> None:
    """A tensor plus what layers make of it."""
    value = s.pick(lambda v: v.shape[-1] is not None)
    last = value.shape[-1]
    assert last
    inner = s.add("MatMul", value.name, s.weight(last, n := s.length()))
    inner = s.add(s.one_of(["Relu", "Tanh", "Sigmoid"]), inner)
    s.add("Add", value.name, s.add("MatMul", inner, s.weight(n, last)))


def squeezed(s: Sheet) -> None:
    """Channels scaled by what is pooled over the places."""
    value = s.pick(lambda v: v.rank == 4 and v.shape[1] is not None)
    n = value.shape[1]
    assert n
    pooled = s.add(s.one_of(["GlobalAveragePool", "GlobalMaxPool"]), value.name)
    gate = s.add("Sigmoid", s.add("Conv", pooled, s.operand((n, n, 1, 1), 95)))
    s.add("Mul", value.name, gate)


def pool(s: Sheet) -> None:
    value = s.pick(lambda v: v.rank in {3, 4})
    spatial = value.rank - 2
    operator = s.one_of(["MaxPool", "AveragePool", "LpPool", "GlobalAveragePool", "GlobalMaxPool"])
    stated: dict[str, Any] = {} if operator.startswith("Global") else {"kernel_shape": [2] * spatial}
    s.add(operator, value.name, **stated)


def quantised(s: Sheet) -> None:
    """A weight of whole numbers with scales for one of its axes, or for all."""
    value = s.pick(lambda v: v.shape[-1] is not None)
    last, n = value.shape[-1], s.length()
    assert last
    whole = s.constant(s.rng.integers(-100, 100, (last, n)).astype(np.int8))
    axis = s.one_of([0, 1, -1])
    count = (last, n)[axis]
    scales = s.constant((s.rng.uniform(0.005, 0.02, count)).astype(np.float32)) if s.chance(70) else s.scalar(0.01)
    zeros = []
    if s.chance():
        zeros = [s.constant(s.rng.integers(-9, 9, s.values[scales].shape).astype(np.int8))]
    s.add("MatMul", value.name, s.add("DequantizeLinear", whole, scales, *zeros, axis=axis))


STEPS = {
    linear: 8, gemm: 4, matmul: 5, einsum: 5, convolution: 8, unary: 8, binary: 14, clip: 2, reduction: 6, along: 6,
    norm: 8, written_norm: 2, residual: 4, squeezed: 1, pool: 2, quantised: 1,
}  # fmt: skip
