"""x."""
from __future__ import annotations
import numpy as np
from typing import Any
def parts(value: Any):
    if isinstance(value, np.ndarray): return [value]
    if isinstance(value, dict): return [np.array(list(value)), np.array(list(value.values()))]
    if isinstance(value, (list, tuple)): return [p for v in value for p in parts(v)]
    return [] if value is None else [np.asarray(value)]
def real(a): return a.dtype.kind in 'fV'
def finite(values: list[Any]) -> float:
    a=[np.isfinite(p.astype(np.float64)).mean() if p.size else 1.0 for v in values for p in parts(v) if real(p)]
    return float(np.mean(a)) if a else 1.0
def moves(values) -> bool:
    ps=[parts(v) for v in values]
    if any(len(p)!=len(ps[0]) or any(x.shape!=y.shape for x,y in zip(p,ps[0])) for p in ps): return True
    for p in ps[1:]:
        for x,y in zip(ps[0],p):
            if real(x):
                x=x.astype(float); y=y.astype(float)
                if not np.isfinite(x).all() or not np.isfinite(y).all(): return False
                if x.size and np.abs(x-y).max()>1e-5*np.abs(x).max(): return True
            elif (x!=y).any(): return True
    return False
