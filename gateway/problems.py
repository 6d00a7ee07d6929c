"""RFC 9457 problem documents: the one way an HTTP error leaves the gateway.

Owns the closed table of error codes, and the middleware that turns any failure into a problem
document without a stack trace or a word of what the caller sent.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from gateway.errors import InstallationOwned, StoreUnavailable

#: code -> (HTTP status, title); the titles are the documentation of the codes
PROBLEMS: dict[str, tuple[int, str]] = {
    "bad_request": (400, "The request was not understood."),
    "unauthorized": (401, "The request does not prove who sends it."),
    "forbidden": (403, "The caller may not do this."),
    "id_not_proven": (403, "The token does not prove this user id."),
    "not_found": (404, "There is no such thing."),
    "method_not_allowed": (405, "The method does not fit this address."),
    "installation_owned": (
        409,
        "The installation belongs to another user: present its current address to take it over.",
    ),
    "body_too_large": (413, "The body is over the limit."),
    "invalid": (422, "Some fields are missing or wrong."),
    "too_many_requests": (429, "Too many requests from this caller."),
    "internal": (500, "Something failed inside the gateway; the log has the details."),
    "unavailable": (503, "The request could not be stored now; try again later."),
}

RETRY_AFTER_S = 5
"""What a 503 tells the caller to wait, in seconds."""


class Problem(Exception):
    """An HTTP error with a stable code. `detail` is for people; `errors` names bad fields."""

    def __init__(
        self,
        code: str,
        detail: str = "",
        *,
        errors: list[dict[str, str]] | None = None,
        retry_after: float | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        self.code = code
        self.status, self.title = PROBLEMS[code]
        self.detail = detail
        self.errors = errors
        self.headers = dict(headers or {})
        if retry_after is not None:
            self.headers["Retry-After"] = str(max(1, round(retry_after)))
        super().__init__(f"{code}: {detail or self.title}")

    def response(self) -> web.Response:
        """Build the answer."""
        document: dict[str, Any] = {
            "type": "about:blank",
            "title": self.title,
            "status": self.status,
            "code": self.code,
        }
        if self.detail:
            document["detail"] = self.detail
        if self.errors:
            document["errors"] = self.errors
        return web.Response(
            status=self.status,
            body=json.dumps(document).encode(),
            content_type="application/problem+json",
            headers=self.headers,
        )


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_HTTP_CODES = {404: "not_found", 405: "method_not_allowed", 413: "body_too_large"}


def problem_middleware(on_error: Callable[[BaseException], None]) -> Any:
    """Build the middleware; `on_error` hears of what nobody foresaw."""

    @web.middleware
    async def answer_with_problems(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except Problem as problem:
            return problem.response()
        except InstallationOwned:
            return Problem("installation_owned").response()
        except StoreUnavailable:
            return Problem("unavailable", retry_after=RETRY_AFTER_S).response()
        except web.HTTPException as error:
            if error.status < 400:
                raise
            headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
            code = _HTTP_CODES.get(error.status, "bad_request")
            return Problem(code, headers=headers).response()
        except Exception as error:  # noqa: BLE001  # the caller gets a 500, the log the rest
            on_error(error)
            return Problem("internal").response()

    return answer_with_problems
