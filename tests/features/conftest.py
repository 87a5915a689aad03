"""Make the scenes of this folder importable by name, by pytest and by scripts alike."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
