"""Waiting until a statement waits for a lock."""

from __future__ import annotations

import time

import psycopg

__all__ = ["wait_for_a_lock"]


def wait_for_a_lock(database: str) -> None:
    """Until a statement waits for a lock: from then on the interleaving is forced."""
    with psycopg.connect(database, autocommit=True) as connection:
        for _ in range(500):
            waiting = connection.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
            ).fetchone()
            assert waiting is not None
            if waiting[0]:
                return
            time.sleep(0.01)
    raise AssertionError("nothing waited for the lock")
