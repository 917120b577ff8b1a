"""What operators are written in: the names of the Python array API standard, and a few that it lacks.

An operator asks for the names that compute with its input: ``xp = namespace(x)``. Each framework says them in its own
module ``arrays``. They are not those of ``array-api-compat``, whose promotion of types is not ONNX's.
"""

from __future__ import annotations

from typing import Any, TypeAlias

Array: TypeAlias = Any
"""A tensor of PyTorch or an array of JAX: what has ``shape``, ``ndim``, ``dtype`` and Python's operators."""

NAMESPACES: dict[type, Any] = {}
"""The names of each framework, by the type of its arrays. A framework adds itself when it is imported."""


def namespace(x: Array) -> Any:
    """Return the names that compute with an array.

    Raises:
        TypeError: It is of no framework that is imported.
    """
    for kind, names in NAMESPACES.items():
        if isinstance(x, kind):
            return names
    raise TypeError(f"no framework computes with a {type(x).__name__}")
