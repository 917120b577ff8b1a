"""Several growth records as one: each must begin at the model that the one before ends at."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import reduce
from itertools import pairwise
from pathlib import Path

from onnx_n2n.errors import ModelError, OptionError
from onnx_n2n.io.atomic import STDOUT, drafting
from onnx_n2n.io.sources import Source
from onnx_n2n.options import taken
from onnx_n2n.record.record import Record, load

AnyRecord = str | os.PathLike[str] | Record
SHORT = 12  # digits of a digest


@taken("records", "output", "force")
def join(records: Sequence[AnyRecord], *, output: str | os.PathLike[str] | None = None, force: bool = False) -> Record:
    """Return one record of several, from the teacher of the first to the student of the last.

    >>> wider = onnx_n2n.widen(onnx.load("model.onnx"), 1.5, verify=False)
    >>> deeper = onnx_n2n.deepen(wider.model, verify=False)
    >>> onnx_n2n.join([wider.growth, deeper.growth])
    <Record: widen{factor=1.5}, deepen; from model ... to ...>

    Args:
        records: The records, or their files, in the order in which the passes were applied.
        output: Where to write the record, if anywhere.
        force: Whether to overwrite what is there.

    Raises:
        ModelError: A file is no record, or a record does not begin where the one before it ends.
        OptionError: There is no record, or nothing can be written at the output.
    """
    paths = [Path(each) for each in records if isinstance(each, str | os.PathLike)]
    read = [Source.of(path, f"the growth record {str(path)!r}") for path in paths]
    if output is None:
        return joined([_loaded(each) for each in records], list(map(_name, records, range(len(records)))))
    if Path(output) == STDOUT:
        raise OptionError("a growth record cannot be written to stdout", hint="name a file with `output=`")
    with drafting(Path(output), force=force, read=read) as draft:
        found = join(records)
        draft.write(found.to_bytes())
        draft.publish()
    return found


def joined(records: Sequence[Record], names: Sequence[str]) -> Record:
    """Return one record of several, which errors call by their names.

    Raises:
        ModelError: A record does not begin where the one before it ends.
        OptionError: There is no record.
    """
    if not records:
        raise OptionError("there is no growth record to join", hint="name one or more")
    for place, (one, other) in enumerate(pairwise(records)):
        if one.student == other.teacher:
            continue
        order = _order(records)
        fits = (
            "each record must begin where the one before it ends; one may be missing, or the model was changed in "
            "between, as by training. Then grow the checkpoint once for each record, with the models of that one"
        )
        if order:
            fits = f"in this order they fit: {', '.join(names[each] for each in order)}"
        raise ModelError(
            f"{names[place + 1]} does not follow {names[place]}: it begins at the model {other.teacher[:SHORT]}, and "
            f"{names[place]} ends at {one.student[:SHORT]}",
            hint=fits,
        )
    return reduce(Record.joined, records)


def _order(records: Sequence[Record]) -> list[int]:
    """Return the places of records in the order in which each follows the one before; none if there is no order."""
    begins = {record.teacher: place for place, record in enumerate(records)}
    ends = {record.student for record in records}
    found = [place for teacher, place in begins.items() if teacher not in ends][:1]
    while found and (following := begins.get(records[found[-1]].student)) is not None and len(found) < len(records):
        found.append(following)
    return found if sorted(found) == list(range(len(records))) else []


def _loaded(record: AnyRecord) -> Record:
    if isinstance(record, Record):
        return record
    if not isinstance(record, str | os.PathLike):
        raise OptionError(f"a growth record is `result.growth` or its file, not {type(record)}")
    return load(record)


def _name(record: AnyRecord, place: int) -> str:
    return f"record {place + 1}" if isinstance(record, Record) else repr(str(record))
