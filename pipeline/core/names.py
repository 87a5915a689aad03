"""Names: tokens of column names, ids that are safe as file names, and what was meant by a mistyped one."""

import re
from collections.abc import Iterable
from difflib import get_close_matches

_SAFE_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+=-]{0,199}")

SAFE_IDS = "up to 200 letters a-z, digits and _ . + = -, the first a letter, digit or _"
"""What `is_safe_id` allows, in words."""

SHOWN = 30
"""Known names that a message lists at most."""


def slug(text: str) -> str:
    """Turn a name into a token of column names: small letters, digits and single underscores."""
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")


def is_safe_id(sample_id: str) -> bool:
    """Say whether an id can be a file name: letters, digits and ``_ . + = -``, not starting with a dot."""
    return _SAFE_ID.fullmatch(sample_id) is not None


def printable(text: str) -> str:
    """Return a text of files as one line of a table or message: what does not print, by its code."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def near(name: str, known: Iterable[str]) -> list[str]:
    """Return the known names that someone who typed `name` may have meant, the likeliest first.

    The only one that it is a whole word of is meant, however long that is.
    """
    folded: dict[str, str] = {}
    for one in known:
        folded.setdefault(one.casefold(), one)
    having = [one for words, one in folded.items() if name.casefold() in re.findall(r"\w+", words)]
    return (
        having
        if len(having) == 1
        else [folded[match] for match in get_close_matches(name.casefold(), folded, n=3, cutoff=0.6)]
    )


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """Say that a name of something ("location", "family") is unknown, what is known, what may be meant."""
    names = list(known)
    listed = ", ".join(names) or "none"
    if len(names) > SHOWN:
        listed = f"{len(names):,}, such as {', '.join(names[:3])}"
    meant = " or ".join(near(name, names))
    return f"unknown {what} '{name}'; known: {listed}" + (f"; did you mean {meant}?" if meant else "")


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: "1 picture", "31,002 pictures"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
