"""What keeps a network's own checkpoint from following a student, as far as the growth record alone can tell.

Whoever writes a record asks at once, so that nobody trains for a student that no checkpoint can become; whoever grows a
checkpoint asks again, with the names that the checkpoint has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from onnx_n2n.errors import ModelError
from onnx_n2n.record.layouts import EVEN, ChannelLayout
from onnx_n2n.record.provenance import Origin
from onnx_n2n.record.record import Record
from onnx_n2n.record.steps import Remade
from onnx_n2n.words import count

SHOWN = 8  # names in a list before "and n more"


@dataclass(frozen=True)
class Obstacle:
    """A reason why a checkpoint cannot follow.

    Attributes:
        reason: The reason, as a sentence without its full stop.
        hint: What to do, likewise.
        final: Whether nothing that is passed beside the record helps: the student has to be made in another way.
        node: The weight or node concerned, if it is one.
    """

    reason: str
    hint: str
    final: bool = True
    node: str = ""

    def to_json(self) -> dict[str, Any]:
        """The same as JSON takes it."""
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.reason}. {self.hint[:1].upper()}{self.hint[1:]}"


def obstacles(record: Record, has: Callable[[Origin], bool] = lambda _: True) -> tuple[Obstacle, ...]:
    """Return what keeps checkpoints from following a student.

    Args:
        record: What became of the weights.
        has: Says whether a checkpoint has the parameters that a weight is made of; all that have a name if not given.
    """
    descent = _Descent(record)
    found = (_multiplied(record), _apart(record, descent), _folded(record, descent), _unnamed(record, descent, has))
    try:
        return tuple(dict.fromkeys(obstacle for each in found for obstacle in each))
    except ModelError as failure:  # steps that do not follow each other
        return (Obstacle(failure.reason, "make the student again, and its record with it"),)


def followable(found: Sequence[Obstacle]) -> dict[str, Any]:
    """Return as JSON-ready values whether checkpoints can follow, and what keeps them from it."""
    return {"ok": not found, "obstacles": [obstacle.to_json() for obstacle in found]}


def alone(record: Record, remade: Remade, node: str) -> Remade:
    """Return what becomes of a weight for one node, where the student multiplies for it since others read it too."""
    apart = (each for step in record.steps if remade in step.remade for each in step.apart)
    same = (each for each in apart if (each.teacher, each.student) == (remade.teacher, remade.student))
    return next((each for each in same if node in each.readers), remade)


def mixed(origin: Origin, remade: Remade) -> bool:
    """Say whether a vector was folded into a weight that grew by mixtures of the vector's channels."""
    if not isinstance(origin.layout, ChannelLayout):
        return False
    axis = origin.layout.axis
    return axis < len(remade.recipe.rows) and remade.recipe.rows[axis] is not None


class _Descent:
    """Which weights of the first teacher those of later models come from.

    Attributes:
        grown: Weights of the first teacher that grew in any step, by name.
        added: Weights that grew and that an earlier step had put in.
        modelled: By the step and the name of a new weight, the weight of the first teacher that it was modelled on, in
            the end.
    """

    def __init__(self, record: Record) -> None:
        self.grown: dict[str, None] = {}
        self.added: set[str] = set()
        self.modelled: dict[tuple[int, str], str] = {}
        root: dict[str, str] = {}  # of weights that have another name than in the first teacher
        new: set[str] = set()
        for number, step in enumerate(record.steps):
            after, added = dict(root), set(new)
            for each in step.remade:
                after[each.student] = root.get(each.teacher, each.teacher)
                if each.teacher in new:
                    self.added.add(each.teacher)
                    added.add(each.student)
                else:
                    self.grown[after[each.student]] = None
                    added.discard(each.student)  # of a class, whose names go on to other layers
            for inserted in step.new:
                after[inserted.student] = root.get(inserted.like, inserted.like)
                self.modelled[number, inserted.student] = after[inserted.student]
                added.add(inserted.student)
            root, new = after, added


def _multiplied(record: Record) -> Iterator[Obstacle]:
    """Yield what the student multiplies by and no parameter holds."""
    if nodes := list(dict.fromkeys(node for step in record.steps for node in step.multiplied)):
        yield Obstacle(
            f"the student multiplies inputs of {count(len(nodes), 'node')} by shares, "
            f"which the network's own code does not do: {_listed(nodes)}",
            "grow by a whole factor, or `exclude=` the group that these read",
        )


def _apart(record: Record, descent: _Descent) -> Iterator[Obstacle]:
    """Yield weights that are one in the student and would have to be two parameters, of which one has no name."""
    apart = [each for step in record.steps for each in step.apart]
    if not apart:
        return
    lines = [
        (origin.node, line)
        for weight, entries in record.origins.items()
        for origin in entries
        for _, line in record.lines(weight)
    ]
    known = {alone(record, remade, node) for node, line in lines for remade in line}
    for each in apart:
        if each.teacher in descent.added:
            yield Obstacle(
                f"{each.teacher!r} of an added layer is used in two places that grew differently, so that it cannot "
                "stay one parameter",
                "widen first and deepen then, or `exclude=` what reads it",
                node=each.teacher,
            )
        elif each not in known:
            yield Obstacle(
                f"{each.teacher!r} is used in two places that grew differently, and what it is called in these is not "
                "known",
                "untie it in the network's own code before it is exported, or `exclude=` what reads it",
                node=each.teacher,
            )


def _folded(record: Record, descent: _Descent) -> Iterator[Obstacle]:
    """Yield where norms that were folded into weights would be needed."""
    hint = "export with norms kept: torch.onnx.export(..., dynamo=True, optimize=False)"
    for number, step in enumerate(record.steps):
        for new in step.new:
            entries = record.origins.get(descent.modelled[number, new.student], ())
            if any(isinstance(origin.layout, ChannelLayout) for origin in entries):
                yield Obstacle(
                    f"a norm was folded into {new.like!r}, and what was modelled on it has none", hint, node=new.student
                )
                return
    for weight, entries in record.origins.items():
        for origin in entries:
            if any(mixed(origin, remade) for _, line in record.lines(weight) for remade in line):
                reason = f"{origin.names[0]!r} was folded into a weight that grew by mixtures of its channels"
                yield Obstacle(reason, hint, node=weight)


def _unnamed(record: Record, descent: _Descent, has: Callable[[Origin], bool]) -> Iterator[Obstacle]:
    """Yield the weights that grew and whose parameters are not known, or not there."""
    unknown = []
    for weight in descent.grown:
        entries = record.origins.get(weight, ())
        if not any(origin.layout == EVEN or has(origin) for origin in entries):
            unknown.append(f"{weight!r}" + (f" (known as {entries[0].names[0]!r})" if entries else ""))
    if unknown:
        yield Obstacle(
            f"there is no parameter for {len(unknown)} of the weights that grew: {', '.join(unknown[:SHOWN])}",
            "`teacher=` finds parameters by their values, `names={'WEIGHT': 'PARAMETER'}` gives one, and exports with "
            "torch.onnx.export(..., dynamo=True) keep names. Of layers that an earlier pass has added, the record of "
            "that pass knows more: pass each `record=` in order. A weight that code computes from others, as "
            "weight_norm and pruning do, has to be made one first. What the network's own code computes, as a table of "
            "frequencies, must not grow: `exclude=` its group",
            final=False,
        )


def _listed(names: Sequence[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(map(repr, names[:SHOWN])) + (f" and {more} more" if more > 0 else "")
