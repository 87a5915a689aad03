"""The HTTP service: the same answers, one clear line for what is wrong, bounds that hold."""

import io
import struct
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile
from fastapi.testclient import TestClient

from models import drift
from models.drift import StreamDrift
from pipeline.core.errors import PipelineError
from pipeline.data.layouts import CHANNELS, COLOURS
from pipeline.serving.admission import token_of
from pipeline.serving.service import Terms, make_app
from pipeline.serving.streams import Stream
from pipeline.stages.serve_options import ServeOptions
from tests.pipeline.serving.conftest import Trained

RAW = "application/octet-stream"
TOKEN = "a-token-of-some-length"  # noqa: S105 - of a test


def client_of(trained: Trained, **terms: object) -> TestClient:
    return TestClient(make_app(trained.predictor, Terms(**terms)), base_url="http://localhost")


@pytest.fixture(scope="module")
def client(trained) -> Iterator[TestClient]:
    with client_of(trained, max_bytes=2**20, queue=8) as one:
        yield one


@pytest.fixture(scope="module")
def name(trained) -> str:
    return min(path.name.rsplit("_", 1)[0] for path in trained.images.glob("*_green.png"))


def files_of(images: Path, name: str, by: str = "file") -> list[tuple[str, tuple[str, bytes]]]:
    """Return the four files of a picture, each in a field of its channel, or all in one."""
    found = []
    for channel in CHANNELS:
        file = f"{name}_{COLOURS[channel]}.png"
        content = (images / file).read_bytes()
        found.append((by, (file, content)) if by else (channel, (f"{channel[0]}.png", content)))
    return found


def locations(answer: dict[str, object]) -> dict[str, float]:
    return {one["name"]: one["probability"] for one in answer["locations"]}


@pytest.fixture(scope="module")
def array(trained, name) -> np.ndarray:
    import imagecodecs

    return np.stack([imagecodecs.png_decode(content) for _, (_, content) in files_of(trained.images, name)])


def test_files_arrays_and_python_give_the_same_bits(client, trained, name, array):
    answer = trained.predictor.predict(array)
    told = {one.name: one.probability for one in answer.locations}
    by_name = client.post("/predict", files=files_of(trained.images, name)).json()
    by_field = client.post("/predict", files=files_of(trained.images, name, by="")).json()
    headers = {"content-type": RAW, "x-shape": ",".join(map(str, array.shape)), "x-dtype": "uint8"}
    raw = client.post("/predict", content=array.tobytes(), headers=headers).json()
    assert [locations(one) for one in (by_name, by_field, raw)] == [told] * 3
    assert by_name["model"] == trained.predictor.info.digest
    assert (by_name["outlines"], by_name["preview"]) == ([], "")


def test_one_ome_tiff_of_four_channels_is_read_by_their_names(client, trained, array):
    stream = io.BytesIO()
    tifffile.imwrite(
        stream,
        array,
        ome=True,
        metadata={"axes": "CYX", "Channel": {"Name": ["tubulin", "GFP", "DAPI", "calnexin"]}},
    )
    said = {"channels": "microtubules=tubulin, protein=GFP, nucleus=DAPI, er=calnexin"}
    files = {"file": ("c:\\..\\..\\x.ome.tif", stream.getvalue())}
    answer = client.post("/predict", files=files, data=said)
    assert answer.status_code == 200, answer.text
    told = {one.name: one.probability for one in trained.predictor.predict(array).locations}
    assert locations(answer.json()) == told


def test_the_page_gets_outlines_and_a_picture(client, trained, name):
    said = {"outlines": "1", "preview": "1", "pixel_size_um": "0.2"}
    answer = client.post("/predict", files=files_of(trained.images, name), data=said).json()
    assert answer["preview"].startswith("data:image/png;base64,")
    assert len(answer["outlines"]) == answer["cells"]
    page = client.get("/")
    assert page.status_code == 200
    assert "https://" not in page.text


def test_the_model_and_the_counts_can_be_asked_for(client, trained):
    assert client.get("/info").json() == trained.predictor.info.model_dump(mode="json")
    assert client.get("/healthz").json() == {"status": "ok", "requests": 0}
    assert 'answers_total{status="' in client.get("/metrics").text
    assert "multipart/form-data" in client.get("/openapi.json").text


def png(width: int, height: int) -> bytes:
    """Return the header of a PNG, with nothing behind it."""
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head))


def test_a_stream_that_drifts_is_told_with_the_answer_and_counted(trained, array, monkeypatch):
    monkeypatch.setattr(drift, "QUIET", 20)

    class Defocused:
        info, layout, answer = trained.predictor.info, trained.predictor.layout, trained.predictor.answer

        def stream(self) -> Stream:
            return Stream(StreamDrift([-1.0] * 60))

    headers = {"content-type": RAW, "x-shape": ",".join(map(str, array.shape))}
    with TestClient(make_app(Defocused()), base_url="http://localhost") as client:
        told = [
            client.post("/predict", content=array.tobytes(), headers=headers).json()["drift"]
            for _ in range(3)
        ]
        assert told[0] == ""
        assert told[-1].startswith("drift: the last 3 pictures together are less like the training")
        assert "drift_evidence 20.0" in client.get("/metrics").text


PLANE = ("protein", ("p.png", b"x"))
BAD_FILES = [
    ([("protein", ("p.png", b""))], 422, "picture_green.png"),
    ([("protein", ("p.png", b"no picture"))], 422, "picture_green.png"),
    ([("protein", ("p.png", png(10, 10)))], 422, "picture_green.png"),
    ([("protein", ("p.png", png(2**31 - 1, 2**31 - 1)))], 422, "pixels"),
    ([("protein", ("p.png", png(0, 5)))], 422, "picture_green.png"),
    ([("protein", ("p.jpg", b"\xff\xd8\xff\xe0" + bytes(40)))], 422, "picture_green.jpg"),
    ([("protein", ("p.tif", b"II*\0" + bytes(40)))], 422, "picture_green.tif"),
    ([("protein", ("p.tif", b"II*\0\xff\xff\xff\xff"))], 422, "picture_green.tif"),
    ([("protein", ("p.tif.gz", b"\x1f\x8b" + bytes(30)))], 422, "picture_green.tif.gz"),
    ([("protein", ("p.czi", b"ZISRAWFILE" + bytes(90)))], 422, "picture_green.czi"),
    ([("protein", ("p.png", b"%PDF-1.7"))], 422, "a PDF document"),
    ([("protein", ("p.png", b"PK\3\4" + bytes(30)))], 422, "a zip archive"),
    ([("protein", ("p.png", b"<html></html>"))], 422, "web page"),
    ([("protein", ("p.svg", b"<svg/>"))], 415, "'p.svg': not a type that is read"),
    ([("protein", ("p.zarr", b"x"))], 415, "not a type that is read"),
    ([("protein", ("p", b"x"))], 415, "not a type that is read"),
    ([("protein", ("..", b"x"))], 415, "not a type that is read"),
    ([("file", ("a.png", b"x")), ("file", ("b.png", b"x"))], 400, "which channel it shows is not said"),
    ([("file", ("a.png", b"x"))], 422, "picture"),
    ([("file", ("a_red.png", b"x"))], 422, "picture"),
    ([PLANE, ("file", ("q_green.tif", b"x"))], 400, "two files of protein"),
    ([PLANE, PLANE], 400, "two files of protein"),
    ([PLANE] * 5, 400, "not a form of files"),
    ([("nucleus", ("n.png", b"x"))], 422, "picture"),
]


def tiff(height: int, width: int, **how: object) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, np.zeros((height, width), np.uint8), **how)
    return stream.getvalue()


BAD_FILES += [
    ([("protein", ("p.tif", tiff(20_000, 20_000, compression="zlib")))], 422, "more than 17,000,000"),
    ([("protein", ("p.tif", tiff(64, 64)[:2000]))], 422, "missing or claim too much"),
    ([("protein", ("p.tif", tiff(64, 64))), ("nucleus", ("n.tif", tiff(32, 64)))], 422, "64×32, but green"),
    ([("protein", ("p" * 5000 + ".tif", tiff(8, 8)))], 400, "not a form of files"),
]
BAD_FIELDS = [
    ({"pixel_size_um": "wide"}, 400, "pixel size 'wide'"),
    ({"pixel_size_um": "-1"}, 400, "pixel size '-1'"),
    ({"pixel_size_um": "nan"}, 400, "pixel size 'nan'"),
    ({"channels": "GFP"}, 400, "write what files call them"),
    ({"channels": "dye=GFP"}, 422, "'dye' is none of"),
    ({"channels": "protein=1,nucleus=1"}, 422, "give each a channel of its own"),
    ({"projection": "best"}, 422, "projection"),
    ({str(number): "1" for number in range(9)}, 400, "not a form of files"),
]
BAD_ARRAYS = [
    ({}, b"", 400, "X-Shape ''"),
    ({"x-shape": "4,4"}, b"", 400, "X-Shape '4,4'"),
    ({"x-shape": "-1,4,4"}, b"", 400, "X-Shape"),
    ({"x-shape": "4,999999,999999"}, b"", 400, "0 bytes for 4,999999,999999"),
    ({"x-shape": "4,40,40"}, bytes(10), 400, "which take 6,400"),
    ({"x-shape": "4,40,40", "x-dtype": "object"}, bytes(6400), 400, "X-Dtype 'object'"),
    ({"x-shape": "4,40,40"}, bytes(6400), 422, "all channels flat"),
    ({"x-shape": "2,40,40"}, bytes(3200), 422, "for 4 channels"),
    ({"x-shape": "1,40,40", "x-channels": "dye"}, bytes(1600), 422, "unknown channel 'dye'"),
    ({"x-shape": "1,40,40", "x-channels": "nucleus"}, bytes(1600), 422, "no plane of protein"),
    ({"x-shape": "1,2,2", "x-channels": "protein", "x-dtype": "float32"}, b"\xff" * 16, 422, "no numbers"),
    ({"x-shape": "1,1,1", "x-channels": "protein"}, b"\1", 422, "all channels flat"),
    (
        {"x-shape": "1,1,2", "x-channels": "protein", "x-pixel-size-um": "1e300"},
        b"\1\2",
        422,
        "no light microscope has",
    ),
]


def is_refused(answer: object, status: int, reason: str) -> bool:
    told = answer.json()["detail"]
    assert (answer.status_code, told.count("\n")) == (status, 0), answer.text
    assert reason in told
    assert "/tmp" not in told  # noqa: S108 - where nothing of ours is to be told
    return True


@pytest.mark.parametrize(("files", "status", "reason"), BAD_FILES)
def test_bad_files_are_refused_in_one_line(client, files, status, reason):
    assert is_refused(client.post("/predict", files=files), status, reason)


@pytest.mark.parametrize(("fields", "status", "reason"), BAD_FIELDS)
def test_bad_fields_are_refused_in_one_line(client, fields, status, reason):
    assert is_refused(client.post("/predict", files=[PLANE], data=fields), status, reason)


@pytest.mark.parametrize(("headers", "content", "status", "reason"), BAD_ARRAYS)
def test_bad_arrays_are_refused_in_one_line(client, headers, content, status, reason):
    sent = client.post("/predict", content=content, headers={"content-type": RAW, **headers})
    assert is_refused(sent, status, reason)


@pytest.mark.parametrize(
    ("call", "status", "reason"),
    [
        ({"content": b"{}", "headers": {"content-type": "application/json"}}, 415, "content type"),
        ({"content": b"", "headers": {}}, 415, "content type ''"),
        ({"content": b"--x", "headers": {"content-type": "multipart/form-data"}}, 400, "not a form"),
        (
            {"content": b"--x\r\nbroken", "headers": {"content-type": "multipart/form-data; boundary=x"}},
            400,
            "send",
        ),
        ({"data": {"channels": "protein=1"}, "files": {}}, 415, "content type"),
        ({"files": {"protein": ("p.png", bytes(2**20))}}, 413, "more than 1 MB"),
        ({"files": [PLANE], "headers": {"origin": "http://elsewhere.org"}}, 403, "not served under"),
        ({"files": [PLANE], "headers": {"origin": "null"}}, 403, "not served under 'null'"),
        ({"files": [PLANE], "headers": {"host": "elsewhere.org"}}, 403, "not served under"),
    ],
)
def test_bad_requests_are_refused_in_one_line(client, call, status, reason):
    assert is_refused(client.post("/predict", **call), status, reason)


def test_other_paths_and_methods_are_told(client):
    assert is_refused(client.get("/../etc/passwd"), 404, "Not Found")
    assert is_refused(client.get("/predict"), 405, "Method Not Allowed")


def test_a_body_without_a_length_is_bounded_too(client):
    def endless() -> Iterator[bytes]:
        for _ in range(64):
            yield bytes(2**16)

    headers = {"content-type": RAW, "x-shape": "4,512,512"}
    assert is_refused(client.post("/predict", content=endless(), headers=headers), 413, "more than 1 MB")


def test_who_lacks_the_token_is_refused(trained):
    with client_of(trained, token=TOKEN, hosts=()) as client:
        for headers in ({}, {"authorization": f"Bearer {TOKEN}x"}, {"authorization": TOKEN}):
            assert is_refused(client.get("/info", headers=headers), 401, "the token is missing or another")
            assert client.post("/predict", files=[PLANE], headers=headers).status_code == 401
        assert client.get("/info", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200
        assert client.get("/healthz").status_code == 200


class Slow:
    """A predictor that answers when it is let."""

    def __init__(self, trained: Trained) -> None:
        self.info, self.layout = trained.predictor.info, trained.predictor.layout
        self._model, self.let = trained.predictor, threading.Event()
        self.stream = trained.predictor.stream

    def answer(self, *given: object, **more: object) -> object:
        self.let.wait(20)
        return self._model.answer(*given, **more)


def test_a_full_queue_says_when_to_come_back_and_loses_nothing(trained, array):
    slow = Slow(trained)
    headers = {"content-type": RAW, "x-shape": ",".join(map(str, array.shape))}
    codes: list[int] = []
    with TestClient(make_app(slow, Terms(jobs=1, queue=1)), base_url="http://localhost") as client:

        def ask() -> None:
            codes.append(client.post("/predict", content=array.tobytes(), headers=headers).status_code)

        askers = [threading.Thread(target=ask) for _ in range(2)]
        for asker in askers:
            asker.start()
        while client.get("/healthz").json()["requests"] < 2:
            time.sleep(0.01)
        refused = client.post("/predict", content=array.tobytes(), headers=headers)
        assert is_refused(refused, 503, "come back in 2 s")
        assert refused.headers["retry-after"] == "2"
        slow.let.set()
        for asker in askers:
            asker.join()
        assert codes == [200, 200]
        assert client.get("/healthz").json()["requests"] == 0


def test_what_takes_too_long_is_given_up_but_keeps_its_place(trained, array):
    slow = Slow(trained)
    headers = {"content-type": RAW, "x-shape": ",".join(map(str, array.shape))}
    terms = Terms(jobs=1, queue=0, timeout=0.2)
    with TestClient(make_app(slow, terms), base_url="http://localhost") as client:
        sent = client.post("/predict", content=array.tobytes(), headers=headers)
        assert is_refused(sent, 504, "no answer within 0.2 s")
        assert client.post("/predict", content=b"", headers=headers).status_code == 503
        slow.let.set()
        while client.get("/healthz").json()["requests"]:
            time.sleep(0.01)


def test_other_hosts_need_a_token(tmp_path):
    assert token_of(ServeOptions()) == ""
    assert len(token_of(ServeOptions(host="0.0.0.0"))) >= 32  # noqa: S104 - what is tested
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    assert token_of(ServeOptions(token_file=file)) == TOKEN
    file.write_text("short")
    with pytest.raises(PipelineError, match="no token"):
        token_of(ServeOptions(token_file=file))
