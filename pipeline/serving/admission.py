"""Who may ask: the token that clients send, and pages of no others."""

import re
import secrets

from pipeline.core.errors import PipelineError
from pipeline.stages.serve_options import LOOPBACK, ListenOptions

SHORTEST = 16
"""Letters of a token at least."""


def token_of(options: ListenOptions) -> str:
    """Return the token to be sent: the file's, or a new one where other machines may reach the service.

    Raises
    ------
    PipelineError
        If the file cannot be read, or holds none.
    """
    path = options.token_file
    if path is None:
        return "" if options.host in LOOPBACK else secrets.token_urlsafe(24)
    try:
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise PipelineError(f"{path}: cannot be read ({error}); give a file with the token alone") from error
    if len(token) < SHORTEST or not token.isascii() or not token.isprintable() or " " in token:
        raise PipelineError(f"{path}: no token; write at least {SHORTEST} letters and digits into it")
    return token


def hosts_of(options: ListenOptions) -> tuple[str, ...]:
    """Return the names under which what listens may be asked: this machine's own, or any where none are."""
    return LOOPBACK if options.host in LOOPBACK else ()


def is_own(host: str, origin: str | None, hosts: tuple[str, ...]) -> bool:
    """Say whether a request comes from no page of others, and under a name that is served.

    Parameters
    ----------
    host, origin : str, str or None
        Headers of the request: the name that was asked, and the page that asks (none: no page).
    hosts : tuple of str
        Names that are served; empty: any.
    """
    is_own_page = origin is None or origin.partition("//")[2] == host
    return is_own_page and (not hosts or re.sub(r":\d+$", "", host).strip("[]") in hosts)
