"""Fixtures shared by all tests."""

from pathlib import Path

import pytest

REAL = Path(__file__).resolve().parents[2] / "shared" / "real"


@pytest.fixture(scope="session")
def real() -> Path:
    """Folder of real pictures and labels, beside the project; tests that need it skip without it."""
    if not REAL.is_dir():
        pytest.skip(f"no real data at {REAL}")
    return REAL
