"""Why a connection failed, in words for people. Pure.

Owns the closed set of words. Of what others say only this is repeated: why a certificate is not
trusted and why TLS failed, as OpenSSL names it, and the system's name of an error. A peer chooses
among these words, and writes none of them.
"""

from __future__ import annotations

import os
import re
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass

from providers.contract import Trouble
from providers.http2.addresses import NoAddress, Place
from providers.http2.dial import NotConnected, ProxyRefused, Step

_WAY = "Check this machine's way there: DNS, firewall, and whether a proxy has to be set."
_MOST_PLACES = 4
_OPENSSL_REASON = re.compile(r"[A-Z0-9_]{1,80}\Z")


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of failure: what happened at `{host}`, and what to do."""

    words: str
    hint: str

    def at(self, host: str, places: str = "") -> Trouble:
        return Trouble(f"no connection to {host}: {self.words}{places}", self.hint)


OTHER_PROTOCOL = _Kind(
    "it speaks another protocol",
    "Something in between answers in the vendor's place: let the connection through untouched, "
    "and check endpoint.",
)
"""The peer was reached, but does not speak the vendor's protocol."""

STALLED = _Kind(
    "the connections that are there get no stream and no window",
    "The vendor, or something in between, holds connections open and takes nothing by them.",
)
"""The peer holds connections open and takes nothing by them."""

SENT_AWAY = _Kind(
    "it takes connections, and ends them without serving",
    "The vendor, or something in between, turns this machine away: wait, and look at the vendor's "
    "status page.",
)
"""The peer ended a connection that was good for nothing."""

_DNS = "Check DNS on this machine, and the host in {setting}."
_PROXY = "Check the proxy in the configuration, its login, and that it lets this host through."
_TRUST = (
    "A proxy that opens TLS needs its authority in ca_file; else update this machine's "
    "certificates, and check its clock."
)
_TLS = "Check that {setting} speaks TLS, and what stands in between."


def trouble_of(error: Exception, host: str, *, setting: str = "endpoint") -> Trouble:
    """The failure that an error of `dial` means; `setting` is where the host comes from."""
    step, places, through = Step.CONNECT, "", ""
    if isinstance(error, NotConnected):
        step, places = error.step, _told(error.places, error.host)
        if error.host != host and step in (Step.LOOKUP, Step.CONNECT):
            through = f"the proxy {error.host}: "
        if isinstance(error.__cause__, Exception):
            error = error.__cause__
    kind = _kind_of(error, step)
    hint = _PROXY if through else kind.hint.replace("{setting}", setting)
    return _Kind(through + kind.words, hint).at(host, places)


def _kind_of(error: Exception, step: Step) -> _Kind:
    match error:
        case ProxyRefused():
            return _Kind(str(error), _PROXY)  # our own words, with the proxy's status at most
        case NoAddress():
            return _Kind("its name has no address", _DNS)
        case socket.gaierror(errno=socket.EAI_AGAIN):
            return _Kind("its name is not found now, for DNS does not answer", _DNS)
        case socket.gaierror():
            return _Kind("its name is not found", _DNS)
        case ssl.SSLCertVerificationError():
            return _Kind(f"its certificate is not trusted{_verdict(error)}", _TRUST)
        case ssl.SSLError():
            return _Kind(f"TLS fails{_reason(error)}", _TLS)
        case ConnectionRefusedError():
            hint = "Check {setting} and the firewall: nobody listens there."
            return _Kind("it refuses the connection", hint)
        case TimeoutError():
            return _late(step)
        case ConnectionError() if step is Step.SPEAK:
            return _Kind("it hangs up while TLS begins", _TLS)
        case OSError(errno=int(number)):
            return _Kind(f"the network fails ({os.strerror(number)})", _WAY)
        case _:
            return _Kind("the network fails", _WAY)


def _late(step: Step) -> _Kind:
    """The time is over; `step` is what it was spent on."""
    match step:
        case Step.LOOKUP:
            return _Kind("its name is not found in time, for DNS does not answer", _DNS)
        case Step.PROXY:
            return _Kind("the proxy gives no answer in time", _PROXY)
        case Step.SPEAK:
            return _Kind("it connects, and gives no answer in time when TLS begins", _TLS)
        case _:
            return _Kind("no answer in time", _WAY)


def _verdict(error: ssl.SSLCertVerificationError) -> str:
    """OpenSSL's words for what is wrong with a certificate; they name our own host at most."""
    said = getattr(error, "verify_message", "") or ""
    return f" ({said.rstrip('.')})" if said.isascii() and said.isprintable() and said else ""


def _reason(error: ssl.SSLError) -> str:
    """OpenSSL's name for a failure, as words."""
    said = error.reason or ""
    return f" ({said.lower().replace('_', ' ')})" if _OPENSSL_REASON.match(said) else ""


def _told(places: Sequence[Place], host: str) -> str:
    """The addresses that a failure is about, always in one order; "" where the host is one."""
    told = sorted({str(place) for place in places} - {host})
    if not told:
        return ""
    more = f" and {len(told) - _MOST_PLACES} more" if len(told) > _MOST_PLACES else ""
    return f", at {', '.join(told[:_MOST_PLACES])}{more}"
