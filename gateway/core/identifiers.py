"""What a user id may be, at every door: webhooks, registrations, tokens, addresses, commands.

Ids are compared as they are given: no normal form is applied, and nothing is trimmed.
"""

from __future__ import annotations

import re

MAX_ID = 256
"""Characters a user id may have."""

# controls (C0, DEL, C1) and halves of surrogate pairs, which no database and no log takes
_TAKES_NO = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]").search


def id_fault(value: object) -> str | None:
    """Why this is no user id, as the rest of a sentence that its name begins; None: it is one."""
    if not isinstance(value, str):
        return "is not a string"
    if not value:
        return "is empty"
    if len(value) > MAX_ID:
        return f"is over {MAX_ID} characters"
    if not value.isprintable() and _TAKES_NO(value):
        return "holds a control character, or half of a character"
    return None
