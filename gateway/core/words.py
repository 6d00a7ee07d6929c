"""The words `for`: short keyed hashes by which an app knows whose a push is. Pure.

A registration's answer holds the words of the installation's ids, and a push holds the word of the
id by which its device was found. An app drops a push whose word is not among its own: the phone has
moved since, or its user has logged out.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode

from gateway.core.hashes import keyed

_PURPOSE = "for"
#: 96 bits: 16 characters, without padding
_BYTES = 12


class Words:
    """Makes the words of one gateway; all its replicas have the same `secret`."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def of_user(self, user_id: str) -> str:
        """The word of a `user_id`."""
        return self._of("user_id", user_id)

    def of_custom(self, custom_id: str) -> str:
        """The word of a `custom_id`; the same text as a `user_id` has another word."""
        return self._of("custom_id", custom_id)

    def _of(self, kind: str, identifier: str) -> str:
        word = keyed(self._secret, _PURPOSE, kind, identifier)[:_BYTES]
        return urlsafe_b64encode(word).decode()
