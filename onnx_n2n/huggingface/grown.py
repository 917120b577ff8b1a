"""What growing a folder has done, and the last that its new folder gets: the growth record and the card."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from onnx_n2n.costs.change import CostChange
from onnx_n2n.huggingface import writing
from onnx_n2n.huggingface.card import card, verification
from onnx_n2n.huggingface.lineage import between, digest, unfollowed
from onnx_n2n.huggingface.network import Network
from onnx_n2n.huggingface.output import Output
from onnx_n2n.huggingface.student import Student
from onnx_n2n.huggingface.teacher import Teacher
from onnx_n2n.passes.report import Result
from onnx_n2n.record.obstacles import Obstacle, followable
from onnx_n2n.record.record import Record
from onnx_n2n.verification.verdict import Verdict


@dataclass(frozen=True, eq=False)
class Grown:
    """A model in a new folder.

    Attributes:
        written: What was written.
        results: What each pass did to its graph.
        parameters_before: Parameters of the old class, tied ones once.
        parameters_after: Those of the new one.
        multiply_adds: Those of one run of both classes; None where they cannot be worked out.
        run: What running both classes' graphs showed, of the last pass; None if they could not be run.
        exact: What the exact check says of them.
        by_class: What running both in PyTorch showed; None if that was not asked for.
        dropped: Keys of tensors that the class does not have, and that are not in the new folder.
        notes: Why it has not grown as it was asked for.
        record: What became of every weight, since the first folder of the run.
        obstacles: What keeps checkpoints of that folder's class from following.
    """

    written: writing.Written
    results: tuple[Result[Any], ...]
    parameters_before: int
    parameters_after: int
    multiply_adds: CostChange | None
    run: Any
    exact: Any
    by_class: Verdict | None
    dropped: tuple[str, ...]
    notes: tuple[str, ...]
    record: Record
    obstacles: tuple[Obstacle, ...]

    def __repr__(self) -> str:
        fields = ", ".join(f"{name} {old} -> {new}" for name, (old, new) in self.written.fields.items())
        return f"<Grown: {str(self.written.path)!r}, {fields}>"

    def joined(self, later: Grown) -> Grown:
        """Return what this pass and a later one of the same run have done."""
        fields = dict(self.written.fields)
        for name, (before, after) in later.written.fields.items():
            fields[name] = (fields.get(name, (before,))[0], after)
        return replace(
            later,
            written=replace(later.written, fields=fields, left=(*self.written.left, *later.written.left)),
            results=(*self.results, *later.results),
            parameters_before=self.parameters_before,
            multiply_adds=None if self.multiply_adds is None else self.multiply_adds.joined(later.multiply_adds),
            dropped=(*self.dropped, *later.dropped),
            notes=(*self.notes, *later.notes),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON-ready values."""
        return {
            "config": {name: {"before": old, "after": new} for name, (old, new) in self.written.fields.items()},
            "grown": [{"group": each.name, "before": each.before, "after": each.after}
                      for result in self.results for each in result.change.grown],
            "parameters": {"before": self.parameters_before, "after": self.parameters_after},
            "multiply_adds": None if self.multiply_adds is None else self.multiply_adds.to_json(),
            "verification": None if self.run is None else self.run.to_json(),
            "exact": self.exact.to_json(),
            "class": None if self.by_class is None else self.by_class.to_json(),
            "dropped": self.dropped,
            "left": self.written.left,
            "notes": self.notes,
            "record": self.written.record,
            "followable": followable(self.obstacles),
        }  # fmt: skip


def write(
    teacher: Teacher, draft: writing.Draft, student: Student, result: Result[Any], output: Output, record: Record
) -> Grown:
    """Give the draft of a new folder what it lacks.

    Args:
        teacher: The old one.
        draft: The new one, with its weights.
        student: What the class has become.
        result: What the pass did.
        output: What is asked for.
        record: What became of the weights, by the names that the class has for them.

    Raises:
        ModelError: The disk has no room.
    """
    counts = (parameters(teacher.network), parameters(student.network))
    old, earlier = teacher.folder, output.earlier
    before = digest(old, teacher.found.unread) if earlier is None else earlier.student
    own = between(record, before, digest(student.folder))
    record = own if earlier is None else earlier.joined(own)
    barred = unfollowed(record, teacher.network)
    proven = student.run, student.exact, student.by_class
    beside = writing.record_name(old) if output.last else ""
    said = card(old, student.fields, *counts, verification(*proven), beside, barred)
    done = draft.finish(student.fields, record if output.last else None, said)
    unread, notes = teacher.found.unread, result.change.notes
    return Grown(done, (result,), *counts, student.cost, *proven, unread, notes, record, barred)


def parameters(network: Network) -> int:
    """Return how many parameters a network has, tied ones once."""
    return sum(int(each.numel()) for each in network.module.parameters())
