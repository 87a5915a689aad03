"""Imports point one way: run.py → pipeline → {features, models}; modules stay small."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("features", "models", "pipeline")
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
SOURCES = [
    *MODULES,
    ROOT / "run.py",
    *sorted((ROOT / "tests").rglob("*.py")),
    *sorted((ROOT / "benchmarks").rglob("*.py")),
]
FILES = {"pathlib", "os", "io", "shutil", "tempfile", "tomllib", "pyarrow"}
NETWORKS = {"torch", "cellpose", "onnxruntime", "monai"}


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


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_point_one_way(path):
    package = path.relative_to(ROOT).parts[0]
    allowed = {"features": {"features"}, "models": {"models"}, "pipeline": set(PACKAGES)}[package]
    forbidden = {*PACKAGES, "run"} - allowed
    assert not all_imports(path) & forbidden


@pytest.mark.parametrize("path", [p for p in MODULES], ids=name_of)
def test_features_and_models_know_no_files(path):
    own_job = {
        ROOT / "models" / "bundle.py",
        ROOT / "features" / "jit.py",
    }  # a model's file, machine code on disk
    if path.relative_to(ROOT).parts[0] in {"features", "models"} and path not in own_job:
        assert not all_imports(path) & FILES


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_networks_are_imported_only_where_they_run(path):
    assert not top_imports(path) & NETWORKS


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_no_module_is_longer_than_300_lines(path):
    assert len(path.read_text().splitlines()) <= 300


def test_help_does_not_wait_for_heavy_libraries():
    heavy = ["torch", "cellpose", "numba", "lightgbm", "xgboost", "sklearn", "skimage", "optuna", "pandas"]
    code = f"import sys, run; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
