"""Agents that remember: `Agent` and `Runner` of the OpenAI Agents SDK, with the session that an agent carries.

Importing this package imports that SDK, which takes seconds; nothing else of this project does.
"""

from openstackai_sessions_agents._adapter import SessionLike, as_agents_session
from openstackai_sessions_agents._agent import Agent
from openstackai_sessions_agents._runner import Runner
from openstackai_sessions_agents._version import __version__

__all__ = ["Agent", "Runner", "SessionLike", "__version__", "as_agents_session"]
