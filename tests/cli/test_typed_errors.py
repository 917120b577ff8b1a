"""Errors are one paragraph, also in the process that gets them from another one."""

from __future__ import annotations

import pickle

import pytest

from onnx_n2n import errors

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.N2NError)]


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_is_the_same_in_another_process(kind: type[errors.N2NError]) -> None:
    error = kind("it is wrong", node="conv", operator="Conv", shapes="3 by 4", hint="mend it")
    again = pickle.loads(pickle.dumps(error))
    assert str(error) == "it is wrong (Conv node 'conv', 3 by 4). Mend it."
    assert (type(again), str(again), vars(again)) == (kind, str(error), vars(error))
