"""Whose id an id is: LearnInk's `user_id`, the customer's `custom_id`, or of two people.

Owns the choice where a person or a backend names a user by one word. A user's own token needs none:
its id has a kind.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, cast, get_args

from gateway.core.model import Device, UserRef
from gateway.errors import AmbiguousId
from gateway.ports import Registry
from gateway.problems import Problem

By = Literal["user_id", "custom_id"]
KINDS: tuple[str, ...] = get_args(By)


def by_of(query: Mapping[str, str]) -> By | None:
    """Which kind of id a request says that it names. Raises a Problem for any other word."""
    said = query.get("by")
    if said not in (None, *KINDS):
        errors = [{"field": "by", "message": "must be user_id or custom_id"}]
        raise Problem("invalid", errors=errors)
    return cast("By | None", said)


async def find_user(registry: Registry, identifier: str, by: By | None = None) -> UserRef:
    """The user of an id, of this kind, or of either.

    Raises AmbiguousId where it is one device's `user_id` and another's `custom_id`, and no device
    has both: it means two people then.
    """
    match by:
        case "user_id":
            return UserRef(user_id=identifier)
        case "custom_id":
            return UserRef(custom_id=identifier)
        case None:
            pass
    either = UserRef.either(identifier)
    _one_person(identifier, await registry.devices_of(either))
    return either


async def find_addressee(registry: Registry, identifier: str, by: By | None = None) -> UserRef:
    """The same user as an item of a push names it: by no more ids than find all of the devices, for
    a device contradicts an id too many. Raises AmbiguousId as `find_user` does."""
    if by is not None:
        return await find_user(registry, identifier, by)
    devices = await registry.devices_of(UserRef.either(identifier))
    _one_person(identifier, devices)
    return fewest_ids(identifier, [(device.user_id, device.custom_id) for device in devices])


def fewest_ids(identifier: str, owners: Sequence[tuple[str | None, str | None]]) -> UserRef:
    """The id by which an item finds all devices of these owners (`user_id`, `custom_id`); both
    where neither does, or where there is no device."""
    if owners and all(user_id == identifier for user_id, _ in owners):
        return UserRef(user_id=identifier)
    if owners and all(custom_id == identifier for _, custom_id in owners):
        return UserRef(custom_id=identifier)
    return UserRef.either(identifier)


def _one_person(identifier: str, devices: Sequence[Device]) -> None:
    """Raise AmbiguousId where the id means the owners of two devices, and no device has both."""
    kinds = {(one.user_id == identifier, one.custom_id == identifier) for one in devices}
    if {(True, False), (False, True)} <= kinds and (True, True) not in kinds:
        raise AmbiguousId
