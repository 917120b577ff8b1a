"""What a model computes, recorded; and a model held against such a recording, by the same code as against a teacher.

The truth is what was recorded, and not what the recorded model gives today: so another ONNX Runtime is noticed too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import onnx_ir as ir

from onnx_n2n.errors import InputError, ModelError, RunError
from onnx_n2n.options import taken
from onnx_n2n.verification.case import Case
from onnx_n2n.verification.compare import OutputVerdict
from onnx_n2n.verification.decisions import decides
from onnx_n2n.verification.evaluation import Modes, evaluated
from onnx_n2n.verification.farthest import Farthest, farthest
from onnx_n2n.verification.inputs import read_inputs
from onnx_n2n.verification.interfaces import Difference, differences, unlike
from onnx_n2n.verification.localise import Wrong, alike, first_wrong
from onnx_n2n.verification.mapped import loaded
from onnx_n2n.verification.memory import suffices, within_memory
from onnx_n2n.verification.randomness import drawn
from onnx_n2n.verification.rounding import again
from onnx_n2n.verification.runs import judged, random_of, tried_on, yardsticks
from onnx_n2n.verification.runtime import TIME_LIMIT
from onnx_n2n.verification.sessions import AnyModel, Provider, SessionModel, beside, opened, providers
from onnx_n2n.verification.shaken import unsteady
from onnx_n2n.verification.trial import Trial, find_trial
from onnx_n2n.verification.yardstick import Grain, Yardstick, grain

SEED = 0  # of everything drawn

Feeds = Mapping[str, np.ndarray] | Sequence[Mapping[str, np.ndarray]] | str


@dataclass(frozen=True)
class Recording:
    """What a model computes.

    Attributes:
        interface: A model of its inputs and outputs alone.
        trial: Feeds, and what it answers.
        sticks: What each output asks of another model.
        grain: How finely the model calculates.
        provider: The execution provider that it ran on.
        trains: Domains and types of the operators of which some node trains in the file.
        random: Outputs that are not recorded, as they are others in every run.
    """

    interface: ir.Model
    trial: Trial
    sticks: tuple[Yardstick, ...]
    grain: Grain
    provider: str
    trains: frozenset[tuple[str, str]] = frozenset()
    random: tuple[str, ...] = ()


@dataclass(frozen=True)
class Holding:
    """What came of holding a model against a recording.

    Attributes:
        outputs: The comparison of every output.
        places: For each of them, the entry that is furthest off.
        differences: How the interfaces differ.
        provider: The execution provider that the model ran on.
        reason: Why it does not run; None where it does.
        wrong: The first tensor that is another than in the recorded model; None where that is not known.
        moved: Outputs that are others today in the recorded model itself.
    """

    outputs: tuple[OutputVerdict, ...]
    places: tuple[Farthest | None, ...]
    differences: tuple[Difference, ...]
    provider: str
    reason: str | None = None
    wrong: Wrong | None = None
    moved: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the model computes what was recorded."""
        gone = any((each.where, each.what) == ("output", "missing") for each in self.differences)  # or a random one
        return self.reason is None and not gone and all(output.ok for output in self.outputs)


@within_memory()
@taken("inputs", "shapes", "provider", "time_limit")
def record(
    model: AnyModel,
    *,
    inputs: Feeds | None = None,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    provider: Provider = "auto",
    time_limit: float = TIME_LIMIT,
) -> Recording:
    """Run a model, and measure its rounding error. Arguments and errors are those of `onnx_n2n.verify`.

    Raises:
        InputError: All outputs are empty, so that nothing would be compared.
    """
    if isinstance(inputs, str):
        inputs = read_inputs(Path(inputs))
    with opened(model) as source:
        skeleton, modes = source.skeleton(), Modes()
        interface = boundary(skeleton)
        old, found = evaluated(source, skeleton, modes=modes)
        skeleton = old.skeleton() if found else skeleton
        suffices(loaded(skeleton))
        fine = grain(skeleton)
        find = partial(
            find_trial, model=skeleton, inputs=inputs, shapes=shapes or {}, folder=beside(model, None), seed=SEED,
            grain=fine,
        )  # fmt: skip
        teacher, used, trial = tried_on(old, providers(provider), find, SEED, time_limit)
        random = [each.output for each in random_of(teacher, skeleton, trial)]
        del teacher  # one model at a time is open
        trial = trial.without(random)
        case = Case(old, old, trial, used, fine, SEED, time_limit, {}, (), drawn(skeleton).keys())
        sticks = tuple(yardsticks(case))
    if not any(array.size for stick in sticks for array in stick.truth):
        raise InputError("all outputs are empty, so nothing would be compared", hint="give inputs with `inputs=`")
    trial = replace(trial, nudged=())
    return Recording(interface, trial, sticks, fine, used, frozenset(modes.trains), tuple(random))


@within_memory()
@taken("provider", "time_limit")
def hold(
    recording: Recording,
    model: AnyModel,
    *,
    kept: AnyModel | None = None,
    provider: Provider = "auto",
    time_limit: float = TIME_LIMIT,
) -> Holding:
    """Run a model on recorded feeds, and hold it against the recorded outputs.

    Args:
        recording: What was recorded.
        model: The model as it is now.
        kept: The model that was recorded. With it, rounding that decides something is told from what is wrong, and a
            failure is located.
        provider: Where to run.
        time_limit: How many seconds one run may take.

    Raises:
        InputError: It cannot be told from rounding whether the model is another.
        ModelError: There is no model.
    """
    used = providers(provider)[0]
    with opened(model) as source:
        skeleton = source.skeleton()
        suffices(loaded(skeleton))
        new, _ = evaluated(source, skeleton, teacher=Modes(set(recording.trains)))
        case = Case(new, new, recording.trial, used, recording.grain, SEED, time_limit, {}, (), ())
        outputs, answers, _, reason = judged(case, recording.sticks, (), lambda: 0.0)
        wrong: Wrong | None = None
        moved: tuple[str, ...] = ()
        if kept is not None and reason is None and not all(output.ok for output in outputs):
            with opened(kept) as first:
                old, theirs = _old(first)
                case = replace(case, old=old, trace=alike(theirs, skeleton), random=drawn(theirs).keys())
                own, _, _, failure = judged(replace(case, new=old), recording.sticks, (), lambda: 0.0)
                moved = tuple(output.name for output in own if failure is None and not output.ok)
                try:
                    if decides(theirs):
                        outputs, wrong, _ = again(case, outputs, answers)
                    else:
                        outputs = unsteady(case, outputs, answers)
                except InputError:
                    if not moved:  # where rounding decides; else it is why the truth is none of today
                        raise
                if wrong is None and not all(output.ok for output in outputs):
                    wrong = located(case)
        shown = [list(values) for values in zip(*case.shown(answers), strict=True)]
    places = tuple(
        None if output.ok or reason is not None else farthest(stick, values)
        for output, stick, values in zip(outputs, recording.sticks, shown, strict=True)
    )
    differ = differences(recording.interface, skeleton)
    known = {each.name for each in differ}
    columns = zip(recording.trial.names, zip(*recording.trial.truth, strict=True), shown, strict=True)
    more = [unlike(name, *values) for name, *values in columns if reason is None and name not in known]
    differ = (*differ, *(each for each in more if each is not None))
    return Holding(outputs, places, differ, used, reason, wrong, moved)


def boundary(model: ir.Model) -> ir.Model:
    """A model of the same inputs and outputs, with one node between them."""
    given = [value for value in model.graph.inputs if value.name not in model.graph.initializers]
    values = {each.name: ir.Value(name=each.name, type=each.type, shape=each.shape)
              for each in (*given, *model.graph.outputs)}  # fmt: skip
    inputs = [values[each.name] for each in given]
    made = [value for value in values.values() if value not in inputs]
    node = ir.Node("onnx_n2n", "Compute", inputs, outputs=made)
    graph = ir.Graph(
        inputs, [values[each.name] for each in model.graph.outputs], nodes=[node] if made else [], name="interface",
        opset_imports={"onnx_n2n": 1},
    )  # fmt: skip
    return ir.Model(graph, ir_version=8)


def located(case: Case) -> Wrong | None:
    """The first wrong tensor; None where it cannot be told."""
    try:
        return first_wrong(
            case.old, case.new, case.trace, case.trial.feeds, provider=case.used, grain=case.grain, seed=case.seed,
            time_limit=case.limit,
        )  # fmt: skip
    except (RunError, ModelError):
        return None


def _old(source: SessionModel) -> tuple[SessionModel, ir.Model]:
    """A recorded model as it is evaluated, and the same to be read."""
    skeleton = source.skeleton()
    old, found = evaluated(source, skeleton)
    return old, old.skeleton() if found else skeleton
