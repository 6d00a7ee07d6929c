"""Receipts: what phones tell of pushes, the word that proves it, and when it was. Pure.

Owns the form of the word, the rule by which a phone's clock is put right, and whose receipts are
kept. A word names its delivery and says what its person had answered about being measured; all of
it is signed, so a word that was altered is told from a good one before anything is looked up.
"""

from __future__ import annotations

import re
import struct
from base64 import urlsafe_b64decode
from binascii import b2a_base64
from collections.abc import Callable, Iterable
from enum import StrEnum
from hashlib import blake2b
from hmac import compare_digest
from typing import Literal, NamedTuple

_PURPOSE = b"receipt"
_PROOF_BYTES = 12
#: what the person said, the event's day, the item's index, the device's id: 15 bytes
_NAMED = struct.Struct(">BHIQ")
_SPELLING = bytes.maketrans(b"+/", b"-_")
# 27 bytes are 36 letters: none has a bit to spare, so that two words never read the same
_WORD = re.compile(r"[A-Za-z0-9_-]{36}", re.ASCII)
_EVEN_S = 60.0

Sign = Callable[[int, int, str | None], str]
"""Makes the word of a delivery: by the item's index, the device's id, and `Target.measure`."""

Mode = Literal["off", "opened", "received"]
"""What an app reports, by its setting `receipts`."""

Measure = Literal["opt_in", "opt_out"]
"""Whose receipts are kept: of those who said yes, or of all but those who said no."""

_SAID = (None, "granted", "denied")
_CODES = {said: code for code, said in enumerate(_SAID)}


class Kind(StrEnum):
    """What a phone tells of a push; each but the last implies those before it."""

    RECEIVED = "received"
    DISPLAYED = "displayed"
    OPENED = "opened"
    DISMISSED = "dismissed"


KINDS = {kind.value: kind for kind in Kind}

IMPLIED: dict[str, tuple[Kind, ...]] = {
    "received_at": (Kind.RECEIVED, Kind.DISPLAYED, Kind.DISMISSED, Kind.OPENED),
    "displayed_at": (Kind.DISPLAYED, Kind.DISMISSED, Kind.OPENED),
    "opened_at": (Kind.OPENED,),
}
"""Which kinds prove what is shown of a delivery; the earliest of them says when."""


class Clock(StrEnum):
    """How far the kept time of a receipt can be believed."""

    #: the phone's clock was right when it sent
    OK = "ok"
    #: the phone's clock was wrong by the same then and when it happened, and was put right
    SHIFTED = "shifted"
    #: no time can be right: the nearest that is possible is kept
    BOUNDED = "bounded"


class Key(NamedTuple):
    """Which delivery a receipt is of. `day` is its event's, `measure` what the person had said when
    it was sent."""

    event_id: str
    index: int  # type: ignore[assignment]  # not the method of a tuple, which nobody needs
    device_id: int
    day: int
    measure: str | None


class Told(NamedTuple):
    """A receipt whose word holds. `age_s` is how long ago it happened by the phone's clock when it
    was `received`, None where that is not known; `even`: that clock was right then."""

    key: Key
    kind: Kind
    received: float
    age_s: float | None
    even: bool


class Row(NamedTuple):
    """A receipt as it is kept. The fields are in the order of the table's columns."""

    event_id: str
    index: int  # type: ignore[assignment]  # as above
    device_id: int
    kind: str
    at: float
    clock: str
    day: int


class ReceiptWords:
    """Makes and checks the words of one gateway; all its replicas have the same `secret`."""

    def __init__(self, secret: bytes) -> None:
        self._begun = blake2b(key=secret, person=_PURPOSE, digest_size=_PROOF_BYTES)

    def of_event(self, event_id: str, day: int) -> Sign:
        """What makes the words of an event's deliveries. Called for every push: what they have in
        common is hashed once."""
        copy, pack = self._of(event_id).copy, _NAMED.pack
        codes, spelling = _CODES, _SPELLING

        def sign(index: int, device_id: int, measure: str | None) -> str:
            named = pack(codes.get(measure, 0), day, index, device_id)
            proof = copy()
            proof.update(named)
            word = b2a_base64(named + proof.digest(), newline=False)
            return word.translate(spelling).decode()

        return sign

    def read(self, event_id: str, word: str) -> Key | None:
        """The delivery that a word proves; None for a word that does not hold."""
        if _WORD.fullmatch(word) is None:
            return None
        told = urlsafe_b64decode(word)
        named, proof = told[: _NAMED.size], told[_NAMED.size :]
        known = self._of(event_id)
        known.update(named)
        if not compare_digest(known.digest(), proof):
            return None
        code, day, index, device_id = _NAMED.unpack(named)
        return Key(event_id, index, device_id, day, _SAID[code] if code < len(_SAID) else None)

    def _of(self, event_id: str) -> blake2b:
        known = self._begun.copy()
        text = event_id.encode("utf-8", "surrogatepass")
        known.update(len(text).to_bytes(4))
        known.update(text)
        return known


def told_of(
    key: Key, kind: Kind, *, at: float | None, sent_at: float | None, received: float
) -> Told:
    """A receipt, by the phone's times of what happened and of sending, and ours of receipt."""
    if at is None or sent_at is None:
        return Told(key, kind, received, None, even=False)
    return Told(key, kind, received, sent_at - at, abs(sent_at - received) <= _EVEN_S)


def kept_time(told: Told, *, taken: float) -> tuple[float, Clock]:
    """When it happened, and how far that can be believed.

    Not before the vendor had it, and not after it was told. Within a minute of either nothing is
    wrong with the clock: answers and journals have their own delays.
    """
    received = told.received
    if told.age_s is None:
        return max(taken, received), Clock.BOUNDED
    at = received - told.age_s
    within = min(max(at, taken), max(taken, received))
    if abs(within - at) > _EVEN_S:
        return within, Clock.BOUNDED
    return within, Clock.OK if told.even else Clock.SHIFTED


def is_measured(measure: str | None, rule: Measure) -> bool:
    """Whether the receipts of a person who said this are kept."""
    return measure == "granted" if rule == "opt_in" else measure != "denied"


def earliest(rows: Iterable[Row]) -> list[Row]:
    """One row for each delivery and kind, in the order of the keys: the earliest of all."""
    kept: dict[tuple[str, int, int, str], Row] = {}
    for row in rows:
        before = kept.setdefault(row[:4], row)
        if row.at < before.at:
            kept[row[:4]] = row
    return [kept[key] for key in sorted(kept)]
