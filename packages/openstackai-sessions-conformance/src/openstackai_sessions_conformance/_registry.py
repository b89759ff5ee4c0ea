"""Every check of the suite, by number: the one list that the tests, the statement and the documentation follow."""

from __future__ import annotations

from typing import NamedTuple

from openstackai_sessions_conformance._capabilities import Capability

__all__ = ["CHECKS", "GROUPS", "Rule"]


class Rule(NamedTuple):
    """One numbered rule: its title, its group, and the capability it belongs to (None: mandatory)."""

    number: int
    title: str
    group: str
    capability: Capability | None

    @property
    def label(self) -> str:
        """Number and title, as messages show them."""
        return f"{self.number:03d} {self.title}"


GROUPS = {
    "A": "Interface",
    "B": "Fidelity",
    "C": "Order and paging",
    "D": "Batches",
    "E": "Metadata",
    "F": "Isolation",
    "G": "Concurrency",
    "H": "Events",
    "I": "Export and import",
    "J": "Time to live",
    "K": "Durability",
    "L": "Retry",
    "M": "Security",
    "N": "Life and resources",
}

_TABLE = """
A  1 M         a fresh session is empty
A  2 M         add returns the message with its envelope
A  3 M         reads see writes, on the same handle and on others
A  4 M         an empty batch does nothing
A  5 M         pop returns the newest and removes exactly it
A  6 M         pop after clear returns None
A  7 M         returned objects are the caller's own copies
A  8 M         changing the input after the call changes nothing
A  9 M         signatures and results are those of every backend
A 10 M         fields of a message cannot overwrite its envelope
B 11 M         values come back type-exact, key order kept
B 12 M         floats come back bit for bit
B 13 M         integers to 2**63-1 are kept, larger ones refused
B 14 M         NaN and infinities are refused, nothing is written
B 15 M         text comes back unchanged, whatever it holds
B 16 M         lone surrogates are kept, through export too
B 17 M         empty, null and missing stay apart
B 18 M         what is not JSON is refused
B 19 M         text that looks like code stays text
B 20 M         cyclic and over-deep input raises SerializationError
B 21 M         sizes up to the limit are kept, one more is refused
B 22 M         a corrupted record raises CorruptDataError
C 23 M         the order is that of the appends
C 24 M         limit=n gives the newest n, oldest first
C 25 M         bad limits and positions are refused
C 26 M         positions increase and are never reused
C 27 M         the order survives backward clocks and equal times
C 28 STREAM    iteration equals the list and is stable under writes
C 29 STREAM    a cursor never skips what becomes visible later
D 30 M         a bad element at any place stores nothing
D 31 M         a reader never sees part of a batch
D 32 M         a batch is contiguous under concurrent writers
D 33 M         a failing driver call leaves all or nothing
D 34 M         ten thousand messages are one step, or refused up front
D 35 M         the handle stays usable after a failed batch
E 36 M         a missing key gives the default, a stored None is None
E 37 M         set overwrites, remove is idempotent
E 38 M         distinct keys set at once all survive
E 39 M         one key set at once ends with a value that was written
E 40 M         keys are literal
E 41 M         an update of several keys is one step
F 42 M         hostile session ids never touch each other
F 43 M         bad session ids are refused before any I/O
F 44 M         what happens to one session leaves others as they were
F 45 M         two places never leak into each other
G 46 M         each acknowledged append appears exactly once
G 47 M         what was acknowledged first comes first
G 48 M         every read is a prefix of the final order
G 49 M         concurrent pops return different messages
G 50 M         clear and append linearise
G 51 THREADS   threads may share a handle
G 52 MULTIPROC processes may share a place
G 53 ASYNC     tasks may share a handle
G 54 M         every operation ends within its time-out
G 55 MULTIPROC a slow session does not hold up another
H 56 M         one event per success, with the stored message
H 57 M         handlers run after the commit
H 58 M         no event for failures and for what did nothing
H 59 M         a raising handler harms nothing
H 60 M         writes inside a handler queue their events
H 61 M         no lock is held while handlers run
H 62 M         unsubscribing works, closing drops the handlers
H 63 M         a repeated write fires once
H 64 M         a handle never reports the writes of another
I 65 M         import of export equals the original
I 66 M         export is a consistent snapshot
I 67 M         documents pass between backends
I 68 M         import replaces in one step, or changes nothing
I 69 M         importing twice equals once
I 70 M         hostile documents are refused and change nothing
I 71 M         documents of every released version import
J 72 TTL       before the deadline all is visible, after it nothing
J 73 TTL       every write refreshes, reads do not
J 74 TTL       a session never expires in part
J 75 TTL       emptying, clearing and importing keep the setting
J 76 TTL       bad times to live are refused
J 77 TTL       a write after expiry starts clean
K 78 PROC      acknowledged writes survive a kill of the client
K 79 SERVER    acknowledged writes survive a kill of the server
K 80 POWER     acknowledged writes survive a loss of power
K 81 PROC      a kill during import, clear or migration leaves old or new
K 82 NET       the same handle recovers when the server restarts
K 83 NET       a place that cannot take writes says so and still reads
K 84 NET       unsafe server settings are reported
L 85 NET       a reply lost after the write is retried and lands once
L 86 NET       without retries a lost reply is OutcomeUnknownError
L 87 M         a repeated op_id returns the first result
L 88 M         a repeat never brings back what was removed
L 89 NET       drivers' own retries cannot apply a write twice
L 90 NET       a refused connection is BackendUnavailableError
M 91 M         hostile names are refused or taken literally
M 92 M         secrets never appear in texts
M 93 TLS       bad certificates are refused, nothing is downgraded
M 94 M         only declared URL schemes open
M 95 M         reading runs no code, content is never logged
N 96 M         close is idempotent, use after it says so
N 97 M         opening and closing leaks nothing
N 98 NET       an exhausted pool says so in time and recovers
N 99 FORK      a fork leaves parent and child working
N 100 ASYNC    cancelled calls are all or nothing
N 101 ASYNC    the event loop is never blocked
N 102 MIGRATE  many processes may start on an empty place
N 103 STREAM   a long log iterates in constant memory
N 104 M        limits are exact and typed
"""


def _read(line: str) -> Rule:
    group, number, kind, title = line.split(maxsplit=3)
    return Rule(int(number), title, group, None if kind == "M" else Capability[kind])


CHECKS: dict[int, Rule] = {rule.number: rule for rule in map(_read, _TABLE.strip().splitlines())}
