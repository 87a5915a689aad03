"""Write missing golden values, by hand: `PYTHONPATH=. python tests/features/make_golden.py`.

A family whose numbers change gets a new version, and with it a new file; old files are removed by hand.
"""

import json
from pathlib import Path

from scenes import in_one_row, scene

from features import cell_columns, family_versions, measure_field

FOLDER = Path(__file__).parent / "golden"


def golden_path(family: str) -> Path:
    """Name the file of a family's golden values at its present version."""
    return FOLDER / f"{family}@{family_versions()[family]}.json"


def numbers(family: str) -> dict[str, float]:
    """Measure what is compared: the first cell of the usual scene, and its field."""
    given = scene()
    row = given.measured(families=[family]).iloc[0]
    return {
        **{name: float(row[name]) for name in cell_columns([family])},
        **in_one_row(measure_field(given.picture, families=[family])),
    }


def main() -> None:
    """Write what is missing."""
    FOLDER.mkdir(exist_ok=True)
    for family in family_versions():
        path = golden_path(family)
        if not path.exists():
            rounded = {name: float(f"{value:.7g}") for name, value in numbers(family).items()}
            path.write_text(json.dumps(rounded, indent=0) + "\n")


if __name__ == "__main__":
    main()
