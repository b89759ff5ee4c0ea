"""Opening a store by its URL."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import TypeVar
from urllib.parse import urlsplit

from openstackai_sessions_core._async_base import AsyncBaseStore
from openstackai_sessions_core._async_memory import AsyncInMemoryStore
from openstackai_sessions_core._base import BaseStore
from openstackai_sessions_core._errors import ValidationError
from openstackai_sessions_core._memory import InMemoryStore

__all__ = ["open_async_store", "open_store"]

S = TypeVar("S")

GROUP = "openstackai_sessions.stores"
ASYNC_GROUP = "openstackai_sessions.async_stores"
# Schemes of backends that are published with this library: where one is missing, we know what to install.
EXTRAS = {
    "sqlite": "sqlite",
    "redis": "redis",
    "rediss": "redis",
    "postgresql": "postgres",
    "postgres": "postgres",
}


def open_store(url: str) -> BaseStore:
    """Open the store that a URL names; the caller closes it.

    `memory://` (a new one each time), `sqlite:///relative.db`, `sqlite:////absolute.db`, `redis://`, `rediss://`,
    `postgresql://`, and the schemes that other packages declare. Raises `ValidationError` for an unknown scheme or
    query parameter, `ImportError` where the backend is not installed.
    """
    return _opener(url, GROUP, _open_memory)(url)


def open_async_store(url: str) -> AsyncBaseStore:
    """Open the asynchronous store that a URL names; see `open_store`."""
    return _opener(url, ASYNC_GROUP, _open_async_memory)(url)


def _opener(url: str, group: str, memory: Callable[[str], S]) -> Callable[[str], S]:
    if type(url) is not str:
        raise ValidationError(f"url must be a str, not {type(url).__name__}")
    scheme, colon, _ = url.partition(":")
    # The URL may hold a password, so that no error quotes more of it than a well-formed scheme.
    if not colon or not scheme.replace("+", "").replace("-", "").replace(".", "").isalnum() or len(scheme) > 40:
        raise ValidationError("url must begin with a scheme, such as sqlite:///sessions.db")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in url):
        raise ValidationError("url must not hold control characters or lone surrogates; percent-encode them")
    if scheme == "memory":
        return memory
    found = {entry.name: entry for entry in entry_points(group=group)}
    if scheme in found:
        opener: Callable[[str], S] = found[scheme].load()
        return opener
    if scheme in EXTRAS:
        extra = EXTRAS[scheme]
        raise ImportError(
            f"{scheme}:// needs a backend that is not installed: pip install 'openstackai-sessions[{extra}]'",
            name=f"openstackai_sessions_{extra}",
        )
    known = ", ".join(sorted({"memory", *found}))
    raise ValidationError(f"no installed backend opens the scheme {scheme!r}; installed: {known}")


def _check_memory(url: str) -> None:
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise ValidationError(f"the URL cannot be read ({error})") from None
    if parts.netloc or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValidationError("memory:// takes no host, path or query: each one opened is new and empty")


def _open_memory(url: str) -> InMemoryStore:
    _check_memory(url)
    return InMemoryStore()


def _open_async_memory(url: str) -> AsyncInMemoryStore:
    _check_memory(url)
    return AsyncInMemoryStore()
