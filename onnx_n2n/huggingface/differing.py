"""Why a class with its new config computes something else than what has grown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import onnx_ir as ir

from onnx_n2n.huggingface.carrying import Other
from onnx_n2n.huggingface.student import ClassDiffersError
from onnx_n2n.huggingface.teacher import Teacher
from onnx_n2n.huggingface.tracing import homes


@contextmanager
def explained(whys: Callable[[], Iterable[str]]) -> Iterator[None]:
    """Say with it why a class differs, if it does."""
    try:
        yield
    except ClassDiffersError as failure:
        raise ClassDiffersError("; ".join((failure.reason, *whys())), hint=failure.hint) from failure


def other_numbers(teacher: Teacher, others: Iterable[Other]) -> Iterator[str]:
    """Yield a sentence on the first number of the class for which no weights make up."""
    places = homes(teacher.analysis.model)
    for other in others:
        does = "multiplies" if other.power > 0 else "divides"
        place = repr(places.get(str(other.node.name)) or teacher.network.kind.__name__)
        yield f"{place} {does} by {other.after:.6g} then, not by {other.before:.6g}, and no weights make up for it"
        return


def more_nodes(teacher: Teacher, grown: ir.Model) -> Iterator[str]:
    """Yield a sentence on the first node that only the graph has, as what makes up for the length of a norm."""
    places = homes(teacher.analysis.model)
    known = {str(node.name) for node in teacher.analysis.model.graph}
    for node in grown.graph:
        makers = [maker for value in node.inputs if value is not None and (maker := value.producer()) is not None]
        place = next((places[str(maker.name)] for maker in makers if str(maker.name) in places), "")
        if node.name not in known and place:
            yield f"the graph needs one more {node.op_type} in {place!r}, and the class has none for it"
            return
