"""Why a pass has changed nothing, which is an error to who asked for it."""

from __future__ import annotations

from pathlib import Path

import onnx_n2n
from onnx_n2n.cli import tables
from onnx_n2n.depth.places import places
from onnx_n2n.errors import GrowthError
from onnx_n2n.passes import Enlarge, Outputs, Pass, Widen
from onnx_n2n.report import Report


def nothing(change: Pass, model: Path, report: Report) -> GrowthError:
    """Say why nothing was changed."""
    if isinstance(change, Widen):
        return _nothing_wider(change, model, report)
    if isinstance(change, Enlarge):
        return _nothing_larger(report)
    if isinstance(change, Outputs):
        return GrowthError(f"the output has {change.size} entries already", hint="Give a larger --outputs")
    hint = f"'onnx-n2n inspect {model}' lists the places for depth, and why others are none"
    barred = places(onnx_n2n.analyze(model)).barred
    reasons = [(each.name, each.reason) for each in report.change.kept]
    reasons += [(each.name, each.reason) for each in barred]
    why = f"{reasons[0][0]!r}: {reasons[0][1]}" if reasons else "it has no activations and no residual sums"
    return GrowthError(f"nothing can be added to the model: {why}", hint=hint)


def _nothing_wider(grow: Widen, model: Path, report: Report) -> GrowthError:
    """Say why nothing grew."""
    analysis = onnx_n2n.analyze(model)
    groups = [group for group in analysis.groups if group.members]
    hint = f"'onnx-n2n inspect {model}' shows what can grow, and why the rest cannot"
    if report.change.kept:
        kept = report.change.kept[0]
        return GrowthError(f"nothing in the model can grow as asked: {kept.name!r}: {kept.reason}", hint=hint)
    if not groups:
        reason = tables.commonest_pin(analysis)
        why = f", mostly for this reason: {reason}" if reason else ": no operator in it has floating-point weights"
        return GrowthError(f"nothing in the model can grow{why}", hint=hint)
    if grow.factor == 1:
        return GrowthError("nothing is asked to grow", hint="Give a --factor above 1, or a larger --group NAME=SIZE")
    if grow.include or grow.exclude:
        return GrowthError("no group that can grow is left by --include and --exclude", hint=hint)
    largest = max(groups, key=lambda group: group.size)
    return GrowthError(
        f"a factor of {grow.factor} adds not even one channel to the largest group, {largest.name!r} of {largest.size}",
        hint="Give a larger --factor",
    )


def _nothing_larger(report: Report) -> GrowthError:
    """Say why no kernel grew."""
    if not report.change.kept:
        return GrowthError("no kernel can grow: there is no convolution in the model")
    kept = report.change.kept[0]
    hint = "choose another one with --kernel, or other layers with --include"
    return GrowthError(f"no kernel can grow as asked: {kept.name!r}: {kept.reason}", hint=hint)
