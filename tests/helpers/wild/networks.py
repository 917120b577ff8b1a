"""Steps that are pieces of known networks: U-Nets, groups over what is joined, tables looked up, feature encoders."""

from __future__ import annotations

import numpy as np

from helpers.wild.sheet import ML, Sheet, Value


def _image(s: Sheet) -> Value:
    """Choose a tensor of rank 4, turned so that its channels are fixed; its places may be free.

    Raises:
        Skip: If there is none.
    """
    value = s.pick(lambda v: v.rank == 4 and any(v.shape))
    fixed = [axis for axis, n in enumerate(value.shape) if n]
    channel = s.one_of(fixed)
    if channel == 1:
        return value
    order = [axis for axis in range(4) if axis != channel]
    order.insert(1, channel)
    return s.values[s.add("Transpose", value.name, perm=order)]


def _conv(s: Sheet, name: str, out: int, k: int = 3, group: int = 1) -> str:
    channels = s.values[name].shape[1]
    assert channels
    bias = [s.operand((out,), 95)] if s.chance() else []
    weight = s.operand((out, channels // group, k, k), 95)
    return s.add("Conv", name, weight, *bias, pads=[k // 2] * 4, group=group)


def _padded(s: Sheet, name: str, like: str) -> str:
    """Pad the places of an image to those of another, by differences computed at run time, as F.pad is exported."""
    edges = []
    for axis in (3, 2):
        gap = s.add("Sub", s.measure(s.values[like], axis), s.measure(s.values[name], axis))
        half = s.add("Div", gap, s.constant(np.array([2], np.int64)))
        edges += [half, s.add("Sub", gap, half)]
    none = s.constant(np.zeros(4, np.int64))
    if s.chance():
        pads = s.add("Concat", none, *(edges[k] for k in (2, 0, 3, 1)), axis=0)
        return s.add("Pad", name, s.add("Gather", pads, s.constant(np.array([0, 1, 4, 5, 2, 3, 6, 7])), axis=0))
    pairs = s.add("Reshape", s.add("Concat", *edges, none, axis=0), s.constant(np.array([-1, 2])))
    numbers = [s.constant(np.array([n], np.int64)) for n in (-1, -(2**62), 0, -1)]
    turned = s.add("Transpose", s.add("Slice", pairs, *numbers), perm=[1, 0])
    return s.add("Pad", name, s.add("Reshape", turned, s.constant(np.array([-1]))))


def u_net(s: Sheet) -> None:
    """Down, up, and beside what was there before, padded to its size."""
    image = _image(s)
    skip = s.add("Relu", _conv(s, image.name, s.length()))
    down = s.add(s.one_of(["MaxPool", "AveragePool"]), skip, kernel_shape=[2, 2], strides=[2, 2])
    deep = s.add(s.one_of(["Relu", "Tanh"]), _conv(s, down, s.length()))
    if s.chance():
        n = s.values[deep].shape[1]
        assert n
        up = s.add("ConvTranspose", deep, s.operand((n, s.length(), 2, 2), 95), strides=[2, 2])
    else:
        scales = s.constant(np.array([1, 1, 2, 2], np.float32))
        up = s.add("Resize", deep, "", scales, mode="nearest")
    parts = [skip, _padded(s, up, skip)]
    joined = s.add("Concat", *(parts if s.chance() else parts[::-1]), axis=1)
    _grouped(s, joined)


def straddled(s: Sheet) -> None:
    """Layers laid end to end, read in groups that need not end where they do."""
    image = _image(s)
    parts = [_conv(s, image.name, s.one_of([2, 3, 4, 4, 6]), 1) for _ in range(s.one_of([2, 2, 3]))]
    joined = s.add("Concat", *parts, axis=1)
    read = _grouped(s, joined)
    if s.chance(40) and s.values[read].shape == s.values[joined].shape:
        s.add("Add", read, joined)


def _grouped(s: Sheet, name: str) -> str:
    """Read channels in groups, by a norm or a convolution, and then by a layer."""
    n = s.values[name].shape[1]
    assert n
    kind, group = s.one_of(["none", "written", "norm", "conv", "conv", "shuffled"]), s.divisor(n)
    if kind == "norm" and s.opset >= 21:
        name = s.add("GroupNormalization", name, s.weight(n), s.weight(n), num_groups=group, epsilon=0.1)
    elif kind in {"written", "norm"}:
        apart = s.add("Reshape", name, s.constant(np.array([0, group, -1], np.int64)))
        normal = s.add("InstanceNormalization", apart, s.weight(group), s.weight(group), epsilon=0.1)
        back = s.add("Reshape", normal, s.add("Shape", name))
        name = s.add("Add", s.add("Mul", back, s.weight(n, 1, 1)), s.weight(n, 1, 1))
    elif kind in {"conv", "shuffled"}:
        name = _conv(s, name, group * s.one_of([1, 2, 3]), 1, group)
        if kind == "shuffled":
            name = _shuffled(s, name, group)
    return _conv(s, name, s.length(), s.one_of([1, 3]))


def _shuffled(s: Sheet, name: str, group: int) -> str:
    """Mix the groups of an image's channels, as ShuffleNet does."""
    image = s.values[name]
    channels, *places = ((image, axis) if image.shape[axis] is None else image.shape[axis] for axis in (1, 2, 3))
    dims = [0, group, channels // group, *places]  # type: ignore[operator]
    apart = s.add("Reshape", name, s.numbers(*dims, computed=10))  # type: ignore[arg-type]
    turned = s.add("Transpose", apart, perm=[0, 2, 1, 3, 4])
    return s.add("Reshape", turned, s.numbers(0, channels, *places, computed=10))  # type: ignore[arg-type]


def multiplied(s: Sheet) -> None:
    """A convolution by channel with several channels for each, and one in groups that cut these."""
    image = _image(s)
    n = image.shape[1]
    assert n
    wide = _conv(s, image.name, n * s.one_of([2, 3, 4]), s.one_of([1, 3]), s.one_of([n, s.divisor(n)]))
    if s.chance():
        wide = s.add(s.one_of(["Relu", "Tanh"]), wide)
    total = s.values[wide].shape[1]
    assert total
    group = s.divisor(total)
    read = _conv(s, wide, group * s.one_of([1, 2, 3]), 1, group)
    if s.chance():
        read = _shuffled(s, read, group)
    _grouped(s, read)


def relative(s: Sheet) -> None:
    """Scores of attention with a bias that is looked up by the distance of two places."""
    value = s.pick(lambda v: v.rank == 3 and v.shape[2] is not None)
    width, heads, far = value.shape[2], s.one_of([2, 3, 4]), s.one_of([2, 5])
    assert width
    parts = []
    for _ in range(3):
        per = s.length() if len(parts) == 2 else 2
        wide = s.add("MatMul", value.name, s.weight(width, heads * per))
        apart = s.add("Reshape", wide, s.constant(np.array([0, 0, heads, per])))
        parts.append(s.add("Transpose", apart, perm=[0, 2, 1, 3]))
    scores = s.add("MatMul", parts[0], s.add("Transpose", parts[1], perm=[0, 1, 3, 2]))
    bias = _listed(s, value.shape[1], heads) if value.shape[1] and s.chance(30) else _by_distance(s, value, heads, far)
    if s.chance():
        bias = s.add("Unsqueeze", bias, s.constant(np.array([0])))
    mixed = s.add("MatMul", s.add("Softmax", s.add("Add", scores, bias), axis=-1), parts[2])
    per = s.values[mixed].shape[-1]
    assert per
    flat = s.add("Reshape", s.add("Transpose", mixed, perm=[0, 2, 1, 3]), s.constant(np.array([0, 0, heads * per])))
    made = s.add("MatMul", flat, s.weight(heads * per, width))
    s.add("Add", value.name, made)


def _listed(s: Sheet, n: int, heads: int) -> str:
    """Return a bias whose places in a table are listed, as windows of attention have it; the table may be computed."""
    count = 2 * n - 1
    table = s.weight(count, heads)
    if s.chance():
        places = s.constant(s.rng.standard_normal((1, count, 2)).astype(np.float32))
        hidden = s.add("Relu", s.add("MatMul", places, s.weight(2, s.length())))
        made = s.add("MatMul", hidden, s.weight(s.values[hidden].shape[2] or 1, heads))
        table = s.add("Reshape", made, s.constant(np.array([-1, heads])))
    distance = s.one_of([1, -1]) * (np.arange(n)[:, None] - np.arange(n)) + n - 1
    picked = s.add("Gather", table, s.constant(distance.ravel()), axis=0)
    square = s.add("Reshape", picked, s.constant(np.array([n, n, s.one_of([-1, heads])])))
    return s.add("Transpose", square, perm=[2, 0, 1])


def _by_distance(s: Sheet, value: Value, heads: int, far: int) -> str:
    """Return a bias that is looked up by the distance of two places, which is computed."""
    count = s.add("Squeeze", s.measure(value, 1))
    places = s.add("Range", s.constant(np.int64(0)), count, s.constant(np.int64(1)))
    column = s.add("Unsqueeze", places, s.constant(np.array([1])))
    distance = s.add("Sub", s.add("Unsqueeze", places, s.constant(np.array([0]))), column)
    kind = s.one_of(["clipped", "clipped", "bucketed", "absolute"])
    if kind == "absolute":
        near = s.add("Min", s.add("Abs", distance), s.constant(np.int64(2 * far)))
    else:
        near = s.add("Max", s.add("Min", distance, s.constant(np.int64(far))), s.constant(np.int64(-far)))
        if kind == "bucketed":
            past = s.add(
                "Mul", s.add("Cast", s.add("Less", near, s.constant(np.int64(0))), to=7), s.constant(np.int64(far))
            )
            near = s.add("Add", s.add("Abs", near), past)
        else:
            near = s.add("Add", near, s.constant(np.int64(far)))
    if s.chance(30):  # a table of a row for each head
        return s.add("Gather", s.weight(heads, 2 * far + 1), near, axis=1)
    return s.add("Transpose", s.add("Gather", s.weight(2 * far + 1, heads), near, axis=0), perm=[2, 0, 1])


def placed(s: Sheet) -> None:
    """Positions from a table, by places counted, accumulated, cut off, or resized to how many there are."""
    value = s.pick(lambda v: v.rank == 3 and v.shape[2] is not None)
    width = value.shape[2]
    assert width
    stream = s.add("MatMul", value.name, s.weight(width, n := s.length())) if s.chance() else value.name
    n = s.values[stream].shape[2] or 1
    count = s.measure(value, 1)
    kind = s.one_of(["range", "cut", "cumulated", "resized", "resized"])
    if kind == "range":
        picks = s.add("Range", s.constant(np.int64(0)), s.add("Squeeze", count), s.constant(np.int64(1)))
        found = s.add("Gather", s.weight(6, n), picks, axis=0)
    elif kind == "cut":
        first = s.constant(np.array([0], np.int64))
        found = s.add("Slice", s.weight(1, 6, n), first, count, s.constant(np.array([1], np.int64)))
    elif kind == "cumulated":
        pooled = s.add("Squeeze", s.add("MatMul", value.name, s.weight(width, 1)), s.constant(np.array([2])))
        valid = s.add("Cast", s.add("Greater", pooled, s.scalar(0.3)), to=7)
        found = s.add("Gather", s.weight(6, n), s.add("CumSum", valid, s.constant(np.int64(1))), axis=0)
    else:
        found = _resized(s, n, count)
    s.add("Add", *s.rng.permutation([stream, found]).tolist())


def _resized(s: Sheet, n: int, count: str) -> str:
    """Return positions of a square, the first of which stands apart, stretched to a number of places."""
    table = s.weight(1, 5, n)
    numbers = {k: s.constant(np.array([k], np.int64)) for k in (0, 1, 2**62)}
    first = s.add("Slice", table, numbers[0], numbers[1], numbers[1])
    rest = s.add("Slice", table, numbers[1], numbers[2**62], numbers[1])
    side = s.constant(np.array([2], np.int64))
    if s.chance():  # the side is the root of how many there are
        known = s.add("Cast", s.add("Shape", rest), to=1)
        root = s.add("Sqrt", s.add("Gather", known, numbers[1], axis=0))
        side = s.add("Cast", root, to=7)
    width = s.one_of(["stated", "left"])
    dims = [numbers[1], side, side, s.constant(np.array([n if width == "stated" else -1], np.int64))]
    square = s.add("Transpose", s.add("Reshape", rest, s.add("Concat", *dims, axis=0)), perm=[0, 3, 1, 2])
    lead = s.constant(np.array([1, n], np.int64))
    if s.chance():
        lead = s.add("Slice", s.add("Shape", square), numbers[0], s.constant(np.array([2], np.int64)))
    less = s.add("Sub", count, numbers[1])
    sizes = s.add("Concat", lead, numbers[1], less, axis=0)
    wide = s.add("Resize", square, "", "", sizes, mode=s.one_of(["nearest", "linear"]))
    turned = s.add("Transpose", wide, perm=[0, 2, 3, 1])
    flat = s.add("Reshape", turned, s.constant(np.array([1, -1, n], np.int64)))
    return s.add("Concat", first, flat, axis=1)


def encoded(s: Sheet) -> None:
    """What prepares features: scaled, filled in, normalised, encoded by category, joined, or a linear model."""
    kind = s.one_of(["scaler", "imputer", "normalizer", "binarizer", "labels", "one hot", "one hot", "picked", "vector",
                     "linear"])  # fmt: skip
    if kind in {"labels", "one hot"}:
        value = s.pick()
        data = s.add("Mod", s.add("Cast", s.add("Abs", value.name), to=7), s.constant(np.int64(4)))
        if kind == "labels":
            keys = {"keys_int64s": [0, 1, 2]}
            if s.chance():
                s.add("LabelEncoder", data, **keys, values_floats=[0.5, -1.0, 2.0], default_float=0.25, domain=ML)
            else:
                found = s.add("LabelEncoder", data, **keys, values_int64s=[2, 0, 1], default_int64=3, domain=ML)
                s.add("Gather", s.weight(4, s.length()), found, axis=0)
            return
        hot = s.add("OneHotEncoder", data, cats_int64s=[0, 1, 3], zeros=1, domain=ML)
        wide = s.values[hot].shape
        if s.chance() and len(wide) > 1 and wide[-2] is not None:
            lead = [0] * (len(wide) - 2)
            hot = s.add("Reshape", hot, s.constant(np.array([*lead, s.one_of([-1, wide[-2] * 3])], np.int64)))
        s.add("MatMul", hot, s.weight(s.values[hot].shape[-1] or 1, s.length()))
        return
    value = s.pick(lambda v: v.rank <= 2 and v.shape[-1] is not None)
    n = value.shape[-1]
    assert n
    numbers = [0.5 * k - 0.25 for k in range(n if s.chance() else 1)]
    if kind == "scaler":
        s.add("Scaler", value.name, offset=numbers, scale=[1.5] * len(numbers), domain=ML)
    elif kind == "imputer":
        s.add("Imputer", value.name, imputed_value_floats=numbers, replaced_value_float=0.0, domain=ML)
    elif kind == "normalizer":
        s.add("Normalizer", value.name, norm=s.one_of(["MAX", "L1", "L2"]), domain=ML)
    elif kind == "binarizer":
        s.add("Binarizer", value.name, threshold=0.1, domain=ML)
    elif kind == "picked":
        s.add("ArrayFeatureExtractor", value.name, s.constant(s.rng.integers(0, n, s.one_of([1, 2, 3]))), domain=ML)
    elif kind == "linear":
        m = s.one_of([1, 3])
        s.add("LinearRegressor", value.name, coefficients=[0.25 * k - 1 for k in range(n * m)], intercepts=[0.5] * m,
              targets=m, domain=ML)  # fmt: skip
    else:
        other = s.pick(lambda v: v.rank == 2 and v.shape[0] == value.shape[0] and v.shape[1] is not None)
        s.add("FeatureVectorizer", value.name, other.name, inputdimensions=[n, other.shape[1]], domain=ML)


STEPS = {u_net: 4, straddled: 5, multiplied: 5, relative: 4, placed: 5, encoded: 5}
