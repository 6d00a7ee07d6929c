"""RFC 9457 problem documents: the one way an HTTP error leaves the gateway.

Owns the closed table of error codes, and which failure has which of them. No document holds a stack
trace or a word of what the caller sent.
"""

from __future__ import annotations

from typing import Any

from gateway.errors import AlreadyReplaced, AmbiguousId, InstallationOwned, StoreUnavailable

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
    "ambiguous_id": (
        409,
        "The id is one person's user_id and another's custom_id: say which by ?by=.",
    ),
    "already_replaced": (409, "The event was cancelled with another correction, which stays."),
    "body_too_slow": (408, "The body came too slowly."),
    "body_too_large": (413, "The body is over the limit."),
    "unsupported_encoding": (415, "The body is packed: send it as it is."),
    "invalid": (422, "Some fields are missing or wrong."),
    "too_many_requests": (429, "Too many requests from this caller."),
    "internal": (500, "Something failed inside the gateway; the log has the details."),
    "overloaded": (503, "Too much comes in at once; try again later."),
    "clock_doubted": (503, "This gateway does not know what time it is; try again later."),
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

    def document(self) -> dict[str, Any]:
        """The problem as its document tells it."""
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
        return document


def answer_to(error: Exception) -> Problem | None:
    """The problem that a caller hears of for an error; None: nobody foresaw it."""
    match error:
        case Problem():
            return error
        case InstallationOwned():
            return Problem("installation_owned")
        case AmbiguousId():
            return Problem("ambiguous_id")
        case AlreadyReplaced():
            return Problem("already_replaced")
        case StoreUnavailable():
            return Problem("unavailable", retry_after=RETRY_AFTER_S)
        case MemoryError():
            return Problem("overloaded", "there is no memory left", retry_after=RETRY_AFTER_S)
        case _:
            return None
