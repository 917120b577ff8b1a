"""The growth record: what became of every weight, in a file of its own that other tools can read.

A record is a list of steps, one for each pass that was applied since the first teacher. A step says for every weight
that grew how each of its axes grew, and which weights are new. It is about axes, not about values: so it can be applied
to anything that has the teacher's axes, to a checkpoint of a later epoch, or to the state of an optimizer.

The file is in the safetensors format. Its metadata hold ``format`` (``onnx-n2n.growth``), ``version``, ``document``,
which is JSON, and ``digest``, of all that; its tensors are the arrays that the document names.
``docs/growth-record.md`` describes both, and :mod:`onnx_n2n.record.schema` what is checked when one is read.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from onnx_n2n.errors import ModelError
from onnx_n2n.io.atomic import drafting
from onnx_n2n.io.sources import Source
from onnx_n2n.io.tensorfile import from_bytes, parse, shown, to_bytes
from onnx_n2n.record.forms import Form, Forms, mapped
from onnx_n2n.record.mixture import Mixture
from onnx_n2n.record.provenance import Origin
from onnx_n2n.record.recipe import Recipe, Row, Summed
from onnx_n2n.record.schema import Damage, check
from onnx_n2n.record.settings import Setting, followed
from onnx_n2n.words import brief, count

FORMAT, VERSION = "onnx-n2n.growth", "1"
MOST = 1 << 30  # bytes of a file: that of the largest language models has a tenth


@dataclass(frozen=True, eq=False)
class Remade:
    """A weight of a student that is made of one of its teacher.

    Attributes:
        teacher: Name of the teacher's weight.
        student: Name of the student's weight; another one where the teacher's served several uses.
        before: The teacher's shape.
        recipe: How the values are made.
        dual: Per axis float64[n'], what a gradient is multiplied by that belongs to the teacher's weight, None for 1.
            Where a weight carries shares its gradient does not, and the other way round.
        readers: Names of the nodes that read the student's weight.
    """

    teacher: str
    student: str
    before: tuple[int, ...]
    recipe: Recipe
    dual: tuple[np.ndarray | None, ...]
    readers: tuple[str, ...] = ()

    @property
    def after(self) -> tuple[int, ...]:
        """The student's shape."""
        return self.recipe.shape(self.before)

    def gradient(self, teacher: np.ndarray, power: float = 1.0) -> np.ndarray:
        """Return the gradient of the student's weight for the teacher's, or a moment of it of some power, perhaps 0.

        New channels with values of their own have had no gradient, and get zeros.
        """
        grown = teacher
        for axis, index in enumerate(self.recipe.index):
            if index is None:
                continue
            inside = np.minimum(index, grown.shape[axis] - 1)  # a row that is appended has no counterpart
            grown = np.take(grown, inside, axis=axis)
            dual = np.ones(len(index)) if (found := self.dual[axis]) is None else found
            scale = np.where(self._new(axis, index) | (dual == 0), 0.0, dual**power)
            grown = grown * scale.reshape(-1, *[1] * (grown.ndim - axis - 1)).astype(grown.dtype)
        result: np.ndarray = (grown / self.recipe.scale**power).astype(teacher.dtype)
        return result

    def _new(self, axis: int, index: np.ndarray) -> np.ndarray:
        fresh = self.recipe.fresh[axis] if axis < len(self.recipe.fresh) else None
        return np.logical_or(index >= self.before[axis], False if fresh is None else fresh)


@dataclass(frozen=True)
class New:
    """A weight that a pass has put in.

    Attributes:
        student: Its name.
        shape: Its shape.
        like: Name of the weight of the same model that it is a copy of, or that has the same part in the layer that the
            new one was modelled on; empty for none.
        readers: Names of the nodes that read that one, and whose copies read this one; empty for all.
        copies: Names of these copies, one for each of the readers.
        kind: The kind of place: ``block`` stands before the block that it is a copy of, others behind their neighbour.
        place: A number that the weights of one place share.
    """

    student: str
    shape: tuple[int, ...]
    like: str = ""
    readers: tuple[str, ...] = ()
    kind: str = ""
    place: int = 0
    copies: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Step:
    """What one pass did.

    Attributes:
        text: The pass with its options.
        seed: The seed of everything random in it.
        parent: Digest of the model that it was given.
        remade: The weights that grew.
        new: The weights that were put in.
        settings: What else code must follow: for each node and attribute, or slot, the number before and after. Both
            are the same where code may work the number out from a width that grew, and must not.
        apart: What weights would be for some of their readers, if they were not one for all: the student multiplies
            what these read by the shares, which code does not do.
        multiplied: Nodes whose operands the student multiplies by shares that no weight carries.
        gained: Names of the outputs that became longer; what the teacher gives comes first in them.
        forms: What new tensors and settings are before they are rounded.
    """

    text: str = ""
    seed: int | None = None
    parent: str = ""
    remade: tuple[Remade, ...] = ()
    new: tuple[New, ...] = ()
    settings: Mapping[str, tuple[float | None, float]] = field(default_factory=dict)
    apart: tuple[Remade, ...] = ()
    multiplied: tuple[str, ...] = ()
    gained: tuple[str, ...] = ()
    forms: Forms = field(default_factory=Forms)

    def __repr__(self) -> str:
        return f"<Step {brief(self.text)}: {count(len(self.remade), 'weight')} grew, {len(self.new)} are new>"


@dataclass(frozen=True, eq=False)
class Record:
    """All that happened between a first teacher and a student.

    Attributes:
        steps: The passes, in order.
        student: Digest of the student.
        origins: For weights of the first teacher whose parameter in a training framework is known: what is known of it.
    """

    steps: tuple[Step, ...]
    student: str
    origins: Mapping[str, Sequence[Origin]] = field(default_factory=dict)

    def __repr__(self) -> str:
        passes = brief(", ".join(step.text for step in self.steps))
        return f"<Record: {passes or 'no pass'}; from model {self.teacher[:12]} to {self.student[:12]}>"

    @property
    def teacher(self) -> str:
        """Digest of the first teacher."""
        return self.steps[0].parent if self.steps else self.student

    @property
    def gained(self) -> frozenset[str]:
        """Names of the outputs that became longer."""
        return frozenset(name for step in self.steps for name in step.gained)

    @property
    def settings(self) -> tuple[Setting, ...]:
        """What the network's own code has to follow."""
        return followed(step.settings for step in self.steps)

    def lines(self, teacher: str) -> Iterator[tuple[str, tuple[Remade, ...]]]:
        """Yield the names of all weights of the student that come from one of the teacher, with how, step by step.

        Raises:
            ModelError: If a step says that a weight had another shape than the step before made it.
        """
        found: list[tuple[str, tuple[Remade, ...]]] = [(teacher, ())]
        for step in self.steps:
            after = []
            for name, line in found:
                known = [each for each in step.remade if each.teacher == name]
                grown = [each for each in known if not line or each.before == line[-1].after]
                if known and not grown:  # subgraphs have weights of the same name, but then one of them fits
                    shapes = f"{list(line[-1].after)} after one step, {list(known[0].before)} before the next"
                    raise ModelError(f"the growth record has two shapes for {name!r} at one time", shapes=shapes)
                after += [(each.student, (*line, each)) for each in grown] or [(name, line)]
            found = after
        yield from found

    def joined(self, later: Record) -> Record:
        """Return one record of both, from the first teacher to the last student.

        Raises:
            ModelError: If the later one does not begin where this one ends.
        """
        if later.teacher != self.student:
            raise ModelError(
                f"the second record begins at {later.teacher[:12]}, and the first one ends at {self.student[:12]}",
                hint="records can be joined when the student of one is the teacher of the other",
            )
        return Record((*self.steps, *later.steps), later.student, self.origins)

    def to_bytes(self) -> bytes:
        """Return the record as a file: equal ones are of equal bytes."""
        arrays = _Arrays()
        document = {
            "teacher": self.teacher,
            "student": self.student,
            "steps": [_step_document(step, arrays) for step in self.steps],
            "origins": {name: [each.to_json() for each in found] for name, found in self.origins.items()},
        }
        text = json.dumps(document, sort_keys=True, allow_nan=False)
        own = digest(document, arrays.tensors)
        return to_bytes(arrays.tensors, {"format": FORMAT, "version": VERSION, "document": text, "digest": own})

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the record to a file, which may be there already.

        Raises:
            OptionError: If something other than a file is there, or nothing can be written there.
            ModelError: If the disk does not take the file.
        """
        with drafting(Path(path), force=True) as draft:
            draft.path.write_bytes(self.to_bytes())
            draft.publish()


def load(path: str | os.PathLike[str]) -> Record:
    """Read a record from a file.

    Raises:
        ModelError: If it cannot be read, or is no record, or one of a later version, or is not as one must be.
    """
    source = Source.of(Path(path), f"the growth record {str(path)!r}")
    name = source.name
    if source.size > MOST:
        raise ModelError(f"{name} has {source.size} bytes, and none has more than {MOST}")
    try:
        return from_file(source.read().tobytes())
    except Damage as failure:
        raise ModelError(f"{name} is damaged: {failure}", hint="one is written by `record=`") from failure
    except ValueError as failure:
        raise ModelError(f"{name} cannot be read: {failure}") from failure


def from_file(data: bytes) -> Record:
    """Read what :meth:`Record.to_bytes` gives.

    Raises:
        ValueError: If it is no record.
        Damage: If it is one, and not as one must be.
    """
    arrays, metadata = from_bytes(data)
    if metadata.get("format") != FORMAT:
        raise ValueError("it is no growth record")
    if metadata.get("version") != VERSION:
        raise ValueError(f"it is a growth record of version {shown(metadata.get('version'))}, not {VERSION}")
    if strange := sorted(metadata.keys() - {"format", "version", "document", "digest"}):
        raise Damage(f"its metadata have a key {shown(strange[0])}, which means nothing")
    try:
        document = parse(metadata.get("document", ""))
    except ValueError as failure:
        raise Damage(f"its document cannot be read: {failure}") from failure
    check(document, arrays)
    if (own := metadata.get("digest")) is not None and own != digest(document, arrays):
        raise Damage(f"its digest {shown(own)} is not that of what is in it")
    steps = tuple(_step(entry, arrays) for entry in document["steps"])
    origins = {name: tuple(map(Origin.from_json, found)) for name, found in document["origins"].items()}
    return Record(steps, document["student"], origins)


def digest(document: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> str:
    """Return the SHA-256 of a record: of what it says, whatever the order in which it is written down."""
    kinds = {name: [array.dtype.str, list(array.shape)] for name, array in arrays.items()}
    text = json.dumps([document, kinds], sort_keys=True, separators=(",", ":"))
    found = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        found.update(np.asarray(arrays[name], order="C").tobytes())
    return found.hexdigest()


class _Arrays:
    """The arrays of a file; equal ones are written once."""

    def __init__(self) -> None:
        self.tensors: dict[str, np.ndarray] = {}
        self._known: dict[tuple[str, tuple[int, ...], bytes], str] = {}

    def name(self, array: np.ndarray | None) -> str | None:
        if array is None:
            return None
        key = (str(array.dtype), array.shape, array.tobytes())
        if key not in self._known:
            self._known[key] = f"{len(self._known)}"
            self.tensors[self._known[key]] = array
        return self._known[key]


def _step_document(step: Step, arrays: _Arrays) -> dict[str, Any]:
    return {
        "pass": step.text,
        "seed": step.seed,
        "parent": step.parent,
        "tensors": [_tensor_document(each, arrays) for each in step.remade],
        "new": [asdict(each) for each in step.new],
        "settings": {name: list(pair) for name, pair in step.settings.items()},
        "apart": [_tensor_document(each, arrays) for each in step.apart],
        "multiplied": list(step.multiplied),
        "gained": list(step.gained),
        **({"forms": forms} if any((forms := _forms_document(step.forms, arrays)).values()) else {}),
    }


def _forms_document(forms: Forms, arrays: _Arrays) -> dict[str, dict[str, Form]]:
    return {
        "tensors": {name: mapped(form, arrays.name) for name, form in forms.tensors.items()},
        "settings": {name: mapped(form, arrays.name) for name, form in forms.settings.items()},
    }


def _tensor_document(remade: Remade, arrays: _Arrays) -> dict[str, Any]:
    recipe = remade.recipe
    summed = {part.axis: part for part in recipe.summed}
    axes = []
    for axis, index in enumerate(recipe.index):
        if index is None:
            continue
        row = recipe.rows[axis] if axis < len(recipe.rows) else None
        fresh = recipe.fresh[axis] if axis < len(recipe.fresh) else None
        part = summed.get(axis)
        axes.append(
            _mixture_document(recipe.mixed[axis] if axis < len(recipe.mixed) else None, arrays)
            | {
                "axis": axis,
                "role": "reads" if part is not None else "makes",
                "index": arrays.name(index),
                "share": arrays.name(part.share if part is not None else None),
                "copies": arrays.name(part.key if part is not None else None),
                "gradient": arrays.name(remade.dual[axis]),
                "fresh": arrays.name(None if fresh is None else fresh.astype(np.uint8)),
                "row": None if row is None else "ones" if row.combination is None else arrays.name(row.combination),
                **({} if row is None or row.form is None else {"form": row.form}),
            }
        )
    return {
        "teacher": remade.teacher,
        "student": remade.student,
        "readers": list(remade.readers),
        "before": list(remade.before),
        "after": list(remade.after),
        "axes": axes,
        "scale": recipe.scale,
        "noise": recipe.noise,
        "seed": list(recipe.seed),
        "zero": arrays.name(recipe.zero),
        **({"law": recipe.law} if recipe.law > 1 else {}),
        **({} if recipe.squared is None else {"squared": list(recipe.squared)}),
    }


def _mixture_document(mixture: Mixture | None, arrays: _Arrays) -> dict[str, Any]:
    """Return what is said of a mixture: nothing where there is none, as in records of before there were any."""
    if mixture is None:
        return {}
    return {"sources": arrays.name(mixture.sources), "weights": arrays.name(mixture.weights)}


def _step(entry: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Step:
    return Step(
        entry["pass"],
        entry["seed"],
        entry["parent"],
        tuple(_remade(each, arrays) for each in entry["tensors"]),
        tuple(_new(each) for each in entry["new"]),
        {name: (before, after) for name, (before, after) in entry["settings"].items()},
        tuple(_remade(each, arrays) for each in entry.get("apart", ())),
        tuple(entry.get("multiplied", ())),
        tuple(entry.get("gained", ())),
        _forms(entry.get("forms", {"tensors": {}, "settings": {}}), arrays),
    )


def _forms(entry: Mapping[str, Mapping[str, Form]], arrays: Mapping[str, np.ndarray]) -> Forms:
    def read(forms: Mapping[str, Form]) -> dict[str, Form]:
        return {name: mapped(form, arrays.__getitem__) for name, form in forms.items()}

    return Forms(read(entry["tensors"]), read(entry["settings"]))


def _new(entry: Mapping[str, Any]) -> New:
    lists = {key: tuple(value) for key, value in entry.items() if isinstance(value, list)}
    return New(**{**entry, **lists})


def _remade(entry: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Remade:
    before = tuple(entry["before"])
    axes = {each["axis"]: each for each in entry["axes"]}

    def array(name: str | None) -> np.ndarray | None:
        return None if name is None else arrays[name]

    def each(key: str) -> tuple[np.ndarray | None, ...]:
        return tuple(array(axes[axis].get(key)) if axis in axes else None for axis in range(len(before)))

    summed = tuple(
        Summed(axis, arrays[found["share"]], arrays[found["copies"]])
        for axis, found in axes.items()
        if found["share"] is not None
    )
    rows = tuple(
        None if axis not in axes or axes[axis]["row"] is None
        else Row(None if axes[axis]["row"] == "ones" else arrays[axes[axis]["row"]], axes[axis].get("form"))
        for axis in range(len(before))
    )  # fmt: skip
    fresh = tuple(None if flags is None else flags.astype(bool) for flags in each("fresh"))
    seed = tuple(entry["seed"])
    zero = array(entry["zero"])
    zero = zero.reshape(()) if zero is not None and zero.size == 1 else zero  # once written as a vector
    law = entry.get("law", 1)  # the first records have none
    squared = tuple(entry["squared"]) if "squared" in entry else None
    mixed = tuple(
        None if sources is None or weights is None else Mixture(sources, weights)
        for sources, weights in zip(each("sources"), each("weights"), strict=True)
    )
    parts = each("index"), summed, fresh, rows
    recipe = Recipe(*parts, entry["scale"], entry["noise"], seed, zero, mixed, law, squared)
    return Remade(entry["teacher"], entry["student"], before, recipe, each("gradient"), tuple(entry["readers"]))
