"""The documented import path: ``openstackai.sessions`` is ``openstackai_sessions`` under another name.

A module and not a package, and in a folder without ``__init__.py``: another distribution brings a package of this
name, which stays whole, and wins, where both are installed.
"""

import sys
from typing import TYPE_CHECKING

import openstackai_sessions

if TYPE_CHECKING:
    from openstackai_sessions import *  # noqa: F403 - every name, those of later versions too
else:
    sys.modules[__name__] = openstackai_sessions
