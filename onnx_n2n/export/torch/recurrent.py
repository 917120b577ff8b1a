"""Recurrent cells by PyTorch's own kernels."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from onnx_n2n.record.layouts import GATES, inverse, reorder


def lstm(x: Tensor, states: list[Tensor], w: Tensor, r: Tensor, b: Tensor | None, back: bool) -> tuple[Tensor, ...]:
    """Run an LSTM in one direction; states are (1, batch, hidden), weights have ONNX's order of gates."""
    return _quick(torch.lstm, "LSTM", x, states, w, r, b, back)


def gru(x: Tensor, states: list[Tensor], w: Tensor, r: Tensor, b: Tensor | None, back: bool) -> tuple[Tensor, ...]:
    """Run a GRU in the same way."""
    return _quick(torch.gru, "GRU", x, states[0], w, r, b, back)


def _quick(
    kernel: Any, kind: str, x: Tensor, state: Any, w: Tensor, r: Tensor, b: Tensor | None, back: bool
) -> tuple[Tensor, ...]:
    weights = [reorder(each, inverse(GATES[kind]), torch) for each in ((w, r) if b is None else (w, r, *b.chunk(2)))]
    y, *last = kernel(x.flip(0) if back else x, state, weights, b is not None, 1, 0.0, False, False, False)
    return (y.flip(0) if back else y, *(each.squeeze(0) for each in last))
