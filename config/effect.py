"""The table `[effect]`: how what reminders do is counted."""

from __future__ import annotations

from typing import Annotated
from zoneinfo import available_timezones

from pydantic import AfterValidator

from config.section import Section


def _zone(value: str) -> str:
    """Check the name of a time zone, and write it as IANA does."""
    text = value.strip()
    names = {name.lower(): name for name in available_timezones()}
    known = names.get(text.lower())
    if known is None:
        raise ValueError("is no time zone; expected an IANA name such as Africa/Nairobi, or UTC")
    return known


class EffectSettings(Section):
    """How what pushes do is counted, for `inkpush effect` and `inkpush report`."""

    zone: Annotated[str, AfterValidator(_zone)] = "UTC"
    """Time zone in which days are cut, by its IANA name. Days that were counted stay as they are;
    the first one after a change ends where the new zone's does."""
