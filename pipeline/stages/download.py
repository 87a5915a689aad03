"""The stage `download`: pictures and labels of others into a folder that `extract` and `train` read."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from pipeline.core.errors import PipelineError, Problem, write_problems
from pipeline.core.files import write_text
from pipeline.core.names import counted
from pipeline.core.stage import Progress, Stage, Summary, option_inputs
from pipeline.core.workspace import Workspace
from pipeline.data.layouts import CHANNELS
from pipeline.data.samples import COLOURS
from pipeline.exchange import kaggle, protein_atlas
from pipeline.exchange.fetching import Fetcher, NotServedError
from pipeline.exchange.protein_atlas import Field, Gene
from pipeline.stages.exchange_options import DownloadOptions

_ASKED = ("gene", "antibody", "cell_line", "location", "everything")
_METADATA = tuple(
    f"Metadata_{name}" for name in ("Plate", "Well", "Site", "CellLine", "Antibody", "Gene", "GeneName")
)
_TRIED = 8
"""Pictures whose size is asked for to estimate that of all."""


class DownloadSummary(Summary):
    """What the folder holds.

    Attributes
    ----------
    pictures, labelled : int
        Samples of four pictures, and those with a label.
    files, size : int
        Files of pictures and their bytes; estimated where nothing was fetched.
    unnamed : dict
        Locations of HPA's that the 28 do not have, and of how many pictures.
    licence : str
    """

    pictures: int
    labelled: int
    files: int
    size: int
    unnamed: dict[str, int]
    licence: str
    problems: list[Problem]


class Download(Stage[DownloadOptions, DownloadSummary]):
    """Write ``images/``, ``samples.csv``, ``labels.csv`` and ``LICENCE.txt`` into a folder."""

    name = "download"
    options = DownloadOptions
    summary = DownloadSummary

    def inputs(self, options: DownloadOptions) -> dict[str, str]:
        """Return what was asked for; refuse to fetch everything unasked."""
        asked = [name for name in _ASKED if getattr(options, name)]
        if options.source == "hpa" and not asked:
            raise PipelineError(
                "download hpa: nothing asked for; give --gene, --antibody, --cell-line, --location or --all"
            )
        if options.source != "hpa" and asked:
            raise PipelineError(
                f"download {options.source}: --{asked[0].replace('_', '-')} is for hpa; leave it out"
            )
        return option_inputs(options, "source", *_ASKED, "most", "site", "pictures")

    def outputs(self, options: DownloadOptions) -> tuple[Path, ...]:
        """Return the pictures, the tables and the licence."""
        return tuple(options.out / name for name in ("images", "samples.csv", "labels.csv", "LICENCE.txt"))

    def record(self, options: DownloadOptions) -> Path:
        """Return the record, which the folder keeps."""
        return options.out / "record.json"

    def run(self, options: DownloadOptions, progress: Progress) -> DownloadSummary:
        """Fetch what is not there yet, and write the tables."""
        fetched = _from_kaggle if options.source == "kaggle-2018" else _from_hpa
        done = fetched(options, progress)
        write_text(options.out / "LICENCE.txt", done.licence + "\n")
        write_problems(Workspace(options.out).problems, self.name, done.problems)
        return done


def estimate(options: DownloadOptions, progress: Progress) -> DownloadSummary:
    """Say what would be fetched: of hpa from its lists, and the size of some pictures."""
    Download().inputs(options)
    if options.source == "kaggle-2018":
        archive = options.out / f"{kaggle.COMPETITION}.zip"
        files, size = kaggle.size(archive) if archive.is_file() else kaggle.TRAINING_SET
        return _of_kaggle(files, size)
    fetcher = Fetcher(options.out, options.pause)
    fields, genes = _wanted(fetcher, options, progress)
    tried = fields[:: max(1, len(fields) // _TRIED)][:_TRIED]
    colours = [list(COLOURS.values())[number % 4] for number in range(len(tried))]
    sizes = [
        fetcher.size(field.address(options.pictures, colour))
        for field, colour in zip(tried, colours, strict=True)
    ]
    known = [size for size in sizes if size is not None]
    size = round(sum(known) / len(known) * 4 * len(fields)) if known else 0
    return _summary(fields, genes, size, [])


def _wanted(
    fetcher: Fetcher, options: DownloadOptions, progress: Progress
) -> tuple[list[Field], dict[str, Gene]]:
    """Return the fields that are asked for, in the order of ids, and all genes."""
    try:
        genes = protein_atlas.read_genes(fetcher, options.site)
        antibodies = (
            protein_atlas.read_antibodies(fetcher, options.site, options.antibody) if options.antibody else {}
        )
        chosen = protein_atlas.choose_genes(genes, options.gene, options.location, antibodies)
        listed: list[Field] = []
        with progress.track("Reading what HPA shows of genes", len(chosen)) as advance:
            for fields in protein_atlas.read_fields(fetcher, options.site, chosen):
                listed += [one for one in fields if not antibodies or one.antibody.upper() in antibodies]
                advance(1)
    except NotServedError as error:
        raise PipelineError(
            f"{options.site}: {error}; look whether the site has moved, and give its address as --site"
        ) from error
    fields = protein_atlas.of_cell_lines(protein_atlas.merged(listed), options.cell_line)[: options.most]
    if not fields:
        raise PipelineError(
            f"download hpa: no picture of {counted(len(chosen), 'gene')} is all that is asked for; "
            "leave out --cell-line or --antibody"
        )
    return fields, genes


def _from_hpa(options: DownloadOptions, progress: Progress) -> DownloadSummary:
    fetcher = Fetcher(options.out, options.pause)
    fields, genes = _wanted(fetcher, options, progress)
    problems: list[Problem] = []
    complete, size = [], 0
    with progress.track("Fetching pictures", 4 * len(fields)) as advance:
        for field in fields:
            got, trouble = _fetch(fetcher, field, options.pictures)
            problems += trouble
            complete += [] if trouble else [field]
            size += sum(path.stat().st_size for path in got)
            advance(4)
    fetcher.finish()
    if not complete:
        first = problems[0]
        raise PipelineError(f"{first.file}: {first.reason}; {first.remedy}")
    _write_hpa_tables(options.out, complete, genes)
    return _summary(complete, genes, size, problems)


def _fetch(fetcher: Fetcher, field: Field, pictures: str) -> tuple[list[Path], list[Problem]]:
    """Fetch the four pictures of a field, or say of the first that cannot be had why."""
    got = []
    for colour in COLOURS.values():
        url = field.address(pictures, colour)
        try:
            got.append(fetcher.get(url, f"images/{field.id}_{colour}.jpg", b"\xff\xd8"))
        except NotServedError as error:
            remedy = "run again later" if error.passing else "leave it out, or fetch it by hand and run again"
            return got, [Problem(field.id, url, str(error), remedy)]
    return got, []


def _summary(
    fields: Sequence[Field], genes: dict[str, Gene], size: int, problems: list[Problem]
) -> DownloadSummary:
    named = [protein_atlas.targets(field, genes) for field in fields]
    others = pd.Series([name for _, rest in named for name in rest], dtype=object).value_counts()
    return DownloadSummary(
        pictures=len(fields),
        labelled=sum(bool(ours) for ours, _ in named),
        files=4 * len(fields),
        size=size,
        unnamed={str(name): int(number) for name, number in others.items()},
        licence=protein_atlas.LICENCE,
        problems=problems,
    )


def _write_hpa_tables(out: Path, fields: Sequence[Field], genes: dict[str, Gene]) -> None:
    samples, labels = [], []
    for field in fields:
        of = [genes[gene] for gene in field.genes if gene in genes]
        names = ";".join(gene.name for gene in of)
        files = [f"{field.id}_{COLOURS[channel]}.jpg" for channel in CHANNELS]
        samples.append(
            [
                *(
                    field.id,
                    *files,
                    protein_atlas.PIXEL_UM,
                    field.antibody,
                    field.plate,
                    field.well,
                    field.site,
                ),
                *(field.cell_line, field.antibody, ";".join(field.genes), names),
            ]
        )
        ours, others = protein_atlas.targets(field, genes)
        if ours:
            levels = ";".join(gene.reliability for gene in of)
            labels.append([field.id, "|".join(ours), levels, of[0].id, "|".join(others)])
    _write(out / "samples.csv", ["Id", *CHANNELS, "pixel_size_um", "group", *_METADATA], samples)
    _write(out / "labels.csv", ["Id", "Target", "Reliability", "Gene", "Others"], labels)


def _write(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    write_text(path, stream.getvalue())


def _from_kaggle(options: DownloadOptions, progress: Progress) -> DownloadSummary:
    progress.note("kaggle fetches the archive (14 GB) unless it is there; this may take hours")
    archive = kaggle.fetch_archive(options.out)
    files, size = kaggle.size(archive)
    with progress.track("Unpacking pictures", files) as advance:
        for _ in kaggle.unpack(archive, options.out / "images"):
            advance(1)
    labels = options.out / "labels.csv"
    write_text(labels, kaggle.read_training_labels(archive).decode("utf-8-sig"))
    ids = pd.read_csv(labels, dtype=str)["Id"].tolist()
    rows = [[one, *(f"{one}_{COLOURS[channel]}.png" for channel in CHANNELS)] for one in ids]
    _write(options.out / "samples.csv", ["Id", *CHANNELS], rows)
    return _of_kaggle(files, size)


def _of_kaggle(files: int, size: int) -> DownloadSummary:
    return DownloadSummary(
        pictures=files // 4, labelled=files // 4, files=files, size=size,
        unnamed={}, licence=kaggle.LICENCE, problems=[],
    )  # fmt: skip
