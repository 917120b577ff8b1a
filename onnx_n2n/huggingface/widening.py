"""Wider models in folders: of all configs that a class can say, the one that grows most and computes the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from os import PathLike

import onnx_ir as ir

from onnx_n2n.errors import GrowthError, ModelError, VerificationError
from onnx_n2n.huggingface import configs
from onnx_n2n.huggingface.configs import Candidate
from onnx_n2n.huggingface.ends import (
    NOTHING,
    Fields,
    Grown,
    Larger,
    Output,
    Teacher,
    canonical,
    drafted,
    taught,
    verified,
    weights_of,
    write,
)
from onnx_n2n.huggingface.tracing import homes
from onnx_n2n.passes.report import Change
from onnx_n2n.passes.widen import Widen
from onnx_n2n.verification.options import Proof
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
    with taught(folder, output) as teacher:
        reasons: list[str] = []
        for request in _requests(teacher, change):
            try:
                return _attempted(teacher, request, fields, output, tuple(dict.fromkeys(reasons)))
            except (GrowthError, VerificationError) as failure:
                reasons.append(failure.reason)
        raise GrowthError(
            f"the model cannot grow as asked so that its class computes the same: {'; '.join(dict.fromkeys(reasons))}",
            hint="a whole factor goes more often, or name what may grow with `only=`",
        )


def _requests(teacher: Teacher, change: Widen) -> Iterator[Widen]:
    """Yield what is asked for, and then less of it: without the channels that most weights have."""
    growth = plan(teacher.analysis, change)
    if not growth.grown:
        reason, hint = change.nothing(teacher.analysis.model, Change((growth,), kept=growth.kept))
        raise GrowthError(reason, hint=hint)
    yield change
    members = {group.name: len(group.members) for group in teacher.analysis.groups}
    most = max((each.name for each in growth.grown), key=lambda name: members.get(name, 0))
    if most not in change.groups and len(growth.grown) > 1:
        yield replace(change, without=(*change.without, most))


def _attempted(teacher: Teacher, request: Widen, fields: Fields, output: Output, notes: tuple[str, ...]) -> Grown:
    """Grow as the first config says that fits, and find which of its fields make the class compute the same.

    Args:
        teacher: The old model.
        request: What to do.
        fields: Values of fields of the config that a user has chosen.
        output: The new folder.
        notes: Why nothing more is asked for.

    Raises:
        GrowthError: No config has the sizes, or no field says a number that has to change.
        VerificationError: The class computes something else.
    """
    found = next(_candidates(teacher, request, fields), None)
    if found is None:
        raise GrowthError(f"no config of {type(teacher.network.module).__name__} has the sizes")
    candidate, asked = found
    output.progress("growing")
    result = asked(teacher.analysis.model, proof=Proof(wanted=False))
    larger = Larger(candidate.network, weights_of(result.model), {}, result)
    follow = configs.epsilons(teacher.network, result.change.settings, homes(teacher.analysis.model))
    failure: Exception | None = None
    with drafted(teacher, larger, output) as draft:
        for chosen in _variants(teacher, candidate, fields):
            said = {**chosen, **{path: value for path, value in follow.items() if path not in fields}}
            try:
                student = verified(teacher, draft, larger, said, output)
            except (ModelError, VerificationError) as wrong:
                failure = failure or wrong
            else:
                return write(teacher, draft, student, result, output, result.growth, notes=notes)
        assert failure is not None
        raise _explained(failure, teacher, result.model) if isinstance(failure, VerificationError) else failure


def _explained(failure: VerificationError, teacher: Teacher, grown: ir.Model) -> VerificationError:
    """Return a failure with what the graph computes in a node of its own, as what makes up for the length of a norm."""
    places = homes(teacher.analysis.model)
    known = {str(node.name) for node in teacher.analysis.model.graph}
    for node in grown.graph:
        makers = [maker for value in node.inputs if value is not None and (maker := value.producer()) is not None]
        place = next((places[str(maker.name)] for maker in makers if str(maker.name) in places), "")
        if node.name not in known and place:
            why = f"the graph needs one more {node.op_type} in {place!r}, and the class has none for it"
            return VerificationError(f"{failure.reason}; {why}", hint=failure.hint)
    return failure


def _candidates(teacher: Teacher, change: Widen, fields: Fields) -> Iterator[tuple[Candidate, Widen]]:
    """Yield configs whose sizes a growth has, each with that growth."""
    analysis = teacher.analysis
    grown = configs.sizes(analysis, plan(analysis, change))
    for candidate in configs.candidates(teacher.network, grown, fields, teacher.shown):
        wanted = canonical(candidate.network)
        if wanted == canonical(teacher.network):
            continue
        taken = configs.growing(analysis, wanted)
        others = tuple(group.name for group in analysis.groups if group.name not in taken)
        asked = replace(change, without=tuple(dict.fromkeys((*change.without, *others))))
        growth = plan(analysis, asked)
        if growth.grown and configs.fits(wanted, configs.shapes_of(analysis, growth)):
            yield candidate, asked


def _variants(teacher: Teacher, candidate: Candidate, fields: Fields) -> Iterator[Fields]:
    """Yield the fields of a candidate, with and without those that change no shape: first with what counts heads."""
    found = configs.silent(candidate, teacher.network)
    silent = [path for path in found if path not in fields]
    first = [path for path in silent if found[path]]
    tries = [first, *([each for each in first if each != left] for left in first), []]
    seen: list[list[str]] = []
    for kept in tries:
        if kept not in seen and len(seen) < TRACES:
            seen.append(kept)
            yield {path: value for path, value in candidate.fields.items() if path not in silent or path in kept}
