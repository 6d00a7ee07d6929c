"""Whom TLS clients trust: the system's authorities, and one more when told so.

Owns the TLS contexts of the transports. Refuses to switch verification off.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

from providers import pasted
from providers.errors import CredentialError

T = TypeVar("T")


class Trust(Protocol):
    """A maker of TLS contexts: `client_context`, or one that keeps those it has made."""

    def __call__(self, ca_file: str = "", alpn: tuple[str, ...] = ()) -> ssl.SSLContext:
        """Make a context; see `client_context`."""


def client_context(ca_file: str = "", alpn: tuple[str, ...] = ()) -> ssl.SSLContext:
    """A verifying client context; `ca_file` (PEM) is trusted besides the system's authorities.

    Raises CredentialError when the file cannot be used.
    """
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_file:
        context.load_verify_locations(cadata=_certificates(ca_file))
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


def _certificates(ca_file: str) -> bytes:
    try:
        raw = Path(ca_file).read_bytes()
    except OSError as error:
        problem = f"ca_file {ca_file}: cannot be read ({error.strerror})."
        raise CredentialError([problem]) from error
    found = pasted.certificates(raw)
    if not found:
        kind = pasted.what_is(raw)
        but = f" but {kind}" if kind else ""
        raise CredentialError([f"ca_file {ca_file}: not a PEM certificate{but}."])
    return found


def beside_trust(ca_file: str, load: Callable[[], T]) -> T:
    """Load a credential, and look at the trust anchor that it goes with.

    A transport reads the anchor when it starts, which is too late to refuse it. Raises
    CredentialError with what is wrong with both.
    """
    problems: list[str] = []
    if ca_file:
        try:
            client_context(ca_file)
        except CredentialError as error:
            problems += error.problems
    try:
        credential = load()
    except CredentialError as error:
        problems += [text for text in error.problems if text not in problems]
        raise CredentialError(problems) from error
    if problems:
        raise CredentialError(problems)
    return credential
