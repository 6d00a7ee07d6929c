"""What all clients send: the same texts, to addresses of the usual length."""

from __future__ import annotations

import time
from uuid import UUID

from providers.contract import Address, AddressKind, Message, Platform, Push

TITLE, BODY, PATH = "Hi Mary!", "Don't forget to complete your training today", "/learning"
LIFE_S = 86_400.0


def token(provider: str, number: int) -> str:
    """A device's address: 64 hex digits at Apple, 163 characters at Google."""
    if provider == "apns":
        return f"{number:064x}"
    return f"bench{number:017d}:APA91b{'x' * 134}"


def pushes(provider: str, count: int) -> list[Push]:
    """As the relay makes them: a message for each user, whose texts happen to be the same."""
    expires_at = time.time() + LIFE_S
    platform = Platform.IOS if provider == "apns" else Platform.ANDROID
    return [
        Push(
            delivery_id=str(UUID(int=(0xBE << 120) | number)),
            address=Address(token(provider, number), AddressKind.TOKEN, platform),
            message=Message("msg_2bench5f4c3d2e1f0a9b8c7d", TITLE, BODY, PATH),
            expires_at=expires_at,
            word=f"{number:016x}",
        )
        for number in range(count)
    ]
