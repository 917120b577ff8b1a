"""Probes of all rules, one module per family; each has ``CASES``, lists of cases by operator."""

import importlib
import pkgutil

from probes.case import Case, case, flat, rows

__all__ = ["CASES", "Case", "case", "flat", "rows"]

CASES: dict[str, list[Case]] = {}
for family in pkgutil.iter_modules(__path__):
    for operator, cases in getattr(importlib.import_module(f"{__name__}.{family.name}"), "CASES", {}).items():
        CASES.setdefault(operator, []).extend(cases)
