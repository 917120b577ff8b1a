"""Students of teachers at the edge of their range: which are not finite where the teacher is.

    python benchmarks/edge.py [--teachers 300] [--seed 0] [--only rnn] [--out benchmarks/results/edge-DATE.json]

Perceptrons with Exp, Sinh, Cosh, Pow, products and gates, convolutions with BatchNormalization, recurrent operators
with every activation, Loop and Scan, and residual streams, in float32 and float16. Each is grown by widen (two inits,
two factors), deepen and enlarge without verification. Teacher and student run on inputs from usual scale up to 10,000
times that, and recurrent ones on 2,000 steps. Half precision is rounded at every tensor, as the file has it.

A student is *broken* if an output is not finite where the teacher's is. It is *excused* if in each such row a tensor
inside the teacher overflows too: times the zero share of a new channel, that is no number however the channel was made.
So it is if rounding decides: if the teacher is not finite there once its weights are off by some rounding steps.
"""

from __future__ import annotations

import argparse
import datetime
import json
import logging
import re
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx

import onnx_n2n
from onnx_n2n.errors import N2NError
from onnx_n2n.verification.sessions import CPU, SessionModel, session
from onnx_n2n.verification.variants import as_stored, stirred

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from helpers.graphs import model

SCALES = (1.0, 6.0, 1e1, 6e1, 1e2, 1e3, 1e4)
STEPS_OFF = 16  # rounding steps that a teacher's weights are moved by
STEPS, ROWS, USUAL_STEPS = 2000, 16, 8

GROWTHS: dict[str, Callable[[onnx.ModelProto], Any]] = {
    f"widen {init} {factor}": lambda m, i=init, f=factor: onnx_n2n.widen(m, init=i, factor=f, verify=False)
    for init in ("drawn", "zero", "net2net")
    for factor in (1.5, 3.0)
}
GROWTHS["deepen"] = lambda m: onnx_n2n.deepen(m, verify=False)
GROWTHS["enlarge"] = lambda m: onnx_n2n.enlarge(m, verify=False)

ELEMENTWISE = {
    "exp": "e = Exp(a)",
    "sinh": "e = Sinh(a)",
    "cosh": "e = Cosh(a)",
    "pow": "e = Pow(a, eight)",
    "power": "e = Pow(two, a)",
    "square": "b = Mul(a, a) c = Mul(b, b) d = Mul(c, c) e = Mul(d, d)",
    "softplus": "b = Exp(a) c = Add(b, one) e = Log(c)",
    "swish": "n = Neg(a) b = Exp(n) c = Add(b, one) e = Div(a, c)",
    "logistic": "n = Neg(a) b = Exp(n) c = Add(b, one) e = Reciprocal(c)",
    "mish": "b = Exp(a) c = Add(b, one) d = Log(c) f = Tanh(d) e = Mul(a, f)",
    "root": "b = Mul(a, a) c = Add(b, one) d = Sqrt(c) e = Add(a, d)",
    "inverse": "b = Mul(a, a) c = Add(b, one) d = Reciprocal(c) e = Mul(a, d)",
    "unit": "n = ReduceL2<axes = [-1]>(a) e = Div(a, n)",
    "rectified unit": "p = Relu(a) n = ReduceL2<axes = [-1]>(a) s = Shape(p) m = Expand(n, s) e = Div(p, m)",
    "gem": "c = Clip(a, one) b = Pow(c, eight) e = Pow(b, eighth)",
    "third power": "c = Clip(a, one) e = Pow(c, third)",
}
LARGEST = {
    "exp": 88.0, "sinh": 88.0, "cosh": 88.0, "pow": 6e4, "power": 127.0, "square": 200.0, "softplus": 88.0,
    "swish": 88.0, "logistic": 88.0, "mish": 88.0, "root": 1e19, "inverse": 1e19, "unit": 1e18, "rectified unit": 1e18,
    "gem": 6e4, "third power": 1e15,
}  # fmt: skip
LARGEST_HALF = {
    "exp": 11.0, "sinh": 11.0, "cosh": 11.0, "pow": 3.9, "power": 15.9, "square": 1.9, "softplus": 11.0,
    "swish": 11.0, "logistic": 11.0, "mish": 11.0, "root": 200.0, "inverse": 200.0, "unit": 60.0,
    "rectified unit": 60.0, "gem": 3.9, "third power": 80.0,
}  # fmt: skip
ACTIVATIONS = (
    "Tanh", "Relu", "Sigmoid", "Affine", "LeakyRelu", "ThresholdedRelu", "ScaledTanh", "HardSigmoid", "Elu", "Softsign",
    "Softplus",
)  # fmt: skip
ALPHAS = {"Affine": (1.0, 0.0), "LeakyRelu": (0.1,), "ThresholdedRelu": (0.1,), "ScaledTanh": (1.7, 0.7),
          "Elu": (1.0,), "HardSigmoid": (0.2, 0.5)}  # fmt: skip
STEPS_BY = ("Identity", "Relu", "Tanh", "Softsign", "LeakyRelu")
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}


class Draw:
    """Weights of one teacher."""

    def __init__(self, rng: np.random.Generator, half: bool) -> None:
        self.rng, self.half = rng, half
        self.constants: dict[str, Any] = {}

    def weight(self, name: str, *shape: int, gain: float = 1.0) -> None:
        """Draw a weight whose sums over its first axis have the size of what they read, times ``gain``."""
        self.constants[name] = self.rng.standard_normal(shape) * gain / shape[0] ** 0.5

    def made(self, body: str, inputs: str, outputs: str) -> onnx.ModelProto:
        """Return the teacher; ``real`` stands for its type."""
        kind = np.float16 if self.half else np.float32
        word = kind.__name__.replace("32", "")
        constants = {name: np.asarray(value, kind) for name, value in self.constants.items()}
        body, inputs, outputs = (text.replace("real", word) for text in (body, inputs, outputs))
        return model(body, inputs, outputs, opset=17, **constants)


def perceptron(draw: Draw, name: str) -> onnx.ModelProto:
    """Return an MLP whose sums come near to what its function takes, and not beyond: bounded inputs, or one sign."""
    largest = (LARGEST_HALF if draw.half else LARGEST)[name]
    draw.weight("w", 6, 6)
    rows = draw.rng.standard_normal((6, 12))
    signed = name in {"exp", "power", "swish", "mish"} and draw.rng.random() < 0.5
    draw.constants["v"] = -np.abs(rows) if signed else 0.95 * largest * rows / np.abs(rows).sum(0)
    draw.weight("u", 12, 3, gain=1e-3 if draw.half else 1.0)
    draw.constants |= {"one": 1.0, "two": 2.0, "eight": 8.0, "eighth": 1 / 8, "third": 2.5}
    words = set(re.findall(r"\w+", ELEMENTWISE[name])) | {"v", "u"} | (set() if signed else {"w"})
    draw.constants = {key: value for key, value in draw.constants.items() if key in words}
    first = "r = Relu(x)" if signed else "h = MatMul(x, w) r = Tanh(h)"
    return draw.made(f"{first} a = MatMul(r, v) {ELEMENTWISE[name]} y = MatMul(e, u)", "real[N,6] x", "real[N,3] y")


def gated(draw: Draw, name: str) -> onnx.ModelProto:
    """Return an MLP with a gated layer, or with products of computed tensors."""
    draw.weight("w", 6, 12)
    draw.weight("v", 6, 12)
    draw.weight("u", 12, 3)
    gate = {
        "glu": "g = Sigmoid(b)", "reglu": "g = Relu(b)", "swiglu": "s = Sigmoid(b) g = Mul(b, s)",
        "product": "g = Mul(b, a)",
    }  # fmt: skip
    body = f"a = MatMul(x, w) b = MatMul(x, v) {gate[name]} e = Mul(a, g) y = MatMul(e, u)"
    return draw.made(body, "real[N,6] x", "real[N,3] y")


def convolution(draw: Draw, name: str) -> onnx.ModelProto:
    """Return a CNN with BatchNormalization of large gains."""
    for key, shape in {"w": (8, 3, 3, 3), "v": (8, 8, 3, 3), "u": (4, 8, 3, 3)}.items():
        draw.constants[key] = draw.rng.standard_normal(shape) / (9 * shape[1]) ** 0.5
    parts = []
    for key in "ab":
        draw.constants |= {
            f"{key}g": draw.rng.uniform(0.5, 2, 8), f"{key}c": draw.rng.standard_normal(8),
            f"{key}m": draw.rng.standard_normal(8), f"{key}s": 10.0 ** draw.rng.uniform(-3, 1, 8),
        }  # fmt: skip
        parts.append(", ".join(f"{key}{part}" for part in "gcms"))
    last = {
        "relu": "e = Relu(n)", "exp": "t = Tanh(n) e = Exp(t)", "silu": "t = Sigmoid(n) e = Mul(n, t)",
        "square": "e = Mul(n, n)",
    }  # fmt: skip
    pads = "<pads = [1, 1, 1, 1]>"
    body = (
        f"a = Conv{pads}(x, w) m = BatchNormalization(a, {parts[0]}) r = Relu(m) b = Conv{pads}(r, v) "
        f"n = BatchNormalization(b, {parts[1]}) {last[name]} c = Conv{pads}(e, u) y = GlobalAveragePool(c)"
    )
    return draw.made(body, "real[N,3,8,8] x", "real[N,4,1,1] y")


def recurrent(draw: Draw, name: str) -> onnx.ModelProto:
    """Return a recurrent operator whose states neither die away nor grow."""
    operator, activation = name.split(" ")
    gates, hidden = GATES[operator], 12
    rows = draw.rng.standard_normal((gates, hidden, hidden))
    radius = np.array([max(abs(np.linalg.eigvals(part))) for part in rows])[:, None, None]
    draw.constants["r"] = (draw.rng.uniform(0.6, 0.98) * rows / radius).reshape(1, gates * hidden, hidden)
    draw.constants["w"] = draw.rng.standard_normal((1, gates * hidden, 4)) / 2
    draw.weight("u", hidden, 3)
    draw.constants["v"] = draw.rng.standard_normal((4, 4)) / 2
    words = {"RNN": [activation], "GRU": ["Sigmoid", activation], "LSTM": ["Sigmoid", activation, activation]}[operator]
    alphas = [ALPHAS.get(word, ()) for word in words]
    first, second = ([float(each[k]) for each in alphas if len(each) > k] for k in (0, 1))
    more = "".join(f", activation_{key} = {value}" for key, value in (("alpha", first), ("beta", second)) if value)
    options = f"hidden_size = {hidden}, activations = {json.dumps(words)}{more}"
    body = f"z = MatMul(x, v) s = {operator}<{options}>(z, w, r) q = Squeeze(s, axis) y = MatMul(q, u)"
    proto = draw.made(body, "real[T,N,4] x, int64[1] axis", "real[T,N,3] y")
    return _constant(proto, "axis", np.array([1]))


def loop(draw: Draw, name: str) -> onnx.ModelProto:
    """Return a recurrence that is written out in a Loop or a Scan."""
    operator, activation = name.split(" ")
    rows = draw.rng.standard_normal((12, 12))
    draw.constants["r"] = draw.rng.uniform(0.6, 0.98) * rows / max(abs(np.linalg.eigvals(rows)))
    draw.weight("w", 4, 12)
    draw.weight("u", 12, 3)
    draw.constants["start"] = np.zeros((1, 12))
    step = f"a = MatMul(xt, w) b = MatMul(h, r) c = Add(a, b) hn = {activation}(c) o = Identity(hn)"
    if operator == "Scan":
        inner = f"body (real[1,12] h, real[1,4] xt) => (real[1,12] hn, real[1,12] o) {{ {step} }}"
        body = f"last, s = Scan<num_scan_inputs = 1, body = {inner}>(start, x) y = MatMul(s, u)"
        return draw.made(body, "real[T,1,4] x", "real[T,1,3] y")
    inner = (
        "body (int64 i, bool on, real[1,12] h) => (bool go, real[1,12] hn, real[1,12] o) "
        f"{{ xt = Gather(x, i) {step} go = Identity(on) }}"
    )
    body = f"n = Shape<end = 1>(x) k = Squeeze(n) last, s = Loop<body = {inner}>(k, , start) y = MatMul(s, u)"
    return draw.made(body, "real[T,1,4] x", "real[T,1,3] y")


def stream(draw: Draw, name: str) -> onnx.ModelProto:
    """Return a residual stream of four blocks."""
    draw.weight("w", 6, 8)
    draw.weight("u", 8, 3)
    draw.constants |= {"g": draw.rng.uniform(0.5, 2, 8), "c": draw.rng.standard_normal(8)}
    body, now = "h0 = MatMul(x, w)", "h0"
    for k in range(4):
        draw.weight(f"p{k}", 8, 16)
        draw.weight(f"q{k}", 16, 8)
        norm = f"n{k} = LayerNormalization({now}, g, c)" if name != "plain" else f"n{k} = Identity({now})"
        act = f"s{k} = Sigmoid(a{k}) b{k} = Mul(a{k}, s{k})" if name == "silu" else f"b{k} = Relu(a{k})"
        body += f" {norm} a{k} = MatMul(n{k}, p{k}) {act} d{k} = MatMul(b{k}, q{k}) h{k + 1} = Add({now}, d{k})"
        now = f"h{k + 1}"
    if name == "plain":
        del draw.constants["g"], draw.constants["c"]
    return draw.made(f"{body} y = MatMul({now}, u)", "real[N,6] x", "real[N,3] y")


KINDS: dict[str, Callable[[Draw, str], onnx.ModelProto]] = {
    **{f"mlp {name}": perceptron for name in ELEMENTWISE},
    **{f"gated {name}": gated for name in ("glu", "reglu", "swiglu", "product")},
    **{f"conv {name}": convolution for name in ("relu", "exp", "silu", "square")},
    **{f"rnn {operator} {name}": recurrent for operator in GATES for name in ACTIVATIONS},
    **{f"loop {operator} {name}": loop for operator in ("Loop", "Scan") for name in STEPS_BY},
    **{f"stream {name}": stream for name in ("plain", "relu", "silu")},
}  # fmt: skip


def _sizes(proto: onnx.ModelProto) -> tuple[int, list[tuple[int, ...]]]:
    return len(proto.graph.node), sorted(tuple(tensor.dims) for tensor in proto.graph.initializer)


def _constant(proto: onnx.ModelProto, name: str, value: np.ndarray) -> onnx.ModelProto:
    proto.graph.initializer.append(onnx.numpy_helper.from_array(value, name))
    kept = [each for each in proto.graph.input if each.name != name]
    del proto.graph.input[:]
    proto.graph.input.extend(kept)
    return proto


class Runner:
    """A model that is run as its file has it."""

    def __init__(self, proto: onnx.ModelProto, half: bool, inside: bool = False, seed: int = 0) -> None:
        source = SessionModel(proto.SerializeToString(), None)
        source = as_stored(source) if half else source
        source = stirred(source, STEPS_OFF * (2.0**-10 if half else 2.0**-23), seed) if seed else source
        made = [name for node in proto.graph.node for name in node.output if name and name != "y"]
        self.session = session(source.exposing(made) if inside else source, CPU)

    def __call__(self, feed: np.ndarray) -> list[np.ndarray]:
        """Return the values of all outputs, ``y`` first."""
        return [np.asarray(value) for value in self.session.run(None, {"x": feed})]


def feeds(kind: str, half: bool, rng: np.random.Generator) -> Iterator[tuple[float, int, np.ndarray]]:
    """Draw inputs: their scale, the axis of rows, and the values."""
    usual = np.float16 if half else np.float32
    shapes = {"conv": (ROWS, 3, 8, 8), "rnn": (USUAL_STEPS, ROWS, 4), "loop": (USUAL_STEPS, 1, 4)}
    steps, shape = kind.split(" ")[0] in ("rnn", "loop"), shapes.get(kind.split(" ")[0], (ROWS, 6))
    for scale in SCALES:
        yield scale, int(steps), (rng.standard_normal(shape) * scale).astype(usual)
    if steps:
        for scale in (1.0, 100.0):
            yield scale, 1, (rng.standard_normal((STEPS, 1, 4)) * scale).astype(usual)


def broken(teacher: np.ndarray, student: np.ndarray, axis: int) -> list[int]:
    """Return the rows in which a student is not finite where its teacher is."""
    bad = np.isfinite(teacher) & ~np.isfinite(student)
    return np.flatnonzero(bad.any(tuple(k for k in range(bad.ndim) if k != axis))).tolist()


def overflows(inside: Runner, feed: np.ndarray, axis: int, row: int) -> bool:
    """Whether anything inside the teacher is not finite in a row."""
    one = np.take(feed, [row], axis)
    return not all(np.isfinite(value.astype(np.float64)).all() for value in inside(one)[1:] if value.dtype.kind == "f")


def judged(teacher: onnx.ModelProto, half: bool, kind: str, seed: int) -> Iterator[tuple[str, str, str]]:
    """Grow a teacher in all ways; yield the growth, what came of it, and where."""
    given = list(feeds(kind, half, np.random.default_rng(seed)))
    old, inside = Runner(teacher, half), Runner(teacher, half, inside=True)
    moved = [Runner(teacher, half, seed=turn) for turn in range(1, 4)]
    truth = [old(feed)[0] for _, _, feed in given]
    for growth, grow in GROWTHS.items():
        try:
            student = grow(teacher).model
        except N2NError as refusal:
            yield growth, "refused", str(refusal)[:200]
            continue
        if _sizes(student) == _sizes(teacher):
            yield growth, "unchanged", ""
            continue
        new = Runner(student, half)
        bad, excused, where = False, False, ""
        for (scale, axis, feed), wanted in zip(given, truth, strict=True):
            rows = broken(wanted, new(feed)[0], axis)
            guilty = [row for row in rows if not overflows(inside, feed, axis, row)]
            if guilty:
                near = [run(feed)[0] for run in moved]
                guilty = [row for row in guilty if all(row not in broken(wanted, value, axis) for value in near)]
            bad, excused = bad or bool(guilty), excused or bool(rows)
            if guilty and not where:
                where = f"inputs times {scale:g}, {feed.shape[0]} along the first axis"
        yield growth, "BROKEN" if bad else "excused" if excused else "finite", where


def main() -> None:
    """Make the teachers, grow and run them, and print the counts by kind."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teachers", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="kinds whose names hold this")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    kinds = [kind for kind in KINDS if options.only in kind]
    rows = []
    for number in range(options.teachers):
        kind, half = kinds[number % len(kinds)], number // len(kinds) % 2 == 1
        draw = Draw(np.random.default_rng([options.seed, number]), half)
        teacher = KINDS[kind](draw, kind.partition(" ")[2])
        for growth, outcome, where in judged(teacher, half, kind, options.seed + number):
            rows.append({"kind": kind, "type": "float16" if half else "float32", "number": number, "growth": growth,
                         "outcome": outcome, "where": where})  # fmt: skip
    print(f"{'kind':25}{'type':9}{'finite':>7}{'excused':>8}{'BROKEN':>7}{'unchanged':>10}  broken by")
    for kind, word in sorted({(row["kind"], row["type"]) for row in rows}):
        some = [row for row in rows if (row["kind"], row["type"]) == (kind, word)]
        count = Counter(row["outcome"] for row in some)
        by = Counter(row["growth"] for row in some if row["outcome"] == "BROKEN")
        numbers = (count["finite"], count["excused"], count["BROKEN"], count["unchanged"] + count["refused"])
        print(f"{kind:25}{word:9}{numbers[0]:7}{numbers[1]:8}{numbers[2]:7}{numbers[3]:10}  "
              f"{', '.join(f'{each} {number}' for each, number in by.items())}")  # fmt: skip
    total = Counter(row["outcome"] for row in rows)
    print(f"{options.teachers} teachers, seed {options.seed}: {dict(total)}")
    if options.out:
        found = {"date": datetime.date.today().isoformat(), "teachers": options.teachers, "seed": options.seed,
                 "onnx_n2n": onnx_n2n.__version__, "total": total, "students": rows}  # fmt: skip
        options.out.write_text(json.dumps(found, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
