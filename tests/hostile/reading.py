"""Read files one after the other in a process of its own; print how each ended, with time and memory.

Usage: python reading.py FOLDER; the files are FOLDER/<kind>_green.png, or tables FOLDER/<kind>.<type>.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def read_picture_file(path: Path) -> str:
    from pipeline.core.errors import SampleError
    from pipeline.data.pictures import read_picture
    from pipeline.data.samples import Sample
    from pipeline.formats.sources import Source

    try:
        read_picture(Sample("a", (Source((path,)),) * 4))
    except SampleError as error:
        return str(error)
    return ""


def read_user_table(path: Path) -> str:
    from pipeline.core.errors import PipelineError
    from pipeline.data.samples import find_samples
    from pipeline.data.tables import read_embedding

    try:
        if path.stem.startswith("samples"):
            find_samples(path.parent, path)
        else:
            read_embedding(path)
    except PipelineError as error:
        return str(error)
    return ""


def measured(read: Callable[[Path], str], path: Path) -> dict[str, object]:
    start = time.process_time()
    try:
        message = read(path)
    except BaseException as error:  # noqa: BLE001 - what is no error of one line is told to the test
        message = f"!!! {type(error).__name__}: {error}"
    seconds = time.process_time() - start
    status = Path("/proc/self/status").read_text()  # ru_maxrss would hold the peak of whoever started us
    peak = int(status.partition("VmHWM:")[2].split()[0]) / 1e3
    return {"file": path.name, "seconds": seconds, "megabytes": peak, "message": message}


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    for one in sorted(Path(sys.argv[1]).iterdir()):
        reader = read_picture_file if one.name.endswith("_green.png") else read_user_table
        print(json.dumps(measured(reader, one)), flush=True)
