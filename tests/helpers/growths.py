"""One growth of each kind, and its record; records and models that say something else."""

from __future__ import annotations

import copy
import functools
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from helpers.calling import net
from helpers.deepening import resnet
from helpers.enlarging import UNPROVEN, three
from helpers.graphs import model
from onnx_n2n.exact import record as records
from onnx_n2n.passes import Deepen, Enlarge, Outputs, Widen, parse
from onnx_n2n.record.record import Record

QUIET = model(
    "h = MatMul(x, W) n = LayerNormalization(h, g, b) a = MatMul(n, A) r = Relu(a) m = MatMul(r, B) k = Add(h, m) "
    "o = LayerNormalization(k, g, b) y = MatMul(o, V)",
    "float[2,5,3] x", "y", W=(3, 6), g=(6,), b=(6,), A=(6, 8), B=(8, 6), V=(6, 3),
)  # fmt: skip
TIED = model(  # which cannot stay so
    "h = Gather(E, i) n = LayerNormalization(h, g, b) a = MatMul(n, A) r = Relu(a) m = MatMul(r, B) k = Add(h, m) "
    "t = Transpose<perm=[1,0]>(E) y = MatMul(k, t)",
    "float[2,5] x, int64[2,5] i", "y", E=(9, 6), A=(6, 8), B=(8, 6), g=(6,), b=(6,),
)  # fmt: skip
MEAN = model("h = Conv(x, w) r = Relu(h) m = ReduceMean<axes=[1]>(r) y = Conv(m, v)", "float[N,3,6,6] x", "y",
             w=(4, 3, 1, 1), v=(2, 1, 1, 1))  # fmt: skip
WHOLE, COLUMNS = (model(
    "q, s, z = DynamicQuantizeLinear(x) m = MatMulInteger(q, w, z, c) f = Cast<to=1>(m) g = Mul(f, s) r = Relu(g) "
    "p, t, u = DynamicQuantizeLinear(r) n = MatMulInteger(p, v, u, d) e = Cast<to=1>(n) y = Mul(e, t)",
    "float[4,3] x", "float[4,2] y", w=np.arange(-12, 12, dtype=np.int8).reshape(3, 8), c=np.array(1, np.int8),
    v=np.arange(-8, 8, dtype=np.int8).reshape(8, 2), d=np.array(zero, np.int8),
) for zero in (3, [2, 3]))  # fmt: skip
CLASSIFIER = model("h = MatMul(x, v) r = Relu(h) y = Gemm<transB=1>(r, w, b)", "float[N,6] x", "float[N,5] y",
                   v=(6, 8), w=(5, 8), b=(5,))  # fmt: skip
BESIDE = model(
    "h = Gather(E, i) s = Mul(h, h) m = ReduceMean<axes=[-1]>(s) e = Add(m, eps) q = Sqrt(e) n = Div(h, q) "
    "d = Add(one, g) c = Identity(d) o = Mul(n, c) y = MatMul(o, V)",
    "int64[2,5] i", "y", E=(7, 6), eps=np.array([0.03], np.float32), one=1.0, g=(6,), V=(6, 3),
)  # fmt: skip
GROWTHS: dict[str, tuple[Any, onnx.ModelProto]] = {
    "fresh": (Widen(factor=1.5), net()),
    "copies": (Widen(factor=2.75, init="net2net", seed=7), net()),
    "quiet": (Widen(factor=1.5), QUIET),
    "a gain beside one": (Widen(factor=1.5), BESIDE),
    "quiet copies": (Widen(factor=1.5, init="net2net"), QUIET),
    "tied": (Widen(factor=2, init="net2net"), TIED),
    "a mean": (Widen(factor=1.5, init="net2net"), MEAN),
    "quantised": (Widen(factor=1.5, init="net2net"), WHOLE),
    "quantised by columns": (Widen(factor=1.5), COLUMNS),
    "deeper": (Deepen(), resnet(1)),
    "enlarged": (Enlarge(), three()),
    "gained": (Outputs(7), CLASSIFIER),
    "passes": (parse("widen{factor=1.25},deepen{count=1},enlarge,widen{factor=1.5,init=net2net}"), resnet(1)),
}


@functools.cache
def record_of(name: str) -> Record:
    growing, teacher = GROWTHS[name]
    found: Record = growing(teacher, proof=UNPROVEN).growth
    return found


def document(result: Any) -> dict[str, Any]:
    """Return the steps and arrays of a growth's record, which may be changed."""
    with TemporaryDirectory() as folder:
        result.growth.save(Path(folder, "growth.safetensors"))
        read = records.read(Path(folder, "growth.safetensors"))
    return {"steps": copy.deepcopy(list(read.steps)), "arrays": dict(read.arrays)}


def claimed(tensors: dict[str, Any] | None = None, settings: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return a record that says nothing but forms."""
    step = {"tensors": [], "new": [], "forms": {"tensors": tensors or {}, "settings": settings or {}}}
    return {"steps": [step], "arrays": {}}


def changed(teacher: onnx.ModelProto, **arrays: np.ndarray) -> onnx.ModelProto:
    """Return a model with other numbers in some constants."""
    found = onnx.ModelProto.FromString(teacher.SerializeToString())
    for tensor in found.graph.initializer:
        if tensor.name in arrays:
            tensor.CopyFrom(numpy_helper.from_array(arrays[tensor.name], tensor.name))
    return found


def constant(of: onnx.ModelProto, name: str) -> np.ndarray:
    """Return the numbers of one of a model's constants."""
    return next(numpy_helper.to_array(each).copy() for each in of.graph.initializer if each.name == name)
