"""Fingerprints of code: what a rule or a page runs, through everything in the package that it imports."""

import ast
import hashlib
import json
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]

VALUES = frozenset({"sslig.study", "sslig.values", "sslig.sources", "sslig.strata", "sslig.errors"})
"""Modules that decide nothing by themselves: the Snakefile compares the values of a study one by one."""


def fingerprint(*sources: str | Path) -> str:
    """A hash of modules (by dotted name) and notebooks (by path), with all modules of the package that they import.

    It is a hash of the syntax trees without docstrings: a comment, a sentence or a line break changes nothing.

    Raises
    ------
    FileNotFoundError
        A notebook or a module is missing.
    """
    digest, names = hashlib.sha256(), set()
    for source in sources:
        if isinstance(source, Path):
            tree = _notebook(source)
            digest.update(ast.dump(tree).encode())
            names |= _imports(tree)
        else:
            names.add(source)
    for name in sorted(_closure(names)):
        digest.update(f"{name} {_module(name)[0]}".encode())
    return digest.hexdigest()[:16]


def _closure(names: set[str]) -> set[str]:
    """The modules in `names` and all that they import, directly or not."""
    reached, waiting = set(), set(names)
    while waiting:
        name = waiting.pop()
        reached.add(name)
        waiting |= _module(name)[1] - reached - VALUES
    return reached


@cache
def _module(name: str) -> tuple[str, set[str]]:
    """The syntax tree of a module without docstrings, as text, and what it imports from the package."""
    path = _path(name)
    if path is None:
        raise FileNotFoundError(f"no module {name} in {PACKAGE}")
    tree = _without_docstrings(ast.parse(path.read_text(encoding="utf-8")))
    return ast.dump(tree), _imports(tree)


def _path(name: str) -> Path | None:
    base = PACKAGE.parent.joinpath(*name.split("."))
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None)


def _notebook(path: Path) -> ast.Module:
    code, prose = [], []
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        (code if cell["cell_type"] == "code" else prose).append("".join(cell["source"]))
    tree = ast.parse("\n".join(code))
    return ast.Module([*tree.body, *(ast.Expr(ast.Constant(text)) for text in prose)], [])


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(getattr(node, "body", None), list):  # a lambda has an expression
            node.body = [part for part in node.body if not _is_text(part)]
    return tree


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _imports(tree: ast.Module) -> set[str]:
    """Modules of the package that are imported anywhere in a tree, inside functions too."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in names if name.split(".")[0] == PACKAGE.name and _path(name) and name != PACKAGE.name}
