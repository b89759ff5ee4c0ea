"""What an error shows of the connection that could not be made."""

from __future__ import annotations

import psycopg
import pytest

from openstackai_sessions_core import BackendUnavailableError
from openstackai_sessions_postgres import PostgresStore


def test_the_cause_of_a_failed_connection_keeps_no_connection_parameters() -> None:
    with PostgresStore("postgresql://guest:hidden-word@127.0.0.1:1/db", retry_timeout=0) as store:
        with pytest.raises(BackendUnavailableError) as caught:
            store.session("s").add_message("user", "x")
    cause = caught.value.__cause__
    assert isinstance(cause, psycopg.OperationalError)
    assert cause.pgconn is None
    assert "hidden-word" not in repr(vars(cause))
