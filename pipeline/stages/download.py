"""The stage `download`: pictures and labels of others into a folder that `extract` and `train` read."""

import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from pipeline.core.errors import PipelineError, Problem, write_problems
from pipeline.core.files import write_text
from pipeline.core.names import counted
from pipeline.core.stage import Progress, Stage, Summary, option_inputs
from pipeline.core.workspace import Workspace
from pipeline.data.layouts import CHANNELS, COLOURS, PLATE, WELL
from pipeline.exchange import kaggle, protein_atlas
from pipeline.exchange.fetching import Fetcher, NotServedError
from pipeline.exchange.protein_atlas import Field, Gene
from pipeline.stages.exchange_options import DownloadOptions

_ASKED = ("gene", "antibody", "cell_line", "location", "everything")
_TRIED = 8
"""Pictures whose size is asked for to estimate that of all."""


class DownloadSummary(Summary):
    """What the folder holds, or would hold.

    Attributes
    ----------
    pictures, labelled : int
        Samples of four pictures, and those with a label.
    size : int
        Bytes of the pictures; estimated where nothing was fetched, and 0 where that cannot be.
    unnamed : dict
        Locations of HPA's that the 28 do not have, and of how many samples.
    licence : str
    problems : list of Problem
    """

    pictures: int
    labelled: int
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
            flag = asked[0].replace("_", "-").replace("everything", "all")
            raise PipelineError(f"download {options.source}: --{flag} is for hpa; leave it out")
        return option_inputs(options, "source", *_ASKED, "most", "site", "pictures")

    def outputs(self, options: DownloadOptions) -> tuple[Path, ...]:
        """Return the pictures, the tables and the licence."""
        return tuple(options.out / name for name in ("images", "samples.csv", "labels.csv", "LICENCE.txt"))

    def record(self, options: DownloadOptions) -> Path:
        """Return the record, which the folder keeps."""
        return options.out / "record.json"

    def run(self, options: DownloadOptions, progress: Progress) -> DownloadSummary:
        """Fetch what is not there yet, and write the tables."""
        mark = options.out / "LICENCE.txt"
        if (options.out / "samples.csv").exists() and not mark.exists():
            raise PipelineError(
                f"{options.out}: holds a samples.csv of its own; give another folder as --out"
            )
        write_text(mark, (protein_atlas if options.source == "hpa" else kaggle).LICENCE + "\n")
        done = (_from_hpa if options.source == "hpa" else _from_kaggle)(options, progress)
        write_problems(Workspace(options.out).problems, self.name, done.problems)
        return done


def estimate(options: DownloadOptions, progress: Progress) -> DownloadSummary:
    """Say what would be fetched: of hpa from its lists, and the size of some pictures."""
    Download().inputs(options)
    if options.source == "kaggle-2018":
        return _of_kaggle(*kaggle.TRAINING_SET)
    fetcher = Fetcher(options.out, options.pause)
    fields, genes = _wanted(fetcher, options, progress)
    tried = fields[:: -(-len(fields) // _TRIED)]
    urls = [one.url(options.pictures, list(COLOURS.values())[row % 4]) for row, one in enumerate(tried)]
    sizes = [size for size in map(fetcher.size, urls) if size is not None]
    return _of_hpa(fields, genes, round(sum(sizes) / max(1, len(sizes)) * 4 * len(fields)), [])


def _wanted(
    fetcher: Fetcher, options: DownloadOptions, progress: Progress
) -> tuple[list[Field], dict[str, Gene]]:
    """Return the fields that are asked for, in the order of ids, and all genes."""
    site = options.site.rstrip("/")
    try:
        genes = protein_atlas.read_genes(fetcher, site)
        antibodies = (
            protein_atlas.read_antibodies(fetcher, site, options.antibody) if options.antibody else {}
        )
        chosen = protein_atlas.choose_genes(genes, options.gene, options.location, antibodies)
        if len(chosen) >= protein_atlas.WHOLE:
            progress.note(f"{len(chosen):,} genes: the file of all genes is fetched (some 700 MB) and read")
        listed: list[Field] = []
        with progress.track("Reading what HPA shows of genes", len(chosen)) as advance:
            for fields in protein_atlas.read_fields(fetcher, site, chosen):
                listed += [one for one in fields if not antibodies or one.antibody.upper() in antibodies]
                advance(1)
    except NotServedError as error:
        raise PipelineError(f"{site}: {error}; if the site has moved, give its address as --site") from error
    fields = protein_atlas.of_cell_lines(protein_atlas.merged(listed), options.cell_line)[: options.most]
    if not fields:
        raise PipelineError(
            f"download hpa: no picture of {counted(len(chosen), 'gene')}, of human cells with usual markers, "
            "is all that is asked for; ask for less at once"
        )
    return fields, genes


def _from_hpa(options: DownloadOptions, progress: Progress) -> DownloadSummary:
    fetcher = Fetcher(options.out, options.pause)
    fields, genes = _wanted(fetcher, options, progress)
    problems: list[Problem] = []
    complete, size = [], 0
    with progress.track("Fetching pictures", 4 * len(fields)) as advance:
        for field in fields:
            try:
                for colour in COLOURS.values():
                    url = field.url(options.pictures, colour)
                    size += fetcher.get(url, f"images/{field.id}_{colour}.jpg", b"\xff\xd8").stat().st_size
                complete.append(field)
            except NotServedError as error:
                remedy = "run again later" if error.passing else "leave it out"
                problems.append(Problem(field.id, url, str(error), remedy))
            advance(4)
    if not complete:
        raise PipelineError(f"{problems[0].file}: {problems[0].reason}; give the right address as --pictures")
    _write_hpa_tables(options.out, complete, genes)
    return _of_hpa(complete, genes, size, problems)


def _of_hpa(
    fields: Sequence[Field], genes: dict[str, Gene], size: int, problems: list[Problem]
) -> DownloadSummary:
    named = [protein_atlas.targets(field, genes) for field in fields]
    return DownloadSummary(
        pictures=len(fields),
        labelled=sum(bool(ours) for ours, _ in named),
        size=size,
        unnamed=dict(Counter(name for _, others in named for name in others).most_common()),
        licence=protein_atlas.LICENCE,
        problems=problems,
    )


def _write_hpa_tables(out: Path, fields: Sequence[Field], genes: dict[str, Gene]) -> None:
    samples, labels = [], []
    for field in fields:
        of = [genes[gene] for gene in field.genes]
        plate, well, site = field.name.split("_")[:3]
        samples.append(
            {
                "Id": field.id,
                **{channel: f"{field.id}_{COLOURS[channel]}.jpg" for channel in CHANNELS},
                "pixel_size_um": protein_atlas.PIXEL_UM,
                "group": field.antibody,
                PLATE: plate,
                WELL: well,
                "Metadata_Site": site,
                "Metadata_CellLine": field.cell_line,
                "Metadata_Antibody": field.antibody,
                "Metadata_Gene": ";".join(field.genes),
                "Metadata_GeneName": ";".join(gene.name for gene in of),
            }
        )
        ours, others = protein_atlas.targets(field, genes)
        if ours:
            levels = ";".join(gene.reliability for gene in of)
            labels.append([field.id, "|".join(ours), levels, of[0].id, "|".join(others)])
    _write(out / "samples.csv", pd.DataFrame(samples))
    _write(
        out / "labels.csv", pd.DataFrame(labels, columns=["Id", "Target", "Reliability", "Gene", "Others"])
    )


def _write(path: Path, table: pd.DataFrame) -> None:
    write_text(path, table.to_csv(index=False, lineterminator="\n"))


def _from_kaggle(options: DownloadOptions, progress: Progress) -> DownloadSummary:
    progress.note("kaggle fetches the archive (14 GB) unless it is there; this may take hours")
    archive = kaggle.fetch_archive(options.out)
    with (
        kaggle.opened(archive) as (labels, packed, pictures),
        progress.track("Unpacking pictures", len(pictures)) as advance,
    ):
        for picture in pictures:
            kaggle.unpack(packed, picture, options.out / "images")
            advance(1)
    table = pd.read_csv(io.BytesIO(labels), dtype=str, encoding="utf-8-sig")
    _write(options.out / "labels.csv", table)
    names = {channel: table["Id"] + f"_{COLOURS[channel]}.png" for channel in CHANNELS}
    _write(options.out / "samples.csv", table[["Id"]].assign(**names))
    return _of_kaggle(len(pictures), sum(picture.file_size for picture in pictures))


def _of_kaggle(files: int, size: int) -> DownloadSummary:
    return DownloadSummary(
        pictures=files // 4, labelled=files // 4, size=size, unnamed={}, licence=kaggle.LICENCE, problems=[]
    )
