"""Compare the cost of one handle with `sqlite3` written by hand.

    python tests-integration/benchmarks/sqlite_by_hand.py [--rounds 7] [--json]

By hand: one table, one transaction a write, the standard library's json, WAL and synchronous=FULL on both sides. The
sides alternate in one process, on one file each; figures are medians of the rounds' means, in microseconds.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from openstackai_sessions_sqlite import SQLiteSession

MESSAGE = {
    "role": "assistant",
    "content": "It left the warehouse on Monday and is on its way to you. " + "It is blue. " * 11,
}
HELD = 1_000


class ByHand:
    """A conversation on `sqlite3`, as a careful programmer would write it in an afternoon."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL").fetchall()
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS messages (id INTEGER PRIMARY KEY, session TEXT, created REAL, data TEXT)"
        )
        self._db.execute("CREATE INDEX IF NOT EXISTS by_session ON messages (session, id)")

    def append(self, messages: list[dict[str, str]]) -> None:
        """Append in one transaction."""
        rows = [("s", time.time(), json.dumps(message)) for message in messages]
        self._db.execute("BEGIN IMMEDIATE")
        self._db.executemany("INSERT INTO messages (session, created, data) VALUES (?, ?, ?)", rows)
        self._db.execute("COMMIT")

    def read(self, limit: int) -> list[object]:
        """Read the newest, oldest first."""
        rows = self._db.execute(
            "SELECT data FROM messages WHERE session = ? ORDER BY id DESC LIMIT ?", ("s", limit)
        ).fetchall()
        return [json.loads(data) for (data,) in reversed(rows)]

    def turn(self) -> None:
        """Read 50, append 2."""
        self.read(50)
        self.append([MESSAGE, MESSAGE])


class Ours:
    """The same calls on a handle of ours."""

    def __init__(self, path: Path) -> None:
        self._session = SQLiteSession(path, "s")

    def append(self, messages: list[dict[str, str]]) -> None:
        """Append in one transaction."""
        self._session.add_messages(messages)

    def read(self, limit: int) -> list[object]:
        """Read the newest, oldest first."""
        return list(self._session.get_messages(limit))

    def turn(self) -> None:
        """Read 50, append 2."""
        self.read(50)
        self.append([MESSAGE, MESSAGE])


def mean(call: Callable[[], object], times: int) -> float:
    """Microseconds a call."""
    begun = time.perf_counter()
    for _ in range(times):
        call()
    return (time.perf_counter() - begun) / times * 1e6


def main() -> int:
    """Run the rounds and print the table."""
    parser = argparse.ArgumentParser(description="Compare one handle with sqlite3 written by hand.")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    options = parser.parse_args()
    results: dict[str, dict[str, list[float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        sides: list[tuple[str, ByHand | Ours]] = [
            ("by hand", ByHand(Path(folder, "hand.db"))),
            ("ours", Ours(Path(folder, "ours.db"))),
        ]
        for _, side in sides:
            side.append([MESSAGE] * HELD)
        for number in range(options.rounds):
            for name, side in sides[:: 1 if number % 2 else -1]:
                figures = {
                    "append 1": mean(lambda side=side: side.append([MESSAGE]), 200),  # type: ignore[misc]
                    "read 50 of 1,000": mean(lambda side=side: side.read(50), 500),  # type: ignore[misc]
                    "read 1,000": mean(lambda side=side: side.read(1_000), 30),  # type: ignore[misc]
                    "turn = read 50 + append 2": mean(side.turn, 200),
                }
                for figure, value in figures.items():
                    results.setdefault(figure, {}).setdefault(name, []).append(value)
    table = {
        figure: {
            "by hand": statistics.median(both["by hand"]),
            "ours": statistics.median(both["ours"]),
            "ratio": statistics.median(ours / hand for ours, hand in zip(both["ours"], both["by hand"], strict=True)),
        }
        for figure, both in results.items()
    }
    if options.json:
        print(json.dumps(table))
        return 0
    print(f"{'microseconds':28}{'by hand':>10}{'ours':>10}{'ratio':>8}")
    for figure, row in table.items():
        print(f"{figure:28}{row['by hand']:10,.0f}{row['ours']:10,.0f}{row['ratio']:8.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
