"""What a number was before it was rounded: a formula over the tensors and settings of the models, and whole numbers.

Most of what growth writes is exact. Some of it no type can hold: the mean of three rows, a gain times the root of
32/48. The record names it by its form, which whoever checks a student evaluates as exactly as he likes. A form is a
dictionary with one key, as JSON takes it:

=================================  ===============================================================================
``{"number": [32, 48]}``           32/48
``{"tensor": "w"}``                a tensor of the model before the step
``{"student": "w"}``               a tensor of the model after the step, as it is stored
``{"setting": "norm.epsilon"}``    an attribute of a node of the model before the step; what the operator's definition
                                   says where it is not written
``{"array": "3"}``                 an array of the record, each number as it stands
``{"times": [...]}``               the product of forms; shapes broadcast
``{"plus": [...]}``                their sum
``{"power": [form, [1, 2]]}``      a form to the power of 1/2
``{"shaped": [form, [-1, 1]]}``    the same numbers in another shape
=================================  ===============================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

Form = Mapping[str, Any]


def number(over: int, under: int = 1) -> Form:
    """Return a fraction."""
    return {"number": [over, under]}


def tensor(name: str) -> Form:
    """Return a tensor of the model before the step."""
    return {"tensor": name}


def student(name: str) -> Form:
    """Return a tensor of the model after the step."""
    return {"student": name}


def setting(name: str) -> Form:
    """Return an attribute of a node of the model before the step, by its name among the settings."""
    return {"setting": name}


def exactly(array: np.ndarray) -> Form:
    """Return an array, each number of which is what it says; it gets a name when the record is written."""
    return {"array": array}


def times(*parts: Form) -> Form:
    """Return a product."""
    return parts[0] if len(parts) == 1 else {"times": list(parts)}


def plus(*parts: Form) -> Form:
    """Return a sum."""
    return {"plus": list(parts)}


def power(base: Form, over: int, under: int = 1) -> Form:
    """Return a form to the power of a fraction."""
    return {"power": [base, [over, under]]}


def root(base: Form) -> Form:
    """Return a square root."""
    return power(base, 1, 2)


def shaped(base: Form, *lengths: int) -> Form:
    """Return the same numbers in another shape; one length may be -1."""
    return {"shaped": [base, list(lengths)]}


def to_power(base: Form, exponent: float) -> Form:
    """Return a form to the power of a number that a float holds exactly."""
    return power(base, *Fraction(exponent).as_integer_ratio())


@dataclass(frozen=True, eq=False)
class Forms:
    """What is rounded in a step, apart from the weights that grew.

    Attributes:
        tensors: The forms of new tensors, by name.
        settings: The forms of attributes, by the name that they have among the settings.
    """

    tensors: dict[str, Form] = field(default_factory=dict)
    settings: dict[str, Form] = field(default_factory=dict)


def mapped(form: Form, change: Callable[[Any], Any]) -> Form:
    """Return a form in which all arrays are something else, as their names are in a document."""
    ((kind, inside),) = form.items()
    if kind == "array":
        return {kind: change(inside)}
    if kind in {"times", "plus"}:
        return {kind: [mapped(part, change) for part in inside]}
    return {kind: [mapped(inside[0], change), inside[1]]} if kind in {"power", "shaped"} else form
