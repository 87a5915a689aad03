"""Lists of locations: those that ship with the project, and files of one's own."""

import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.core.errors import PipelineError
from pipeline.core.files import UnreadableError, check_readable, text_digest
from pipeline.core.names import near, slug, unknown
from pipeline.data.dataset_options import READY_LISTS, LocationOptions
from pipeline.data.table_files import as_text, load

_FOLDER = Path(__file__).resolve().parents[2] / "data" / "locations"

PAIR = ("Nucleoplasm", "Cytosol")
"""The two most frequent locations, which have a model of their own where a list has both."""

NONE = "none"
"""What a name is merged into that stands for no location."""

OTHERS = "*"
"""What a row is called that stands for all names of other lists that have no row."""

_TAKEN = {
    *("id", "locations", "cells", "status", "reason", "predicted", NONE),
    *("label", "labels", "probabilities", "group", "fold", "plate"),
    *("stack", "top two", "without selection", "random split"),
}
"""Names of columns, and of models that are of several locations."""

_NUMBER = re.compile(r"(\d{1,4})(\.0*)?")


class Location(BaseModel):
    """One row of a list.

    Attributes
    ----------
    name : str
    index : int or None
        Number of the class in labels; None where labels cannot have one.
    go_id : str
        Term of the Gene Ontology.
    parent : str
        What it is a part of: its locations are scored together too.
    merge_into : str
        The location that labels of this name are trained as, or ``none``; empty for a location itself.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    name: Annotated[str, Field(max_length=100, pattern=r"^[^\x00-\x1f|;,]*$")]
    index: Annotated[int | None, Field(ge=0, le=9999)] = None
    go_id: Annotated[str, Field(pattern=r"^(GO:\d{7})?$")] = ""
    parent: Annotated[str, Field(max_length=100, pattern=r"^[^\x00-\x1f]*$")] = ""
    merge_into: str = ""


@dataclass(frozen=True)
class LocationList:
    """Locations that are told apart, in their order, and what other names stand for them.

    Attributes
    ----------
    name : str
        Of a list that ships with the project, or of a file.
    rows : tuple of Location
        Of all names: one with ``merge_into`` is no location itself.
    """

    name: str
    rows: tuple[Location, ...]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the locations."""
        return tuple(row.name for row in self.rows if not row.merge_into)

    @cached_property
    def columns(self) -> Mapping[str, int]:
        """Position of every location by its name."""
        return {name: column for column, name in enumerate(self.names)}

    @cached_property
    def indices(self) -> Mapping[str, int]:
        """Class index of every location by its name."""
        return {row.name: row.index for row in self.rows if row.index is not None and not row.merge_into}

    @cached_property
    def parents(self) -> Mapping[str, str]:
        """Parent of every location that has one; a location that is one is its own."""
        given = {row.name: row.parent for row in self.rows if row.parent}
        return given | {name: name for name in self.names if name in given.values() and name not in given}

    @property
    def digest(self) -> str:
        """The sha256 of all that the rows say."""
        return text_digest([row.model_dump() for row in self.rows])

    @property
    def span(self) -> str:
        """Class indices in words: "0-27 of kaggle2018"."""
        return f"{min(self._by_index)}-{max(self._by_index)} of {self.name}"

    def row(self, word: str) -> Location | None:
        """Return the row that a word means: a class index, also as a column of floats has it, or a name."""
        number = _NUMBER.fullmatch(word.strip())
        return self._by_slug.get(slug(word)) if number is None else self._by_index.get(int(number[1]))

    def trained_as(self, row: Location) -> frozenset[str] | None:
        """Return which location a row of this or another list stands for here; None where that is not known.

        It is found by its name, or else by its term of the Gene Ontology, or else it is one of `OTHERS`; none
        are found for what stands for no location.
        """
        own = self._by_slug.get(slug(row.name)) or self._by_go_id.get(row.go_id) or self._others
        if own is None:
            return None
        name = own.merge_into or own.name
        return frozenset() if name == NONE else frozenset({name})

    def find(self, word: str) -> str:
        """Return the location that a user means by a name, in any case, or a class index.

        Raises
        ------
        PipelineError
            If there is none; the message lists the known ones.
        """
        row = self.row(word)
        found = None if row is None else self.trained_as(row)
        if not found:
            raise PipelineError(unknown("location", word, self.names))
        return min(found)

    def near(self, word: str) -> list[str]:
        """Return the names that may be meant by a mistyped one."""
        return near(word, (row.name for row in self.rows))

    def as_card(self) -> dict[str, Any]:
        """Return all that `of_card` needs, as JSON."""
        rows = [row.model_dump(exclude_defaults=True) for row in self.rows]
        return {"name": self.name, "rows": rows}

    @cached_property
    def _by_slug(self) -> dict[str, Location]:
        return {slug(row.name): row for row in self.rows if row.name != OTHERS}

    @cached_property
    def _others(self) -> Location | None:
        return next((row for row in self.rows if row.name == OTHERS), None)

    @cached_property
    def _by_index(self) -> dict[int, Location]:
        return {row.index: row for row in self.rows if row.index is not None}

    @cached_property
    def _by_go_id(self) -> dict[str, Location]:
        known = Counter(row.go_id for row in self.rows if row.go_id)
        return {row.go_id: row for row in self.rows if known[row.go_id] == 1}


def open_lists(options: LocationOptions) -> tuple[LocationList, LocationList | None]:
    """Return the list that a command tells apart, and the one that labels are said to be written in."""
    return open_list(options.locations), None if options.labels_as is None else open_list(options.labels_as)


def list_inputs(options: LocationOptions) -> dict[str, str]:
    """Return the fingerprints of the lists of a stage, by what they are; none where it has the first one."""
    locations, written = open_lists(options)
    own = {} if locations == KAGGLE2018 else {f"locations {locations.name}": locations.digest}
    return own if written is None else {**own, f"list of the labels {written.name}": written.digest}


def of_card(card: Mapping[str, Any]) -> LocationList:
    """Return the list that a model was trained with, as its card has it; those of older versions had one.

    Raises
    ------
    PipelineError
        If the card is damaged.
    """
    if "location_list" not in card:
        return KAGGLE2018
    try:
        known = card["location_list"]
        return LocationList(known["name"], tuple(map(Location.model_validate, known["rows"])))
    except (ValidationError, KeyError, TypeError) as error:
        raise PipelineError("the model's list of locations is damaged; copy the model again") from error


def open_list(name: str) -> LocationList:
    """Return a list that ships with the project, by name, or that of a csv or TOML file.

    Raises
    ------
    PipelineError
        If there is no such list, or a row cannot be used.
    """
    if name in READY_LISTS:
        return _ready(name)
    path = Path(name)
    if not path.exists():
        known = ", ".join(READY_LISTS)
        raise PipelineError(
            f"{path}: no such file; give a list of locations: {known}, or the path of a csv or TOML file"
        )
    rows = _toml_rows(path) if path.suffix.lower() == ".toml" else _table_rows(path)
    return _checked(path, path.name, rows)


@cache
def _ready(name: str) -> LocationList:
    path = _FOLDER / f"{name}.csv"
    return _checked(path, name, _table_rows(path))


def _table_rows(path: Path) -> list[dict[str, Any]]:
    """Read the rows of a table; empty cells say nothing."""
    found, _ = load(path, ("name",), numbers=False)
    wanted = [name for name in found if name and name.casefold() not in Location.model_fields]
    _, columns = load(path, (*Location.model_fields, *wanted), numbers=False)
    if "name" not in columns:
        raise PipelineError(f"{path}: no column name (found: {', '.join(found)[:300]}); add or rename it")
    rows = zip(*(as_text(values).to_pylist() for values in columns.values()), strict=True)
    return [{name: cell for name, cell in zip(columns, row, strict=True) if cell} for row in rows if any(row)]


def _toml_rows(path: Path) -> list[dict[str, Any]]:
    """Read ``locations = ["A", "B"]``, or one table ``[[locations]]`` for each."""
    try:
        check_readable(path)
        said = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (UnreadableError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PipelineError(f"{path}: {error}; write it as TOML") from error
    rows = said.pop("locations", None)
    if said or not isinstance(rows, list):
        found = ", ".join(said) or "none"
        raise PipelineError(f"{path}: holds no list 'locations' alone (others: {found}); write [[locations]]")
    return [row if isinstance(row, dict) else {"name": row} for row in rows]


def _checked(path: Path, name: str, rows: list[dict[str, Any]]) -> LocationList:
    """Return a list whose names tell its locations apart, all of them with a class index."""
    numbered = any("index" in row for row in rows)
    if not numbered:
        rows = [{"index": k} | row if row.get("name") != OTHERS else row for k, row in enumerate(rows)]
    read = [_row(path, row) for row in rows]
    found = LocationList(name, tuple(read))
    if not found.names:
        raise PipelineError(f"{path}: has no location; write one per row, in a column 'name'")
    _once(path, "name", (row.name for row in read), slug)
    _once(path, "index", (row.index for row in read if row.index is not None), str)
    for row in read:
        if row.index is None and not row.merge_into:
            raise PipelineError(f"{path}: '{row.name}' has no index where others have; fill it in")
        if row.merge_into and row.merge_into not in (*found.names, NONE):
            known = unknown("location", row.merge_into, (*found.names, NONE))
            raise PipelineError(f"{path}: '{row.name}' is merged into an {known}")
        if row.merge_into and row.parent:
            raise PipelineError(f"{path}: '{row.name}' has both merge_into and parent; leave one empty")
    return found


def _row(path: Path, row: Mapping[str, Any]) -> Location:
    try:
        read = Location.model_validate(row)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field, said = str(first["loc"][0]), f"{path}: '{row.get('name', '')}'"
        if field not in Location.model_fields:
            raise PipelineError(f"{said}: {unknown('column', field, Location.model_fields)}") from error
        remedy = "give one like GO:0005654" if field == "go_id" else first["msg"]
        if field in ("name", "parent") and "pattern" in first["type"]:
            remedy = "write it without | ; , and characters that do not print"
        raise PipelineError(f"{said}: {field} {row.get(field, '')!r}: {remedy}") from error
    if read.name == OTHERS and read.merge_into:
        return read
    if not re.search("[a-z]", slug(read.name)):
        raise PipelineError(f"{path}: '{read.name}' is no name of a location; give it a letter from a to z")
    if read.name.casefold() in _TAKEN or read.name.casefold().startswith("metadata_"):
        raise PipelineError(f"{path}: '{read.name}' means something else in tables and reports; rename it")
    return read


def _once(path: Path, what: str, values: Iterable[Any], key: Any) -> None:
    """Refuse two values that read alike."""
    seen: dict[str, Any] = {}
    for value in values:
        if key(value) in seen:
            first = seen[key(value)]
            raise PipelineError(f"{path}: {what} '{first}' and '{value}' read alike; rename or remove one")
        seen[key(value)] = value


KAGGLE2018 = open_list("kaggle2018")
"""The 28 of the Human Protein Atlas' Kaggle competition of 2018: what is told apart unless said otherwise."""

LOCATIONS = KAGGLE2018.names
"""Their names by class index."""
