"""The namespace that operators are written in: names of the Python array API standard, and a few that it lacks.

An operator finds it by its input: ``xp = namespace(x)``. Each framework defines the names in its own module ``arrays``.
This is not ``array-api-compat``, because that does not promote types as ONNX does.
"""

from __future__ import annotations

from typing import Any, TypeAlias

Array: TypeAlias = Any
"""A tensor of PyTorch or an array of JAX: it has ``shape``, ``ndim``, ``dtype`` and Python's operators."""

NAMESPACES: dict[type, Any] = {}
"""The namespace of each framework, by the type of its arrays. A framework adds itself when it is imported."""


def namespace(x: Array) -> Any:
    """Return the namespace that computes with an array.

    Raises:
        TypeError: The array is of no framework that is imported.
    """
    for kind, names in NAMESPACES.items():
        if isinstance(x, kind):
            return names
    raise TypeError(f"no framework computes with a {type(x).__name__}")
