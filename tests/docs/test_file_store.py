"""The example backend of the documentation passes the tests that every backend passes."""

from behaviour.test_concurrency import *  # noqa: F403 - every test of each module
from behaviour.test_documents import *  # noqa: F403
from behaviour.test_events import *  # noqa: F403
from behaviour.test_expiry import *  # noqa: F403
from behaviour.test_fidelity import *  # noqa: F403
from behaviour.test_messages import *  # noqa: F403
from behaviour.test_metadata import *  # noqa: F403
from behaviour.test_operations import *  # noqa: F403
from behaviour.test_same_trace import *  # noqa: F403
from behaviour.test_sessions import *  # noqa: F403
