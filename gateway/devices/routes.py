"""The devices API: an app registers its phone, a user logs out, a backend looks or erases.

Owns which caller may act for which user. Ownership of installations and addresses is kept by the
registry, which gets told what the caller proves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gateway.core.audit import Act, What
from gateway.core.clocks import Clocks
from gateway.core.instants import to_iso
from gateway.core.model import UserRef
from gateway.core.staleness import stale_before
from gateway.dating import time_to_keep
from gateway.devices.auth import Authenticator, Caller
from gateway.devices.limits import CallerLimits
from gateway.devices.schema import Apps, device_view, read_registration
from gateway.errors import StoreUnavailable
from gateway.exchange import Answer, Request, Route, read_object
from gateway.ports import Erasures, Registry
from gateway.problems import Problem
from gateway.whose import by_of, find_user
from providers.vendor import Vendors

MAX_BODY = 16 * 1024
"""Bytes of a registration: the longest address leaves three quarters of it for the rest."""
ERASES_PER_HOUR = 5
"""How often a user token may erase its user in an hour: each time all that is kept is searched."""


class DeviceRoutes:
    """`/v1/devices/...` and `/v1/users/{id}...` of the public listener. `changed` is told at once
    which devices have another user or address, or are gone; `erasing` that an erase was asked."""

    def __init__(
        self,
        registry: Registry,
        erasures: Erasures,
        authenticator: Authenticator,
        vendors: Vendors,
        apps: Apps,
        clocks: Clocks,
        *,
        changed: Callable[[Sequence[int]], None],
        erasing: Callable[[], None],
        stale_after_days: Callable[[], float],
    ) -> None:
        self._registry = registry
        self._erasures = erasures
        self._authenticator = authenticator
        self._vendors = vendors
        self._apps = apps
        self._clocks = clocks
        self._changed = changed
        self._erasing = erasing
        self._stale_after_days = stale_after_days
        self._erases = CallerLimits(ERASES_PER_HOUR, monotonic=clocks.monotonic, window_s=3600.0)

    def routes(self) -> list[Route]:
        """What to add to the public listener."""
        return [
            Route("PUT", "/v1/devices/{installation_id}", self.put_device),
            Route("DELETE", "/v1/devices/{installation_id}", self.delete_device),
            Route("GET", "/v1/users/{id}/devices", self.list_devices),
            Route("DELETE", "/v1/users/{id}", self.erase_user),
            Route("GET", "/v1/users/{id}/erasure", self.show_erasure),
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
        now = await time_to_keep(self._clocks)
        done = await self._registry.register(
            registration,
            proven=caller.proven,
            now=now,
            act=_over_others(caller, request, "devices.register", now=now),
        )
        self._changed(done.changed)
        view = device_view(done.device, self._vendors, stale_before=self._stale_before())
        view["ignored"] = list(registration.ignored)
        return Answer(201 if done.created else 200, view)

    async def delete_device(self, request: Request) -> Answer:
        """Log an installation out. Always 204: a stranger learns nothing of what exists.

        `?app=` narrows it down where one installation id is used in several apps.
        """
        caller = await self._authenticator.authorize(request, "devices:write")
        now = await time_to_keep(self._clocks)
        gone = await self._registry.forget(
            request.path["installation_id"],
            proven=caller.proven,
            app=request.query.get("app") or None,
            now=now,
            act=_over_others(caller, request, "devices.forget", now=now),
        )
        self._changed(gone)
        return Answer(204)

    async def list_devices(self, request: Request) -> Answer:
        """A user's devices in any state, most recently seen first."""
        caller = await self._authenticator.authorize(request, "devices:read")
        devices = await self._registry.devices_of(await self._user(caller, request))
        before = self._stale_before()
        views = [device_view(device, self._vendors, stale_before=before) for device in devices]
        return Answer(200, {"devices": views})

    async def erase_user(self, request: Request) -> Answer:
        """Remove a user: the devices now, names and texts that were kept soon after."""
        caller = await self._authenticator.authorize(request, "devices:write")
        user = await self._user(caller, request)
        now = await time_to_keep(self._clocks)
        if caller.proven is not None and (wait := self._erases.take(caller.name)):
            raise Problem("too_many_requests", retry_after=wait)
        act = caller.actor(request).does("users.erase", at=now)
        try:
            gone = await self._registry.erase(user, now=now, act=act)
        except StoreUnavailable:
            self._erases.give_back(caller.name)
            raise
        self._changed(gone)
        self._erasing()
        return Answer(204)

    async def show_erasure(self, request: Request) -> Answer:
        """Whether names and texts of an erased user are gone as well."""
        caller = await self._authenticator.authorize(request, "devices:write")
        erasure = await self._erasures.state(await self._user(caller, request))
        if erasure is None:
            raise Problem("not_found")
        view: dict[str, object] = {
            "state": "running" if erasure.done_at is None else "done",
            "asked_at": to_iso(erasure.asked_at),
            "done_at": None if erasure.done_at is None else to_iso(erasure.done_at),
        }
        return Answer(200, view)

    def _stale_before(self) -> float:
        """A device that was last seen before is stale."""
        clocks, days = self._clocks, self._stale_after_days()
        return stale_before(clocks.wall(), after_days=days, doubted=clocks.doubted())

    async def _user(self, caller: Caller, request: Request) -> UserRef:
        """The user that a path names; `?by=` says which id it is."""
        by = by_of(request.query)
        return caller.acts_for(request.path["id"]) or await find_user(
            self._registry, request.path["id"], by
        )


def _over_others(caller: Caller, request: Request, what: What, *, now: float) -> Act | None:
    """The act of a backend on an installation. None: an app's, on its user's own device."""
    if caller.proven is not None:
        return None
    installation_id = request.path["installation_id"]
    return caller.actor(request).does(what, installation_id, at=now, routine=True)
