"""What the transports' own words mean to people: of connections, and of answers that are nobody's.

Words of a vendor stand with the vendor; what neither knows has no meaning, and nothing is guessed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from providers.wording.between import PROXY_LOGIN

_STATUS = re.compile(r"HTTP (\d{3})(?: .*)?")

OWN: Mapping[str, str] = {
    "Timeout": "No answer came in time.",
    "Unreachable": "There was no connection to the push service.",
    "ConnectionLost": "The connection broke before an answer came.",
    "GoAway": "The push service ended the connection before it looked at the push.",
    "StreamRefused": "The push service did not look at the push.",
    "Full": "The connection took no more.",
    "Closed": "The connection was closed before an answer came.",
    "TransportError": "The connection failed in a way that nobody foresaw.",
    "NotStarted": "It was not begun in time, and its phone has to be looked up anew.",
    PROXY_LOGIN: "A proxy between here and the push service wants a login.",
}


def meaning(word: str, vendors: Mapping[str, str]) -> str:
    """What a word means: by the vendor's list, by ours, or by its HTTP status; "" if nobody knows.

    What follows a semicolon or a comma is ours, and was added to the vendor's word.
    """
    first = re.split(r"[;,] ", word, maxsplit=1)[0]
    for known in (vendors, OWN):
        if first in known:
            return known[first]
    status = _STATUS.fullmatch(first)
    if status is None:
        return ""
    number = int(status[1])
    if number == 429:
        return "Somebody asked to send less at once."
    if number >= 500:
        return "The push service, or something in between, was not able to answer."
    return "Something answered that is not in the vendor's list, perhaps a proxy."
