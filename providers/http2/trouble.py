"""Why a connection failed, in words for people. Pure.

Owns the closed set of words: text from an operating system or a peer is never repeated.
"""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass

from providers.contract import Trouble
from providers.http2.dial import ProxyRefused

_WAY = "Check this machine's way there: DNS, firewall, and whether a proxy has to be set."


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of failure: what happened at `{host}`, and what to do."""

    words: str
    hint: str

    def at(self, host: str) -> Trouble:
        return Trouble(f"no connection to {host}: {self.words}", self.hint)


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

_NAME = _Kind("its name is not found", "Check DNS on this machine, and the host in endpoint.")
_CERTIFICATE = _Kind(
    "its certificate is not trusted",
    "A proxy that opens TLS needs its authority in ca_file; else update this machine's "
    "certificates, and check its clock.",
)
_TLS = _Kind("TLS fails", "Check that endpoint speaks TLS, and what stands in between.")
_REFUSED = _Kind(
    "it refuses the connection", "Check endpoint and the firewall: nobody listens there."
)
_SILENT = _Kind("no answer in time", _WAY)
_PROXY = "Check proxy in the configuration, its login, and that it lets this host through."
_OTHER = _Kind("the network fails", _WAY)


def trouble_of(error: Exception, host: str) -> Trouble:
    """The failure that an error of `dial` means."""
    match error:
        case ProxyRefused():
            # the words are our own, with the proxy's status at most
            return _Kind(str(error), _PROXY).at(host)
        case socket.gaierror():
            kind = _NAME
        case ssl.SSLCertVerificationError():
            kind = _CERTIFICATE
        case ssl.SSLError():
            kind = _TLS
        case ConnectionRefusedError():
            kind = _REFUSED
        case TimeoutError():
            kind = _SILENT
        case _:
            kind = _OTHER
    return kind.at(host)
