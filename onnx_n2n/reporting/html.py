"""A page as HTML: one file that loads nothing, in which all that a model says is data and never markup."""

from __future__ import annotations

import json
from importlib.resources import files

from onnx_n2n.io.jsonable import finite
from onnx_n2n.reporting.page import Page

PARTS = {"/*css*/": "page.css", "/*js*/": "page.js"}


def render(page: Page) -> str:
    """Return a page as HTML.

    The document stands in a script of a type that no browser runs, with no ``<`` in it, so nothing in it can end that
    script or begin another. The page's own script puts texts into elements as text.
    """
    folder = files("onnx_n2n.reporting") / "assets"
    found = (folder / "page.html").read_text("utf-8")
    for mark, name in PARTS.items():
        found = found.replace(mark, (folder / name).read_text("utf-8"))
    return found.replace("/*data*/", embedded(page), 1)  # last: whatever it says stays as it is


def embedded(page: Page) -> str:
    """Return the document of a page as JSON without a character that HTML, or a script, might read otherwise."""
    text = json.dumps(finite(page.fields), ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text
