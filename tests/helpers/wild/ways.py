"""Layers whose activations stand behind what moves, cuts or joins axes, as exporters write them."""

from __future__ import annotations

import numpy as np

from helpers.wild.sheet import Sheet, Value

ACTIVATIONS = ["Relu", "Relu", "Tanh", "Sigmoid", "LeakyRelu"]


def _rows(s: Sheet) -> Value:
    """Choose a tensor of rank 3 whose last axis is fixed: ``[batch, places, channels]``.

    Raises:
        Skip: If there is none.
    """
    return s.pick(lambda v: v.rank == 3 and v.shape[2] is not None, weights=0)


def keras(s: Sheet) -> None:
    """A convolution along one axis of two, the other of which is put in and dropped, with its channels last or not."""
    value = _rows(s)
    channels, out, k = value.shape[2], s.length(), s.one_of([1, 3])
    assert channels
    at = s.one_of([2, 3])
    axes = s.constant(np.array([at if s.chance() else at - 4], np.int64))
    kernel = (1, k) if at == 2 else (k, 1)
    turned = s.add("Transpose", value.name, perm=[0, 2, 1])
    apart = s.add("Unsqueeze", turned, axes)
    weight = s.operand((out, channels, *kernel), 95)
    name = s.add("Conv", apart, weight, pads=[length // 2 for length in kernel] * 2)
    normed = s.chance(30)
    if normed and s.chance():
        name, normed = _normed(s, name, out), False
    name = s.add("Squeeze", name, axes)
    if normed:
        name = _normed(s, name, out)
    elif s.chance():
        name = s.add("Add", name, s.weight(1, out, 1))
    if s.chance(60):
        name = s.add("Transpose", name, perm=s.one_of([[0, 2, 1], [0, 2, 1], [2, 0, 1]]))
    _activated(s, name)


def _normed(s: Sheet, name: str, channels: int) -> str:
    spread = s.constant(s.rng.uniform(0.5, 2, channels).astype(np.float32))
    weights = [s.weight(channels, plain=True) for _ in range(3)]
    return s.add("BatchNormalization", name, *weights, spread)


def _activated(s: Sheet, name: str) -> str:
    return s.add(s.one_of(ACTIVATIONS), name)


def gated(s: Sheet) -> None:
    """Some channels of a layer, or each by the others of another layer; in parts, cut, or joined with others."""
    value = _rows(s)
    channels, half = value.shape[2], s.length()
    assert channels
    kind = s.one_of(["gate", "gate", "parts", "cut", "joined"])
    name = s.add("MatMul", value.name, s.weight(channels, half if kind == "joined" else 2 * half))
    if s.chance(60):
        name = s.add("Add", name, s.weight(half if kind == "joined" else 2 * half))
    if kind in {"gate", "parts"}:
        counted = {"num_outputs": 2} if s.opset >= 18 else {}
        one, two = s.several(2, "Split", name, axis=s.one_of([2, -1]), **counted)
        gate = _activated(s, two)
        s.add("Mul", one, gate if kind == "gate" else two)
    elif kind == "cut":
        start, stop, axis = (s.constant(np.array([n], np.int64)) for n in (1, half + 1, -1))
        _activated(s, s.add("Slice", name, start, stop, axis))
    else:
        other = s.add("MatMul", value.name, s.weight(channels, s.length()))
        _activated(s, s.add("Concat", *((name, other) if s.chance() else (other, name)), axis=2))


def summed_by_letters(s: Sheet) -> None:
    """A layer written as an Einsum."""
    value = _rows(s)
    channels, out = value.shape[2], s.length()
    assert channels
    weight, equation = s.one_of([((channels, out), "btd,dh->bth"), ((out, channels), "btd,hd->bth")])
    _activated(s, s.add("Einsum", value.name, s.weight(*weight), equation=equation))


STEPS = {keras: 6, gated: 6, summed_by_letters: 2}
