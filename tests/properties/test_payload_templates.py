"""A filled template is what the readable function renders, byte for byte."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from providers.apns import payload as apns
from providers.contract import Address, AddressKind, Message, Platform, Push
from providers.fcm import payload as fcm

texts = st.text(st.characters(codec="utf-8"), max_size=40)
messages = st.builds(
    Message, event_id=texts, title=texts, body=texts, path=st.none() | texts.map("/".__add__)
)
ids = st.uuids().map(str)
instants = st.floats(1.7e9, 1.9e9)
#: a style may hold what stands in a gap where no style does
GAPS = ["1000000", "1000000s", "inkpush-gap-1000000", "inkpush gap 1000000"]
own = texts | st.sampled_from([*GAPS, "inkpush gap title 1000000", "1000000,1000001s"])
APNS_STYLES = st.builds(apns.ApnsStyle, sound=own, thread_id=own)
FCM_STYLES = st.builds(
    fcm.FcmStyle,
    android_channel_id=own,
    sound=own,
    thread_id=own,
    kept_s=st.none() | st.integers(0, fcm.LONGEST_TTL_S) | st.just(1_000_000),
    bandwidth_constrained_ok=st.booleans(),
    restricted_satellite_ok=st.booleans(),
    label=own,
)
WAYS = st.fixed_dictionaries(
    {"collapse_id": st.just("") | ids, "has_key": st.booleans(), "is_data": st.booleans()}
)


@given(APNS_STYLES, st.lists(st.tuples(messages, ids, texts), min_size=1, max_size=5))
def test_apns_bodies(style: apns.ApnsStyle, pushes: list[tuple[Message, str, str]]) -> None:
    templates = apns.BodyTemplates(style)
    for message, delivery_id, word in pushes:
        for _ in range(2):  # the second device of a user
            body = templates.fill(message, delivery_id, word)
            assert body == apns.render_body(message, delivery_id, word, style)


@given(
    FCM_STYLES,
    st.lists(
        st.tuples(
            messages,
            ids,
            st.builds(Address, texts, st.sampled_from(AddressKind), st.sampled_from(Platform)),
            st.floats(-10, 1e8),
            texts,
            WAYS,
        ),
        min_size=1,
        max_size=5,
    ),
    instants,
)
def test_fcm_bodies(
    style: fcm.FcmStyle,
    pushes: list[tuple[Message, str, Address, float, str, dict[str, Any]]],
    now: float,
) -> None:
    templates = fcm.BodyTemplates(style)
    for message, delivery_id, address, life_s, word, way in pushes:
        push = Push(delivery_id, address, message, now + life_s, word=word, **way)
        for at in (now, now, now + 1):
            body = templates.fill(message, push, at)
            assert body == fcm.send_request(fcm.render(message, push, style, at))
