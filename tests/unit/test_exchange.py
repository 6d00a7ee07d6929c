"""Handlers without a server: what they answer, what they do not ask for, what a repr tells."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from gateway.errors import AmbiguousId, InstallationOwned, SchemaMismatch, StoreUnavailable
from gateway.exchange import Answer, Request, UnreadableBody, answered
from gateway.problems import PROBLEMS, Problem, answer_to
from tests.kit.handlers import PublicHandlers, public_handlers, request_of
from tests.kit.questions import QUESTIONS, T0, WEBHOOK, Question, ask, asked, posted


@pytest.fixture
async def public() -> AsyncIterator[PublicHandlers]:
    async with public_handlers() as handlers:
        handlers.clock.now = T0
        yield handlers


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS)
async def test_every_handler_answers_without_a_server(
    public: PublicHandlers, question: Question
) -> None:
    sent = await question.prepare(public)
    answer = await ask(public, sent)
    assert answer.status == question.status
    if answer.status >= 400:
        title = PROBLEMS[question.says or ""][1]
        assert (answer.document["code"], answer.document["title"]) == (question.says, title)
        assert answer.headers["Content-Type"] == "application/problem+json"
        challenged = answer.status == 401 and sent.path != WEBHOOK
        assert ("WWW-Authenticate" in answer.headers) == challenged
        assert ("Retry-After" in answer.headers) == (answer.status in {429, 503})
    elif answer.status == 204:
        assert answer.document is None
    else:
        assert answer.document.get("status") == question.says
        assert answer.headers == {}


async def _unread(_limit: int) -> bytes:
    raise AssertionError("the body was asked for")


async def _cut_off(_limit: int) -> bytes:
    raise UnreadableBody("the body did not come in time")


@pytest.mark.parametrize(
    ("method", "path"), [("PUT", "/v1/devices/phone"), ("POST", "/v1/notifications")]
)
async def test_who_may_not_is_refused_before_a_byte_of_the_body_is_read(
    public: PublicHandlers, method: str, path: str
) -> None:
    other = await public.key("deliveries:read")
    for token, status in (("", 401), ("no token", 401), (other, 403)):
        headers = asked(method, path, token).headers
        assert (await public.ask(method, path, headers=headers, body=_unread)).status == status


async def test_a_body_that_does_not_come_proves_no_sender_and_is_no_request(
    public: PublicHandlers,
) -> None:
    key = await public.key("admin")
    for sent, status in (
        (posted(), 401),
        (asked("PUT", "/v1/devices/phone", key), 400),
        (asked("POST", "/v1/notifications", key), 400),
    ):
        answer = await public.ask(sent.method, sent.path, headers=sent.headers, body=_cut_off)
        assert answer.status == status
        assert answer.document["detail"] == "the body did not come in time"


async def test_an_error_that_nobody_foresaw_is_raised() -> None:
    async def broken(_request: Request) -> Answer:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await answered(broken, request_of())


@pytest.mark.parametrize(
    ("error", "code", "headers"),
    [
        (Problem("forbidden"), "forbidden", {}),
        (InstallationOwned(), "installation_owned", {}),
        (AmbiguousId(), "ambiguous_id", {}),
        (StoreUnavailable("The disk is full."), "unavailable", {"Retry-After": "5"}),
        (SchemaMismatch(), None, {}),
        (UnreadableBody(), None, {}),
        (ValueError(), None, {}),
    ],
)
def test_each_error_has_one_problem_which_tells_nothing_of_the_inside(
    error: Exception, code: str | None, headers: dict[str, str]
) -> None:
    problem = answer_to(error)
    assert (problem and problem.code) == code
    if problem is not None:
        assert problem.headers == headers
        assert "disk" not in str(problem.document())


async def test_no_repr_tells_a_credential_a_name_or_a_text() -> None:
    request = request_of(
        b"a secret text",
        headers={"Authorization": "Bearer a-secret"},
        path={"id": "mary-secret"},
        query={"app": "secret"},
    )
    assert "secret" not in repr(request)
    assert "secret" not in repr(Answer(200, {"custom_id": "mary-secret"}))
