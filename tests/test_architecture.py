"""The house: imports point one way, all is reachable, rooms have a readable size, a name means one thing."""

import ast
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("features", "models", "pipeline")
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
PRODUCT = [*MODULES, ROOT / "run.py"]
SOURCES = [
    *PRODUCT,
    *sorted((ROOT / "tests").rglob("*.py")),
    *sorted((ROOT / "benchmarks").rglob("*.py")),
]
FILES = {"pathlib", "os", "io", "shutil", "tempfile", "tomllib", "pyarrow"}
HEAVY = {"torch", "cellpose", "onnxruntime", "monai"}

ROOMS = {
    "core": set(),
    "formats": {"core"},
    "data": {"core", "formats"},
    "exchange": {"core", "formats", "data"},
    "networks": {"core", "formats", "data"},
    "segmentation": {"core", "formats", "data"},
    "simulation": {"core", "formats", "data"},
    "stages": {"core", "formats", "data", "exchange", "networks", "segmentation", "simulation"},
    "pages": {"core", "formats", "data", "networks", "segmentation", "stages"},
    "serving": {"core", "formats", "data", "networks", "segmentation", "stages"},
    "explorer": {*{"core", "formats", "data", "networks", "segmentation", "stages"}, *{"pages", "serving"}},
    "commands": {
        *{"core", "formats", "data", "exchange", "networks", "segmentation", "simulation", "stages"},
        *{"serving", "pages", "explorer"},
    },
}
"""Packages of `pipeline`, each with those that it may import."""

TWINS = [["pipeline/commands", "pipeline/stages"], ["pipeline/networks", "pipeline/segmentation"]]


def dotted(path: Path) -> str:
    """Return a module's name, a package's for its ``__init__``."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


NAMES = {dotted(path): path for path in PRODUCT}


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imported(nodes: list[ast.AST]) -> set[str]:
    """Return the top-level packages that import statements among the nodes name."""
    names = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


def all_imports(path: Path) -> set[str]:
    return imported(list(ast.walk(ast.parse(path.read_text()))))


def top_imports(path: Path) -> set[str]:
    """Return what is imported when the module itself is."""
    return imported(list(ast.parse(path.read_text()).body))


def own_imports(path: Path) -> set[str]:
    """Return the project's modules that a module imports, at its top or inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name in NAMES}
        elif isinstance(node, ast.ImportFrom) and node.module:
            submodules = {f"{node.module}.{alias.name}" for alias in node.names} & set(NAMES)
            found |= submodules or ({node.module} & set(NAMES))
    return found


ARROWS = {name: own_imports(path) for name, path in NAMES.items()}


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """Yield every function's name and its lines without the docstring."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0]
            text = ast.get_docstring(node, clean=False) is not None
            docstring = (first.end_lineno or 0) - first.lineno + 1 if text else 0
            yield node.name, (node.end_lineno or 0) - node.lineno + 1 - docstring


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_point_one_way(path):
    package = path.relative_to(ROOT).parts[0]
    allowed = {"features": {"features"}, "models": {"models"}, "pipeline": set(PACKAGES)}[package]
    forbidden = {*PACKAGES, "run"} - allowed
    assert not all_imports(path) & forbidden


def test_pipeline_holds_packages_only():
    assert {path.name for path in (ROOT / "pipeline").iterdir() if path.name != "__pycache__"} <= {
        "__init__.py",
        *ROOMS,
    }


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_of_the_pipeline_import_downwards_only(room):
    inside = {name: arrows for name, arrows in ARROWS.items() if name.startswith(f"pipeline.{room}")}
    upwards = {
        f"{name} -> {other}"
        for name, arrows in inside.items()
        for other in arrows
        if other.startswith("pipeline.") and other.split(".")[1] not in {room, *ROOMS[room]}
    }
    assert not upwards


def test_no_modules_import_each_other_in_a_circle():
    """Depth-first search over imports; a parent package's ``__init__`` counts where it is imported from."""
    done: set[str] = set()

    def circle(name: str, path: tuple[str, ...]) -> tuple[str, ...]:
        if name in path:
            return (*path[path.index(name) :], name)
        if name in done:
            return ()
        found = next((c for other in sorted(ARROWS[name]) if (c := circle(other, (*path, name)))), ())
        done.add(name)
        return found

    assert [c for name in sorted(ARROWS) if (c := circle(name, ()))] == []


def test_run_reaches_every_module():
    """What only benchmarks or tests reach is deleted or promoted; families register by lying in a folder."""
    reached, waiting = set(), {"run"}
    while waiting:
        name = waiting.pop()
        reached.add(name)
        parents = {name.rsplit(".", depth)[0] for depth in range(1, name.count(".") + 1)}
        families = {n for n in NAMES if n.startswith("features.families.")} if name == "features" else set()
        waiting |= (ARROWS[name] | parents | families) - reached
    assert sorted(set(NAMES) - reached) == []


def test_no_two_modules_of_one_name_mean_different_things():
    """A command bears the name of the stage it calls; augmentation is one thing for two kinds of networks."""
    homes = defaultdict(set)
    for path in MODULES:
        if path.stem != "__init__":
            homes[path.stem].add(path.parent.relative_to(ROOT).as_posix())
    shared = {
        name: sorted(places)
        for name, places in homes.items()
        if len(places) > 1 and sorted(places) not in TWINS
    }
    assert shared == {}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_features_and_models_know_no_files(path):
    own_job = {
        ROOT / "models" / "bundle.py",
        ROOT / "features" / "jit.py",
    }  # a model's file, machine code on disk
    if path.relative_to(ROOT).parts[0] in {"features", "models"} and path not in own_job:
        assert not all_imports(path) & FILES


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_networks_are_imported_only_where_they_run(path):
    assert not top_imports(path) & HEAVY


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_no_module_is_longer_than_450_lines(path):
    assert len(path.read_text().splitlines()) <= 450


def test_modules_are_few_and_hold_an_idea_each():
    lengths = [len(path.read_text().splitlines()) for path in PRODUCT]
    assert len(lengths) <= 296
    assert 120 <= median(lengths) <= 250
    assert sum(lengths) <= 48_300


def test_functions_are_short():
    lengths = {(name_of(path), name): lines for path in PRODUCT for name, lines in functions(path)}
    assert {place: lines for place, lines in lengths.items() if lines > 50} == {}
    assert sum(lines <= 20 for lines in lengths.values()) / len(lengths) >= 0.88


def test_help_does_not_wait_for_heavy_libraries():
    heavy = ["torch", "cellpose", "numba", "lightgbm", "xgboost", "sklearn", "skimage", "optuna", "pandas"]
    code = f"import sys, run; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
