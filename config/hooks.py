"""The tables `[[hooks]]`: what is posted to a customer's own systems, and how."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, Field, SecretStr, StringConstraints

from config.formats import signing_secret
from config.section import Section
from providers.hook.addresses import BadTarget, target
from providers.settings import Count, OptionalPath, Rate, Seconds

_TYPE = re.compile(r"[a-z0-9_]+(\.[a-z0-9_-]+)*(\.?\*)?|\*", re.ASCII)
_OURS = (
    "delivery.settled",
    "delivery.no_device",
    "device.pruned",
    "device.silent",
    "receipt.received",
    "receipt.displayed",
    "receipt.opened",
    "receipt.dismissed",
    "learning.sealed",
)
_LEARNT = "learnink."
_LANE = "hook"


def _event(value: str) -> str:
    """Check a type of events, with or without a trailing `*`."""
    text = value.strip()
    start = text.removesuffix("*")
    known = text in _OURS or text.startswith(_LEARNT) or (text != start and _may_be(start))
    if not _TYPE.fullmatch(text) or not known:
        raise ValueError(f"is no type of event; expected some of {', '.join(_OURS)}, learnink.*")
    return text


def _is_true(value: object) -> bool:
    """Whether a value means yes: a variable has it as text."""
    return str(value).strip().lower() in {"true", "t", "yes", "y", "on", "1"}


def _may_be(start: str) -> bool:
    return _LEARNT.startswith(start) or any(one.startswith(start) for one in _OURS)


class HookSettings(Section):
    """A system of the customer's that is told what happens: a CRM, a spreadsheet, an SMS service.
    Events are posted in signed batches, at least once. A hook that is slow or away slows no push.
    """

    id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]
    """Name in commands (`inkpush hooks test crm`), in its lane's name (`hook/crm`), in metrics, and
    in what is posted."""
    url: Annotated[SecretStr, Field(min_length=1)]
    """Where events are posted to: https, and an address of the public internet. It may hold a
    token, so it is shown nowhere."""
    secrets: tuple[Annotated[SecretStr, AfterValidator(signing_secret)], ...] = ()
    """Signing secrets (`whsec_` and base64). With several there is a signature by each, so that one
    is rotated without a gap: add the new one, have the receiver take it, remove the old one."""
    secret_file: OptionalPath = None
    """File with more signing secrets, one a line, so that none stands in this file."""
    events: Annotated[tuple[Annotated[str, AfterValidator(_event)], ...], Field(min_length=1)]
    """Types of events, with or without a trailing `*`: `delivery.settled`, `delivery.no_device`,
    `device.pruned`, `device.silent`, `receipt.*`, `learning.sealed`, and `learnink.*` for what
    LearnInk tells that is no push. `user.erased` comes to whoever was told of the person."""
    batch: Annotated[int, Field(ge=1, le=1000)] = 100
    """Events in one request, at most."""
    rate_per_s: Rate = 10
    """Requests a second at most; 0: no limit. A thousand events a second in full batches, and no
    more than a spreadsheet's script stands."""
    max_waiting: Count = 100_000
    """Events that may wait for it. Over it, the oldest become its dead letters
    (`inkpush dead list --hook crm`)."""
    max_age_s: Seconds = 259_200
    """Seconds after which an event that waits becomes a dead letter. Three days: a weekend."""
    identify: bool = False
    """Name people by their ids. Without it, keyed hashes stand for them, the same for ever at one
    hook and others at another one."""
    bodies: bool = False
    """Send along what LearnInk's events say (`learnink.*`), after `learning.drop` and `keep`."""
    allow_private: bool = False
    """Let it be http, and an address that is private, loopback or link-local. For a receiver in
    your own network, and for tests. Whoever may write this file may then reach what this machine
    reaches."""
    ca_file: OptionalPath = None
    """Certificates (PEM) trusted beside the system's."""


def misfits(hooks: Any, apps: Any, role: object) -> Iterator[str]:
    """What is wrong with the tables `[[hooks]]` beside what each value must be: names that stand
    there twice or for a lane, secrets that are missing, and URLs that nothing may be posted to."""
    for i, app in enumerate(apps if hooks and isinstance(apps, list) else ()):
        if isinstance(app, dict) and app.get("id") == _LANE:
            yield f'apps[{i}].id: is "{_LANE}", as the lanes of hooks are; expected another name'
    seen: dict[str, int] = {}
    for i, hook in enumerate(hooks if isinstance(hooks, list) else ()):
        if not isinstance(hook, dict):
            continue
        if "id" in hook and (first := seen.setdefault(str(hook["id"]), i)) != i:
            yield f"hooks[{i}].id: is the same as hooks[{first}].id; expected another name"
        if role in ("all", "relay") and not hook.get("secrets"):
            yield (
                f"hooks[{i}].secrets: is missing; expected a signing secret (whsec_...), here or "
                f"in hooks[{i}].secret_file"
            )
        url = hook.get("url")
        if isinstance(url, str) and url:
            try:
                target(url, allow_private=_is_true(hook.get("allow_private")))
            except BadTarget as error:
                yield f"hooks[{i}].url: {error}"


def advice(hooks: Sequence[HookSettings]) -> Iterator[str]:
    """What is allowed, yet likely a slip: "key: what is odd; what would be better"."""
    for i, hook in enumerate(hooks):
        if hook.allow_private:
            yield (
                f"hooks[{i}].allow_private: lets it reach what only this machine reaches; better "
                "false, and a receiver with a public https address"
            )
        if hook.bodies and not any(_wants_learnt(one) for one in hook.events):
            told = "does nothing without learnink.* in events; better leave it out"
            yield f"hooks[{i}].bodies: {told}"


def _wants_learnt(event: str) -> bool:
    return event.startswith(_LEARNT) or (event.endswith("*") and _LEARNT.startswith(event[:-1]))
