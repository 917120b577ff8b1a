"""Probes of all rules, one module per family.

Each has ``CASES``, lists of cases by operator, and perhaps ``PINNED``: operators that have no axes which could grow.
"""

import importlib
import pkgutil

from helpers.probes.case import Case, case, flat, rows

__all__ = ["CASES", "PINNED", "Case", "case", "flat", "rows"]

CASES: dict[str, list[Case]] = {}
PINNED: set[str] = set()
for family in pkgutil.iter_modules(__path__):
    module = importlib.import_module(f"{__name__}.{family.name}")
    PINNED |= getattr(module, "PINNED", set())
    for operator, cases in getattr(module, "CASES", {}).items():
        CASES.setdefault(operator, []).extend(cases)
