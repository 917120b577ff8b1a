"""How Sphinx makes the site: ``sphinx-build -c docs . build/site``.

It reads from the root of the repository, so that links between README.md, docs/ and results lead where they lead there.
"""

from sphinx.application import Sphinx

from onnx_n2n.version import VERSION

project = "onnx-n2n"
author = copyright = "the authors of onnx-n2n"  # noqa: A001 -- the name that Sphinx reads
release = version = VERSION

root_doc = "docs/index"
pages = ("capacity", "exchange", "progressive")
results = ["benchmarks/results/*.md", *(f"benchmarks/results/net2net/*/{page}.md" for page in pages)]
include_patterns = ["*.md", "docs/**", "models/README.md", *results]
exclude_patterns = [".*", "build", "dist", "docs/site"]
html_extra_path = ["site"]  # index.html, which leads to the first page

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_heading_anchors = 4  # as links name them
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
maximum_signature_line_length = 100
napoleon_numpy_docstring = False

html_theme = "furo"
html_title = f"onnx-n2n {VERSION}"


def setup(app: Sphinx) -> None:
    """Have properties read as sentences: napoleon takes what stands before a colon in their first line for a type."""

    def sentence(_app: Sphinx, what: str, _name: str, _object: object, _options: object, lines: list[str]) -> None:
        if what == "property":
            lines.insert(0, "\\ ")  # nothing, in reStructuredText

    app.connect("autodoc-process-docstring", sentence, priority=400)
