"""What ``export`` prints: how many tensors became what, and why some are not trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

from onnx_n2n.cli.reports import idle_warning
from onnx_n2n.cli.words import count

if TYPE_CHECKING:
    from onnx_n2n.export.folder import Exported

SHOWN, ROWS = 5, 12  # names and reasons; --json has all
KINDS = {"trained": "trained", "state": "kept, but not trained", "constant": "constant"}


def print_exported(console: Console, found: Exported) -> None:
    """Print what an export is made of, and how far it agrees with ONNX Runtime."""
    named = ", ".join(f"{number} by {source}" for source, number in found.tensors.items())
    console.print(f"{count(sum(found.tensors.values()), 'tensor')} (named {named}), {found.parameters} trained numbers")
    _print_untrained(console, found)
    if found.agreement is not None:
        console.print(
            f"Agrees with ONNX Runtime: error {found.agreement.error:.1e} of the movement of "
            f"{found.agreement.worst!r}, acceptable {found.agreement.tolerance:.1e}; {found.agreement.inputs}"
        )
        if found.agreement.vacuous:
            console.print(idle_warning(found.agreement.vacuous))
    console.print(f"Written to {found.folder}", soft_wrap=True)


def _print_untrained(console: Console, found: Exported) -> None:
    """Print what is not trained, by its reason, and over what looks have decided."""
    kept: dict[str, list[str]] = {}
    for name, why in found.state.items():
        kept.setdefault(f"kept beside them: {why}", []).append(name)
    for account in found.constants:
        kept.setdefault(f"constant: {account.because}", []).append(account.name)
    for why, names in list(kept.items())[:ROWS]:
        console.print(f"  {why}: {listed(names)}", soft_wrap=True, markup=False)
    if len(kept) > ROWS:
        console.print(f"  and {count(len(kept) - ROWS, 'more reason')}, which --json lists")
    guesses: dict[str, list[str]] = {}
    for account in found.guesses:
        guesses.setdefault(account.kind, []).extend(account.tensors or (account.name,))
    for kind, names in guesses.items():
        said = f"Guessed to be {KINDS[kind]}: {listed(names)}; --freeze and --train decide."
        console.print(said, soft_wrap=True, markup=False)


def listed(names: list[str]) -> str:
    """Return the first names, and how many more there are."""
    more = len(names) - SHOWN
    return ", ".join(map(repr, names[:SHOWN])) + (f" and {more} more, which --json lists" if more > 0 else "")
