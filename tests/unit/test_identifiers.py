"""One rule for user ids, at every door."""
# ruff: noqa: RUF001  # letters of other scripts look like Latin ones

from __future__ import annotations

import unicodedata
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.app.vendors import VENDORS
from gateway.cli.base import UserId
from gateway.core.identifiers import MAX_ID, id_fault
from gateway.core.items import parse_items
from gateway.devices.records import BadRecord, registration_of
from gateway.devices.schema import read_registration
from gateway.devices.tokens import BadToken, TokenVerifier
from gateway.problems import Problem
from gateway.whose import find_user
from tests.kit.clocks import both

APPS = {"agent": frozenset(VENDORS)}
DEVICE = {"platform": "android", "provider": "fcm", "address": "fcm-address"}
SECRET = "a secret of at least thirty-two bytes"

IDS = [
    "a",
    "x" * MAX_ID,
    "Üser / 1 {x} %",
    " blanks ",
    "می\u200cخواهم",
    "👨\u200d👩\u200d👧",
    "\u200b\ufeff\u00ad",
    "e\u0301",
    "é",
    "..",
    "-rf",
    "a%2Fb?c#d&e+f",
    "\ue000\U0010ffff\u0378",
    "a\u2028b\u202ec",
]
NO_IDS = ["x" * (MAX_ID + 1), "a\x00b", "a\nb", "\x7f", "a\x85b", "\x9f", "\ud800", "\udc00x", "\r"]


def by_item(value: str) -> str | None:
    items, _ = parse_items([{"title": "Hi", "user_id": value}])
    return items[0].user_id if items else None


def by_registration(value: str) -> str | None:
    try:
        asked = read_registration(
            "p", DEVICE | {"custom_id": value}, vendors=VENDORS, apps=APPS, proven=None
        )
    except Problem:
        return None
    return asked.custom_id


def by_import(value: str) -> str | None:
    record = DEVICE | {"installation_id": "p", "user_id": value}
    try:
        return registration_of(record, vendors=VENDORS, apps=APPS).user_id
    except BadRecord:
        return None


async def by_token(value: str, claim: str = "sub") -> str | None:
    verifier = TokenVerifier(
        secret=SECRET,
        keys=[],
        remote=None,
        issuer="",
        audience="",
        subject="custom_id",
        clocks=both(lambda: 0.0),
    )
    token = jwt.encode({"sub": "mary"} | {claim: value}, SECRET, algorithm="HS256")
    try:
        proven = await verifier.verify(token)
    except BadToken:
        return None
    return proven.custom_id if claim == "sub" else proven.user_id


async def by_address(value: str) -> str | None:
    try:
        return (await find_user(NOBODY, value, "user_id")).user_id
    except Problem:
        return None


def by_command(value: str) -> str | None:
    try:
        return UserId().convert(value, None, None)
    except Exception:  # noqa: BLE001  # click's
        return None


NOBODY: Any = None


async def at_every_door(value: str) -> set[str | None]:
    return {
        by_item(value),
        by_registration(value),
        by_import(value),
        await by_token(value),
        await by_token(value, "user_id"),
        await by_address(value),
        by_command(value),
    }


@pytest.mark.parametrize("value", IDS)
async def test_an_id_is_taken_as_it_is_at_every_door(value: str) -> None:
    assert await at_every_door(value) == {value}


@pytest.mark.parametrize("value", NO_IDS, ids=ascii)
async def test_what_is_no_id_is_refused_at_every_door(value: str) -> None:
    assert await at_every_door(value) == {None}


@given(st.text(min_size=1, max_size=12))
async def test_all_doors_are_of_one_mind(value: str) -> None:
    assert len(await at_every_door(value)) == 1


def test_controls_and_halves_of_characters_are_all_that_is_refused() -> None:
    refused = {n for n in range(0x110000) if id_fault(f"a{chr(n)}")}
    assert refused == {n for n in range(0x110000) if unicodedata.category(chr(n)) in {"Cc", "Cs"}}
