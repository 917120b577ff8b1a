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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from onnx_n2n.errors import ModelError
from onnx_n2n.io.atomic import drafting
from onnx_n2n.io.sources import Source
from onnx_n2n.io.tensorfile import from_bytes, parse, shown, to_bytes
from onnx_n2n.record.checks import Damage
from onnx_n2n.record.documents import NamedArrays, from_document, to_document
from onnx_n2n.record.provenance import Origin
from onnx_n2n.record.schema import check
from onnx_n2n.record.settings import Setting, followed
from onnx_n2n.record.steps import New, Remade, Step
from onnx_n2n.words import brief

__all__ = ["New", "Record", "Remade", "Step", "digest", "from_file", "load"]

FORMAT, VERSION = "onnx-n2n.growth", "1"
MOST = 1 << 30  # bytes of a file: that of the largest language models has a tenth


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
    def outputs(self) -> tuple[str, ...]:
        """Names of the first teacher's tensors that the student gives in place of its outputs; empty for none."""
        return next((step.outputs for step in reversed(self.steps) if step.outputs), ())

    @property
    def gone(self) -> tuple[str, ...]:
        """Names of the weights that a step has taken away."""
        return tuple(name for step in self.steps for name in step.gone)

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
        arrays = NamedArrays()
        document = {
            "teacher": self.teacher,
            "student": self.student,
            "steps": [to_document(step, arrays) for step in self.steps],
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
            draft.write(self.to_bytes())
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
    steps = tuple(from_document(entry, arrays) for entry in document["steps"])
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
