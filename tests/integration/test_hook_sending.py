"""Posting to a receiver: what an answer comes to, and which addresses are never reached."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from providers.hook.addresses import target
from providers.hook.sending import Answer, HookSender
from providers.sandbox.certificates import make_certificates
from tests.kit.receiver import KEY, Receiver, hangs, receiving, says
from tests.unit.test_hook_addresses import INSIDE

BODY = json.dumps({"hook": "crm", "events": [{"id": "1", "type": "delivery.settled"}]}).encode()


@asynccontextmanager
async def sender(url: str, **changed: Any) -> AsyncIterator[HookSender]:
    """A hook to a receiver of the test's own, which is on loopback."""
    values: dict[str, Any] = {"wall": time.time, "allow_private": True, "timeout_s": 5.0}
    values |= changed
    found = HookSender(target(url, allow_private=True), [KEY], **values)
    try:
        yield found
    finally:
        await found.aclose()


async def post(receiver: Receiver, **changed: Any) -> Answer:
    async with sender(receiver.url, **changed) as hook:
        return await hook.post("msg_1", BODY)


async def test_what_is_posted_is_taken_by_who_knows_the_secret() -> None:
    async with receiving() as receiver:
        answer = await post(receiver)
    assert (answer.kind, answer.status) == ("taken", 204)
    (received,) = receiver.taken
    assert (received.id, received.hook, len(received.events)) == ("msg_1", "crm", 1)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (200, "taken"),
        (299, "taken"),
        (400, "failed"),
        (401, "failed"),
        (410, "gone"),
        (429, "throttled"),
        (500, "failed"),
        (502, "failed"),
        (503, "throttled"),
    ],
)
async def test_each_status_is_one_of_few_answers(status: int, kind: str) -> None:
    async with receiving(answer=says(status)) as receiver:
        answer = await post(receiver)
    assert (answer.kind, answer.status) == (kind, status)


async def test_a_wait_that_is_asked_for_is_told() -> None:
    async with receiving(answer=says(429, Retry_After="17")) as receiver:
        assert (await post(receiver)).retry_after == 17.0


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(status: int) -> None:
    async with receiving() as other, receiving(answer=says(status, Location=other.url)) as one:
        answer = await post(one)
    assert (answer.kind, answer.status) == ("failed", status)
    assert other.seen == []
    assert other.unsigned == 0


async def test_who_never_answers_is_given_up() -> None:
    async with receiving(answer=hangs) as receiver:
        answer = await post(receiver, timeout_s=0.2)
    assert answer.kind == "failed"
    assert "no answer" in answer.reason


async def test_of_an_answer_without_end_only_the_beginning_is_read() -> None:
    written = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        piece = b"%x\r\n" % 65536 + b"x" * 65536 + b"\r\n"
        try:
            while True:
                writer.write(piece)
                await writer.drain()
                written += 65536
        except OSError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        async with sender(f"http://127.0.0.1:{port}/") as hook:
            assert (await hook.post("msg_1", BODY)).kind == "taken"
    assert written < 64 * 1024 * 1024


async def test_a_connection_that_is_cut_or_refused_is_a_failure_without_addresses() -> None:
    async def cut(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(cut, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, sender(f"http://127.0.0.1:{port}/secret-path") as hook:
        broken = await hook.post("msg_1", BODY)
    async with sender(f"http://127.0.0.1:{port}/secret-path") as hook:
        refused = await hook.post("msg_1", BODY)
    for answer in (broken, refused):
        assert answer.kind == "failed"
        assert "127" not in answer.reason
        assert "secret" not in answer.reason


async def test_over_tls_only_a_trusted_certificate_is_posted_to(tmp_path: Path) -> None:
    made = make_certificates()
    pem, authority = tmp_path / "server.pem", tmp_path / "ca.pem"
    pem.write_bytes(made.server_pem)
    authority.write_bytes(made.ca_pem)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pem)
    async with receiving(trust=context) as receiver:
        async with sender(receiver.at("localhost")) as hook:
            answer = await hook.post("msg_1", BODY)
        assert answer.kind == "failed"
        assert "certificate" in answer.reason
        async with sender(receiver.at("localhost"), ca_file=str(authority)) as hook:
            answer = await hook.post("msg_1", BODY)
        assert answer.kind == "taken"
        assert answer.date is not None
    assert len(receiver.seen) == 1


async def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with receiving() as receiver:
        assert (await post(receiver)).kind == "taken"


# --- addresses ------------------------------------------------------------------------------------


class Names:
    """A resolver of the test's own: its answers, one after the other; the last stays."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self._answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str, _port: int) -> Sequence[str]:
        self.asked.append(host)
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


@pytest.mark.parametrize("host", INSIDE)
async def test_an_address_of_the_inside_is_refused_even_if_no_setting_refused_it(
    host: str,
) -> None:
    try:
        place = target(f"http://{host}/", allow_private=True)
    except ValueError:
        return
    names = Names(["127.0.0.1"])
    hook = HookSender(place, [KEY], wall=lambda: 0.0, resolve=names)
    assert (await hook.post("msg_1", BODY)).kind == "refused"
    assert names.asked == []
    await hook.aclose()


@pytest.mark.parametrize(
    "answers",
    [
        ["127.0.0.1"],
        ["::1"],
        ["::ffff:127.0.0.1"],
        ["169.254.169.254"],
        ["64:ff9b::7f00:1"],
        ["203.0.113.9", "127.0.0.1"],
        ["8.8.8.8", "10.0.0.1"],
        ["not an address"],
    ],
)
async def test_a_name_that_leads_inside_is_refused_and_nobody_is_connected_to(
    answers: list[str],
) -> None:
    async with receiving() as receiver:
        names = Names(answers)
        async with sender(
            receiver.at("crm.example.com"), allow_private=False, resolve=names
        ) as hook:
            answer = await hook.post("msg_1", BODY)
        assert answer.kind == "refused"
        assert names.asked == ["crm.example.com"]
    assert receiver.seen == []


async def test_a_name_that_is_bound_anew_between_two_looks_leads_nowhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The resolver's second answer is the inside. It is asked once a connection, and what it said
    then is connected to: nobody asks again in between."""
    made: list[tuple[Any, ...]] = []
    before = HookSender._socket

    def watched(self: HookSender, info: Any) -> socket.socket:
        made.append(info[4])
        raise OSError("the test reaches nobody outside")

    monkeypatch.setattr(HookSender, "_socket", watched)
    async with receiving() as receiver:
        names = Names(["8.8.8.8"], ["127.0.0.1"])
        async with sender(
            receiver.at("crm.example.com"), allow_private=False, resolve=names
        ) as hook:
            assert (await hook.post("msg_1", BODY)).kind == "failed"
            assert [one[0] for one in made] == ["8.8.8.8"]
            assert (await hook.post("msg_1", BODY)).kind == "refused"
        assert names.asked == ["crm.example.com"] * 2
    assert receiver.seen == []
    assert [one[0] for one in made] == ["8.8.8.8"]
    # and what would be connected to in spite of all is looked at by its own address
    monkeypatch.setattr(HookSender, "_socket", before)
    async with sender("http://crm.example.com/", allow_private=False) as hook:
        with pytest.raises(OSError, match="loopback"):
            hook._socket((socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 80)))


async def test_with_allow_private_a_name_may_lead_inside() -> None:
    async with receiving() as receiver:
        names = Names(["127.0.0.1"])
        async with sender(receiver.at("crm.internal"), resolve=names) as hook:
            assert (await hook.post("msg_1", BODY)).kind == "taken"
            assert (await hook.post("msg_2", BODY)).kind == "taken"
    assert names.asked == ["crm.internal"]


async def test_a_name_that_is_not_found_is_a_failure() -> None:
    async def nowhere(_host: str, _port: int) -> Sequence[str]:
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    async with sender("http://crm.example.com/", allow_private=False, resolve=nowhere) as hook:
        answer = await hook.post("msg_1", BODY)
    assert (answer.kind, answer.reason) == ("failed", "its host is not found")
