"""All that an error gives away to whoever prints, logs or sends it."""

from __future__ import annotations

import pickle
import traceback


def everything_shown(error: BaseException) -> str:
    """An error with all that hangs on it, as text."""
    shown: list[str] = []
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        shown += [str(one), repr(one), repr(one.args), repr(vars(one))]
        shown += traceback.format_exception(one)
        try:
            shown.append(pickle.dumps(one).decode("latin-1"))
        except Exception as refusal:  # noqa: BLE001 - not every error of a driver can be sent
            shown.append(repr(refusal))
        waiting += [one.__cause__, one.__context__]
    return "\n".join(shown)
