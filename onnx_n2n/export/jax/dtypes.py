"""Types and arrays between ONNX, numpy and JAX. JAX keeps 32 bits unless ``jax_enable_x64`` is set."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import onnx_ir as ir

from onnx_n2n.errors import ExportError


def kind_of(code: int) -> Any:
    """Return the type of an ONNX type, in the width that JAX has now."""
    return jax.dtypes.canonicalize_dtype(ir.DataType(code).numpy())


def to_jax(array: np.ndarray) -> jax.Array:
    """Return an array on the device."""
    return jnp.asarray(array, jax.dtypes.canonicalize_dtype(array.dtype))


def sent(value: Any) -> jax.Array:
    """Send a value of the host lane to the device."""
    return jnp.asarray(value)


def fetched(value: jax.Array) -> Any:
    """Fetch a value from the device.

    Raises:
        ExportError: The value is not known while JAX traces.
    """
    with known():
        return np.asarray(value).tolist()


@contextmanager
def known() -> Iterator[None]:
    """Say what is wrong where a value would have to be known while JAX traces."""
    try:
        yield
    except (jax.errors.ConcretizationTypeError, jax.errors.TracerArrayConversionError) as failure:
        reason = "a length or a condition depends on data, which is not known while JAX traces"
        raise ExportError(
            reason, hint="Call it outside of jit and grad, or pass that input as a numpy array"
        ) from failure
