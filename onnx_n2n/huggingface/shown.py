"""What no output of a traced graph shows, as the tower for images of a model that is traced with text: it has to stay.

Neither a run nor the exact check can tell whether such a part computes what it did.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from onnx_n2n.huggingface.network import Network


def unshown(network: Network, shown: Collection[str], sources: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return what a class says of the parts that no output shows: shapes of their tensors, and values of their modules.

    Args:
        network: The class.
        shown: The first names of the tensors that the graph of the old class has.
        sources: For the tensors of a class with other layers, the first names of those that they are made of.
    """
    sources = sources or {}
    old = {network.one.get(name, name): source for name, source in sources.items()}
    firsts = {name: network.one.get(name, name) for name in network.shapes}
    hidden = [name for name, one in firsts.items() if old.get(one, one) not in shown]
    found: dict[str, Any] = {name: network.shapes[name] for name in hidden}
    apart = set(_stems(hidden)) - set(_stems(name for name in network.shapes if name not in set(hidden)))
    for path in apart:
        if path.rpartition(".")[0] not in apart:
            found |= {f"{path}:{name}": value for name, value in network.values(path).items()}
    return found


def _stems(names: Collection[str] | Iterator[str]) -> Iterator[str]:
    """Yield the paths of the modules that names are in."""
    for name in names:
        parts = name.split(".")
        yield from (".".join(parts[:end]) for end in range(1, len(parts)))
