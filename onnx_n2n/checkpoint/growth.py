"""Apply a growth record to a checkpoint: the owner's own parameters, under their own names and in their own layouts.

The record is about axes, so that it fits values that the teacher did not have: of a later epoch, or of a network whose
norms were folded into the exported weights.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any

import onnx_ir as ir

from onnx_n2n.checkpoint.globs import unnamed
from onnx_n2n.checkpoint.making import Apply, Arrays, Plan, names, present, same, tied
from onnx_n2n.checkpoint.match_names import matched
from onnx_n2n.checkpoint.new_layers import Inserted, insert
from onnx_n2n.checkpoint.rounding import rounded, unrounded
from onnx_n2n.checkpoint.ties import classes, confirmed, parted, with_aliases
from onnx_n2n.errors import GrowthError
from onnx_n2n.io.history import digest
from onnx_n2n.io.lazy import made_of, specs_of
from onnx_n2n.record.obstacles import obstacles
from onnx_n2n.record.record import Record
from onnx_n2n.words import count


@dataclass(frozen=True)
class Grown:
    """What became of a checkpoint.

    Attributes:
        record: The record, with the names of the checkpoint.
        arrays: All parameters, by name; made when they are asked for, if those before were.
        grown: Names of those that grew.
        kept: Names of those that are as they were.
        untied: For names that were of one parameter with another name, and no longer are, that other name.
        aliases: For names that the record does not know, the parameter that each one is a further name of.
        added: Names of those of new layers, by the parameter that each one is like.
        waiting: Those of them that get no gradient at first, since what reads them in the new layer is zero.
        renamed: Parameters that go by another name now, since new layers took theirs.
        rounded: Those whose type does not hold what they became, each with how much of a number is lost at most.
        copied: Other files of its folder, that were copied as they are.
        stale: Those of them that still say the old sizes.
        left_out: What else there is in its folder, that was not: weights that have not grown, and folders.
        notes: What else a person should know.
        copies: Copies of the network in the same file that have grown as it has, by their paths.
        optimizers: Optimizers in the file that have grown, by their paths.
        outside: Tensors in the file that are as they were since they cannot be part of a network, by their paths.
        left: Tensors, or optimizers, that the user keeps as they were.
        moments: The proof of the moments of the optimizers, if there are any and it was asked for.
        proof: What PyTorch showed, which ran both models with both checkpoints; None if it did not.
    """

    record: Record
    arrays: Arrays
    grown: tuple[str, ...]
    kept: tuple[str, ...]
    untied: Mapping[str, str] = field(default_factory=dict)
    added: Mapping[str, str] = field(default_factory=dict)
    waiting: frozenset[str] = frozenset()
    renamed: Mapping[str, str] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    rounded: Mapping[str, float] = field(default_factory=dict)
    copied: tuple[str, ...] = ()
    stale: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    copies: tuple[str, ...] = ()
    optimizers: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    moments: Any = None
    proof: Any = None

    def __repr__(self) -> str:
        more = f", {count(len(self.optimizers), 'optimizer')} grew" if self.optimizers else ""
        return f"<Grown: {count(len(self.grown), 'parameter')} grew, {len(self.kept)} stay as they were{more}>"

    def like(self, name: str, there: Collection[str]) -> str:
        """Return which parameter that was ``there`` before one is made of, or is like, by its name then."""
        while name in self.added:  # it may be a copy of a copy
            name = self.added[name]
        if self._was.get(name, name) not in there:
            name = self.untied.get(name, name)
        name = self._was.get(name, name)
        return next((each for each in (name, *self._also.get(name, ())) if each in there), name)

    @cached_property
    def _was(self) -> Mapping[str, str]:
        """For parameters that go by another name now, that of before."""
        return {now: old for old, now in self.renamed.items()}

    @cached_property
    def _also(self) -> Mapping[str, Sequence[str]]:
        """For parameters with several names, by each name of before the others."""
        aliases = {self._was.get(name, name): self._was.get(other, other) for name, other in self.aliases.items()}
        ones = (tied(self.record), aliases)
        return classes((name for each in ones for pair in each.items() for name in pair), *ones)

    def to_json(self) -> dict[str, Any]:
        """The names as JSON takes them."""
        found: dict[str, Any] = {"grown": list(self.grown), "kept": list(self.kept), "untied": dict(self.untied)}
        found |= {"added": dict(self.added), "renamed": dict(self.renamed), "aliases": dict(self.aliases)}
        found |= {"rounded": dict(self.rounded), "copied": list(self.copied), "stale": list(self.stale)}
        found |= {"left_out": list(self.left_out), "notes": list(self.notes)}
        found |= {key: list(getattr(self, key)) for key in ("copies", "optimizers", "outside", "left")}
        found |= {"moments": None if self.moments is None else self.moments.to_json()}
        return found | {"settings": [each.to_json() for each in self.record.settings]}


def grow(
    record: Record,
    arrays: Arrays,
    keep: Sequence[str] = (),
    *,
    given: Mapping[str, str] | None = None,
    teacher: ir.Model | None = None,
    student: ir.Model | None = None,
    untie: Sequence[str] = (),
) -> Grown:
    """Grow all parameters of a checkpoint as a record says.

    Args:
        record: The record; its origins say which parameter lies in which weight.
        arrays: The parameters, by name. Tied ones may be there under one or all of their names.
        keep: Globs of parameters that the record does not know, and that stay as they are.
        given: Parameters by weight, where the record does not know them, as ``name`` or ``name:transposed``; and what
            those of new layers are to be called.
        teacher: The model that was exported from this very checkpoint; parameters without a name are known by value.
        student: The last student; needed where layers were added that are no copies.
        untie: Globs of names that the network's code no longer ties to others, so that they may become different.

    Raises:
        GrowthError: If a weight grew whose parameter is not known, or is not in the checkpoint; if there are parameters
            that the record does not know; if one has another shape than the teacher had; if names of one parameter
            would become different, and are not to be untied; or if layers were added that cannot be named; or if a
            model has weights of other shapes than the record.
    """
    _check_models(record, teacher, student)
    record = matched(record, arrays, given=given, teacher=teacher)
    idle = unnamed("untie", untie, [*arrays, *names(record)])
    record = confirmed(record, arrays, untie)
    record, aliases = with_aliases(record, arrays, keep)
    left = _check_complete(record, arrays, keep)
    untied = parted(record, arrays, untie)
    found = apply(record, arrays, unrounded)
    inserted = _inserted(record, found.arrays, arrays, untied, student, given or {})

    def now(found: Iterable[str]) -> tuple[str, ...]:
        return tuple(inserted.renamed.get(name, name) for name in found)

    def pairs(found: Mapping[str, str]) -> dict[str, str]:
        return dict(zip(now(found), now(found.values()), strict=True))

    few = rounded(Plan.of(record, arrays), specs_of(arrays), found.grown)
    return Grown(
        record,
        inserted.arrays,
        now(found.grown),
        now(found.kept),
        pairs({**untied, **found.untied}),
        inserted.added,
        inserted.waiting,
        inserted.renamed,
        pairs(aliases),
        dict(zip(now(few), few.values(), strict=True)),
        notes=(*idle, *(_doubts(record, student) if inserted.added else ()), *_gone(record, arrays)),
        left=left,
    )


def again(found: Grown, arrays: Arrays, student: ir.Model | None, given: Mapping[str, str]) -> Grown:
    """Grow other values of the same parameters, as of a running mean of them, all of which must be there."""
    old = {now: name for name, now in found.renamed.items()}
    untied = {old.get(name, name): old.get(other, other) for name, other in found.untied.items()}
    other = apply(found.record, arrays, unrounded)
    few = rounded(Plan.of(found.record, arrays), specs_of(arrays), other.grown)
    few = {found.renamed.get(name, name): lost for name, lost in few.items()}
    inserted = _inserted(found.record, other.arrays, arrays, untied, student, given)
    return replace(found, arrays=inserted.arrays, rounded=few)


def _inserted(
    record: Record, arrays: Arrays, before: Arrays, untied: Mapping[str, str], student: ir.Model | None,
    given: Mapping[str, str],
) -> Inserted:  # fmt: skip
    """Put in names that are lacking and no longer tied, and new layers."""
    lacking = {name: other for name, other in untied.items() if name not in arrays}
    specs = dict(specs_of(arrays))
    specs |= {name: specs[other] for name, other in lacking.items()}
    whole = made_of(arrays, specs, lambda name: arrays[lacking.get(name, name)])
    return insert(record, whole, before, student, given)


def _doubts(record: Record, student: ir.Model | None) -> tuple[str, ...]:
    """Say so if new layers have their values from another model than the one that the passes have made."""
    if student is None or (found := digest(student)) == record.student:
        return ()
    return (
        f"the student given is {found[:12]}, and the record is of {record.student[:12]}: new layers have the values of "
        "the one given, and only a proof with both models tells whether they add nothing",
    )


def _gone(record: Record, arrays: Arrays) -> tuple[str, ...]:
    """Say which parameters are of weights that the student does not have."""
    lost = [name for weight in record.gone for origin in record.origins.get(weight, ()) for name in origin.names]
    there = [name for name in dict.fromkeys(lost) if name in arrays]
    if not there:
        return ()
    return (f"the student was cut, and has no counterpart of {', '.join(there)}, which stay as they were",)


def apply(record: Record, arrays: Arrays, to: Apply) -> Grown:
    """Apply a record to what belongs to parameters: to their values, or to what follows their gradients.

    Where the arrays have only one of two tied names, and the two become different, the other one is added.

    Raises:
        GrowthError: If one has another shape than the teacher had, or is used in places that grew differently.
    """
    plan, before = Plan.of(record, arrays), specs_of(arrays)
    specs = plan.specs(before)
    sources = {name: plan.source(name) for name in specs}
    parted = {
        name: other
        for name, other in sources.items()
        if name not in arrays and not same(plan.make(name, arrays, to), plan.make(other, arrays, to))
    }
    after = {name: specs.get(name, spec) for name, spec in before.items()} | {name: specs[name] for name in parted}
    made = made_of(arrays, after, lambda name: plan.make(name, arrays, to))
    grown = tuple(name for name in specs if name in after and specs[name].shape != before[sources[name]].shape)
    return Grown(record, made, grown, tuple(name for name in arrays if name not in grown), parted)


def _check_models(record: Record, teacher: ir.Model | None, student: ir.Model | None) -> None:
    """Make sure that models are those of the record, as far as names and shapes say."""
    last = {name: line[-1] for weight in record.origins for name, line in record.lines(weight) if line}
    wanted = (
        ("teacher", teacher, {each.teacher: each.before for step in record.steps[:1] for each in step.remade}),
        ("student", student, {name: each.after for name, each in last.items()}),
    )
    for kind, model, shapes in wanted:
        for name, shape in shapes.items():
            value = None if model is None else model.graph.initializers.get(name)
            if value is not None and value.const_value is not None and tuple(value.const_value.shape.numpy()) != shape:
                raise GrowthError(
                    f"weight {name!r} of the {kind} is not of the shape that the record says",
                    shapes=f"{list(value.const_value.shape.numpy())} where it says {list(shape)}",
                    hint=f"the {kind} must be the one that the record was written with",
                )
    if record.outputs:
        return
    outputs = [{str(value.name) for value in model.graph.outputs} for model in (teacher, student) if model is not None]
    if len(outputs) > 1 and not outputs[0] <= outputs[1]:
        missing = min(outputs[0] - outputs[1])
        raise GrowthError(f"the student has no output {missing!r}", hint="pass the teacher and student of the record")


def _check_complete(record: Record, arrays: Arrays, keep: Sequence[str]) -> tuple[str, ...]:
    """Make sure that the checkpoint has every weight that grew, and that the record knows every parameter.

    Returns:
        The parameters that the record does not know, and that the user keeps.
    """
    ties = tied(record)
    for obstacle in obstacles(record, lambda origin: bool(present(origin, arrays, ties))):
        raise GrowthError(obstacle.reason, node=obstacle.node, hint=obstacle.hint)
    named = names(record)
    unnamed = [name for name, spec in specs_of(arrays).items() if name not in named and spec.shape]
    strange = [name for name in unnamed if not any(fnmatchcase(name, glob) for glob in keep)]
    if strange:
        raise GrowthError(
            f"the record does not know {count(len(strange), 'tensor')} of the checkpoint: {', '.join(strange[:8])}",
            hint="what stays as it is can be named with `keep=['GLOB']`",
        )
    return tuple(unnamed)
