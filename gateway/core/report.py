"""The report: some whole days in one page, as plain data and in words. Pure.

Owns which figures are in it, their words, and what is to be mended first. Every count of people in
it is of whole cells of whole days (`effect_way.told`), and rounded; nothing in it names anybody.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from gateway.core.effect_cells import LEAST, OTHER, rounded
from gateway.core.effect_way import Counted, Told, told

_HUNDRED = 100
#: of 100 people or phones, from how many on something is to be mended
_MANY_UNREACHED, _MANY_PHONES = 5, 20
_REASONS_SHOWN = 8

PLATFORMS = {
    "android": "Android",
    "ios": "iOS",
    "web": "the web",
    "other": "other phones",
    "": "phones that are gone",
}

WORDS: Mapping[str, tuple[str, str]] = {
    "no_device": (
        "no phone was registered for them",
        "Ask them to open the app: it registers at every launch.",
    ),
    "unreached": (
        "no phone could be found for them",
        "Ask them to open the app: it registers at every launch.",
    ),
    "ids_contradict": (
        "one of their ids is the phone's and the other is not",
        "Compare the ids that the app registers with those that LearnInk sends: inkpush why USER.",
    ),
    "moved": ("the phone logged out or moved to another user before its turn came", ""),
    "erased": ("they were erased before it was sent", ""),
    "source_limits": (
        "their source may not reach them",
        "Look at only_users and apps of the source in the configuration.",
    ),
    "expired": (
        "it was too old when it could have been sent",
        "Look for what held it up: inkpush lanes list, and the alerts.",
    ),
    "pruned": (
        "the app is no longer on the phone",
        "Ask them to install the app, or to open it: it registers at every launch.",
    ),
    "refused": (
        "the vendor refused it for good",
        "Tell whoever runs the gateway: inkpush why USER explains the vendor's answer.",
    ),
    "dead": (
        "it was given up after many attempts",
        "inkpush dead list shows them, and inkpush dead replay sends them again.",
    ),
    "overtaken": ("a newer push took its place", ""),
    "superseded": ("what it reminds of was done before it was sent", ""),
    "cancelled": ("it was cancelled", ""),
    "pending": ("it still waits", "Look for what holds it up: inkpush lanes list."),
    "other": ("other reasons", ""),
}
"""Why nothing reached somebody, in words, and what to do about it; "" where nothing is."""


class Advice(NamedTuple):
    """Something to mend."""

    what: str
    do: str


class PhoneCount(NamedTuple):
    """Phones of an app and platform: that came, that went, and at the end all, those that show
    nothing, and those that were not heard of for 60 days."""

    app: str
    platform: str
    active: int
    won: int
    lost: int
    muted: int
    silent: int


class Reached(NamedTuple):
    """People, each counted once a day, and how far their pushes came."""

    people: int = 0
    taken: int = 0
    over: int = 0
    shown: int = 0
    opened: int = 0
    reasons: Mapping[str, int] = {}

    def plus(self, part: Told) -> Reached:
        """Both together."""
        reasons = dict(self.reasons)
        for reason, people in part.reasons.items():
            reasons[reason] = reasons.get(reason, 0) + people
        return Reached(
            self.people + part.people,
            self.taken + part.taken,
            self.over + part.over,
            self.shown + part.shown,
            self.opened + part.opened,
            reasons,
        )

    def view(self) -> dict[str, Any]:
        """As it is told; a number of 100 is None where there is nobody to tell it of."""
        return {
            "people": rounded(self.people),
            "taken": rounded(self.taken),
            "taken_of_100": of_100(self.taken, self.people),
            "phones_that_can_tell": rounded(self.over),
            "shown_of_100": of_100(self.shown, self.over),
            "opened_of_100": of_100(self.opened, self.over),
        }


def reached(days: Iterable[Counted]) -> dict[tuple[str, str], Reached]:
    """How far pushes came, by app and platform; ("", "") had no phone, ("other", "") are those who
    are too few to be told alone."""
    found: dict[tuple[str, str], Reached] = {}
    for day in days:
        for cell, part in told(day).items():
            key = (OTHER, "") if cell is None else (cell.app, cell.platform)
            found[key] = found.get(key, Reached()).plus(part)
    return found


def whole(parts: Iterable[Reached]) -> Reached:
    """All together."""
    total = Reached()
    for part in parts:
        total = total.plus(Told(*part))
    return total


def of_100(count: int, people: int) -> int | None:
    """A share, of 100."""
    return round(_HUNDRED * count / people) if people else None


def phones(count: int) -> int | None:
    """A count of phones as it is told; None: there are some, and too few to tell."""
    return rounded(count) if count == 0 or count >= LEAST else None


def reasons_of(parts: Mapping[tuple[str, str], Reached]) -> list[dict[str, Any]]:
    """Why pushes reached nobody, the most frequent first."""
    counts: dict[str, int] = {}
    for (app, _), part in parts.items():
        for reason, people in part.reasons.items():
            counts[reason] = counts.get(reason, 0) + people
        # those without a phone, of whom too few had another reason to tell them apart
        if not app and not part.reasons:
            counts["unreached"] = counts.get("unreached", 0) + part.people
    first = sorted(counts, key=lambda reason: (-counts[reason], reason))[:_REASONS_SHOWN]
    return [{"reason": one, "people": rounded(counts[one]), "text": words_of(one)} for one in first]


def words_of(reason: str) -> str:
    """A reason in words, with the vendor's own where there is one."""
    kind, _, named = reason.partition(" ")
    said = WORDS[kind][0] if kind in WORDS else kind
    return f"{said} ({named})" if named else said


def to_mend(
    parts: Mapping[tuple[str, str], Reached],
    counts: Sequence[PhoneCount],
    lanes: Sequence[Advice],
    *,
    receipts: bool,
) -> list[Advice]:
    """What is to be mended, the most urgent first. `lanes` is what stands still now; `receipts`:
    some app reports what becomes of its pushes."""
    advice = list(lanes)
    people = sum(part.people for part in parts.values())
    for one in reasons_of(parts):
        share = of_100(one["people"], people)
        do = WORDS.get(one["reason"].partition(" ")[0], ("", ""))[1]
        if do and share is not None and share >= _MANY_UNREACHED:
            advice.append(Advice(f"Of 100 people, {share} got nothing: {one['text']}.", do))
    for count in counts:
        name = f"{count.app} on {PLATFORMS.get(count.platform, count.platform)}"
        if count.active < LEAST:
            continue
        muted, silent = (of_100(some, count.active) or 0 for some in (count.muted, count.silent))
        if count.muted >= LEAST and muted >= _MANY_PHONES:
            what = f"Of 100 phones of {name}, {muted} show nothing."
            do = "Notifications are switched off there. Say in the app what they are good for."
            advice.append(Advice(what, do))
        if count.silent >= LEAST and silent >= _MANY_PHONES:
            what = f"Of 100 phones of {name}, {silent} were not heard of for 60 days."
            do = "Ask these people to open the app, which may be gone from the phone."
            advice.append(Advice(what, do))
    if people and not receipts:
        do = "Set receipts of the app in the configuration: see receipts.md."
        advice.append(Advice("Nothing is known of what phones showed.", do))
    return advice


def cells(parts: Mapping[tuple[str, str], Reached]) -> list[dict[str, Any]]:
    """By app and platform, the largest first; those without a phone and the others last."""
    named = [key for key in parts if key[0] and key != (OTHER, "")]
    rest = [key for key in parts if key not in named]
    order = sorted(named, key=lambda key: (-parts[key].people, key)) + sorted(rest)
    return [
        {"app": app, "platform": platform, **parts[app, platform].view()} for app, platform in order
    ]
