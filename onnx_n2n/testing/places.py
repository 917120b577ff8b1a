"""Where golden files are: in one folder, under names that every file system takes, and never outside of it."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from onnx_n2n.errors import OptionError

BESIDE = "golden"  # the folder beside a test module
LONGEST = 100  # characters of a name before its ending
RESERVED = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$)", re.IGNORECASE)  # what Windows takes for devices


def folders(module: Path, root: Path, stated: str) -> tuple[Path, tuple[str, ...]]:
    """The golden folder of a test module, and the folders in it that are the module's.

    Args:
        module: The file of the tests.
        root: The root of pytest.
        stated: The one golden folder, where an ini file says so; else empty.
    """
    if not stated:
        return module.parent / BESIDE, (portable(module.stem),)
    try:
        parts = module.with_suffix("").relative_to(root).parts
    except ValueError:  # a module that is elsewhere
        parts = module.with_suffix("").parts[1:]
    return root / stated, tuple(map(portable, parts))


def stem(test: str, name: str | None) -> str:
    """The file name, without its ending, of one check in a test.

    Raises:
        OptionError: The name is empty, or no text.
    """
    if name is None:
        return portable(test)
    if not isinstance(name, str):
        raise OptionError(f"the name of a golden model is a text, not {type(name)}", hint=f"write {str(name)!r}")
    if not name.strip():
        raise OptionError("the name of a golden model is empty", hint="give it another one, or none")
    return f"{portable(test)}.{portable(name)}"


def dotted(test: str) -> str:
    """A test in its module, with dots for what is around it; what parameters are called stays as it is.

    >>> dotted("TestIt::test_that[a::b]")
    'TestIt.test_that[a::b]'
    """
    name, bracket, parameters = test.partition("[")
    return f"{name.replace('::', '.')}{bracket}{parameters}"


def portable(text: str) -> str:
    """A text as part of a path: what had to be changed is told apart by a digest.

    >>> portable("test_it[resnet]"), portable("../x")
    ('test_it[resnet]', '-.-x-3dd3f07f')
    """
    found = re.sub(r"[^\w.\[\]-]|(?<=\.)\.|^\.|\.$", "-", text, flags=re.ASCII)
    if RESERVED.match(found):
        found = f"_{found}"
    if found == text and len(found) <= LONGEST:
        return found
    digest = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:8]
    return f"{found[: LONGEST - 1 - len(digest)]}-{digest}"


def inside(golden: Path, parts: tuple[str, ...]) -> Path:
    """The folder of a module in the golden folder.

    Raises:
        OptionError: A link, or something that is no folder, is on the way.
    """
    place = golden
    for part in ("", *parts):
        place = place / part
        if place.is_symlink():
            hint = "golden files are not written through links; name the folder itself in `onnx_golden_dir`"
            raise OptionError(f"{shown(place)!r} is a link to {str(place.readlink())!r}", hint=hint)
        if os.path.lexists(place) and not place.is_dir():
            raise OptionError(f"{shown(place)!r} is no folder, and golden files would be in it", hint="move it away")
    return place


def shown(place: Path) -> str:
    """A path as people type it."""
    near = os.path.relpath(place)
    return near if not near.startswith("..") else str(place)
