"""The table of all operators: ``python -m onnx_n2n.rules.table > docs/operators.md``."""

from __future__ import annotations

import inspect
import itertools
import sys
from collections.abc import Iterator
from typing import Any

import onnx.defs

from onnx_n2n.rules.declaration import Declaration
from onnx_n2n.rules.registry import Rule, known, range_said, rule_for, shape_rule_for

OPSET = 28  # the newest opset of the default domain that the table speaks of

HEAD = f"""\
# Operators

Made by `python -m onnx_n2n.rules.table > docs/operators.md` from the rules; do not edit.

A pattern says which axes of inputs and outputs are the same; `onnx_n2n/rules/notation.py` explains the notation. Where
attributes decide, the rule is a function, and a sentence describes it. *Limits* are what letters cannot say. *Lengths*
marks operators that may compute with shapes. *Range* is what bounds the results, and so where channels may be fresh
([what-grows.md](what-grows.md#fresh-channels-and-copies)); behind an operator without one they are copies. A rule holds
from its version on, until the next. The default domain is that of opset {OPSET}.
"""

WITHOUT = {
    True: "## Without a rule, analysed as the function that ONNX defines them by",
    False: "## Without a rule: whatever meets one of these is pinned, and says so",
}


def table() -> str:
    """Return the table in Markdown: one row for each domain, operator and version with a rule, then those without."""
    lines = [HEAD]
    for domain, rows in itertools.groupby(known(), key=lambda row: row[0]):
        lines += [f"## {domain or 'Default domain'}", ""]
        lines += ["| operator | since | rule | limits | lengths | range |", "|---|---|---|---|---|---|"]
        lines += [_row(*row) for row in rows]
        lines.append("")
    for defined, text in WITHOUT.items():
        lines += [text, "", ", ".join(f"`{name}`" for name in _unruled(defined=defined)), ""]
    return "\n".join(lines)


def _row(domain: str, operator: str, since: int) -> str:
    rule = rule_for(domain, operator, since)
    assert rule is not None
    says, meaning = (f"`{rule.text}`", rule.meaning) if isinstance(rule, Declaration) else (_sentence(rule), "")
    lengths = "yes" if shape_rule_for(domain, operator) is not None else ""
    cells = (f"`{operator}`", str(since), says, meaning, lengths, range_said(domain, operator))
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _sentence(rule: Rule) -> str:
    """Return the first paragraph of what a function says of itself."""
    paragraph = (inspect.getdoc(rule) or "").split("\n\n")[0]
    return " ".join(paragraph.split()).replace("``", "`")


def _unruled(*, defined: bool) -> Iterator[str]:
    """Yield the operators of the default domain without a rule, those with or those without a function of ONNX."""
    ruled = {operator for domain, operator, _ in known() if not domain}
    functions: dict[str, bool] = {}
    schemas: list[Any] = list(onnx.defs.get_all_schemas_with_history())  # its stubs lack the attributes
    for schema in schemas:
        if not schema.domain and schema.since_version <= OPSET and schema.name not in ruled:
            body = schema.has_function or schema.has_context_dependent_function
            functions[schema.name] = functions.get(schema.name, False) or body
    yield from sorted(name for name, body in functions.items() if body is defined)


if __name__ == "__main__":
    sys.stdout.write(table())
