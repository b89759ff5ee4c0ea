"""How a backend may keep the outcome of an operation: as compact JSON text.

The payloads of an append are not kept: a repetition has the same digest, so they are those of the repeating call.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from openstackai_sessions_core._errors import ConflictError, CorruptDataError
from openstackai_sessions_core._records import NewMessage, Operation, Outcome, Record

__all__ = ["decode_outcome", "encode_outcome", "recall", "used_before"]


class _Kept(msgspec.Struct, array_like=True):
    applied: bool
    records: list[tuple[int, str, int]]
    added: list[bool]
    payload: str | None


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Kept).decode


def encode_outcome(outcome: Outcome) -> bytes:
    """The text to keep with an operation. A popped message's payload is in it, an appended one's is not."""
    popped = outcome.records[0][3] if outcome.records and not outcome.added else None
    records = [record[:3] for record in outcome.records]
    # Payloads are UTF-8 by contract; a broken one is not popped, so decoding cannot fail here.
    return _encode(
        _Kept(
            outcome.applied,
            records,
            list(outcome.added),
            popped.decode() if popped else None,
        )
    )


def decode_outcome(text: bytes | str, messages: Sequence[NewMessage] = ()) -> Outcome:
    """The outcome that was kept, as a repetition of it; `messages` are those of the repeating append."""
    try:
        kept = _decode(text)
    except (msgspec.MsgspecError, ValueError) as error:
        raise CorruptDataError(f"what is remembered of an operation cannot be read ({type(error).__name__})") from None
    payloads = [message.data for message in messages] if kept.payload is None else [kept.payload.encode()]
    records = [
        Record(position, id, created_at, data)
        for (position, id, created_at), data in zip(kept.records, payloads, strict=False)
    ]
    return Outcome(kept.applied, True, records, kept.added)


def recall(op: Operation, digest: bytes, text: bytes | str, messages: Sequence[NewMessage] = ()) -> Outcome:
    """The outcome of an operation found in the ledger; `ConflictError` where its id was used for another write."""
    if digest != op.digest:
        raise used_before(op)
    return decode_outcome(text, messages)


def used_before(op: Operation) -> ConflictError:
    return ConflictError(f"op_id {op.id!r} was used before for another write to this session; use a new one")
