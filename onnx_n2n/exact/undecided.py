"""What the check cannot decide, and where it met it."""

from __future__ import annotations


class Undecided(Exception):  # noqa: N818
    """Neither "equal" nor "different" can be said.

    Args:
        reason: Why not, as a sentence without its full stop.
        node: Name of the node at which the check stopped, or of its first output.
        operator: That node's operator.
    """

    def __init__(self, reason: str, node: str = "", operator: str = "") -> None:
        super().__init__(reason)
        self.reason, self.node, self.operator = reason, node, operator

    def at(self, node: str, operator: str) -> Undecided:
        """Return the same with a place, unless it has one."""
        return self if self.operator else Undecided(self.reason, node, operator)


class Emptied(Undecided):
    """Nothing is left of something at the lengths that are run, and something may be at others."""
