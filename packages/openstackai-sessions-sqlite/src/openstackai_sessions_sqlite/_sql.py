"""Every statement, as text.

A session id that is NULL belongs to nobody: the row was retired (its content goes bit by bit) or is being staged.
Payloads come and go as bytes but lie in the file as TEXT, for people and for SQLite's JSON functions to read; the
casts change the type and no byte. `key` is where a session's content lies, `life` is the key it began with (NULL: the
same), so that moving to a fresh key does not begin a new life.
"""

# ruff: noqa: S608 - statements are made of statements here, never of data
from __future__ import annotations

SESSION = "s.key, s.life, s.next_position, s.count, s.metadata_bytes, s.created_at, s.ttl, s.expires_at"

# -- What every write reads first: its operation, if it is remembered, and the session ------------------------------

FIND = f"""
SELECT o.digest, o.outcome, {SESSION}
FROM (SELECT ? AS session_id) AS i
LEFT JOIN operations AS o ON o.session_id = i.session_id AND o.op_id = ? AND o.forget_at > ?
LEFT JOIN sessions AS s ON s.session_id = i.session_id
"""

# The same for several at once, numbered by the caller.
FOUND_TOGETHER = 16
FIND_TOGETHER = f"""
WITH asked (number, session_id, op_id, now) AS (VALUES {", ".join(["(?, ?, ?, ?)"] * FOUND_TOGETHER)})
SELECT i.number, o.digest, o.outcome, {SESSION}
FROM asked AS i
LEFT JOIN operations AS o ON o.session_id = i.session_id AND o.op_id = i.op_id AND o.forget_at > i.now
LEFT JOIN sessions AS s ON s.session_id = i.session_id
"""

# -- Writes ---------------------------------------------------------------------------------------------------------

INSERT_SESSION = """
INSERT INTO sessions (life, session_id, next_position, count, metadata_bytes, created_at, updated_at, ttl, expires_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
UPDATE_SESSION = """
UPDATE sessions SET next_position = ?, count = ?, metadata_bytes = ?, updated_at = ?, ttl = ?, expires_at = ?
WHERE key = ?
"""
INSERT_MESSAGE = "INSERT INTO messages (session, position, id, created_at, data) VALUES (?, ?, ?, ?, CAST(? AS TEXT))"
DELETE_MESSAGE = "DELETE FROM messages WHERE session = ? AND position = ?"
INSERT_METADATA = """
INSERT INTO metadata (session, key, value) VALUES (?, ?, CAST(? AS TEXT))
ON CONFLICT (session, key) DO UPDATE SET value = excluded.value
"""
DELETE_METADATA = "DELETE FROM metadata WHERE session = ? AND key = ?"
MOVE_METADATA = "UPDATE metadata SET session = ? WHERE session = ?"
# REPLACE: an operation that is past remembering may still lie there under the same id.
REMEMBER = """
INSERT OR REPLACE INTO operations (session_id, op_id, digest, forget_at, outcome)
VALUES (?, ?, ?, ?, CAST(? AS TEXT))
"""
MESSAGE_BY_ID = """
SELECT position, id, created_at, CAST(data AS BLOB) FROM messages WHERE session = ? AND id = ?
"""
NEWEST_MESSAGE = """
SELECT position, id, created_at, CAST(data AS BLOB) FROM messages WHERE session = ? ORDER BY position DESC LIMIT 1
"""
METADATA_SIZE = "SELECT length(CAST(value AS BLOB)) FROM metadata WHERE session = ? AND key = ?"

# -- Leaving storage ------------------------------------------------------------------------------------------------

RETIRE = "UPDATE sessions SET session_id = NULL, expires_at = 0 WHERE key = ?"
EXPIRED = """
SELECT key FROM sessions WHERE expires_at IS NOT NULL AND expires_at <= ? AND session_id IS NOT NULL LIMIT ?
"""
OVER = "SELECT key FROM sessions WHERE expires_at IS NOT NULL AND expires_at <= ? ORDER BY expires_at LIMIT 1"
REMOVE_MESSAGES = """
DELETE FROM messages WHERE session = ? AND position IN
(SELECT position FROM messages WHERE session = ? ORDER BY position LIMIT ?)
"""
REMOVE_METADATA = """
DELETE FROM metadata WHERE session = ? AND key IN (SELECT key FROM metadata WHERE session = ? ORDER BY key LIMIT ?)
"""
REMOVE_SESSION = "DELETE FROM sessions WHERE key = ?"
# The ledger is cleared a stretch at a time, from one key to another.
END_OF_STRETCH = """
SELECT op_id, session_id FROM operations WHERE (op_id, session_id) > (?, ?) ORDER BY op_id, session_id LIMIT 1 OFFSET ?
"""
FORGET = """
DELETE FROM operations WHERE (op_id, session_id) > (?, ?) AND (op_id, session_id) <= (?, ?) AND forget_at <= ?
"""
FORGET_REST = "DELETE FROM operations WHERE (op_id, session_id) > (?, ?) AND forget_at <= ?"

# -- A large import: staged under a row of its own, then given the session's id ---------------------------------------

STAGED = "SELECT expires_at FROM sessions WHERE key = ? AND session_id IS NULL"
EXTEND_STAGED = "UPDATE sessions SET expires_at = ? WHERE key = ?"
# Through the negative numbers, so that no position on its way meets one that has yet to move.
SHIFT_STAGED = (
    "UPDATE messages SET position = -(position + ?) WHERE session = ?",
    "UPDATE messages SET position = -position WHERE session = ? AND position < 0",
)
PUBLISH = """
UPDATE sessions SET life = ?, session_id = ?, next_position = ?, count = ?, metadata_bytes = ?, created_at = ?,
updated_at = ?, ttl = ?, expires_at = ? WHERE key = ?
"""

# -- Reads ----------------------------------------------------------------------------------------------------------

LIVE = "s.session_id = ? AND (s.expires_at IS NULL OR s.expires_at > ?)"

WINDOW = f"""
SELECT m.position, m.id, m.created_at, CAST(m.data AS BLOB)
FROM sessions AS s JOIN messages AS m ON m.session = s.key
WHERE {LIVE} AND m.position < ? ORDER BY m.position DESC LIMIT ?
"""
# What it gives has changed where another connection has committed.
DATA_VERSION = "PRAGMA data_version"
EXPIRES_AT = f"SELECT s.expires_at FROM sessions AS s WHERE {LIVE}"
SCAN = f"""
SELECT m.position, m.id, m.created_at, CAST(m.data AS BLOB)
FROM sessions AS s JOIN messages AS m ON m.session = s.key
WHERE {LIVE} AND coalesce(s.life, s.key) = ? AND m.position > ? AND m.position <= ? ORDER BY m.position LIMIT ?
"""
HEAD = f"""
SELECT coalesce(s.life, s.key), s.count, (SELECT max(m.position) FROM messages AS m WHERE m.session = s.key),
s.created_at, s.updated_at FROM sessions AS s WHERE {LIVE}
"""
METADATA = f"""
SELECT d.key, CAST(d.value AS BLOB) FROM sessions AS s JOIN metadata AS d ON d.session = s.key WHERE {LIVE}
"""
METADATA_VALUE = f"{METADATA} AND d.key = ?"
KEY_OF = f"SELECT s.key, s.created_at FROM sessions AS s WHERE {LIVE}"
ALL_MESSAGES = "SELECT position, id, created_at, CAST(data AS BLOB) FROM messages WHERE session = ? ORDER BY position"
ALL_METADATA = "SELECT key, CAST(value AS BLOB) FROM metadata WHERE session = ?"
LISTING = """
SELECT session_id, count, created_at, updated_at FROM sessions
WHERE session_id {} ? AND session_id < ? AND (expires_at IS NULL OR expires_at > ?)
ORDER BY session_id LIMIT ?
"""
LISTING_FROM = LISTING.format(">=")
LISTING_AFTER = LISTING.format(">")
IS_OVER = "SELECT 1 FROM sessions WHERE expires_at IS NOT NULL AND expires_at <= ? LIMIT 1"
