"""What a pass says about what it did."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
import onnx_ir as ir

from onnx_n2n.costs.change import CostChange, cost_change
from onnx_n2n.cutting.batch import Freed
from onnx_n2n.cutting.taking import Taken
from onnx_n2n.errors import GrowthError
from onnx_n2n.io.history import Entry
from onnx_n2n.record.obstacles import Obstacle, followable
from onnx_n2n.record.record import Record, Step
from onnx_n2n.record.settings import Setting, followed
from onnx_n2n.width.growth import GrownGroup, Growth, KeptGroup
from onnx_n2n.words import brief, count

if TYPE_CHECKING:
    from onnx_n2n.analysis.redundant import Clones
    from onnx_n2n.exact import Verdict as Exactly
    from onnx_n2n.passes.estimate import Estimate
    from onnx_n2n.passes.leaving_out import LeftOut
    from onnx_n2n.verification import Verdict

M = TypeVar("M")

# For each tensor of the teacher that the student has too, per axis which place of the teacher's every place of the
# student's stands for: int64[n'], -1 for none; None where an axis is as it was.
Trace = Mapping[str, tuple[np.ndarray | None, ...]]


@dataclass(frozen=True)
class Added:
    """Layers that a pass put into a model, or made larger.

    Attributes:
        place: Where: the tensor or layer that they stand at.
        what: What they are, for people.
        nodes: Names of the new nodes.
        weights: Names of the new weights, or of those that are larger.
        drift: How far a BatchNormalization among them is from the identity when it trains: the root mean square of
            what it changes in a batch, over that of the batch's own deviation from its mean. None without one.
    """

    place: str
    what: str
    nodes: tuple[str, ...] = ()
    weights: tuple[str, ...] = ()
    drift: float | None = None


@dataclass(frozen=True)
class Excerpt:
    """What a cut has left of a model.

    Attributes:
        outputs: Names of the outputs that there are now; they were tensors of the model before.
        taken: What went.
        freed: The axis of examples that is free now; None if none was to be.
    """

    outputs: tuple[str, ...]
    taken: Taken
    freed: Freed | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON-ready values."""
        return {"outputs": self.outputs, "gone": asdict(self.taken), "batch": self.freed and asdict(self.freed)}


@dataclass(frozen=True)
class Idle:
    """A pass that could do nothing.

    Attributes:
        text: The pass with its options.
        reason: Why.
        hint: What to do about it, as the hints of errors say it.
        seed: Its seed.
        parent: Digest of the model that it was given.
    """

    text: str
    reason: str
    hint: str = ""
    seed: int | None = None
    parent: str = ""

    @property
    def entry(self) -> Entry:
        """What the history of a model says of it."""
        return Entry(self.text, self.seed, self.parent, idle=self.reason)


@dataclass(frozen=True, eq=False)
class Change:
    """What one or several passes did to a model.

    Attributes:
        growths: What happened to each factor, pass by pass.
        added: The layers that were put in.
        kept: What was asked for and could not be had, with the reason.
        trace: Where the tensors of the student come from.
        notes: What else a person should know.
        steps: What became of every weight, pass by pass.
        idle: The passes that did nothing.
        cuts: What cuts have left of it.
    """

    growths: tuple[Growth, ...] = ()
    added: tuple[Added, ...] = ()
    kept: tuple[KeptGroup, ...] = ()
    trace: Trace = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()
    idle: tuple[Idle, ...] = ()
    cuts: tuple[Excerpt, ...] = ()

    def __repr__(self) -> str:
        return f"<Change: {self.short}>"

    @property
    def short(self) -> str:
        """What was done, in some words."""
        grown, added = len({each.name for each in self.grown}), len(self.added)
        done = [f"cut down to {', '.join(map(repr, self.cuts[-1].outputs))}"] if self.cuts else []
        done += [f"{count(grown, 'group')} grew"] * bool(grown) + [f"{count(added, 'place')} changed"] * bool(added)
        return ", ".join(done) or "nothing changed"

    @property
    def grown(self) -> tuple[GrownGroup, ...]:
        """The groups that grew, from how many channels to how many."""
        return tuple(grown for growth in self.growths for grown in growth.grown)

    @property
    def gained(self) -> frozenset[str]:
        """Names of the outputs that became longer; what the teacher gives comes first in them."""
        return frozenset(name for step in self.steps for name in step.gained)

    @property
    def tensors(self) -> tuple[str, ...]:
        """Names of the teacher's tensors that the student gives in place of its outputs; empty if it gives these."""
        return next((step.outputs for step in reversed(self.steps) if step.outputs), ())

    @property
    def freed(self) -> bool:
        """Whether the student takes any number of examples, where the teacher takes a fixed one."""
        return any(each.freed is not None for each in self.cuts)

    def cost(self, teacher: ir.Model, student: ir.Model, shapes: Mapping[str, tuple[int, ...]]) -> CostChange | None:
        """Return how the multiply-adds of a run change, at these shapes of inputs.

        None if nothing was changed, if a batch was freed, and where they cannot be worked out.
        """
        if not self.modified or self.freed:
            return None
        return cost_change(teacher, student, shapes, whole=not self.cuts)

    @property
    def settings(self) -> tuple[Setting, ...]:
        """What code that was written for the teacher has to follow."""
        return followed(step.settings for step in self.steps)

    @property
    def modified(self) -> bool:
        """Whether the student differs from the teacher."""
        return bool(self.grown or self.added or self.cuts)

    @property
    def nothing(self) -> GrowthError:
        """The error that says why nothing was changed, to who asked for it."""
        reasons = [each.reason if len(self.idle) == 1 else f"{each.text}: {each.reason}" for each in self.idle]
        return GrowthError("; ".join(reasons), hint=self.idle[0].hint)


@dataclass(frozen=True)
class Known(Generic[M]):
    """What has been made already, in place of what makes it: a report that goes to another process takes it along."""

    value: M

    def __call__(self) -> M:
        """Return it."""
        return self.value


@dataclass(frozen=True)
class Report:
    """The short account of what was done.

    Attributes:
        change: What grew and what was added, and what could not.
        parameters_before: Floating-point weights of the teacher.
        parameters_after: Floating-point weights of the student.
        verdict: What running both models showed, or None when that was not asked for, or could not be had.
        left_out: What would have made the student wrong, and so was left out.
        obstacles: What keeps checkpoints from following the student, or None when no growth record was written.
        counted: Counts the redundant channels of the student.
        costed: Counts the multiply-adds of both models.
        exact: What the exact check says, or None when nothing was to be verified.
        unrun: Why the models could not be run, so that the exact check alone verifies; else empty.
        estimate: What the pass takes, where it is only said what it would do; else None.
    """

    change: Change
    parameters_before: int
    parameters_after: int
    verdict: Verdict | None
    left_out: tuple[LeftOut, ...] = ()
    obstacles: tuple[Obstacle, ...] | None = None
    counted: Callable[[], Clones | None] = field(default=lambda: None, repr=False, compare=False)
    costed: Callable[[], CostChange | None] = field(default=lambda: None, repr=False, compare=False)
    exact: Exactly | None = None
    unrun: str = ""
    estimate: Estimate | None = None

    @cached_property
    def clones(self) -> Clones | None:
        """Which channels of the student are exact copies of others, or None when nothing was changed, or only planned.

        They are counted when this is asked for. What grew is read from the student's file; where that is not there any
        more as it was written, it is made again, and the teacher must still be there, as it was.
        """
        return self.counted()

    @cached_property
    def multiply_adds(self) -> CostChange | None:
        """Those of one run of both models; None if nothing was changed, a batch was freed, or they are not known.

        They are counted at the shapes of inputs that were given, and free dimensions that nobody gave are taken as 1.
        """
        return self.costed()

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"counted": Known(self.clones), "costed": Known(self.multiply_adds)}

    def __repr__(self) -> str:
        return f"<Report: {self.short}>"

    @property
    def short(self) -> str:
        """What was done and how it was proven, in some words."""
        before, after = self.parameters_before, self.parameters_after
        parts = [self.change.short, f"parameters {before:,} -> {after:,} (x{after / max(before, 1):.2f})"]
        parts += [f"{len(self.left_out)} LEFT OUT"] * bool(self.left_out)
        proven = [] if self.verdict is None else [self.verdict.short]
        proven += [f"exact check: {self.exact.state}"] if self.exact is not None else []
        proven += ["only planned"] if self.estimate is not None else []
        return "; ".join([*parts, *(proven or ["not verified"])])

    def of(self, model: str) -> Report:
        """Return the report of a model that is called by another name, as one from stdin is."""
        return replace(self, left_out=tuple(replace(each, model=model) for each in self.left_out))

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON-ready values."""
        return {
            "grown": [
                {"group": g.name, "before": g.before, "after": g.after, "note": g.note, "copies": g.copies}
                for g in self.change.grown
            ],
            "added": [
                {"place": a.place, "what": a.what, "nodes": a.nodes, "weights": a.weights, "drift": a.drift}
                for a in self.change.added
            ],
            "cut": [each.to_json() for each in self.change.cuts],
            "kept": [{"group": k.name, "size": k.size, "reason": k.reason} for k in self.change.kept],
            "left_out": [each.to_json() for each in self.left_out],
            "idle": [{"pass": each.text, "reason": each.reason, "hint": each.hint} for each in self.change.idle],
            "notes": self.change.notes,
            "settings": [each.to_json() for each in self.change.settings],
            "followable": None if self.obstacles is None else followable(self.obstacles),
            "parameters": {"before": self.parameters_before, "after": self.parameters_after},
            "multiply_adds": None if self.multiply_adds is None else self.multiply_adds.to_json(),
            "verification": None if self.verdict is None else self.verdict.to_json(),
            "not_run": self.unrun or None,
            "exact": None if self.exact is None else self.exact.to_json(),
            "clones": None if self.clones is None else self.clones.to_json(),
            "estimate": None if self.estimate is None else self.estimate.to_json(),
        }


@dataclass(repr=False)  # not frozen, because what it is of onnx_ir's is not
class Result(ir.passes.PassResult, Generic[M]):
    """What a pass returns; one of ``onnx_ir``'s results too.

    Attributes:
        model: The student, of the same kind as the teacher: for a path, the path of the file that was written. When
            nothing was modified, the teacher as it was given; of an ``ir.Model`` a copy, as ``onnx_ir`` asks for.
            None where it is only said what would be done.
        modified: Whether the student differs from the teacher.
        change: What was done.
        report: The same for people, and how far the two models agree.
        passes: The passes that make the student, as text: those that were asked for, without what was left out.
        recorded: Makes the growth record.
    """

    model: M  # type: ignore[assignment]  # there, it is always an ir.Model
    modified: bool = field(init=False)
    change: Change
    report: Report
    passes: str
    recorded: Callable[[], Record] = field(compare=False)

    def __post_init__(self) -> None:
        self.modified = self.change.modified

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"recorded": Known(self.growth)}

    def __repr__(self) -> str:
        return f"<Result: {self.report.short}; {brief(self.passes)}>"

    @cached_property
    def growth(self) -> Record:
        """What became of every weight: the record that other tools can read."""
        return self.recorded()
