"""The names of the keys: no session id, whatever it looks like, names a key of another session.

A key is `prefix:{tag}:kind:id`. A prefix holds no brace and the id comes last, so a name reads in one way only. The tag
stands for one of 256 buckets; a bucket's sessions and its index share a hash slot, on a Redis Cluster too.
"""

from __future__ import annotations

import itertools
import re
from binascii import crc_hqx
from functools import lru_cache
from typing import NamedTuple
from zlib import crc32

from openstackai_sessions_core import ValidationError

__all__ = [
    "BUCKETS",
    "SessionKeys",
    "bucket_keys",
    "bucket_of",
    "check_prefix",
    "permissions_key",
    "session_keys",
    "staging_keys",
]

BUCKETS = 256
SLOTS = 16_384
PREFIX = re.compile(r"[A-Za-z0-9_.:/@=+-]{1,100}", re.ASCII)


class SessionKeys(NamedTuple):
    """The keys of one session in the order in which the scripts take them, the last two being those of its bucket."""

    state: bytes
    log: bytes
    metadata: bytes
    ids: bytes
    operations: bytes
    older_operations: bytes
    bucket_index: bytes
    bucket_deadlines: bytes


def check_prefix(value: object) -> str:
    """Return a prefix that may stand before a brace, in a cluster and in the patterns of an ACL."""
    if type(value) is not str or not PREFIX.fullmatch(value):
        raise ValidationError(
            f"prefix must be 1 to 100 of the characters A-Z a-z 0-9 _ . : / @ = + -, not {value!r}; "
            "it is the first part of the name of every key"
        )
    return value


@lru_cache(maxsize=1)
def _tags() -> list[bytes]:
    """For each bucket the smallest number, in hexadecimal, whose hash slot lies in the bucket's share of the slots."""
    tags: dict[int, bytes] = {}
    for number in itertools.count():
        tag = b"%x" % number
        # CRC-16/XMODEM modulo 16,384 is how a Redis Cluster finds the slot of a hash tag.
        tags.setdefault(crc_hqx(tag, 0) % SLOTS * BUCKETS // SLOTS, tag)
        if len(tags) == BUCKETS:
            break
    return [tags[bucket] for bucket in range(BUCKETS)]


@lru_cache(maxsize=256)
def _stems(prefix: str) -> list[bytes]:
    return [b"%b:{%b}:" % (prefix.encode(), tag) for tag in _tags()]


def bucket_of(session_id: bytes) -> int:
    """The bucket that a session falls into, for good."""
    return crc32(session_id) % BUCKETS


@lru_cache(maxsize=4096)
def session_keys(prefix: str, session_id: bytes) -> SessionKeys:
    stem = _stems(prefix)[crc32(session_id) % BUCKETS]
    return SessionKeys(
        stem + b"state:" + session_id,
        stem + b"log:" + session_id,
        stem + b"metadata:" + session_id,
        stem + b"ids:" + session_id,
        stem + b"ops:" + session_id,
        stem + b"ops-older:" + session_id,
        stem + b"index",
        stem + b"deadlines",
    )


def bucket_keys(prefix: str, bucket: int) -> tuple[bytes, bytes]:
    """The index of a bucket (its session ids in order) and its deadlines."""
    stem = _stems(prefix)[bucket]
    return stem + b"index", stem + b"deadlines"


def permissions_key(prefix: str, session_id: bytes) -> bytes:
    """Where a store tries, without a trace, whether it may write to the bucket of a session."""
    return _stems(prefix)[crc32(session_id) % BUCKETS] + b"permissions"


def staging_keys(prefix: str, session_id: bytes, attempt: bytes) -> tuple[bytes, bytes]:
    """Where one attempt (32 hexadecimal digits) at an import puts its messages and ids before it takes effect."""
    stem = _stems(prefix)[crc32(session_id) % BUCKETS]
    return stem + b"staged-log:" + attempt + b":" + session_id, stem + b"staged-ids:" + attempt + b":" + session_id
