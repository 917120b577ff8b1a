"""Names with the numbers of layers in them: ``h.0.attn.weight``."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile

from onnx_n2n.errors import GrowthError


def block_of(names: Sequence[str]) -> str:
    """Return the numbered module that all names are in: ``layer1.1``."""
    level = zip(*(name.split(".")[:-1] for name in names), strict=False)
    parts = [each[0] for each in takewhile(lambda each: len(set(each)) == 1, level)]
    while parts and not parts[-1].isdecimal():
        parts = parts[:-1]
    return ".".join(parts) if len(parts) > 1 else ""


def following(block: str) -> str:
    """Return the numbered module behind one."""
    stem, _, number = block.rpartition(".")
    return f"{stem}.{int(number) + 1}"


def renumbered(name: str, old: str, new: str) -> str:
    """Return a name with the numbers of another one, of which it has had those of the name before.

    It may have more in front than these, or less: a number is looked for as far from the end as it is there, else
    behind the same word, else it is the last of these.

    >>> renumbered("h.1.attn.weight", "transformer.h.1.attn.weight", "transformer.h.4.attn.weight")
    'h.4.attn.weight'

    Raises:
        GrowthError: It has no such number, or the other names differ in more than numbers.
    """
    parts, before, after = name.split("."), old.split("."), new.split(".")
    found = list(parts)
    if len(before) != len(after):
        raise GrowthError(f"{old!r} does not become {new!r} by another number")
    for place, (one, other) in enumerate(zip(before, after, strict=True)):
        if one == other:
            continue
        same = [at for at, part in enumerate(parts) if part == one]
        if not same:
            raise GrowthError(f"{name!r} has no number {one}, which {old!r} has, so what it becomes is not known")
        back, word = len(before) - place, before[:place][-1:]
        ranks = {at: (len(parts) - at == back, parts[:at][-1:] == word, at) for at in same}
        found[max(same, key=ranks.__getitem__)] = other
    return ".".join(found)


def numbers(name: str, other: str) -> tuple[str, str]:
    """Return what two names, which differ in numbers, begin with up to the first of these, with the dot behind it.

    >>> numbers("h.1.attn.weight", "h.4.attn.weight")
    ('h.1.', 'h.4.')
    """
    pair = name.split("."), other.split(".")
    end = 1 + next(at for at, parts in enumerate(zip(*pair, strict=True)) if len(set(parts)) > 1)
    first, second = (".".join([*parts[:end], ""]) for parts in pair)
    return first, second
