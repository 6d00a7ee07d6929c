"""FCM v1: `POST /v1/projects/{project}/messages:send`.

Owns the order in which FCM looks at a request. The message's rules live in `fcm_message`, the
words of the answers in `fcm_errors`.
"""

from __future__ import annotations

import re
from dataclasses import replace
from email.utils import formatdate
from secrets import token_hex

from providers.sandbox import fcm_errors
from providers.sandbox.answers import Answer
from providers.sandbox.exchange import Handling, Request, Session
from providers.sandbox.fcm_message import FcmMessage, InvalidMessage, parse
from providers.sandbox.oauth import AccessTokens
from providers.sandbox.received import Draft
from providers.sandbox.responder import Rendered, Responder

FOREIGN_PROJECT = "somebody-elses-project"
"""A project that exists and that the service account may not use: 403; any other one is 404."""

_PATH = re.compile(r"/v1/projects/([^/]+)/messages:send\Z")


class Fcm:
    """The push service for Android, and for everything else that Firebase reaches."""

    def __init__(self, responder: Responder, tokens: AccessTokens, project: str) -> None:
        self._responder = responder
        self._tokens = tokens
        self._project = project
        self._dated = (0, b"")

    @property
    def stream_limit(self) -> int:
        """The same from the start: FCM does not hold back unknown senders."""
        return self._responder.settings.stream_limit

    @property
    def first_stream_limit(self) -> int:
        """See `stream_limit`."""
        return self._responder.settings.stream_limit

    @property
    def receive_window(self) -> int:
        """As set."""
        return self._responder.settings.receive_window

    def handle(self, request: Request, session: Session) -> Handling:  # noqa: ARG002 - Vendor
        """Judge a request in FCM's order: path, caller, form, project, address, script. Each answer
        has a date."""
        handling = self._judge(request)
        headers = (*handling.reply.headers, (b"date", self._date()))
        handling.reply = replace(handling.reply, headers=headers)
        return handling

    def _date(self) -> bytes:
        now = int(self._responder.clock())
        if now != self._dated[0]:
            self._dated = now, formatdate(now, usegmt=True).encode()
        return self._dated[1]

    def _judge(self, request: Request) -> Handling:
        draft = Draft("fcm")
        match = _PATH.match(request.path)
        if match is None or request.method != b"POST":
            rendered = fcm_errors.error(404, "Requested entity was not found.")
            return self._responder.refuse(draft, rendered, authenticated=False)
        if not self._tokens.accepts(request.headers.get(b"authorization", b"")):
            return self._responder.refuse(draft, _unauthenticated(), authenticated=False)
        try:
            message = parse(request.body)
        except InvalidMessage as error:
            code = "INVALID_ARGUMENT" if error.coded else ""
            rendered = fcm_errors.field_error(error.violations, code=code)
            return self._responder.refuse(draft, rendered, authenticated=True)
        _describe(draft, message)
        refusal = self._project_refusal(match[1])
        if refusal is None and not message.address_is_possible:
            refusal = fcm_errors.error(400, fcm_errors.INVALID_ADDRESS, code="INVALID_ARGUMENT")
        if refusal is not None:
            return self._responder.refuse(draft, refusal, authenticated=True)
        return self._answer(draft, message)

    def _answer(self, draft: Draft, message: FcmMessage) -> Handling:
        draft.id = f"projects/{self._project}/messages/{_message_id(message)}"

        def render(answer: Answer) -> Rendered:
            return fcm_errors.scripted(
                answer, name=draft.id, project=self._project, address=draft.address
            )

        if message.validate_only:
            return self._responder.rehearse(draft, render)
        return self._responder.answer(draft, render)

    def _project_refusal(self, project: str) -> Rendered | None:
        if project == self._project:
            return None
        if project == FOREIGN_PROJECT:
            return fcm_errors.error(
                403,
                "Permission 'cloudmessaging.messages.create' denied on resource "
                f"'//cloudresourcemanager.googleapis.com/projects/{project}' (or it may not "
                "exist).",
            )
        return fcm_errors.error(404, "Requested entity was not found.")


def _describe(draft: Draft, message: FcmMessage) -> None:
    draft.address = message.address
    draft.collapse_id = message.tag
    draft.title = message.title
    draft.body = message.body
    draft.data = message.data
    draft.headers = message.headers
    draft.raw = message.raw
    # FCM knows no id of the sender's: the data says which delivery it is, or what it replaces.
    delivery = message.data.get("delivery_id")
    if delivery:
        draft.delivery_id = delivery
    elif message.tag:
        draft.delivery_id = f"{message.address} {message.tag}"


def _message_id(message: FcmMessage) -> str:
    return "fake_message_id" if message.validate_only else f"0:{token_hex(12)}"


def _unauthenticated() -> Rendered:
    return fcm_errors.error(
        401,
        "Request had invalid authentication credentials. Expected OAuth 2 access token, login "
        "cookie or other valid authentication credential.",
        headers=((b"www-authenticate", b'Bearer realm="https://accounts.google.com/"'),),
    )
