"""What is known of a student's numbers before they were rounded to the types that they are stored in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any


@dataclass(frozen=True)
class Exact:
    """Numbers before they were rounded, entered in the world of a run.

    Args:
        constants: What constants were, by name.
        settings: What attributes were, as ``node.attribute``.
        scales: By the name of a node that takes a root, or of its first output: by what its argument was multiplied.
            This is a hint: the root of a product is the product of the roots, whatever the number is.
    """

    constants: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    scales: Mapping[str, Fraction] = field(default_factory=dict)
