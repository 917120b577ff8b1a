"""A larger model in a folder: the student's weights in a class of the same name, whose own graph is what is verified.

The graph of a pass is only a means here. What from_pretrained makes of the new folder is the class with its new config,
so that class is traced anew, given the weights, and compared with the old one: by a run, and by the exact check.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import onnx_ir as ir

from onnx_n2n.analysis.walk import Analysis, analyze
from onnx_n2n.errors import GrowthError, KernelError, MemoryShortageError, ModelError, N2NError, VerificationError
from onnx_n2n.huggingface import configs, writing
from onnx_n2n.huggingface.configs import Candidate, Fields
from onnx_n2n.huggingface.folder import Folder, opened
from onnx_n2n.huggingface.keys import Made, Read, read, written
from onnx_n2n.huggingface.linked import computed, link, model_of, saved
from onnx_n2n.huggingface.network import Network, built
from onnx_n2n.huggingface.tracing import examples, traced
from onnx_n2n.huggingface.workspace import Workspace, workspace
from onnx_n2n.io.model import load
from onnx_n2n.passes.driver import Target
from onnx_n2n.passes.report import Result
from onnx_n2n.passes.widen import Widen
from onnx_n2n.progress import Progress, unheard
from onnx_n2n.verification.options import Proof
from onnx_n2n.width.plan import plan
from onnx_n2n.words import brief

TEACHER, STUDENT, CLASS = "teacher.onnx", "student.onnx", "class.onnx"
NOTHING: Fields = MappingProxyType({})
TRACES = 4  # configs of one growth whose graphs are compared


@dataclass(frozen=True, eq=False)
class Grown:
    """A model in a new folder.

    Attributes:
        written: What was written.
        result: What the pass did.
        run: What running both classes' graphs showed; None if they could not be run.
        exact: What the exact check says of them.
        dropped: Keys of tensors that the class does not have, and that are not in the new folder.
        notes: What else a person should know.
    """

    written: writing.Written
    result: Result[Any]
    run: Any
    exact: Any
    dropped: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Teacher:
    """A folder whose graph is known.

    Attributes:
        folder: The folder.
        network: Its class, without weights.
        found: How the class reads its tensors.
        place: Where its weights are as external data.
        analysis: What may grow in its graph.
        inputs: Shapes of an example.
    """

    folder: Folder
    network: Network
    found: Read
    place: Workspace
    analysis: Analysis
    inputs: Mapping[str, tuple[int, ...]]

    @property
    def path(self) -> Path:
        """The file of its graph."""
        return self.place.path / TEACHER

    @classmethod
    def read(cls, folder: Folder, place: Workspace) -> Teacher:
        """Trace a folder's class.

        Raises:
            ModelError: It does not export, or the folder is not what it needs; or there is no place for its graph.
        """
        if not place.own:
            raise ModelError("the weight files cannot get second names, which their graph needs",
                             hint="set TMPDIR to a folder of yours on the same disk")  # fmt: skip
        network = built(folder.config)
        model, found = model_of(folder, network, place)
        saved(model, place.path / TEACHER)
        return cls(folder, network, found, place, analyze(load(place.path / TEACHER)), examples(network.module)[0])


def widen(
    folder: str | os.PathLike[str],
    change: Widen,
    output: str | os.PathLike[str],
    *,
    fields: Fields = NOTHING,
    shard_size: int | None = None,
    force: bool = False,
    progress: Progress = unheard,
) -> Grown:
    """Widen a model in a Hugging Face folder, and write it as a new folder.

    Args:
        folder: A folder as ``save_pretrained`` and the hub have it; nothing is written into it.
        change: What to do. Groups that the class has no config for keep their size.
        output: The new folder.
        fields: Values of fields of the config that you choose.
        shard_size: How many bytes of tensors a weight file has at most.
        force: Whether to replace a model that is there.
        progress: Is told each stage as it begins.

    Raises:
        N2NError: Of any kind; nothing was written then.
    """
    progress("reading the folder")
    old = opened(folder)
    writing.check_output(old, output, force=force)
    near = writing.named(Path(output)).parent
    with workspace(old, near) as place:
        progress("tracing the class")
        teacher = Teacher.read(old, place)
        reasons: list[str] = []
        for request in _requests(teacher, change):
            for candidate, asked in _candidates(teacher, request, fields):
                try:
                    found = _attempt(teacher, candidate, asked, fields, progress)
                except (GrowthError, VerificationError) as failure:
                    reasons.append(failure.reason)
                    break
                return _written(teacher, found, output, reasons, shard_size=shard_size, force=force, progress=progress)
            else:
                reasons.append(f"no config of {type(teacher.network.module).__name__} has the sizes")
        raise GrowthError(
            f"the model cannot grow as asked so that its class computes the same: {'; '.join(dict.fromkeys(reasons))}",
            hint="name what may grow with `only=`, or fields with `fields=`; a whole factor goes more often",
        )


def _requests(teacher: Teacher, change: Widen) -> Iterator[Widen]:
    """Yield what is asked for, and then less of it: without the channels that most weights have."""
    growth = plan(teacher.analysis, change)
    if not growth.grown:
        raise GrowthError(*change.nothing(teacher.analysis.model, _nothing(growth)))
    yield change
    members = {group.name: len(group.members) for group in teacher.analysis.groups}
    most = max((each.name for each in growth.grown), key=lambda name: members.get(name, 0))
    less = replace(change, without=(*change.without, most))
    if most not in change.groups and len(growth.grown) > 1:
        yield less


def _nothing(growth: Any) -> Any:
    from onnx_n2n.passes.report import Change

    return Change((growth,), kept=growth.kept)


def _candidates(teacher: Teacher, change: Widen, fields: Fields) -> Iterator[tuple[Candidate, Widen]]:
    """Yield configs whose sizes a growth has, each with that growth."""
    analysis = teacher.analysis
    grown = configs.sizes(analysis, plan(analysis, change))
    for candidate in configs.candidates(teacher.network, grown, fields):
        wanted = _canonical(candidate.network)
        if wanted == _canonical(teacher.network):
            continue
        taken = configs.growing(analysis, wanted)
        others = tuple(group.name for group in analysis.groups if group.name not in taken)
        asked = replace(change, without=tuple(dict.fromkeys((*change.without, *others))))
        growth = plan(analysis, asked)
        if growth.grown and configs.fits(wanted, configs.shapes_of(analysis, growth)):
            yield candidate, asked


def _canonical(network: Network) -> dict[str, tuple[int, ...]]:
    return {network.one.get(name, name): shape for name, shape in network.shapes.items()}


@dataclass(frozen=True, eq=False)
class _Found:
    candidate: Candidate
    result: Result[Any]
    student: ir.Model
    run: Any
    exact: Any


def _attempt(teacher: Teacher, candidate: Candidate, asked: Widen, fields: Fields, progress: Progress) -> _Found:
    """Make the student of a candidate, and compare the class that it is with the old one.

    Raises:
        GrowthError: No field of the config says a number that has to change.
        VerificationError: The class computes something else.
    """
    progress("growing")
    target = Target(teacher.place.path / STUDENT, force=True)
    result = asked(teacher.path, output=target, proof=Proof(wanted=False))
    student = load(teacher.place.path / STUDENT)
    follow = configs.epsilons(configs.whole(teacher.network.config), result.change.settings)
    config, failure = teacher.network.config, None
    for chosen in _variants(teacher, candidate, fields):
        chosen = {**chosen, **{path: value for path, value in follow.items() if path not in fields}}
        network = built(configs.changed(config, chosen))
        _check_idle(teacher, network, student)
        progress("tracing the class as it becomes")
        model = traced(network)
        link(model, network, _tensors(student, network))
        saved(model, teacher.place.path / CLASS)
        progress("verifying")
        try:
            run, exact = _verified(teacher, result)
        except VerificationError as wrong:
            failure = wrong
            continue
        return _Found(Candidate(chosen, network), result, student, run, exact)
    assert failure is not None
    raise failure


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


def _tensors(student: ir.Model, network: Network) -> dict[str, ir.TensorProtocol]:
    found = {str(name): value.const_value for name, value in student.graph.initializers.items()}
    return {name: tensor for name, tensor in found.items() if tensor is not None} | computed(network)


def _check_idle(teacher: Teacher, network: Network, student: ir.Model) -> None:
    """Make sure that what the graph does not use stays as it is in the class.

    Raises:
        GrowthError: The class has another size for it.
    """
    for name, shape in _canonical(network).items():
        if name not in student.graph.initializers and shape != teacher.network.shapes[name]:
            raise GrowthError(f"{name!r} would become {list(shape)}, and no output shows what it is for")


def _verified(teacher: Teacher, result: Result[Any]) -> tuple[Any, Any]:
    """Compare the graphs of both classes.

    Raises:
        VerificationError: They do not compute the same.
    """
    from onnx_n2n.verification import verify

    new = teacher.place.path / CLASS
    run, unrun = None, None
    try:
        run = verify(teacher.path, new, shapes=teacher.inputs)
    except (KernelError, MemoryShortageError, N2NError) as failure:
        unrun = failure
    if run is not None and not run.ok:
        raise VerificationError(f"the class computes something else: error {run.error:.1e}, {run.rounding}")
    exact = verify(teacher.path, new, shapes=teacher.inputs, exact=True, record=result.growth)
    if exact.state == "different":
        raise VerificationError(f"the class computes something else: {exact.sentence}")
    if run is None and exact.state != "equal":
        raise VerificationError(f"nobody knows whether the class computes the same: {unrun}; {exact.sentence}")
    return run, exact


def _written(
    teacher: Teacher, found: _Found, output: Any, reasons: list[str], *, shard_size: Any, force: bool, progress: Progress
) -> Grown:
    folder, network = teacher.folder, found.candidate.network
    tensors = _to_write(teacher, found)
    again = read(network, tensors)
    if again.lacking or again.unread:
        raise ModelError(f"the class would not load {brief(repr((*again.lacking, *again.unread)[0]))} of the new folder")
    done = writing.write(
        folder, output, tensors, fields=found.candidate.fields, record=found.result.growth, shard_size=shard_size,
        force=force, progress=progress,
    )  # fmt: skip
    return Grown(done, found.result, found.run, found.exact, teacher.found.unread, tuple(dict.fromkeys(reasons)))


def _to_write(teacher: Teacher, found: _Found) -> dict[str, writing.Tensor]:
    """Return the tensors of the new folder: those of the student, under the keys of the old one."""
    folder, values = teacher.folder, found.student.graph.initializers

    def tensor(name: str, key: str) -> writing.Tensor:
        if name not in values:
            return writing.kept(folder, key)
        weight = values[name].const_value
        assert weight is not None
        return writing.of(weight)

    plain = {key: tensor(name, key) for name, key in teacher.found.plain.items()}
    plain |= {key: plain[other] for key, other in teacher.found.double.items()}
    for made in teacher.found.made:
        plain |= _parts(found, made)
    return {key: plain[key] for key in (*folder.tensors, *plain) if key in plain}


def _parts(found: _Found, made: Made) -> dict[str, writing.Tensor]:
    """Return the tensors of which the class makes a parameter, made again of what that has become."""
    network, values = found.candidate.network, found.student.graph.initializers

    def make() -> dict[str, Any]:
        arrays = {name: values[network.one.get(name, name)].const_value.numpy() for name in made.names}
        return written(network, made, arrays)

    return {
        key: writing.of(ir.LazyTensor(
            lambda key=key: ir.tensor(make()[key]), ir.DataType.from_numpy(array.dtype), ir.Shape(array.shape), name=key
        ))
        for key, array in make().items()
    }  # fmt: skip
