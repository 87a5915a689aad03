"""The stage `download`: against a server on this machine with the Human Protein Atlas' layout."""

import gzip
import io
import os
import sys
import zipfile

import imagecodecs
import pandas as pd
import pytest

from pipeline.commands.command_line import options_of
from pipeline.core.errors import PipelineError
from pipeline.core.stage import SilentProgress, execute
from pipeline.data.labels import read_labels
from pipeline.data.samples import find_samples
from pipeline.exchange import kaggle
from pipeline.exchange.fetching import AGENT, REGISTRY
from pipeline.stages.download import Download, estimate
from pipeline.stages.exchange_options import DownloadOptions
from tests.pipeline.exchange.atlas_server import TSPAN6, Server, document, picture, serving, zipped
from tests.pipeline.workfolder import extract

RED = "/pictures/30741/50_A1_1_red.jpg"


@pytest.fixture
def server():
    with serving() as found:
        yield found


def asked(server: Server, out, **options: object) -> DownloadOptions:
    given = {
        "source": "hpa",
        "out": out,
        "pause": 0,
        "site": server.url,
        "pictures": f"{server.url}/pictures",
    }
    return options_of(DownloadOptions, given | options)


def download(server: Server, out, **options: object):
    return execute(Download(), asked(server, out, **options), SilentProgress())


def fetched(server: Server) -> int:
    """Return how many pictures were asked for."""
    return sum(number for path, number in server.asked.items() if "GET /pictures" in path)


def test_a_gene_becomes_samples_and_labels_that_extract_reads(server, tmp_path):
    done = download(server, tmp_path / "hpa", gene=["ccnb1"])
    assert (done.pictures, done.labelled) == (3, 3)
    assert done.unnamed == {"Vesicles": 3}
    summary = extract(tmp_path / "hpa", tmp_path / "work", samples=tmp_path / "hpa" / "samples.csv")
    assert (summary.pictures, summary.problems) == (3, [])
    assert summary.cells > 0
    samples = pd.read_parquet(tmp_path / "work" / "samples.parquet")
    assert samples["Id"].tolist() == ["30741_50_A1_1", "30741_50_A1_2_cr5af96f", "30741_51_B12_1"]
    assert set(samples["group"]) == {"HPA030741"}
    assert set(samples["pixel_size_um"]) == {0.08}
    labels = read_labels(tmp_path / "hpa" / "labels.csv").targets
    assert {name for name in labels if labels[name].all()} == {"Nucleoli", "Cytosol"}, (
        "of it, the rim is a part"
    )
    table = pd.read_csv(tmp_path / "hpa" / "samples.csv")
    assert table["Metadata_CellLine"].tolist() == ["U-2 OS", "U-2 OS", "A-431"]
    assert table.loc[2, ["Metadata_Plate", "Metadata_Well", "Metadata_Site"]].tolist() == [51, "B12", 1]
    assert "CC BY-SA 4.0" in (tmp_path / "hpa" / "LICENCE.txt").read_text()
    assert server.agents == {AGENT}
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "hpa").rglob("*.*") if path.name[0] != "."}
    assert len(modes) == 1, "others may read pictures as they may read tables"


def test_an_antibody_of_two_genes_has_the_labels_of_both(server, tmp_path):
    download(server, tmp_path, antibody=["hpa004109"])
    labels = read_labels(tmp_path / "labels.csv").targets
    assert labels.columns[labels.loc["4109_7_C5_1"]].tolist() == ["Nucleoplasm", "Rods & rings"]
    assert pd.read_csv(tmp_path / "samples.csv")["Metadata_GeneName"].tolist() == ["TSPAN6;SCYL3"]


def test_kinds_narrow_the_choice_and_cell_lines_may_be_spelt_otherwise(server, tmp_path):
    download(server, tmp_path / "a", location=["cytosol"], cell_line=["U2OS"])
    assert [one.id for one in find_samples(tmp_path / "a" / "images")[0]] == [
        "30741_50_A1_1",
        "30741_50_A1_2_cr5af96f",
    ]
    assert download(server, tmp_path / "b", everything=True, most=1).pictures == 1


def test_of_many_genes_one_file_is_fetched(server, tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.exchange.protein_atlas.WHOLE", 3)
    assert download(server, tmp_path, everything=True).pictures == 4
    assert server.asked["GET /download/proteinatlas.xml.gz"] == 1
    assert not server.asked["GET /ENSG00000134057.xml"]


def test_xml_that_arrives_packed_is_read(server, tmp_path):
    server.files["/ENSG00000000003.xml"] = gzip.compress(document(TSPAN6))
    assert download(server, tmp_path, gene=["TSPAN6"]).pictures == 1


def test_other_stains_and_other_animals_are_left_out(server, tmp_path):
    server.files["/ENSG00000000003.xml"] = document(
        TSPAN6,
        TSPAN6.replace('"human"', '"mouse"').replace("7_C5_1", "8_C5_1"),
        TSPAN6.replace("microtubules", "primary cilium").replace("7_C5_1", "9_C5_1"),
    )
    assert download(server, tmp_path, gene=["TSPAN6"]).pictures == 1


def test_a_second_run_asks_for_nothing_and_a_damaged_picture_is_fetched_again(server, tmp_path):
    download(server, tmp_path, gene=["CCNB1"])
    before = fetched(server)
    assert not download(server, tmp_path, gene=["CCNB1"]).fresh
    assert fetched(server) == before == 12
    damaged = tmp_path / "images" / "30741_50_A1_1_red.jpg"
    damaged.write_bytes(damaged.read_bytes()[:-9])
    download(server, tmp_path, gene=["CCNB1"])
    assert damaged.read_bytes() == server.files[RED]
    assert fetched(server) == 13


def test_a_connection_that_breaks_is_tried_again_and_leaves_no_half_picture(server, tmp_path, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda _: None)
    server.cut = {RED}
    assert download(server, tmp_path, gene=["CCNB1"]).pictures == 3
    assert (tmp_path / "images" / "30741_50_A1_1_red.jpg").read_bytes() == server.files[RED]
    assert server.asked[f"GET {RED}"] == 2


def test_a_killed_run_goes_on_where_it_was(server, tmp_path, monkeypatch):
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("pipeline.stages.download._write_hpa_tables", killed)
        with pytest.raises(KeyboardInterrupt):
            download(server, tmp_path, gene=["CCNB1"])
    (tmp_path / "images" / "tmpabcd1234").write_bytes(b"half")
    with (tmp_path / REGISTRY).open("a") as registry:
        registry.write("images/30741_51_B12")  # the line that was being written
    assert download(server, tmp_path, gene=["CCNB1"]).pictures == 3
    assert fetched(server) == 12
    assert not (tmp_path / "images" / "tmpabcd1234").exists()


def test_a_busy_server_is_waited_for_as_long_as_it_asks(server, tmp_path, monkeypatch):
    waited = []
    monkeypatch.setattr("time.sleep", waited.append)
    server.first[RED] = [(429, {"Retry-After": "7"}), (503, {})]
    assert download(server, tmp_path, gene=["CCNB1"]).problems == []
    assert 7 in waited


def test_requests_keep_their_distance(server, tmp_path, monkeypatch):
    waited = []
    monkeypatch.setattr("time.sleep", waited.append)
    download(server, tmp_path, gene=["TSPAN6"], pause=30)
    assert sum(wait > 20 for wait in waited) == 5, "all but the first of 6 requests"


def test_what_the_server_lacks_or_replaces_by_a_page_is_a_problem_of_that_sample(server, tmp_path):
    del server.files["/pictures/30741/51_B12_1_yellow.jpg"]
    server.files["/pictures/30741/50_A1_1_green.jpg"] = b"<html>Log in to the network</html>"
    done = download(server, tmp_path, gene=["CCNB1"])
    assert done.pictures == 1
    reasons = {problem.sample: problem.reason for problem in done.problems}
    assert reasons["30741_51_B12_1"] == "the server says 404 Not Found"
    assert reasons["30741_50_A1_1"].startswith("the server gives something else (it begins with b'<h")
    assert not (tmp_path / "images" / "30741_50_A1_1_green.jpg").exists()
    assert "30741_51_B12_1" in (tmp_path / "problems.csv").read_text()


def test_another_file_than_the_first_time_is_refused(server, tmp_path, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda _: None)
    download(server, tmp_path, gene=["CCNB1"])
    (tmp_path / "images" / "30741_50_A1_1_red.jpg").unlink()
    server.files[RED] = picture(9)
    with pytest.raises(
        PipelineError, match="another file than when it was first fetched; to take it, remove"
    ):
        download(server, tmp_path, gene=["CCNB1"])


def test_too_large_a_file_is_not_fetched_whole(server, tmp_path, monkeypatch):
    monkeypatch.setenv("HPA_MAX_BYTES", "30000")
    server.files[RED] = server.files[RED] + bytes(200_000)
    done = download(server, tmp_path, gene=["CCNB1"])
    assert [one.reason.partition(",")[0] for one in done.problems] == ["what the server sends holds 65"]


def test_names_from_the_net_do_not_leave_the_folder(server, tmp_path):
    server.files["/ENSG00000000003.xml"] = document(
        TSPAN6,
        TSPAN6.replace("4109/7_C5_1", "4109/../../evil_C5_1"),
        TSPAN6.replace("4109/7_C5_1", "4109/7_C5_1%2F.."),
        TSPAN6.replace("4109/7_C5_1", "4109/7_C5_1/../../x"),
    )
    assert download(server, tmp_path / "in", gene=["TSPAN6"]).pictures == 1
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "/ENSG00000000003.xml",
            b'<!DOCTYPE a [<!ENTITY b "c"><!ENTITY d "&b;&b;">]><a>&d;</a>',
            "not XML of HPA",
        ),
        ("/ENSG00000000003.xml", document(TSPAN6)[:-30], "not XML of HPA"),
        ("/ENSG00000000003.xml", gzip.compress(document(TSPAN6))[:-30] + bytes(30), "not XML of HPA"),
        ("/download/subcellular_location.tsv.zip", zipped("other.tsv", ""), "not HPA's table"),
        ("/download/subcellular_location.tsv.zip", b"PK not a zip", "not HPA's table"),
    ],
)
def test_lists_that_are_not_what_they_should_be_end_the_command(server, tmp_path, name, content, message):
    server.files[name] = content
    with pytest.raises(PipelineError, match=message):
        download(server, tmp_path, gene=["TSPAN6"])


def test_one_gene_of_endless_xml_is_not_read_to_its_end(server, tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.exchange.protein_atlas._ENTRY_BYTES", 10_000)
    server.files["/ENSG00000000003.xml"] = document(TSPAN6, "<x/>" * 100_000)
    with pytest.raises(PipelineError, match="one gene has more than 10,000 bytes"):
        download(server, tmp_path, gene=["TSPAN6"])


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({}, "nothing asked for; give --gene"),
        ({"gene": ["CCNB2"]}, "unknown gene 'CCNB2'.*did you mean CCNB1"),
        ({"location": ["Nucleoplasma"]}, "unknown location 'Nucleoplasma'.*did you mean Nucleoplasm"),
        ({"antibody": ["HPA1"]}, "unknown antibody 'HPA1'; known: CAB000115, HPA030741, HPA004109"),
        ({"gene": ["CCNB1"], "cell_line": ["HeLa"]}, "unknown cell line 'HeLa'; known: A-431, U-2 OS"),
        (
            {"gene": ["CCNB1"], "antibody": ["HPA004109"]},
            "no picture of 0 genes, of human cells",
        ),
    ],
)
def test_what_there_is_not_is_said_with_what_there_is(server, tmp_path, choice, message):
    with pytest.raises(PipelineError, match=message):
        download(server, tmp_path, **choice)


def test_a_dry_run_counts_and_fetches_no_picture(server, tmp_path, command_line):
    done = estimate(asked(server, tmp_path, gene=["CCNB1"]), SilentProgress())
    assert done.pictures == 3
    assert done.size == pytest.approx(sum(map(len, server.files.values())) / 2, rel=0.9)
    assert fetched(server) == 0
    words = ("--gene", "CCNB1", "--out", tmp_path, "--pause", 0, "--site", server.url)
    ended = command_line("download", "hpa", *words, "--pictures", f"{server.url}/pictures", "--dry-run")
    assert ended.status == 0
    assert ended.output.startswith("Would fetch 3 pictures in four colours, about ")
    assert not (tmp_path / "images").exists()


def test_offline_one_line_says_what_is_fetched_from_where(tmp_path, command_line):
    words = ("--gene", "CCNB1", "--out", tmp_path, "--site", "http://127.0.0.1:9")
    ended = command_line("download", "hpa", *words)
    assert ended.status == 2
    assert ended.errors.count("\n") == 1
    assert "http://127.0.0.1:9/download/subcellular_location.tsv.zip: cannot be reached" in ended.errors


def test_a_table_of_the_users_own_is_not_replaced(server, tmp_path):
    (tmp_path / "samples.csv").write_text("Id\n")
    with pytest.raises(PipelineError, match=r"holds a samples\.csv of its own; give another folder"):
        download(server, tmp_path, gene=["TSPAN6"])


def test_without_pooch_one_line_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    options = DownloadOptions(source="hpa", out=tmp_path, gene=("CCNB1",))
    with pytest.raises(PipelineError, match=r"pip install -r requirements_download\.txt"):
        execute(Download(), options, SilentProgress())


def archive(nested: bool) -> bytes:
    """Return the competition's archive with two samples, one file of the test set, and one that leads out."""
    stream, inner = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(inner, "w") as packed:
        for name in ("0a-1", "0b-2"):
            for number, colour in enumerate(("red", "green", "blue", "yellow")):
                packed.writestr(f"{'' if nested else 'train/'}{name}_{colour}.png", as_png(number))
        packed.writestr("../evil_red.png", b"")
        packed.writestr("test/0c-3_red.png", b"")
        if not nested:
            packed.writestr("train.csv", "Id,Target\n0a-1,16 0\n0b-2,25\n")
    if not nested:
        return inner.getvalue()
    with zipfile.ZipFile(stream, "w") as packed:
        packed.writestr("train.zip", inner.getvalue())
        packed.writestr("train.csv", "Id,Target\n0a-1,16 0\n0b-2,25\n")
    return stream.getvalue()


def as_png(number: int) -> bytes:
    return imagecodecs.png_encode(imagecodecs.jpeg8_decode(picture(number)))


@pytest.fixture
def with_kaggle(tmp_path, monkeypatch):
    """Put a program `kaggle` on the path that gives a file, or fails as the real one does."""

    def put(content: bytes | None) -> None:
        folder = tmp_path / "bin"
        folder.mkdir()
        (tmp_path / "given").write_bytes(content or b"")
        script = folder / "kaggle"
        source = str(tmp_path / "given")
        gives = f"import shutil; shutil.copy({source!r}, sys.argv[6] + '/' + sys.argv[4] + '.zip')"
        fails = "print('403 - Forbidden - You must accept the rules'); raise SystemExit(1)"
        start = "import sys, pathlib; pathlib.Path(sys.argv[6]).mkdir(exist_ok=True)"
        code = f"{start}\n{gives if content else fails}\n"
        script.write_text(f"#!{sys.executable}\n{code}")
        script.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    return put


def from_kaggle(out):
    return execute(Download(), DownloadOptions(source="kaggle-2018", out=out), SilentProgress())


@pytest.mark.parametrize("nested", [False, True])
def test_the_competition_becomes_what_extract_reads(with_kaggle, tmp_path, nested):
    with_kaggle(archive(nested))
    out = tmp_path / "kaggle"
    done = from_kaggle(out)
    assert done.pictures == 2
    assert extract(out, tmp_path / "work", samples=out / "samples.csv").pictures == 2
    labels = read_labels(out / "labels.csv").targets
    assert labels.columns[labels.loc["0a-1"]].tolist() == ["Nucleoplasm", "Cytokinetic bridge"]
    assert not list(tmp_path.rglob("evil*"))
    assert not from_kaggle(out).fresh


def test_the_words_of_kaggle_and_the_remedy_are_passed_on(with_kaggle, tmp_path):
    with_kaggle(None)
    with pytest.raises(
        PipelineError, match=r"403 - Forbidden - You must.*kaggle.json, accept the rules at https"
    ):
        from_kaggle(tmp_path / "kaggle")


def test_without_kaggle_one_line_says_what_to_install_and_an_archive_put_there_is_used(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    out = tmp_path / "kaggle"
    with pytest.raises(PipelineError, match="no such program; run: pip install kaggle"):
        from_kaggle(out)
    (out / f"{kaggle.COMPETITION}.zip").write_bytes(archive(nested=False))
    assert from_kaggle(out).pictures == 2
