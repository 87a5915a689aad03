"""Machine code on disk is that of the sources."""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
INNER = "from features.jit import kernel\n\n@kernel\ndef inner(x):\n    return x + {}\n"
OUTER = (
    "from features.jit import kernel\nfrom features.kernels.inner import inner\n\n"
    "@kernel\ndef outer(x):\n    return inner(x)\n"
)
ASK = "from features.kernels.outer import outer; print(outer(1), sum(outer.stats.cache_hits.values()))"


def ask(folder: Path) -> list[str]:
    command = [sys.executable, "-c", ASK]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.split()


def test_a_loop_is_compiled_again_when_one_that_it_calls_in_another_file_changes(tmp_path: Path) -> None:
    kernels = tmp_path / "features" / "kernels"
    kernels.mkdir(parents=True)
    for package in (kernels, kernels.parent):
        (package / "__init__.py").touch()
    shutil.copy(ROOT / "features" / "jit.py", tmp_path / "features")
    (kernels / "inner.py").write_text(INNER.format(1))
    (kernels / "outer.py").write_text(OUTER)
    assert ask(tmp_path) == ["2", "0"]
    assert ask(tmp_path) == ["2", "1"]
    (kernels / "inner.py").write_text(INNER.format(10))
    assert ask(tmp_path) == ["11", "0"]
