"""Wider models in folders: of all configs that a class can say, the one that grows most and computes the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from os import PathLike

from onnx_n2n.errors import GrowthError, ModelError, VerificationError
from onnx_n2n.huggingface import configs
from onnx_n2n.huggingface.carrying import carried, others, paired
from onnx_n2n.huggingface.configs import NOTHING, Fields
from onnx_n2n.huggingface.differing import explained, more_nodes, other_numbers
from onnx_n2n.huggingface.fitting import Fitted, fitted
from onnx_n2n.huggingface.grown import Grown, write
from onnx_n2n.huggingface.less import nearest, otherwise
from onnx_n2n.huggingface.lineage import owned
from onnx_n2n.huggingface.output import Output
from onnx_n2n.huggingface.student import ClassDiffersError, becoming, drafted, verified
from onnx_n2n.huggingface.teacher import Teacher, taught
from onnx_n2n.passes.report import Change
from onnx_n2n.passes.widen import Widen
from onnx_n2n.width.growth import Growth
from onnx_n2n.width.plan import plan

TRACES = 4  # configs of one growth whose graphs are compared


def widen(folder: str | PathLike[str], change: Widen, output: Output, fields: Fields = NOTHING) -> Grown:
    """Widen a model in a Hugging Face folder, and write it as a new folder.

    Args:
        folder: A folder as ``save_pretrained`` and the hub have it; nothing is written into it.
        change: What to do. Groups for which the class has no config keep their size.
        output: The new folder.
        fields: Values of fields of the config that you choose.

    Raises:
        N2NError: Of any kind; nothing was written then.
    """
    with taught(folder, output, trust_remote_code=output.trust_remote_code) as teacher:
        growth = plan(teacher.analysis, change)
        if not growth.grown:
            reason, hint = change.nothing(teacher.analysis.model, Change((growth,), kept=growth.kept))
            raise GrowthError(reason, hint=hint)
        reasons: dict[str, bool] = {}
        for request in _requests(teacher, change, growth):
            try:
                return _attempted(teacher, request, change, fields, output, reasons)
            except (GrowthError, VerificationError) as failure:
                reasons[failure.reason] = isinstance(failure, GrowthError)
        raise GrowthError(
            f"the model cannot grow as asked so that its class computes the same: {'; '.join(reasons)}",
            hint=_nearest(teacher, change, fields, reasons) or "name what may grow with `only=`",
        )


def _requests(teacher: Teacher, change: Widen, growth: Growth) -> Iterator[Widen]:
    """Yield what is asked for, and then less of it: without the channels that most weights have."""
    yield change
    members = {group.name: len(group.members) for group in teacher.analysis.groups}
    most = max((each.name for each in growth.grown), key=lambda name: members.get(name, 0))
    if most not in change.groups and len(growth.grown) > 1:
        yield replace(change, without=(*change.without, most))


def _nearest(teacher: Teacher, change: Widen, fields: Fields, reasons: Mapping[str, bool]) -> str:
    """Return what another factor would do, if all that stands against the one asked for is what the config can say."""
    return nearest(teacher, change, fields) if all(reasons.values()) else ""


def _attempted(
    teacher: Teacher, request: Widen, change: Widen, fields: Fields, output: Output, reasons: Mapping[str, bool]
) -> Grown:
    """Grow as the first config says that fits.

    Args:
        teacher: The old model.
        request: What to do.
        change: What was asked for.
        fields: Values of fields of the config that a user has chosen.
        output: The new folder.
        reasons: Why what was asked for cannot be done, and whether that is since no config says it.

    Raises:
        GrowthError: No config has the sizes, or no field says a number that has to change, or something that no
            output shows would.
        ModelError: The class cannot be built or traced.
        VerificationError: The class computes something else.
    """
    output.progress("growing")
    fit = fitted(teacher, request, fields)
    failure: Exception | None = None
    for chosen in _variants(teacher, fit, fields):
        try:
            grown = _written(teacher, fit, {**chosen, **fit.follow}, output)
            break
        except (ModelError, VerificationError) as wrong:
            failure = failure or wrong
    else:
        assert failure is not None
        raise failure
    left = dict.fromkeys(set(request.without).difference(change.without), "; ".join(reasons))
    notes = list(otherwise(teacher, change, fit, left))
    if notes and (near := _nearest(teacher, change, fields, reasons)):
        notes.append(near)
    return replace(grown, notes=(*notes, *grown.notes))


def _written(teacher: Teacher, fit: Fitted, fields: Fields, output: Output) -> Grown:
    """Write a new folder whose config has these fields.

    Raises:
        GrowthError: Something that no output shows would change.
        ModelError: The class with it cannot be built or traced, or the disk has no room.
        VerificationError: The class computes something else.
    """
    network, graph = becoming(teacher, fields, output)
    plain = replace(fit.larger, network=network)
    pairs = paired(teacher, plain, graph)
    more = tuple(more_nodes(teacher, plain.result.model))
    if pairs and more:  # no weights need be made to see it
        raise ClassDiffersError(f"the class computes something else: {more[0]}")
    numbers = tuple(others(pairs, network))
    larger = carried(teacher, plain, numbers)
    with drafted(teacher, larger, output) as draft:
        with explained(lambda: (*other_numbers(teacher, numbers if larger is plain else ()), *more)):
            student = verified(teacher, draft, larger, fields, graph, output)
        return write(teacher, draft, student, larger.result, output, owned(larger.result.growth, teacher.network.one))


def _variants(teacher: Teacher, fit: Fitted, fields: Fields) -> Iterator[Fields]:
    """Yield the fields of a candidate, with and without those that change no shape: first with what counts heads."""
    found = configs.silent(fit.candidate, teacher.network)
    silent = [path for path in found if path not in fields]
    first = [path for path in silent if found[path]]
    tries = [first, *([each for each in first if each != left] for left in first), []]
    seen: list[list[str]] = []
    for paths in tries:
        if paths not in seen and len(seen) < TRACES:
            seen.append(paths)
            yield {path: value for path, value in fit.candidate.fields.items() if path not in silent or path in paths}
