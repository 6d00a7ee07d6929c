"""The devices API: an app registers its phone, a user logs out, a backend looks or erases.

Owns which caller may act for which user. Ownership of installations and addresses is kept by the
registry, which gets told what the caller proves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gateway.core.clocks import WallClock
from gateway.core.model import UserRef
from gateway.devices.auth import Authenticator, Caller
from gateway.devices.schema import Apps, device_view, read_registration
from gateway.exchange import Answer, Request, Route, read_object
from gateway.ports import Registry
from gateway.whose import by_of, find_user
from providers.vendor import Vendors

MAX_BODY = 16 * 1024
"""Bytes of a registration: the longest address leaves three quarters of it for the rest."""


class DeviceRoutes:
    """`/v1/devices/...` and `/v1/users/{id}...` of the public listener. `changed` is told at once
    which devices have another user or address, or are gone."""

    def __init__(
        self,
        registry: Registry,
        authenticator: Authenticator,
        vendors: Vendors,
        apps: Apps,
        clock: WallClock,
        *,
        changed: Callable[[Sequence[int]], None],
    ) -> None:
        self._registry = registry
        self._authenticator = authenticator
        self._vendors = vendors
        self._apps = apps
        self._clock = clock
        self._changed = changed

    def routes(self) -> list[Route]:
        """What to add to the public listener."""
        return [
            Route("PUT", "/v1/devices/{installation_id}", self.put_device),
            Route("DELETE", "/v1/devices/{installation_id}", self.delete_device),
            Route("GET", "/v1/users/{id}/devices", self.list_devices),
            Route("DELETE", "/v1/users/{id}", self.erase_user),
        ]

    async def put_device(self, request: Request) -> Answer:
        """Register an installation, or confirm that it is still there: 201 new, 200 known."""
        caller = await self._authenticator.authorize(request, "devices:write")
        document = await read_object(request, limit=MAX_BODY)
        registration = read_registration(
            request.path["installation_id"],
            document,
            vendors=self._vendors,
            apps=self._apps(),
            proven=caller.proven,
        )
        done = await self._registry.register(registration, proven=caller.proven, now=self._clock())
        self._changed(done.changed)
        view = device_view(done.device, self._vendors)
        view["ignored"] = list(registration.ignored)
        return Answer(201 if done.created else 200, view)

    async def delete_device(self, request: Request) -> Answer:
        """Log an installation out. Always 204: a stranger learns nothing of what exists.

        `?app=` narrows it down where one installation id is used in several apps.
        """
        caller = await self._authenticator.authorize(request, "devices:write")
        gone = await self._registry.forget(
            request.path["installation_id"],
            proven=caller.proven,
            app=request.query.get("app") or None,
        )
        self._changed(gone)
        return Answer(204)

    async def list_devices(self, request: Request) -> Answer:
        """A user's devices in any state, most recently seen first."""
        caller = await self._authenticator.authorize(request, "devices:read")
        devices = await self._registry.devices_of(await self._user(caller, request))
        views = [device_view(device, self._vendors) for device in devices]
        return Answer(200, {"devices": views})

    async def erase_user(self, request: Request) -> Answer:
        """Remove a user: devices, addresses, and the names and texts in the log."""
        caller = await self._authenticator.authorize(request, "devices:write")
        user = await self._user(caller, request)
        erased = await self._registry.erase(user, now=self._clock())
        self._changed(erased.devices)
        return Answer(204)

    async def _user(self, caller: Caller, request: Request) -> UserRef:
        """The user that a path names; `?by=` says which id it is."""
        by = by_of(request.query)
        return caller.acts_for(request.path["id"]) or await find_user(
            self._registry, request.path["id"], by
        )
