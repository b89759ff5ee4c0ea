# ruff: noqa: INP001 - Sphinx reads this file by its path
"""How the documentation is built: `make docs`."""

import re

from sphinx.application import Sphinx
from sphinx.util.inspect import TypeAliasForwardRef

from openstackai_sessions import __version__

project = "openstackai-sessions"
copyright = "openstackai-sessions contributors"
release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = "openstackai-sessions"

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autodoc_type_aliases = {
    "JSONInput": "~openstackai_sessions.JSONInput",
    "JSONObject": "~openstackai_sessions.JSONObject",
    "JSONValue": "~openstackai_sessions.JSONValue",
    "TResponseInputItem": "~agents.TResponseInputItem",
}
# Sphinx writes an alias inside list[...] or dict[...] by its repr.
TypeAliasForwardRef.__repr__ = lambda alias: alias.name  # type: ignore[method-assign]

nitpicky = True
nitpick_ignore_regex = [
    # The standard library and the agents SDK: no inventory is fetched, so that the build needs no network.
    (r"py:.*", r"(agents|asyncio|collections|datetime|os|pathlib|types|typing)\..*"),
    # Nor of the drivers, for the same reason.
    (r"py:.*", r"(redis|psycopg_pool)\..*"),
    # Type variables and an alias of a plain tuple, which have no page.
    (r"py:.*", r"(.*\.)?(T|Self|HandlerT|TContext|RecordTuple)"),
]


def markdown(_app: Sphinx, _what: str, _name: str, _thing: object, _options: object, lines: list[str]) -> None:
    """Docstrings mark code as Markdown does."""
    lines[:] = [re.sub(r"(?<!`)`([^`]+)`(?!`)", r"``\1``\\ ", line) for line in lines]


def setup(app: Sphinx) -> None:
    """Let docstrings through `markdown`."""
    app.connect("autodoc-process-docstring", markdown)
