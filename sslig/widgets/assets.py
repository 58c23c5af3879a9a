"""What the browser runs: one ES module out of wavesurfer's shipped files and ours, with nothing left to load."""

import json
import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

LIBRARY = "wavesurfer"
"""The Python package that ships wavesurfer.js and its plugins as they are released."""

SCRIPTS = {
    "WaveSurfer": "js/wavesurfer.min.js",
    "Regions": "js/plugins/regions.min.js",
    "Timeline": "js/plugins/timeline.min.js",
    "Hover": "js/plugins/hover.min.js",
    "Zoom": "js/plugins/zoom.min.js",
}
"""Name in our modules -> file in `LIBRARY`."""

STATIC = Path(__file__).with_name("static")

LICENCE = "wavesurfer.LICENSE.txt"
"""Its licence asks for the notice wherever the files go, and they go into every exported page."""

IMPORT = re.compile(r'^import \{[^}]*\} from "\./([\w-]+)\.js";\n', re.MULTILINE)
EXPORT = re.compile(r"^export (?=(?:async )?(?:function|const|class)\b)", re.MULTILINE)


class AssetError(ValueError):
    """A file for the browser that is not there; the message names it and says what is."""


@cache
def module(entry: str) -> str:
    """The text of ``static/<entry>.js`` with everything it imports before it, as one ES module.

    Our modules are joined in the order of their imports into one scope, so no two may define one name at the top. The
    style sheets of the same names, where there are any, stand in it as the text ``STYLES``.

    Raises
    ------
    AssetError
        A file is missing.
    """
    names = _in_order(entry, [])
    sheets = "".join(_static(f"{name}.css") for name in names if (STATIC / f"{name}.css").is_file())
    library = [_library(name, file) for name, file in SCRIPTS.items()]
    return "\n".join([_notice(), *library, f"const STYLES = {json.dumps(sheets)};", *map(_own, names)])


def _in_order(name: str, above: list[str]) -> list[str]:
    """`name` and what it imports, what is imported first."""
    found = above
    for needed in IMPORT.findall(_static(f"{name}.js")):
        found = found if needed in found else _in_order(needed, found)
    return [*found, name]


def _own(name: str) -> str:
    """A module of ours without its imports and exports, which one scope needs no more; its default export stays."""
    return EXPORT.sub("", IMPORT.sub("", _static(f"{name}.js")))


def _library(name: str, file: str) -> str:
    """A file of the library as a constant of the module.

    It is written for whoever loads it: given a CommonJS ``module`` it leaves the page's globals alone.
    """
    scope = f"{{\n{_shipped(file)}\nreturn module.exports;\n}}"
    return f"const {name} = ((module, exports, define) => {scope})({{exports: {{}}}}, {{}});"


def _shipped(file: str) -> str:
    # Found, not imported: the package loads codecs that the browser files do not need.
    spec = find_spec(LIBRARY)
    path = Path(*(spec.submodule_search_locations if spec else [LIBRARY]), file)
    if not path.is_file():
        raise AssetError(f"{path}: no such file; an installed package {LIBRARY} with {', '.join(SCRIPTS.values())} is "
                         "needed")  # fmt: skip
    return path.read_text(encoding="utf-8")


def _notice() -> str:
    return f"/*!\n{_static(LICENCE).strip()}\n*/"


def _static(name: str) -> str:
    path = STATIC / name
    if not path.is_file():
        raise AssetError(f"{path}: no such file")
    return path.read_text(encoding="utf-8")
