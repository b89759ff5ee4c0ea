"""``from openstackai import Runner``: the class takes this module's place, so that the import binds the class."""

import sys
from typing import TYPE_CHECKING

from openstackai_sessions import Runner

if not TYPE_CHECKING:
    sys.modules[__name__] = Runner
