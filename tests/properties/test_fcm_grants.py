"""Whatever the token endpoint answers, a token is fit for a header field, or the fetch failed."""

from __future__ import annotations

import json
import math
from typing import Any

import h11
from hypothesis import example, given
from hypothesis import strategies as st

from providers.contract import Unavailable
from providers.fcm.fetching import LONGEST_LIFE_S, Grant, NotGranted, read_grant
from providers.http2.headers import literal
from providers.http2.once import Answer

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


def granted(status: int, body: bytes) -> Grant | NotGranted:
    try:
        return read_grant(Answer(status, body))
    except NotGranted as refused:
        return refused


@given(
    status=st.sampled_from([200, 201, 204, 302, 307, 400, 401, 403, 404, 407, 500, 502, 503]),
    token=json_values | st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7F)),
    life=json_values,
)
@example(status=200, token="ya29.good", life=3600)
@example(status=200, token="ya29.good", life="3599")
@example(status=200, token=None, life=3600)
@example(status=200, token=5, life=3600)
@example(status=200, token="a\r\nhost: elsewhere", life=3600)
@example(status=200, token="ya29.good\n", life=3600)
@example(status=200, token="ya29.гость", life=3600)
@example(status=200, token="", life=3600)
@example(status=200, token="x" * 4_097, life=3600)
@example(status=200, token="ya29.good", life=math.nan)
@example(status=200, token="ya29.good", life=True)
@example(status=200, token="ya29.good", life=10**400)
def test_a_token_is_visible_ascii_of_bounded_length_or_there_is_none(
    status: int, token: Any, life: Any
) -> None:
    body = json.dumps({"access_token": token, "expires_in": life}).encode()
    grant = granted(status, body)
    if isinstance(grant, NotGranted):
        assert isinstance(grant.verdict, Unavailable)
        return
    assert 200 <= status < 300
    assert grant.token == token
    assert 1 <= len(grant.token) <= 4_096
    assert all("!" <= character <= "~" for character in grant.token)
    assert not math.isnan(grant.life_s)
    assert grant.life_s <= LONGEST_LIFE_S
    # what a transport makes of it
    header = f"Bearer {grant.token}"
    literal("authorization", header, secret=True)
    h11.Request(method="POST", target="/", headers=[("host", "h"), ("authorization", header)])


@given(body=st.binary() | json_values.map(lambda value: json.dumps(value).encode()))
def test_nothing_else_comes_out_of_an_answer(body: bytes) -> None:
    assert isinstance(granted(200, body), Grant | NotGranted)
