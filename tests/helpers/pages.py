"""The pages that people read, taken apart: fenced blocks of code and commands, and what each page asks for.

A fence says its language, and may go on with ``not run: REASON``. A comment ``<!-- begin: needs torch onnxscript -->``
begins a new part of the page, with a folder and names of its own; without one a page is one part.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").glob("*.md"))]
RUN = ("python", "sh", "console")
DATA = ("text", "json", "toml")
"""What a block may be: code and commands, or data that is read; text is neither."""

BEGIN = re.compile(r"<!-- begin(?:: needs ([\w ]+?))? -->")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, why it is not run, if it is not, its text, and the number of its first line."""

    language: str
    reason: str
    text: str
    line: int


@dataclass(frozen=True)
class Part:
    """Blocks that run one after the other, and the modules they need."""

    page: Path
    number: int
    needs: tuple[str, ...]
    blocks: tuple[Block, ...]

    @property
    def name(self) -> str:
        """What a test is called."""
        return f"{self.page.relative_to(ROOT)}-{self.number}"


def parts(page: Path) -> Iterator[Part]:
    """Yield the parts of a page.

    Raises:
        ValueError: A fence is not closed.
    """
    needs: tuple[str, ...] = ()
    blocks: list[Block] = []
    number, inside, fence = 0, [""], ""
    start = 0
    for place, line in enumerate(page.read_text("utf-8").splitlines(), 1):
        if fence and line.strip() == "```":
            language, _, reason = fence.strip().removeprefix("```").partition(" not run: ")
            blocks.append(Block(language, reason, "\n".join(inside) + "\n", start))
            fence = ""
        elif fence:
            inside.append(line)
        elif line.startswith("```"):
            fence, inside, start = line, [], place + 1
        elif begin := BEGIN.fullmatch(line):
            if blocks:
                yield Part(page, number, needs, tuple(blocks))
                number += 1
            needs, blocks = tuple((begin[1] or "").split()), []
    if fence:
        raise ValueError(f"{page}:{start}: this block is not closed")
    if blocks:
        yield Part(page, number, needs, tuple(blocks))
