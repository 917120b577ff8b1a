"""Outputs of teacher and student side by side: what can be compared, and in what it differs before any number."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from onnx_n2n.exact.numeric import Numbers
from onnx_n2n.exact.run import Run
from onnx_n2n.exact.tensor import Map, Tensor, Value, named
from onnx_n2n.exact.undecided import Undecided
from onnx_n2n.exact.watched import tensors

Results = Mapping[str, Value]


class Differs(Exception):  # noqa: N818 - an answer, not an error
    """The models differ at an output, whatever numbers it has.

    Args:
        output: Its name.
        reason: How, as a sentence without its full stop.
    """

    def __init__(self, output: str, reason: str) -> None:
        super().__init__(output, reason)
        self.output, self.reason = output, reason


def pairs(
    runs: tuple[Run, Run], results: tuple[Results, Results], gained: Collection[str] = ()
) -> Iterator[tuple[str, Numbers, Numbers]]:
    """Return the numbers of all outputs of both models, all read, the teacher's first; of ``gained`` ones its part.

    Raises:
        Differs: If an output has another shape or type in the student, or is a sequence of other tensors.
        Undecided: If one cannot be compared.
    """
    for name, value in results[0].items():
        sides = list(tensors([value])), list(tensors([results[1][name]]))
        if _built(value) != _built(results[1][name]):
            raise Differs(name, "its sequences or maps have other lengths, elements or labels in the student")
        for one, two in zip(*sides, strict=True):
            if one is None or two is None:
                if one is not two:
                    raise Differs(name, "it is not given in one of the models")
                continue
            yield name, *_pair(name, runs, one, two, longer=name in gained)


def _built(value: Value) -> object:
    """Return how a value is made up of sequences and maps."""
    if isinstance(value, list):
        return [_built(each) for each in value]
    return value.labels if isinstance(value, Map) else None


def _pair(name: str, runs: tuple[Run, Run], one: Tensor, two: Tensor, *, longer: bool) -> tuple[Numbers, Numbers]:
    if one.type != two.type:
        raise Differs(name, f"it is {named(one.type)} in the teacher and {named(two.type)} in the student")
    for run, each in zip(runs, (one, two), strict=True):
        run.read(each)
    old, new = runs[0].numbers(one), runs[1].numbers(two)
    if one.shape == two.shape:
        return old, new
    grown = [axis for axis, (a, b) in enumerate(zip(one.shape, two.shape, strict=False)) if a != b]
    if longer and one.shape and len(one.shape) == len(two.shape) and len(grown) == 1:
        (axis,) = grown
        if two.shape[axis] > one.shape[axis]:
            return old, new[(*[slice(None)] * axis, slice(0, one.shape[axis]))]
    raise Differs(name, f"it has the shape {_text(one.shape)} in the teacher and {_text(two.shape)} in the student")


def _text(shape: tuple[int, ...]) -> str:
    return f"[{','.join(map(str, shape))}]"


__all__ = ["Differs", "Results", "Undecided", "pairs"]
