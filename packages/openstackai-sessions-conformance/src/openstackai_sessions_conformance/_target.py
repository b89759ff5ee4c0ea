"""The module that a run outside of a test module collects: it holds the class that was chosen."""

from openstackai_sessions_conformance._run import chosen

TestStore = chosen()
