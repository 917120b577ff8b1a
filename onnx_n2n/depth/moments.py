"""What tensors do when a model runs: the statistics that a BatchNormalization needs to undo itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx_ir as ir

from onnx_n2n.depth.layers import EPSILON, Moments
from onnx_n2n.errors import InputError
from onnx_n2n.verification.options import Feeds, Proof

AT_A_TIME = 16  # tensors held in memory


def measure(
    model: ir.Model, channels: Mapping[ir.Value, int], proof: Proof, folder: Path | None, feeds: Feeds | None
) -> tuple[dict[ir.Value, Moments], str]:
    """Run a model and return the moments of each channel of some of its tensors, and where the inputs came from.

    Args:
        model: The model.
        channels: The tensors, with the axis of their channels.
        proof: How to run it; its inputs are used where ``feeds`` is None.
        folder: Where the model's file is, with test data sets perhaps.
        feeds: Inputs to measure with.

    Raises:
        InputError: The model cannot be run on the inputs, or gives something there that is not finite, or takes too
            long, or there is not enough memory.
        ModelError: ONNX Runtime refuses the model.
    """
    from onnx_n2n.verification.evaluation import evaluated
    from onnx_n2n.verification.memory import within_memory
    from onnx_n2n.verification.sessions import Timed, opened, providers, run, session
    from onnx_n2n.verification.trial import find_trial
    from onnx_n2n.verification.yardstick import grain

    with within_memory(), opened(model, folder, proof.setup) as given:
        source, _ = evaluated(given, given.skeleton())
        skeleton, used = source.skeleton(), providers(proof.provider)[0]
        own = feeds if feeds is not None else proof.inputs
        teacher = Timed(session(source, used), proof.time_limit)
        trial = find_trial(teacher, skeleton, own, proof.shapes, folder, proof.seed, grain(skeleton))
        count = len(trial.feeds) if not own else 1 if isinstance(own, Mapping) else len(own)  # others are made up
        values, found = list(channels), {}
        for start in range(0, len(values), AT_A_TIME):
            some = values[start : start + AT_A_TIME]
            names = [str(value.name) for value in some]
            hidden = [name for name, value in zip(names, some, strict=True) if not value.is_graph_output()]
            exposed = Timed(session(source.exposing(hidden), used), proof.time_limit)
            batches = [run(exposed, feed, names) for feed in trial.feeds[:count]]
            for value, tensors in zip(some, zip(*batches, strict=True), strict=True):
                rows = [np.moveaxis(tensor, channels[value], -1) for tensor in tensors]
                found[value] = replace(_moments(rows), real=not trial.origin.startswith("drawn"))
                if not np.isfinite([*found[value].mean, *found[value].variance]).all():
                    reason = f"the mean or variance of {value.name!r} is not finite on the inputs it was measured with"
                    raise InputError(reason, hint="Give others with `inputs=` or `calibrate=`")
    return found, trial.origin


def _moments(tensors: Sequence[np.ndarray]) -> Moments:
    """Return the moments of tensors whose last axis holds the channels: together, and how far each is from that."""
    rows = [tensor.reshape(-1, tensor.shape[-1]).astype(np.float64) for tensor in tensors]
    together = np.concatenate(rows)
    with np.errstate(over="ignore", invalid="ignore"):
        mean, variance = together.mean(0), together.var(0)
        return Moments(mean, variance, max(_drift(batch.mean(0), batch.var(0), mean, variance) for batch in rows))


def _drift(batch_mean: np.ndarray, batch_variance: np.ndarray, mean: np.ndarray, variance: np.ndarray) -> float:
    """Return what a norm that trains on one batch changes in it, as a root mean square over the batch's deviation.

    It gives ``(x - batch_mean) * ratio + mean``, so that what it changes has the mean square
    ``(ratio - 1) ** 2 * batch_variance + (mean - batch_mean) ** 2``.
    """
    ratio = np.sqrt((variance + EPSILON) / (batch_variance + EPSILON))
    changed = (ratio - 1) ** 2 * batch_variance + (mean - batch_mean) ** 2
    total = float(batch_variance.sum())
    return float(np.sqrt(changed.sum() / total)) if total else 0.0
