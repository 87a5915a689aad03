"""The Human Protein Atlas' published tables and XML: which pictures there are, of which gene, in which cells.

The layout of ``proteinatlas.org``: ``download/subcellular_location.tsv.zip`` (locations by gene),
``download/proteinatlas.tsv.zip`` (antibodies by gene), ``<Ensembl id>.xml`` (all about one gene, with the
addresses of its pictures), ``download/proteinatlas.xml.gz`` (the same of all genes); pictures are
``images.proteinatlas.org/<number of the antibody>/<plate>_<well>_<field>_<colour>.jpg``.
"""

import gzip
import re
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from pipeline.core.errors import PipelineError
from pipeline.core.files import UnreadableError, check_bytes, write_text
from pipeline.core.names import slug, unknown
from pipeline.data.dataset_options import LEVELS
from pipeline.data.locations import KAGGLE2018
from pipeline.data.tables import read_table

if TYPE_CHECKING:
    from pipeline.exchange.fetching import Fetcher

LICENCE = (
    "Pictures and locations: Human Protein Atlas, proteinatlas.org, CC BY-SA 4.0 "
    "(https://creativecommons.org/licenses/by-sa/4.0/). Name the Human Protein Atlas and the page of the "
    "gene where you use them, and share what you make of them under the same licence."
)

PIXEL_UM = 0.08
"""Side of a pixel in micrometres. Source: Thul et al. 2017, Science 356 (eaal3321), methods: 63x, 0.08 µm."""

WHOLE = 300
"""From so many genes on, the XML of all genes is fetched instead of one by one."""

MARKERS = {"red": "microtubules", "blue": "nucleus"}
"""What colours show in a usual picture, as the XML says; cilia and sperm are stained otherwise."""

_ADDRESS = re.compile(
    r"https?://\S+/(\d{1,7})/([A-Za-z0-9]{1,20}_[A-Z]\d{1,2}_\d{1,4}(?:_[A-Za-z0-9]{1,30})?)_blue_red_green\.jpg"
)
_GENE = re.compile(r"ENSG\d{11}")
_XML = (b"<", b"\xef\xbb\xbf<", b"\x1f\x8b")
"""How XML begins, as it is or packed: a server may pack and unpack it on the way."""

_ENTRY_BYTES = 2**28
"""Bytes of XML that one gene may have."""


@dataclass(frozen=True)
class Field:
    """One field of cells: four pictures, one per colour.

    Attributes
    ----------
    antibody : str
        Its name, such as HPA004109.
    number : str
        Its number in addresses, such as 4109.
    name : str
        ``<plate>_<well>_<site>``, as in addresses; some have a further part.
    cell_line : str
    genes : tuple of str
        Ensembl ids: an antibody may bind the products of several.
    """

    antibody: str
    number: str
    name: str
    cell_line: str
    genes: tuple[str, ...]

    @property
    def id(self) -> str:
        """Id of the sample."""
        return f"{self.number}_{self.name}"

    def url(self, pictures: str, colour: str) -> str:
        """Return where the picture of one colour is."""
        return f"{pictures.rstrip('/')}/{self.number}/{self.name}_{colour}.jpg"


@dataclass(frozen=True)
class Gene:
    """A row of the table of locations."""

    id: str
    name: str
    reliability: str
    locations: tuple[str, ...]


def read_genes(fetcher: "Fetcher", site: str) -> dict[str, Gene]:
    """Return the genes that have a location, by Ensembl id; the table stays in the folder."""
    path = _unpacked(fetcher, site, "subcellular_location")
    table = read_table(path, ("Gene", "Gene name", "Reliability", *LEVELS))
    found = [_gene({str(key): str(text) for key, text in row.items()}) for row in table.to_dict("records")]
    return {gene.id: gene for gene in found if _GENE.fullmatch(gene.id)}


def _gene(row: dict[str, str]) -> Gene:
    listed = [name.strip() for level in LEVELS for name in row[level].split(";")]
    return Gene(row["Gene"], row["Gene name"], row["Reliability"], tuple(dict.fromkeys(filter(None, listed))))


def choose_genes(
    genes: dict[str, Gene], names: Sequence[str], locations: Sequence[str], antibodies: dict[str, set[str]]
) -> list[str]:
    """Return the Ensembl ids of the genes that are asked for, in order; all of them where nothing is.

    Raises
    ------
    PipelineError
        If a gene or location is unknown; the message lists what it may be.
    """
    chosen = set(genes)
    if names:
        by_name = {name.casefold(): gene.id for gene in genes.values() for name in (gene.id, gene.name)}
        chosen &= {_known("gene", name, by_name, [gene.name for gene in genes.values()]) for name in names}
    if locations:
        every = sorted({name for gene in genes.values() for name in gene.locations})
        by_slug = {slug(name): name for name in every}
        wanted = {_known("location", name, by_slug, every, slug) for name in locations}
        chosen &= {gene.id for gene in genes.values() if wanted & set(gene.locations)}
    if antibodies:
        chosen &= {gene for genes_of in antibodies.values() for gene in genes_of}
    return sorted(chosen)


def _known(
    what: str,
    name: str,
    known: dict[str, str],
    shown: Iterable[str],
    key: Callable[[str], str] = str.casefold,
) -> str:
    """Return what a name stands for."""
    if key(name) not in known:
        raise PipelineError(unknown(what, name, shown))
    return known[key(name)]


def read_antibodies(fetcher: "Fetcher", site: str, names: Sequence[str]) -> dict[str, set[str]]:
    """Return the Ensembl ids of the genes of each of the named antibodies.

    Raises
    ------
    PipelineError
        If an antibody is unknown.
    """
    path = _unpacked(fetcher, site, "proteinatlas")
    table = read_table(path, ("Ensembl", "Antibody"))
    found: dict[str, set[str]] = {}
    for gene, antibodies in table[["Ensembl", "Antibody"]].itertuples(index=False):
        for name in re.findall(r"\w+", antibodies):
            found.setdefault(name.upper(), set()).add(gene)
    for name in names:
        if name.upper() not in found:
            raise PipelineError(unknown("antibody", name, found))
    return {name.upper(): found[name.upper()] for name in names}


def _unpacked(fetcher: "Fetcher", site: str, name: str) -> Path:
    """Fetch a zipped table and unpack it beside the archive."""
    url = f"{site}/download/{name}.tsv.zip"
    packed = fetcher.get(url, f"tables/{name}.tsv.zip", b"PK")
    path = packed.with_suffix("")
    try:
        with zipfile.ZipFile(packed) as archive:
            found = archive.getinfo(f"{name}.tsv")
            check_bytes(found.file_size, f"{name}.tsv")
            text = archive.read(found).decode("utf-8-sig")
    except (zipfile.BadZipFile, KeyError, RuntimeError, UnicodeError, UnreadableError) as error:
        raise PipelineError(f"{packed}: not HPA's table ({error}); remove it and run again") from error
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        write_text(path, text)
    return path


def read_fields(fetcher: "Fetcher", site: str, genes: Sequence[str]) -> Iterator[list[Field]]:
    """Yield, gene by gene, the fields that HPA shows of it; of all genes at once where there are many."""
    if len(genes) < WHOLE:
        for gene in genes:
            url = f"{site}/{gene}.xml"
            for found, fields in _entries(fetcher.get(url, f"tables/{gene}.xml", *_XML)):
                yield fields if found == gene else []
        return
    url = f"{site}/download/proteinatlas.xml.gz"
    wanted = set(genes)
    for gene, fields in _entries(fetcher.get(url, "tables/proteinatlas.xml.gz", *_XML)):
        if gene in wanted:
            yield fields


def merged(fields: Iterable[Field]) -> list[Field]:
    """Return every field once, by id; one of an antibody that binds several genes' products has all these."""
    found: dict[str, Field] = {}
    for field in fields:
        first = found.setdefault(field.id, field)
        if not set(field.genes) <= set(first.genes):
            found[field.id] = replace(first, genes=tuple(sorted({*first.genes, *field.genes})))
    return [found[name] for name in sorted(found)]


def of_cell_lines(fields: Sequence[Field], names: Sequence[str]) -> list[Field]:
    """Return the fields of some cell lines, however these are hyphenated; all where none is asked for.

    Raises
    ------
    PipelineError
        If no field is of one of them.
    """

    def plain(name: str) -> str:
        return slug(name).replace("_", "")

    known = {plain(field.cell_line): field.cell_line for field in fields}
    wanted = {_known("cell line", name, known, sorted(known.values()), plain) for name in names}
    return [field for field in fields if not names or known[plain(field.cell_line)] in wanted]


def targets(field: Field, genes: dict[str, Gene]) -> tuple[list[str], list[str]]:
    """Return the locations of a field's genes that the 28 have, and the others."""
    listed = dict.fromkeys(name for gene in field.genes if gene in genes for name in genes[gene].locations)
    rows = {name: KAGGLE2018.row(name) for name in listed}
    return [row.name for row in rows.values() if row], [name for name, row in rows.items() if row is None]


class _Bounded:
    """A stream that refuses to give more than one gene may have before `entry_ended` is called."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self._left = stream, _ENTRY_BYTES

    def read(self, size: int = -1) -> bytes:
        piece = self._stream.read(size if size >= 0 else 2**16)
        self._left -= len(piece)
        if self._left < 0:
            raise UnreadableError(f"one gene has more than {_ENTRY_BYTES:,} bytes", "fetch it again")
        return piece

    def entry_ended(self) -> None:
        self._left = _ENTRY_BYTES


def _entries(path: Path) -> Iterator[tuple[str, list[Field]]]:
    """Yield the Ensembl id and the fields of every gene in a file of XML; entities are refused."""
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import ParseError, iterparse

    with path.open("rb") as start:
        opened: Any = gzip.open if start.read(2) == _XML[-1] else Path.open
    try:
        with opened(path, "rb") as file:
            stream = _Bounded(file)
            for _, element in iterparse(stream):
                if element.tag == "entry":
                    identifier = element.find("identifier")
                    gene = "" if identifier is None else identifier.get("id", "")
                    yield gene, list(_fields(element, gene))
                    element.clear()
                    stream.entry_ended()
    except (ParseError, DefusedXmlException, UnreadableError, EOFError, OSError, zlib.error) as error:
        reason = str(error).partition("\n")[0]
        raise PipelineError(f"{path}: not XML of HPA ({reason}); remove it and run again") from error


def _fields(entry: Any, gene: str) -> Iterator[Field]:
    """Yield the fields of human cells with the usual markers."""
    if not _GENE.fullmatch(gene):
        return
    for antibody in entry.iter("antibody"):
        for assay in antibody.iterfind(".//cellExpression/subAssay"):
            if assay.get("type") != "human":
                continue
            for data in assay.iterfind("data"):
                line = (data.findtext("cellLine") or "").strip()
                for image in data.iterfind("assayImage/image"):
                    address = _ADDRESS.fullmatch((image.findtext("imageUrl") or "").strip())
                    if address is None or not _is_usual(image):
                        continue
                    number, name = address.groups()
                    yield Field(antibody.get("id", ""), number, name, line, (gene,))


def _is_usual(image: Any) -> bool:
    """Return whether the markers, as far as they are named, are the usual ones."""
    shown = {one.get("color", ""): (one.text or "").strip().lower() for one in image.iterfind("channel")}
    return all(shown.get(colour, usual) == usual for colour, usual in MARKERS.items())
