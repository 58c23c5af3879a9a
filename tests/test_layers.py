"""The shape of the package: imports go down the stairs, nothing imports torchaudio, modules and functions are short."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "sslig"

STAIRS = [
    "errors",
    "labels",
    "frames",
    "files",
    "processes",
    "specs",
    "audio",
    "values",
    "sources",
    "strata",
    "study",
    "corpora",
    "data",
    "models",
    "stats",
    "scores",
    "scoring",
    "training",
    "attribution",
    "cues",
    "validation",
    "annotation",
    "pipeline",
    "plots",
    "widgets",
    "cli",
    "__main__",
]
"""Lowest first: a module or folder of modules imports only from what stands before it."""

FORBIDDEN = {"torchaudio", "torchcodec"}
MODULE_LINES = 500
BODY_LINES = 60


def modules(package: Path) -> dict[str, ast.Module]:
    """The syntax tree of each module by dotted name; a folder goes by its own name."""
    trees = {}
    for path in sorted(package.rglob("*.py")):
        name = ".".join(path.relative_to(package.parent).with_suffix("").parts).removesuffix(".__init__")
        trees[name] = ast.parse(path.read_text(encoding="utf-8"))
    return trees


def imported(name: str, tree: ast.Module, known: set[str], is_folder: bool) -> set[str]:
    """Names that a module imports, anywhere in it: modules of the package by dotted name, others by their first."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = name.split(".")[: len(name.split(".")) - node.level + is_folder] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            # `from a import b` may name a module b of folder a, or something in a.
            names |= {f"{source}.{alias.name}" if f"{source}.{alias.name}" in known else source for alias in node.names}
    root = name.split(".")[0]
    return {target if target.split(".")[0] == root else target.split(".")[0] for target in names}


def graph(package: Path) -> dict[str, set[str]]:
    """What each module imports."""
    trees = modules(package)
    folders = {name for name in trees if any(other.startswith(f"{name}.") for other in trees)}
    return {name: imported(name, tree, set(trees), name in folders) for name, tree in trees.items()}


def violations(package: Path, stairs: list[str]) -> list[str]:
    """Imports that climb, modules that stand on no stair, forbidden imports and import cycles, as sentences."""
    imports, faults = graph(package), []
    root = package.name
    for name, targets in imports.items():
        faults += [f"{name} imports {target}, which is forbidden" for target in sorted(targets & FORBIDDEN)]
        if name == root:
            faults += [f"{name} imports {target}: it only names things" for target in targets if target in imports]
            continue
        step = name.split(".")[1]
        if step not in stairs:
            faults.append(f"{name} stands on no stair")
            continue
        for target in sorted(targets):
            above = target.split(".")[1] if target.startswith(f"{root}.") else step
            if above in stairs and stairs.index(above) > stairs.index(step):
                faults.append(f"{name} imports {target}, which stands above it")
    try:
        TopologicalSorter({name: targets - {name} for name, targets in imports.items()}).prepare()
    except CycleError as error:
        faults.append(f"import cycle: {' <- '.join(error.args[1])}")
    return faults


def oversized(package: Path) -> list[str]:
    """Modules without a docstring or that are too long, and functions with too long a body, as sentences."""
    faults = []
    for name, tree in modules(package).items():
        if not ast.get_docstring(tree):
            faults.append(f"{name} has no docstring")
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                lines = body[-1].end_lineno - body[0].lineno + 1 if body else 0
                faults += [f"{name}.{node.name} has {lines} lines"] if lines > BODY_LINES else []
    for path in sorted(package.rglob("*.py")):
        lines = len(path.read_text(encoding="utf-8").splitlines())
        faults += [f"{path.relative_to(package)} has {lines} lines"] if lines > MODULE_LINES else []
    return faults


def test_imports_go_down_the_stairs():
    assert violations(PACKAGE, STAIRS) == []


def test_modules_are_described_and_short():
    assert oversized(PACKAGE) == []


@pytest.fixture
def fake(tmp_path):
    """Writes a package ``house`` of the given files; its stairs are cellar, floors, attic."""

    def write(**sources):
        for place, source in {"__init__": "", **sources}.items():
            path = tmp_path / "house" / f"{place.replace('__of__', '/')}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f'"""A room."""\n{source}\n')
        return tmp_path / "house"

    return write


HOUSE = ["cellar", "floors", "attic"]


@pytest.mark.parametrize(
    "source",
    [
        "import house.attic",
        "from house import attic",
        "from house.attic import lamp",
        "from .attic import lamp",
        "def late():\n    from house import attic",
    ],
)
def test_an_import_that_climbs_is_found(fake, source):
    house = fake(cellar=source, attic="from house import cellar")
    assert "house.cellar imports house.attic, which stands above it" in violations(house, HOUSE)


def test_other_faults_are_found(fake):
    sources = {f"floors__of__{name}": f"from house.floors import {other}" for name, other in ("ab", "ba")}
    house = fake(shed="", cellar="import torchaudio.functional", __init__="from house import cellar", **sources)
    *faults, cycle = violations(house, HOUSE)
    assert faults == [
        "house imports house.cellar: it only names things",
        "house.cellar imports torchaudio, which is forbidden",
        "house.shed stands on no stair",
    ]
    assert cycle.startswith("import cycle")


def test_long_functions_and_modules_are_found(fake):
    house = fake(cellar="def long():\n" + "    x = 1\n" * 61, attic="x = 1\n" * 500)
    (house / "floors.py").write_text("x = 1\n")
    faults = ["house.cellar.long has 61 lines", "house.floors has no docstring", "attic.py has 502 lines"]
    assert oversized(house) == faults
