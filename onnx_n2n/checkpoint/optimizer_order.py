"""Which parameter each number of an optimizer is, where its groups have no names: what is certain, and no guess.

The moments of a parameter have its shape. That is enough where all parameters of that shape grow alike. Else one thing
is taken for granted: within a group, parameters stand in the order of the network, as ``model.parameters()`` and
comprehensions over it give them. So one group of all is known, and so is the usual split in matrices and vectors. The
order of the groups means nothing. If two assignments keep all this and moments would grow differently, neither is
taken. Some code sorts the names in each group: if that fits too, it has to come to the same.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence

from onnx_n2n.errors import GrowthError

Shape = tuple[int, ...]
Groups = Sequence[Sequence[int]]
Domains = dict[int, set[int]]
Alike = Callable[[str], Hashable]
MOST = 100  # assignments that are tried, each with all that follows from it, before none is certain

HOW = (
    "save names, with torch.optim.Adam(model.named_parameters()) as of PyTorch 2.6; or pass `optimizer_order=['FILE']` "
    "with the name of a parameter on each line, in the order of the groups: [n for g in optimizer.param_groups for p "
    "in g['params'] for n, q in model.named_parameters() if p is q]"
)


def certain(
    groups: Groups, shapes: Mapping[int, Shape], parameters: Mapping[str, Shape], alike: Alike, title: str
) -> dict[int, str]:
    """Return the name of each number of an optimizer.

    Args:
        groups: The numbers in each group.
        shapes: Of those that have moments, the shape. The others have nothing that could grow wrongly.
        parameters: The shapes of the parameters, in the order of the network. Not all need be in the optimizer.
        alike: Gives for a parameter how it grows: of two with equal shapes and equal answers, either will do.
        title: What to call the optimizer.

    Raises:
        GrowthError: If it is not certain, with an example.
    """
    numbers = [number for group in groups for number in group]
    if len(numbers) > len(parameters):
        reason = f"{title} has {len(numbers)} parameters and the network {len(parameters)}: which is which is not known"
        raise GrowthError(reason, hint=HOW)
    for number, shape in shapes.items():
        if shape not in parameters.values():
            raise GrowthError(
                f"{title} has moments of a shape that no parameter of the network has",
                shapes=f"{list(shape)}, parameter number {number}",
                hint="if it is the optimizer of another network, `keep=` leaves it as it is",
            )
    found = _by_shape(numbers, shapes, parameters, alike)
    if found is not None:
        return found
    network = _Search(groups, shapes, list(parameters), parameters, alike).only(title)
    if sorted(parameters) != list(parameters):
        _Search(groups, shapes, sorted(parameters), parameters, alike).agree(network, title)
    return network


def _by_shape(
    numbers: Sequence[int], shapes: Mapping[int, Shape], parameters: Mapping[str, Shape], alike: Alike
) -> dict[int, str] | None:
    """Return the names if shapes are enough, whatever the order."""
    names: dict[Shape, list[str]] = {}
    for name, shape in parameters.items():
        names.setdefault(shape, []).append(name)
    if any(len({alike(name) for name in names[shape]}) > 1 for shape in set(shapes.values()) if len(names[shape]) > 1):
        return None
    free = {shape: iter(found) for shape, found in names.items()}
    known = {number: next(free[shapes[number]], None) for number in numbers if number in shapes}
    taken = set(known.values())
    rest = iter([name for name in parameters if name not in taken])
    found = known | {number: next(rest, None) for number in numbers if number not in shapes}
    return {number: name for number, name in found.items() if name is not None} if None not in found.values() else None


class _Search:
    """The assignments that keep shapes, and an order of the parameters in each group."""

    def __init__(
        self, groups: Groups, shapes: Mapping[int, Shape], names: Sequence[str], parameters: Mapping[str, Shape],
        alike: Alike,
    ) -> None:  # fmt: skip
        self.groups, self.shapes, self.names, self.alike = groups, shapes, names, alike
        self.whole = sum(map(len, groups)) == len(names)  # so that each parameter is there
        self.left = MOST
        places: dict[Shape, set[int]] = {}
        for place, name in enumerate(names):
            places.setdefault(parameters[name], set()).add(place)
        everywhere = set(range(len(names)))
        numbers = [number for group in groups for number in group]
        self.start = {number: set(places[shapes[number]] if number in shapes else everywhere) for number in numbers}

    def only(self, title: str) -> dict[int, str]:
        """Return the one assignment there is, apart from parameters that grow alike.

        Raises:
            GrowthError: There is none, or there are several, or too many to try.
        """
        domains = self._settled(self.start)
        if domains is None:
            raise GrowthError(
                f"{title} has no names in its groups, and these do not keep the order of the network: which of the "
                "parameters of equal shape is which is not known",
                hint=HOW,
            )
        for number in self.shapes:
            ways = self._ways(domains[number])
            if len(ways) < 2:
                continue
            possible: list[set[int]] = []
            for each in ways:
                if len(possible) < 2 and self.left >= 0 and self._solved({**domains, number: each}) is not None:
                    possible.append(each)
            settled = self._settled({**domains, number: possible[0]}) if len(possible) == 1 else None
            if settled is None or self.left < 0:
                raise self._unsure(title, number, [self.names[min(each)] for each in possible])
            domains = settled
        found = self._solved(domains)
        if found is None:
            raise self._unsure(title, next(iter(self.shapes)), [])
        return {number: self.names[place] for number, place in found.items()}

    def agree(self, known: Mapping[int, str], title: str) -> None:
        """Make sure that whatever fits makes moments grow as a known assignment does.

        Raises:
            GrowthError: Something does not.
        """
        domains = self._settled(self.start)
        if domains is None:
            return
        for number in self.shapes:
            for each in self._ways(domains[number]):
                other = self.names[min(each)]
                if self.alike(other) == self.alike(known[number]):
                    continue
                if self._solved({**domains, number: each}) is not None or self.left < 0:
                    raise self._unsure(title, number, [known[number], other])

    def _ways(self, places: set[int]) -> list[set[int]]:
        """Return places in sets whose parameters grow alike."""
        found: dict[Hashable, set[int]] = {}
        for place in sorted(places):
            found.setdefault(self.alike(self.names[place]), set()).add(place)
        return list(found.values())

    def _unsure(self, title: str, number: int, names: Sequence[str]) -> GrowthError:
        which = " or ".join(map(repr, names[:2])) if len(names) > 1 else "one of many"
        return GrowthError(
            f"{title} has no names in its groups, and its parameter number {number} can be "
            f"{which}, which do not grow alike",
            shapes=str(list(self.shapes[number])),
            hint=HOW,
        )

    def _solved(self, domains: Domains) -> dict[int, int] | None:
        """Return one assignment, or None; after too many that were tried, ``left`` is below zero."""
        settled = self._settled(domains)
        if settled is None:
            return None
        open_ones = [each for each in settled if len(settled[each]) > 1]
        number = min(open_ones, key=lambda each: len(settled[each]), default=None)
        if number is None:
            return {each: next(iter(places)) for each, places in settled.items()}
        for place in sorted(settled[number]):
            self.left -= 1
            if self.left < 0:
                break
            found = self._solved({**settled, number: {place}})
            if found is not None:
                return found
        return None

    def _settled(self, domains: Domains) -> Domains | None:
        """Leave out what cannot be, until nothing follows from that; return None if nothing is left for a number."""
        found = {number: set(places) for number, places in domains.items()}
        before = -1
        while (left := sum(map(len, found.values()))) != before:
            before = left
            for group in self.groups:
                for numbers, step in ((group, 1), (group[::-1], -1)):
                    bound: int | None = None
                    for number in numbers:
                        if bound is not None:
                            found[number] = {place for place in found[number] if (place - bound) * step > 0}
                        if not found[number]:
                            return None
                        bound = min(found[number]) if step > 0 else max(found[number])
            taken = [next(iter(places)) for places in found.values() if len(places) == 1]
            fixed = set(taken)
            if len(fixed) < len(taken):
                return None
            for places in found.values():
                if len(places) > 1:
                    places -= fixed
            if self.whole:
                wanted: dict[int, list[int]] = {}
                for number, places in found.items():
                    for place in places:
                        wanted.setdefault(place, []).append(number)
                if len(wanted) < len(self.names):
                    return None
                for place, numbers in wanted.items():
                    if len(numbers) == 1:
                        found[numbers[0]] &= {place}
            if not all(found.values()):
                return None
        return found
