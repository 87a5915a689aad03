"""The pages over HTTP: what they say, what they refuse, and pictures that are drawn once."""

import html
import re
from dataclasses import replace

import imagecodecs
import numpy as np
import pandas as pd
import pytest
from fastapi.testclient import TestClient

from pipeline.core.stage import SilentProgress
from pipeline.core.workspace import Workspace
from pipeline.data.masks import mask_origins, read_mask
from pipeline.explorer.explorer_app import make_app
from pipeline.explorer.starting import opened
from pipeline.serving.admission import LOOPBACK
from pipeline.stages.explore_options import ExploreOptions

OWN = {"origin": "http://localhost"}


def client_of(explorer, **terms):
    asked = {"hosts": LOOPBACK} | terms
    return TestClient(make_app(explorer, **asked), base_url="http://localhost", follow_redirects=False)


@pytest.fixture
def client(explorer):
    return client_of(explorer)


@pytest.fixture
def drawn(pictures):
    with opened(ExploreOptions(work=pictures / "work"), SilentProgress()) as one:
        yield client_of(one)


def name_of(client):
    return re.search(r'href="/picture/([\w.-]+)', client.get("/").text)[1]


def test_the_gallery_lists_pictures_page_by_page(client):
    first, second = (client.get("/", params={"order": "id", "page": page}).text for page in (1, 2))
    assert "60 pictures" in first
    assert "page 1 of 2" in first
    assert re.findall(r"<p><a href=\"/picture/(p\d+)", first) == [f"p{n:03}" for n in range(48)]
    assert re.findall(r"<p><a href=\"/picture/(p\d+)", second) == [f"p{n:03}" for n in range(48, 60)]


def test_a_picture_says_its_answers_its_label_and_what_comes_next(client, explorer):
    page = client.get("/picture/p007?order=id").text
    assert 'href="/picture/p008?order=id"' in page
    assert 'href="/picture/p006?order=id"' in page
    assert "8 of 60" in page
    assert "antibody 3" in page
    row = explorer.index.position("p007")
    ticked = re.findall(r'name="location" value="([^"]+)" checked', page)
    assert ticked == explorer.index.named(explorer.index.given[row])


def test_reasons_sum_to_the_log_odds_and_say_what_was_not_seen(client, explorer):
    page = html.unescape(client.get("/picture/p007/why?location=Nucleoli").text)
    total = float(re.search(r"sum exactly to (-?\d+\.\d+)", page)[1])
    parts = [float(one) for one in re.findall(r'<td class="n">([+-][\d.]+)</td>', page)]
    assert sum(parts) == pytest.approx(total, abs=0.1)
    k = explorer.index.locations.columns["Nucleoli"]
    out_of_fold = explorer.index.probability[explorer.index.position("p007"), k]
    assert f"models that have not said {out_of_fold:.2f}" in page


def test_labels_are_saved_and_the_next_picture_is_shown(client, explorer):
    done = client.post("/picture/p007/labels?order=id", data={"location": ["Cytosol"]}, headers=OWN)
    assert (done.status_code, done.headers["location"]) == (303, "/picture/p008?order=id")
    assert explorer.corrections.labels.read_text().count("p007,Cytosol\n") == 1
    page = client.get("/picture/p007?order=id").text
    assert "You looked at it" in page
    client.post("/picture/p007/undo", headers=OWN)
    assert "You looked at it" not in client.get("/picture/p007").text


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/picture/nobody", 404, "no picture 'nobody'"),
        ("/picture/..%2F..%2Fetc", 404, ""),
        ("/picture/p001/why?location=Golgi", 422, "no model for unknown location 'Golgi'"),
        ("/?location=Golgi", 422, "unknown location 'Golgi'; known"),
        ("/?least=2", 422, "least '2': Input should be less than or equal to 1"),
        ("/?nonsense=1", 422, "nonsense '1'"),
        ("/?lasso=1,2", 422, "give 3 to 200 corners"),
        ("/image/p001.webp?side=99999&channels=protein&outlines=1", 422, "side '99999': 256 or 1024"),
        ("/image/p001.webp?side=256&channels=protein&outlines=1", 422, "start explore with its folder"),
        ("/map?location=<script>alert(1)</script>", 422, "unknown location '<script>alert(1)</script>'"),
        ("/docs", 404, "Not Found"),
    ],
)
def test_what_cannot_be_shown_is_said_in_one_line(client, path, status, said):
    answer = client.get(path)
    assert answer.status_code == status
    assert said in html.unescape(answer.text)
    assert "<script>alert" not in answer.text


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {},
        {"origin": "http://evil.example", "host": "evil.example"},
    ],
)
def test_pages_of_others_change_nothing(client, explorer, headers):
    done = client.post("/picture/p001/labels", data={"location": ["Cytosol"]}, headers=headers)
    assert done.status_code == 403
    assert len(explorer.corrections) == 0


def test_a_form_that_is_too_large_or_names_another_location_changes_nothing(client, explorer):
    large = client.post("/picture/p001/labels", data={"location": ["x" * 70_000]}, headers=OWN)
    other = client.post("/picture/p001/labels", data={"location": ["../x"]}, headers=OWN)
    assert (large.status_code, other.status_code) == (413, 422)
    assert len(explorer.corrections) == 0


def test_with_a_token_only_who_brings_it_is_served(explorer):
    client = client_of(explorer, token="a-token-of-some-length", hosts=())  # noqa: S106 - of a test
    assert client.get("/").status_code == 401
    assert client.get("/?token=another").status_code == 401
    entered = client.get("/?token=a-token-of-some-length&order=id")
    assert (entered.status_code, entered.headers["location"]) == (303, "/?order=id")
    assert "HttpOnly" in entered.headers["set-cookie"]
    assert client.get("/").status_code == 200


def test_nothing_comes_from_elsewhere(client):
    for path in ("/", "/picture/p001", "/map"):
        answer = client.get(path)
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert not re.findall(r'(?:src|href|action)="(?:https?:)?//', answer.text)


def test_a_picture_is_drawn_once_with_the_channels_that_are_asked_for(drawn, pictures):
    name = name_of(drawn)
    address = f"/image/{name}.webp?side=256&outlines=0&channels="
    green, both = (drawn.get(address + one) for one in ("protein", "protein.nucleus"))
    pixels = [imagecodecs.webp_decode(one.content) for one in (green, both)]
    assert pixels[0].shape == (256, 256, 3)
    assert pixels[0][..., 1].mean() > 5 * pixels[0][..., 2].mean()
    assert pixels[1][..., 2].mean() > 3 * pixels[0][..., 2].mean()
    kept = sorted((pictures / "work" / "thumbnails").rglob("*.webp"))
    times = [path.stat().st_mtime_ns for path in kept]
    again = drawn.get(address + "protein", headers={"if-none-match": green.headers["etag"]})
    assert again.status_code == 304
    assert sorted((pictures / "work" / "thumbnails").rglob("*.webp")) == kept
    assert [path.stat().st_mtime_ns for path in kept] == times


def test_cells_are_outlined_and_measured(drawn, pictures):
    name = name_of(drawn)
    cells = read_mask(Workspace(pictures / "work").mask(name)).cells
    page = drawn.get(f"/picture/{name}").text
    assert page.count("data-cell=") == len(np.unique(cells)) - 1
    table = drawn.get(f"/picture/{name}/cells").text
    rows = re.findall(r'data-row="(\d+)"><th scope="row">\d+</th><td><input.*?data-value="([\d.]+)"', table)
    areas = np.bincount(cells.ravel())
    assert rows
    for label, area in rows:
        assert float(area) > 0
        assert areas[int(label)] > 0


def test_cells_are_answered_where_the_model_knows_single_cells(pictures):
    class Known:
        there = True

        def cells(self, sample):
            labels = np.unique(read_mask(Workspace(pictures / "work").mask(sample)).cells)[1:]
            shown = {"Golgi apparatus": np.linspace(0, 1, len(labels)), "Nucleoli": 0.1, "Cytosol": 0.2}
            return pd.DataFrame(shown, pd.Index(labels, name="label"))

    with opened(ExploreOptions(work=pictures / "work"), SilentProgress()) as one:
        one.corrections.save(0, ["Nucleoli", "Golgi apparatus"])
        page = replace(one, reasons=Known()).cells(0)
        one.corrections.undo(0)
    assert re.findall("<option[^>]*data-share>([^<]*)", page) == [
        "Golgi apparatus: probability",
        "Nucleoli: probability",
    ]
    first, second = re.findall(r'is no cell"></td><td class="n" data-value="([^"]*)">', page)[:2]
    assert float(first) == 0 < float(second)


def test_a_cell_is_taken_out_of_the_label_image_and_put_back(drawn, pictures):
    work, name = Workspace(pictures / "work"), name_of(drawn)
    before, content = read_mask(work.mask(name)), work.mask(name).read_bytes()
    label = int(before.cells.max())
    done = drawn.post(f"/picture/{name}/cells", data={"cell": [str(label)]}, headers=OWN)
    assert done.status_code == 303
    after = read_mask(work.mask(name))
    assert set(np.unique(before.cells)) - set(np.unique(after.cells)) == {label}
    assert label not in after.nuclei
    assert mask_origins(work, [name])[name].is_edited
    assert "Cells were taken out" in drawn.get(f"/picture/{name}").text
    wrong = drawn.post(f"/picture/{name}/cells", data={"cell": [str(label)]}, headers=OWN)
    assert (wrong.status_code, f"no cell {label}" in wrong.text) == (422, True)
    drawn.post(f"/picture/{name}/back", headers=OWN)
    assert work.mask(name).read_bytes() == content


def test_pictures_without_a_label_can_be_given_one(drawn, pictures):
    name = name_of(drawn)
    assert "no label" in drawn.get("/").text
    drawn.post(f"/picture/{name}/labels", data={"location": ["Nucleoli"]}, headers=OWN)
    path = pictures / "work" / "corrections" / "labels.csv"
    assert path.read_text() == f"Id,Target\n{name},Nucleoli\n"
    drawn.post(f"/picture/{name}/undo", headers=OWN)
    assert path.read_text() == "Id,Target\n"
