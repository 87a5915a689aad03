"""A small Human Protein Atlas on this machine: tables, XML and pictures in the layout of proteinatlas.org."""

import gzip
import io
import threading
import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import imagecodecs
import numpy as np

TABLE = (
    "Gene\tGene name\tReliability\tEnhanced\tSupported\tApproved\tUncertain\tGO id\n"
    "ENSG00000134057\tCCNB1\tEnhanced\tCytosol;Vesicles\t\t\tNucleoli rim\t\n"
    "ENSG00000000003\tTSPAN6\tApproved\t\t\tNucleoplasm\t\t\n"
    "ENSG00000000457\tSCYL3\tUncertain\t\t\t\tRods & Rings\t\n"
)
GENES = (
    "Gene\tEnsembl\tAntibody\n"
    "CCNB1\tENSG00000134057\tCAB000115, HPA030741\n"
    "TSPAN6\tENSG00000000003\tHPA004109\n"
    "SCYL3\tENSG00000000457\tHPA004109\n"
)


def image(url: str, red: str = "microtubules") -> str:
    channels = f'<channel color="blue">nucleus</channel><channel color="red">{red}</channel>'
    return f'<image>{channels}<channel color="green">antibody</channel><imageUrl>{url}</imageUrl></image>'


def entry(
    gene: str, antibody: str, cells: dict[str, list[str]], kind: str = "human", red: str = "microtubules"
) -> str:
    data = "".join(
        f"<data><cellLine>{line}</cellLine>"
        f"<assayImage>{''.join(image(url, red) for url in urls)}</assayImage></data>"
        for line, urls in cells.items()
    )
    tissue = "<tissueExpression><data><assayImage><image><imageUrl>http://images.proteinatlas.org/1/2_A_1_8.jpg</imageUrl></image></assayImage></data></tissueExpression>"
    cell = f'<cellExpression technology="ICC/IF"><subAssay type="{kind}">{data}</subAssay></cellExpression>'
    return (
        f'<entry><name>x</name><identifier db="Ensembl" id="{gene}"/>'
        f'<antibody id="{antibody}">{tissue}{cell}</antibody></entry>'
    )


def document(*entries: str) -> bytes:
    return f'<?xml version="1.0"?><proteinAtlas>{"".join(entries)}</proteinAtlas>'.encode()


HOST = "http://images.proteinatlas.org"
CCNB1 = entry(
    "ENSG00000134057",
    "HPA030741",
    {
        "U-2 OS": [
            f"{HOST}/30741/50_A1_1_blue_red_green.jpg",
            f"{HOST}/30741/50_A1_2_cr5af96f_blue_red_green.jpg",
        ],
        "A-431": [f"{HOST}/30741/51_B12_1_blue_red_green.jpg", f"{HOST}/30741/51_B12_1_selected.jpg"],
    },
)
TSPAN6 = entry("ENSG00000000003", "HPA004109", {"U-2 OS": [f"{HOST}/4109/7_C5_1_blue_red_green.jpg"]})
SCYL3 = entry("ENSG00000000457", "HPA004109", {"U-2 OS": [f"{HOST}/4109/7_C5_1_blue_red_green.jpg"]})


def zipped(name: str, text: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, text)
    return stream.getvalue()


def picture(seed: int, size: int = 160) -> bytes:
    """Return a JPEG of one cell: a soft disc, of a nucleus's size where a pixel has 0.08 µm."""
    rows, columns = np.mgrid[:size, :size] - size / 2
    grey = 200 * np.exp(-(rows**2 + columns**2) / 1500) + np.random.default_rng(seed).integers(
        0, 8, rows.shape
    )
    return imagecodecs.jpeg8_encode(grey.astype(np.uint8), level=90)


class Server:
    """What is served by path, what was asked for, and answers to give first."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {
            "/download/subcellular_location.tsv.zip": zipped("subcellular_location.tsv", TABLE),
            "/download/proteinatlas.tsv.zip": zipped("proteinatlas.tsv", GENES),
            "/download/proteinatlas.xml.gz": gzip.compress(document(CCNB1, TSPAN6, SCYL3)),
            "/ENSG00000134057.xml": document(CCNB1),
            "/ENSG00000000003.xml": document(TSPAN6),
            "/ENSG00000000457.xml": document(SCYL3),
        }
        fields = ("30741/50_A1_1", "30741/50_A1_2_cr5af96f", "30741/51_B12_1", "4109/7_C5_1")
        for field in fields:
            for number, colour in enumerate(("red", "green", "blue", "yellow")):
                self.files[f"/pictures/{field}_{colour}.jpg"] = picture(number)
        self.asked: Counter[str] = Counter()
        self.agents: set[str] = set()
        self.first: dict[str, list[tuple[int, dict[str, str]]]] = {}
        self.cut: set[str] = set()
        self.url = ""


@contextmanager
def serving() -> Iterator[Server]:
    """Serve in a thread."""
    server = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(with_body=True)

        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def _answer(self, *, with_body: bool) -> None:
            server.asked[f"{self.command} {self.path}"] += 1
            server.agents.add(self.headers["User-Agent"])
            if server.first.get(self.path):
                status, headers = server.first[self.path].pop(0)
                content = b""
            else:
                content = server.files.get(self.path, b"")
                status, headers = (200 if self.path in server.files else 404), {}
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if with_body and self.path in server.cut:
                server.cut.remove(self.path)
                self.wfile.write(content[: len(content) // 2])
                self.close_connection = True
            elif with_body:
                self.wfile.write(content)

        def log_message(self, *_words: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        server.url = f"http://127.0.0.1:{listening.server_address[1]}"
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            listening.shutdown()
            thread.join()
