"""Operators that say how long and where things are."""

from __future__ import annotations

import numpy as np

from onnx_n2n.exact.files import dense
from onnx_n2n.exact.registry import rule
from onnx_n2n.exact.site import Site
from onnx_n2n.exact.tensor import FLOAT, INT64, Tensor, kind
from onnx_n2n.exact.undecided import Undecided


@rule("Constant")
def constant(site: Site) -> Tensor:
    """Return what the node holds."""
    (attribute,) = site.constants()
    name = site.node.output[0]
    value = site.attribute(attribute.name)
    if attribute.name == "value":
        array = site.run.file.array(value)
    elif attribute.name == "sparse_value":
        array = dense(site.run.file, value)
    else:
        types = {"value_float": np.float32, "value_floats": np.float32, "value_int": np.int64, "value_ints": np.int64}
        array = np.asarray(value, types.get(attribute.name, object))
        if array.dtype == object:
            texts = [each.decode() if isinstance(each, bytes) else each for each in array.reshape(-1)]
            array = np.array(texts, object).reshape(array.shape)
    return site.run.leaf_of(site.node, name, array, written=site.scope.written)


@rule("Shape")
def shape(site: Site) -> Tensor:
    """Return the lengths of a tensor's axes."""
    start, end = site.attribute("start", 0), site.attribute("end", len(site.tensor(0).shape))
    part = slice(start, end)
    return lengths_as(site, np.array(site.tensor(0).shape[part], np.int64), site.free(0)[part])


def lengths_as(site: Site, lengths: np.ndarray, free: np.ndarray) -> Tensor:
    """Return lengths as numbers: a fixed one as it is, a free one as a number that stands for it."""
    if not free.any():
        return Tensor(INT64, lengths)
    both = site.world.enter(lengths).joined([site.world.places(lengths)], 0)
    numbers = both.taken(np.arange(len(lengths)) + len(lengths) * free)
    return Tensor(INT64, lengths, numbers, sized=True)


@rule("Size")
def size(site: Site) -> Tensor:
    """Return the number of a tensor's elements."""
    lengths = lengths_as(site, np.array(site.tensor(0).shape, np.int64), site.free(0))
    known = np.array(int(np.prod(site.tensor(0).shape, dtype=np.int64)), np.int64)
    if lengths.numbers is None:
        return Tensor(INT64, known)
    return Tensor(INT64, known, lengths.numbers.multiplied((0,)), sized=True)


@rule("Range")
def ranges(site: Site) -> Tensor:
    """Return numbers from one to another; those that are not whole are calculated, for each is rounded otherwise."""
    parts = [site.tensor(slot) for slot in range(3)]
    start, limit, step = (site.known(slot).item() for slot in range(3))
    if any(each.rough for each in parts):
        raise Undecided("the numbers of a range have been rounded")
    site.ignore("stash_type")  # says how sums are rounded
    places = np.arange(max(0, int(np.ceil((limit - start) / step))))
    array = (start + places * step).astype(kind(parts[0].type))
    sized = any(not each.certain for each in parts)
    if all(float(each).is_integer() for each in (start, step)) or sized:
        return Tensor(parts[0].type, array, sized=sized)
    return site.result(site.numbers(0) + site.world.enter(places) * site.numbers(2)).but(known=array, rough=True)


@rule("ConstantOfShape")
def constant_of_shape(site: Site) -> Tensor:
    """Return one number, as often as is asked for."""
    lengths = tuple(int(each) for each in site.known(0))
    value = site.attribute("value")
    array = np.zeros((), np.float32) if value is None else site.run.file.array(value).reshape(())
    type_ = FLOAT if value is None else value.data_type
    return Tensor(type_, np.broadcast_to(array.reshape(()), lengths))


@rule("EyeLike")
def eye_like(site: Site) -> Tensor:
    """Return a matrix with ones on a diagonal."""
    tensor = site.tensor(0)
    type_ = site.attribute("dtype", tensor.type)
    rows, columns = tensor.shape
    return Tensor(type_, np.eye(rows, columns, k=site.attribute("k", 0), dtype=kind(type_)))


@rule("NonZero")
def non_zero(site: Site) -> Tensor:
    """Return where numbers are not zero; which has to be known."""
    tensor = site.tensor(0)
    if tensor.known is None or tensor.rough or tensor.numbers is not None:
        raise Undecided("how many numbers are not zero depends on the model's inputs")
    return Tensor(INT64, np.array(np.nonzero(site.known(0)), np.int64), sized=True)
