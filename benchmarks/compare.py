"""Two results of the same benchmark side by side: what was measured before, what now, and the ratio of the two.

    python benchmarks/compare.py benchmarks/results/speed-2026-11-22.json speed.json [--more 1.1]

It reads every result that is JSON. Entries of lists are matched by their name, and only numbers that are in both files
are shown: those that changed by more than the factor of ``--more``. Different machines or versions are named first.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

NAMES = ("model", "name", "kind", "node", "nodes", "key")
"""The fields that an entry of a list may be named by, the first that it has."""
ABOUT = ("date", "machine", "versions")
"""What a result says about its run."""


def numbers(found: object, place: str = "") -> Iterator[tuple[str, float]]:
    """Yield the numbers of a result, each with the path to it: ``models/vgg19/widen_s``."""
    if isinstance(found, bool):
        return
    if isinstance(found, int | float):
        yield place, found
    elif isinstance(found, dict):
        for key, value in found.items():
            if place or key not in ABOUT:
                yield from numbers(value, f"{place}/{key}".lstrip("/"))
    elif isinstance(found, list):
        for number, value in enumerate(found):
            name = next((value[key] for key in NAMES if key in value), number) if isinstance(value, dict) else number
            yield from numbers(value, f"{place}/{name}".lstrip("/"))


def lines(before: dict[str, object], after: dict[str, object], more: float = 1.1) -> Iterator[str]:
    """Yield what differs between two results, as lines of a table."""
    for key in ABOUT:
        one, other = before.get(key), after.get(key)
        yield f"{key}: {one}" if one == other else f"{key}: {one} -> {other}"
    old, new = dict(numbers(before)), dict(numbers(after))
    shared = [place for place in old if place in new]
    for place in shared:
        one, other = old[place], new[place]
        if one == other or (one > 0 and other > 0 and max(one / other, other / one) <= more):
            continue
        ratio = f"x{other / one:.2f}" if one else ""
        yield f"{place:60s} {one:12,.6g} {other:12,.6g} {ratio:>8s}"
    yield f"{len(shared)} numbers are in both; {len(old.keys() ^ new.keys())} are in one only"


def main() -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--more", type=float, default=1.1, help="show what changed by more than this factor")
    options = parser.parse_args()
    before, after = (json.loads(path.read_text("utf-8")) for path in (options.before, options.after))
    print("\n".join(lines(before, after, options.more)))


if __name__ == "__main__":
    main()
