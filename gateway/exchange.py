"""A request and its answer as plain data: what handlers work on, whoever listens.

Owns the shape of both, and how a failure becomes an answer. Refuses to know sockets and servers:
`gateway/app/skin.py` puts these handlers behind one, and a simulation calls them as they are.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from multidict import MultiMapping

from gateway.problems import Problem, answer_to

_PROBLEM = "application/problem+json"


class UnreadableBody(Exception):
    """The body was cut off, or is not framed as it claims."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a handler sees of a request. `headers` are case-insensitive.

    `remote` is whom its wrong guesses are counted against, "" for nobody: a proxy that the settings
    name, or who is not known. `path` has the parts of the address that its route names. `body`
    reads what the request carries, up to so many bytes: it raises `too_large` over them, a problem
    of 408 or 503 when they come too slowly or too many do, and `UnreadableBody` when the rest does
    not come.
    """

    headers: MultiMapping[str] = field(repr=False)
    remote: str
    path: Mapping[str, str] = field(repr=False)
    query: Mapping[str, str] = field(repr=False)
    body: Callable[[int], Awaitable[bytes]] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back. `document` goes as JSON, under `application/json` unless the headers say
    otherwise; None: no body."""

    status: int
    document: Any = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def code(self) -> str:
        """The code of a problem; "" for all other answers."""
        is_problem = self.headers.get("Content-Type") == _PROBLEM
        return str(self.document["code"]) if is_problem else ""

    @classmethod
    def of(cls, problem: Problem) -> Answer:
        """A problem as the caller gets it."""
        headers = problem.headers | {"Content-Type": _PROBLEM}
        return cls(problem.status, problem.document(), headers)


Handler = Callable[[Request], Awaitable[Answer]]
"""Answers a request, or raises what `answer_to` may know."""


@dataclass(frozen=True, slots=True)
class Route:
    """Which requests a handler gets. `{name}` in the path is one part of the address: any
    characters but a slash, and at least one."""

    method: str
    path: str
    handler: Handler


async def answered(handler: Handler, request: Request) -> Answer:
    """What the caller gets, be it a problem. What nobody foresaw is raised."""
    try:
        return await handler(request)
    except Exception as error:
        problem = answer_to(error)
        if problem is None:
            raise
        try:
            return Answer.of(problem)
        finally:
            # It knows this frame, and the handler's with the body in it: without this they would
            # all stay until the collector of cycles runs, which it does seldom.
            del problem


async def read_object(request: Request, *, limit: int, optional: bool = False) -> dict[str, Any]:
    """The JSON object a request carries; 400 when it is none, 413 over `limit` bytes. `optional`:
    no body is as good as an empty object."""
    try:
        body = await request.body(limit)
        document = {} if optional and not body else json.loads(body)
    except UnreadableBody as error:
        raise Problem("bad_request", str(error)) from error
    except (ValueError, RecursionError) as error:
        raise Problem("bad_request", "the body is not JSON") from error
    if not isinstance(document, dict):
        raise Problem("bad_request", "the body is not a JSON object")
    return document


def too_large(limit: int) -> Problem:
    """The problem of a body of more than `limit` bytes."""
    return Problem("body_too_large", f"the limit is {limit} bytes")
