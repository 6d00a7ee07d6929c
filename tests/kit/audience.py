"""The phones that tests send to: what the app registers, and the notifications that reach them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.core.model import Registration
from providers.contract import AddressKind, Environment, Platform

APP = "demo"


@dataclass(frozen=True, slots=True)
class Phone:
    """A phone and the user it belongs to; Android ones are known by custom_id, iPhones by user_id.

    `owner` numbers the user, who may have several phones.
    """

    provider: str
    number: int
    owner: int
    kind: AddressKind = AddressKind.TOKEN
    environment: Environment | None = None
    runs_on: Platform | None = None

    @property
    def installation(self) -> str:
        return f"{self.provider}-{self.number}"

    @property
    def address(self) -> str:
        match self.provider, self.kind:
            case "apns", _:
                return f"{self.number:064x}"
            case _, AddressKind.FID:
                return f"fid{self.number:019d}"
            case _:
                return f"dXJtb{self.number:06d}:APA91b{'Zm9vYmFy' * 16}"

    @property
    def platform(self) -> Platform:
        if self.runs_on is not None:
            return self.runs_on
        return Platform.IOS if self.provider == "apns" else Platform.ANDROID

    @property
    def user(self) -> dict[str, str]:
        """The one id that the app registers: LearnInk's or the customer's."""
        if self.provider == "apns":
            return {"user_id": f"ink-{self.owner}"}
        return {"custom_id": f"own-{self.owner}"}

    def body(self) -> dict[str, Any]:
        """What the app sends to PUT /v1/devices/{installation}."""
        body = {
            "platform": self.platform.value,
            "provider": self.provider,
            "address": self.address,
            "address_kind": self.kind.value,
            **self.user,
        }
        if self.environment is not None:
            body["environment"] = self.environment.value
        return body

    def registration(self) -> Registration:
        """The same for the registry's port."""
        return Registration(
            self.installation,
            APP,
            self.platform,
            self.provider,
            self.address,
            user_id=self.user.get("user_id"),
            custom_id=self.user.get("custom_id"),
            address_kind=self.kind,
            environment=self.environment,
        )


def androids(numbers: Iterable[int]) -> list[Phone]:
    """Android phones, each with a user of its number."""
    return [Phone("fcm", number, number) for number in numbers]


def iphones(numbers: Iterable[int]) -> list[Phone]:
    """iPhones, each with a user of its number."""
    return [Phone("apns", number, number) for number in numbers]


def as_ndjson(phones: Sequence[Phone]) -> str:
    """What `inkpush devices import` reads."""
    return "\n".join(
        json.dumps({"installation_id": phone.installation, **phone.body()}) for phone in phones
    )


def notification(owner: int, title: str = "Hi Mary!") -> dict[str, Any]:
    """One notification for a user, in LearnInk's shape."""
    return {
        "title": title,
        "body": "Don't forget to complete your training today",
        "path": "/learning",
        "user_id": f"ink-{owner}",
        "custom_id": f"own-{owner}",
        "phone_number": None,
    }


def notifications_to(phones: Sequence[Phone]) -> list[dict[str, Any]]:
    """One notification for each phone's owner, in order; an owner of several gets one."""
    return [notification(owner) for owner in dict.fromkeys(phone.owner for phone in phones)]
