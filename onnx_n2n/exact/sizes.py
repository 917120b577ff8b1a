"""Lengths for the free axes of a model's inputs: different ones for different names, and none of them 1.

A coincidence of lengths can hide that two models differ: at batch 1, or where two axes are equally long. So each free
axis gets a length of its own, and two sets of lengths are run, in which axes come in another order by length.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, combinations, count, groupby, pairwise

import onnx

from onnx_n2n.errors import OptionError
from onnx_n2n.exact.undecided import Undecided

Shapes = Mapping[str, tuple[int, ...]]
Attempt = tuple[Shapes, ...]  # sets of shapes, all of which are run
Lengths = dict[str, int]
Pair = tuple[Lengths, Lengths]

# The second lengths are even, in another order, and all of them longer: so sums and products of them differ as well.
FIRST = (3, 5, 7, 11, 13, 17, 19, 23, 29)
# By how much they are longer: primes, or 1, so that no length is a multiple of another one, or more, in both sets.
# Those of batches are 1 above a multiple of 4, the others 1 below: so none is the sum of a batch and another either.
BATCHES = (1, 5, 13, 17, 29, 37, 41, 53, 61, 73)
STEPS = (3, 7, 11, 19, 23, 31, 43, 47, 59, 67, 71, 79, 83, 103, 107, 127, 131, 139, 151, 163, 167, 179, 191, 199)
# What a free axis is a multiple of if the smallest lengths do not fit: windows, strides and patches need more.
SCALES = (4, 8, 16, 32, 64, 128, 256)
IMAGE = 32  # so long an axis of an image may be longer than is needed to meet every place of its windows
LARGER = 5  # of a batch, where the third place from its end is stated, or another one that two do not have
STRETCHED = 128  # by so much longer, every axis that depends on it is hoped to be longer than 1
SUMS = 12  # so many ways are tried in which one axis is as long as two others together
TOTAL = re.compile(r"total|mask|key|all|full|past.*(seq|\+|plus)|kv", re.IGNORECASE)


@dataclass(frozen=True)
class Axis:
    """A free axis: where it is, and what its name says of it.

    Args:
        value: The input.
        place: The axis.
        name: What stands for its length; axes of one name are equally long.
    """

    value: str
    place: int
    name: str

    @property
    def parts(self) -> list[str]:
        """The names in it: two in ``past + sequence``."""
        tree = _tree(self.name)
        return [self.name] if tree is None else _names(tree)

    def length(self, lengths: Lengths) -> int:
        """Return how long it is, from lengths by name.

        Raises:
            Undecided: If what its name says is no length.
        """
        if self.name in lengths:
            return lengths[self.name]
        tree = _tree(self.name)
        found = lengths[self.name] if tree is None else _evaluated(tree, lengths)
        if found < 1 or found != int(found):
            raise Undecided(f"{self.name!r} is no length of an axis")
        return int(found)


def attempts(
    inputs: Sequence[onnx.ValueInfoProto], fixed: Shapes | None = None, reaching: int = 0
) -> Iterator[Attempt]:
    """Return sets of shapes to try one after the other, the smallest first.

    Axes of one name have one length; an axis without a name has a length of its own. An axis that is the first of an
    input is taken for a batch and stays small.

    Args:
        inputs: The inputs.
        fixed: Shapes of some of them.
        reaching: If given, one axis after the other has this length, to reach every row of a table.

    Raises:
        Undecided: If it is not known how many axes an input has.
        OptionError: If ``fixed`` does not fit the inputs.
    """
    batches, others = names(inputs, fixed)
    small, larger = (_small(inputs, fixed or {}, least) for least in (2, LARGER))
    long = _long(small, others or batches, reaching)
    yield from _shaped(inputs, fixed, long if reaching else _sets(small, larger if others else small, batches, others))


def smaller(inputs: Sequence[onnx.ValueInfoProto], fixed: Shapes | None, attempt: Attempt) -> Iterator[list[Attempt]]:
    """Return sets of shapes between some that `attempts` has found by a scale and those of the scale before, ascending.

    They are nearly in the same proportion: a window that moves by a power of two meets no more places in those of one
    list than it has to, for one power after the other, the largest first. For shapes that were found otherwise there
    are none.
    """
    batches, others = names(inputs, fixed)
    small, scaled = _small(inputs, fixed or {}, 2), others or batches
    for before, scale in pairwise((1, *SCALES)) if scaled else ():
        if attempt in _shaped(inputs, fixed, [_scaled(small, scaled, scale)]):
            pairs = [_scaled(small, scaled, each) for each in range(before + 1, scale + 1)]
            for stride in (*reversed(SCALES), 1):
                fewer = [(_trimmed(one, scaled, stride), _trimmed(two, scaled, stride)) for one, two in pairs]
                apart = [pair for pair in fewer if _apart(*pair)]
                found = list(_shaped(inputs, fixed, [each for each, _ in groupby(apart)]))
                if found and fewer[-1] in apart:
                    yield found
            return


def _apart(one: Lengths, two: Lengths) -> bool:
    """Return whether no two lengths of a set are equal, none is 1, and none the same in both sets."""
    return all(len({1, *each.values()}) > len(each) for each in (one, two)) and all(one[n] != two[n] for n in one)


def _trimmed(lengths: Lengths, which: Sequence[str], stride: int) -> Lengths:
    """Return lengths of which some are the least in which windows that move by a stride have as many places."""
    return lengths | {name: (lengths[name] - 1) // stride * stride + 1 for name in which}


def longer(
    inputs: Sequence[onnx.ValueInfoProto], fixed: Shapes | None, shapes: Shapes, more: int = 1
) -> Iterator[Shapes]:
    """Return shapes in which all batches, or all other lengths that are free, are longer by so many."""
    known = _lengths(inputs, shapes)
    for which in names(inputs, fixed):
        yield from _changed(inputs, shapes, known | {name: known.get(name, 0) + more for name in which})


def stretched(
    inputs: Sequence[onnx.ValueInfoProto], fixed: Shapes | None, shapes: Shapes
) -> Iterator[tuple[Shapes, ...]]:
    """Return shapes in which all batches are longer by ever more, or all other lengths that are free, ascending."""
    yield from zip(*(tuple(longer(inputs, fixed, shapes, more)) for more in range(1, STRETCHED + 1)), strict=True)


def level(
    inputs: Sequence[onnx.ValueInfoProto], fixed: Shapes | None, attempt: Attempt, *, alone: bool = False
) -> Iterator[Shapes]:
    """Return shapes in which all batches, or all other lengths that are free, are equally long, and few.

    A length of 1 is particular: what is alone is its own sum, product and maximum. Where a model states places from
    both ends of an axis, the same place may be meant twice: at a length below twice the least one that has them all.

    Args:
        inputs: The inputs.
        fixed: Shapes of some of them.
        attempt: Shapes that have been tried, which have all places.
        alone: Whether to leave all lengths but 1 out.
    """
    known = _lengths(inputs, attempt[0])
    for which in names(inputs, fixed):
        least = min((known.get(name, 1) for name in which), default=1)
        for length in range(1, 2 if alone or least > LARGER else 2 * least):
            yield from (
                found
                for found in _changed(inputs, attempt[0], known | dict.fromkeys(which, length))
                if found not in attempt
            )


def _lengths(inputs: Sequence[onnx.ValueInfoProto], shapes: Shapes) -> Lengths:
    return {axis.name: shapes[axis.value][axis.place] for each in inputs for axis in _free(each)}


def _changed(inputs: Sequence[onnx.ValueInfoProto], shapes: Shapes, lengths: Lengths) -> Iterator[Shapes]:
    """Return shapes with other lengths by name, if these are lengths and there is a free one."""
    found = {name: list(shape) for name, shape in shapes.items()}
    try:
        for axis in (axis for each in inputs for axis in _free(each)):
            found[axis.value][axis.place] = axis.length(lengths)
    except (Undecided, KeyError):
        return
    if (changed := {name: tuple(shape) for name, shape in found.items()}) != shapes:
        yield changed


def _shaped(inputs: Sequence[onnx.ValueInfoProto], fixed: Shapes | None, sets: Iterable[Pair]) -> Iterator[Attempt]:
    """Return the shapes of inputs for pairs of lengths by name, where these are lengths."""
    axes = [axis for each in inputs for axis in _free(each)]
    known = _known(inputs, axes, fixed or {})
    for pair in sets:
        try:
            found = tuple({each.name: _shape(each, axes, lengths | known) for each in inputs} for lengths in pair)
        except Undecided:
            continue
        yield found[:1] if found[0] == found[-1] else found


def relaxed(inputs: Sequence[onnx.ValueInfoProto]) -> list[onnx.ValueInfoProto]:
    """Return inputs whose images, ``[n, c, *lengths]`` with lengths that are stated, have free lengths instead."""
    found = []
    for each in inputs:
        copy = onnx.ValueInfoProto()
        copy.CopyFrom(each)
        dims = copy.type.tensor_type.shape.dim
        for dim in dims[2:] if len(dims) > 3 else ():
            if dim.dim_value >= IMAGE:
                dim.Clear()
        found.append(copy)
    return found


def names(inputs: Sequence[onnx.ValueInfoProto], fixed: Shapes | None = None) -> tuple[list[str], list[str]]:
    """Return the names of lengths that are to be chosen: those that stand for a batch, and the others."""
    axes = [axis for each in inputs for axis in _free(each)]
    known = _known(inputs, axes, fixed or {})
    found = [name for name in dict.fromkeys(part for axis in axes for part in axis.parts) if name not in known]
    batches = [name for name in found if any(axis.place == 0 and axis.name == name for axis in axes)]
    return batches, [name for name in found if name not in batches]


def _long(small: Pair, which: Sequence[str], length: int) -> Iterator[Pair]:
    """Return pairs of lengths by name, in each of which one name is so long."""
    for name in which:
        yield small[0] | {name: length}, small[1] | {name: length}


def _sets(small: Pair, larger: Pair, batches: Sequence[str], others: Sequence[str]) -> Iterator[Pair]:
    """Return pairs of lengths by name, the smallest first; then those with larger batches, if these are others."""
    yield small
    if larger != small:
        yield larger
    for total, parts in _sums([*others, *batches], others):
        first, second = ({**each, total: sum(each[part] for part in parts)} for each in small)
        yield first, second
    scaled = others or batches
    for scale in SCALES if scaled else ():
        yield _scaled(small, scaled, scale)
    for scale in (1, *SCALES) if len(others) > 1 else ():  # all of them equally long
        yield small[0] | dict.fromkeys(others, 4 * scale), small[1] | dict.fromkeys(others, 6 * scale)
    if len(batches) > 1:
        yield small[0] | dict.fromkeys(batches, 2), small[1] | dict.fromkeys(batches, 3)


def _scaled(small: Pair, names_: Sequence[str], scale: int) -> Pair:
    """Return lengths by name of which some are multiples of a scale."""
    sides = ({name: scale * by for name, by in zip(names_, side, strict=True)} for side in _multiples(len(names_)))
    first, second = sides
    return small[0] | first, small[1] | second


def _small(inputs: Sequence[onnx.ValueInfoProto], fixed: Shapes, least: int) -> Pair:
    """Return small lengths, all of them different, and none that an axis has already: ``least`` or more for a batch."""
    batches, others = names(inputs, fixed)
    known = _known(inputs, [axis for each in inputs for axis in _free(each)], fixed)
    stated = {dim.dim_value for each in inputs for dim in each.type.tensor_type.shape.dim} | set(known.values())
    found: list[Lengths] = [{}, {}]
    for name in batches:
        found[0][name] = next(n for n in count(least) if n not in {*stated, *found[0].values()})
    steps = chain(BATCHES, count(BATCHES[-1] + 2, 2))
    for name in batches:
        longer = (found[0][name] + step for step in steps)
        found[1][name] = next(n for n in longer if n not in {*stated, *found[1].values()})
    odd = (n for n in chain(FIRST, count(31, 2)) if n not in {*stated, *found[0].values()})
    found[0] |= zip(others, odd, strict=False)
    longest = max((found[0][name] for name in others), default=0)
    steps = chain(STEPS, count(STEPS[-1] + 4, 4))
    for name in reversed(others):
        longer = (found[0][name] + step for step in steps)
        longest = found[1][name] = next(n for n in longer if n > longest and n not in {*stated, *found[1].values()})
    return found[0], found[1]


def _multiples(count_: int) -> tuple[list[int], list[int]]:
    """Return two multiples of a scale for each axis: these differ, also products of two, and come in two orders."""
    first = [place + 2 for place in range(count_)]
    second = [2 * count_ - place + 1 for place in range(count_)] if count_ != 2 else [4, 2]
    return first, second


def _sums(every: Sequence[str], others: Sequence[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Return names that may be as long as two others together, those first whose name says so."""
    ranked = sorted(others, key=lambda name: TOTAL.search(name) is None)
    ways = [(total, pair) for total in ranked for pair in combinations([n for n in every if n != total], 2)]
    return iter(sorted(ways, key=lambda way: not set(way[1]) <= set(others))[:SUMS])


def _free(value: onnx.ValueInfoProto) -> list[Axis]:
    tensor = value.type.tensor_type
    if value.type.WhichOneof("value") != "tensor_type" or not tensor.HasField("shape"):
        raise Undecided(f"input {value.name!r} is no tensor whose number of axes is known")
    return [
        Axis(value.name, place, dim.dim_param or f"{value.name}[{place}]")
        for place, dim in enumerate(tensor.shape.dim)
        if not dim.HasField("dim_value")
    ]


def _known(inputs: Sequence[onnx.ValueInfoProto], axes: Sequence[Axis], fixed: Shapes) -> Lengths:
    """Return the lengths by name that shapes of some inputs say."""
    found: Lengths = {}
    values = {each.name: each for each in inputs}
    for name, shape in fixed.items():
        if name not in values:
            raise OptionError(f"there is no input {name!r}", hint=f"there is {', '.join(values) or 'none'}")
        dims = values[name].type.tensor_type.shape.dim
        fits = len(dims) == len(shape) and all(
            not dim.HasField("dim_value") or dim.dim_value == length for dim, length in zip(dims, shape, strict=True)
        )
        if not fits or min(shape, default=1) < 1:
            stated = ",".join(str(dim.dim_value) if dim.HasField("dim_value") else dim.dim_param or "?" for dim in dims)
            raise OptionError(f"input {name!r} cannot have the shape {list(shape)}", shapes=f"it declares [{stated}]")
        for axis in axes:
            if axis.value == name and found.setdefault(axis.name, shape[axis.place]) != shape[axis.place]:
                raise OptionError(f"the shapes that are given say two lengths for {axis.name!r}")
    return found


def _shape(value: onnx.ValueInfoProto, axes: Sequence[Axis], lengths: Lengths) -> tuple[int, ...]:
    own = {axis.place: axis for axis in axes if axis.value == value.name}
    return tuple(
        own[place].length(lengths) if place in own else dim.dim_value
        for place, dim in enumerate(value.type.tensor_type.shape.dim)
    )


def _tree(text: str) -> ast.expr | None:
    """Return what a name says, where it says how to calculate a length: ``past + sequence``, ``2*N``; else None."""
    if not re.search(r"[-+*/]", text):
        return None
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError):
        return None
    return tree if _readable(tree) and _names(tree) else None


def _readable(tree: ast.expr) -> bool:
    if isinstance(tree, ast.BinOp):
        sides = tree.left, tree.right
        constant = any(isinstance(side, ast.Constant) for side in sides)  # else "seq-len" is but a name
        kinds = isinstance(tree.op, ast.Add | ast.Mult)
        kinds |= isinstance(tree.op, ast.Sub | ast.Div | ast.FloorDiv) and constant
        return kinds and all(map(_readable, sides))
    return isinstance(tree, ast.Name) or (isinstance(tree, ast.Constant) and type(tree.value) is int)


def _names(tree: ast.expr) -> list[str]:
    return list(dict.fromkeys(each.id for each in ast.walk(tree) if isinstance(each, ast.Name)))


def _evaluated(tree: ast.expr, lengths: Lengths) -> float:
    if isinstance(tree, ast.Name):
        return lengths[tree.id]
    if isinstance(tree, ast.Constant):
        return int(tree.value)  # type: ignore[arg-type]
    assert isinstance(tree, ast.BinOp)
    one, two = _evaluated(tree.left, lengths), _evaluated(tree.right, lengths)
    if isinstance(tree.op, ast.Div | ast.FloorDiv) and not two:
        raise Undecided("a length is divided by zero")
    if isinstance(tree.op, ast.Add):
        return one + two
    if isinstance(tree.op, ast.Sub):
        return one - two
    if isinstance(tree.op, ast.Mult):
        return one * two
    return one / two if isinstance(tree.op, ast.Div) else one // two
