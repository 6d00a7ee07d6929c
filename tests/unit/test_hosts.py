"""What `server.host` and `ops.host` may be, and what each stands for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from config.checks import advice
from config.formats import hosts, hosts_of
from config.settings import Settings, SettingsError
from gateway.app.settings import load
from gateway.cli.calls import local_url

BARE = """
[server]
role = "ingest"
port = 8080
[webhook]
secrets = ["whsec_aW5rcHVzaC1leGFtcGxlLXNlY3JldC0wMDAx"]
"""


@pytest.mark.parametrize(
    ("value", "listens_on"),
    [
        ("127.0.0.1", ["127.0.0.1"]),
        (" 127.0.0.1 ", ["127.0.0.1"]),
        ("::1", ["::1"]),
        ("[::1]", ["::1"]),
        ("::", ["::"]),
        ("localhost", ["localhost"]),
        ("relay-1.internal.example", ["relay-1.internal.example"]),
        ("*", ["0.0.0.0", "::"]),
        (["*"], ["0.0.0.0", "::"]),
        (["127.0.0.1", "::1"], ["127.0.0.1", "::1"]),
        (["127.0.0.1", "127.0.0.1"], ["127.0.0.1"]),
        ("127.0.0.1,::1", ["127.0.0.1", "::1"]),
        ("127.0.0.1, [::1]", ["127.0.0.1", "::1"]),
        ('["127.0.0.1", "::1"]', ["127.0.0.1", "::1"]),
        (["fe80::1%eth0"], ["fe80::1%eth0"]),
    ],
)
def test_one_address_several_or_all(value: Any, listens_on: list[str]) -> None:
    assert hosts_of(hosts(value)) == listens_on


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        [],
        [""],
        "127.0.0.1,",
        5,
        None,
        {"a": "b"},
        [5],
        ["*", "::1"],
        "127.0.0.1:8080",
        "[::1]:8080",
        "http://127.0.0.1",
        "10.0.0.0/8",
        "300.0.0.1",
        "0",
        "a b",
        "-x",
    ],
)
def test_anything_else_is_refused_with_what_is_expected(value: Any) -> None:
    with pytest.raises(ValueError, match=r'expected .*an address such as "127\.0\.0\.1", a list'):
        hosts(value)


def read(folder: Path, more: str = "", **variables: str) -> Settings:
    file = folder / "inkpush.toml"
    file.write_text(BARE + more)
    return load(file, variables)


def test_the_file_and_a_variable_may_have_several(tmp_path: Path) -> None:
    assert read(tmp_path, '[ops]\nhost = ["127.0.0.1", "::1"]').ops.host == "127.0.0.1,::1"
    for text in ("127.0.0.1,::1", '["127.0.0.1", "::1"]'):
        assert read(tmp_path, INKPUSH_SERVER__HOST=text).server.host == "127.0.0.1,::1"


def test_a_mistake_names_the_key(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as refused:
        read(tmp_path, '[ops]\nhost = ["127.0.0.1", 5]')

    assert refused.value.problems[0].startswith("ops.host: is no address; expected")


@pytest.mark.parametrize(
    ("host", "warned"),
    [
        ('"127.0.0.1"', False),
        ('["127.0.0.1", "::1", "10.0.0.1"]', False),
        ('"0.0.0.0"', True),
        ('"::"', True),
        ('"0:0:0:0:0:0:0:0"', True),
        ('"*"', True),
        ('["127.0.0.1", "::"]', True),
    ],
)
def test_ops_that_everybody_reaches_are_warned_of_however_it_is_written(
    tmp_path: Path, host: str, *, warned: bool
) -> None:
    told = [text for text in advice(read(tmp_path, f"[ops]\nhost = {host}")) if "ops.host" in text]

    assert bool(told) == warned


@pytest.mark.parametrize(
    ("server", "ops", "clash"),
    [
        ("127.0.0.1", "127.0.0.2", False),
        ("127.0.0.1,::1", "127.0.0.2,::1", True),
        ("*", "127.0.0.1", True),
        ("10.0.0.1", "*", True),
    ],
)
def test_two_listeners_do_not_share_a_port(
    tmp_path: Path, server: str, ops: str, *, clash: bool
) -> None:
    variables = {"INKPUSH_SERVER__HOST": server, "INKPUSH_OPS__HOST": ops}
    if clash:
        with pytest.raises(SettingsError, match="two different ports"):
            read(tmp_path, INKPUSH_OPS__PORT="8080", **variables)
    else:
        read(tmp_path, INKPUSH_OPS__PORT="8080", **variables)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("*", "http://127.0.0.1:8080"),
        ("0.0.0.0", "http://127.0.0.1:8080"),
        ("::", "http://[::1]:8080"),
        ("::1,127.0.0.1", "http://[::1]:8080"),
        ("10.0.0.1", "http://10.0.0.1:8080"),
    ],
)
def test_commands_find_the_gateway_by_what_it_listens_on(
    tmp_path: Path, host: str, url: str
) -> None:
    assert local_url(read(tmp_path, INKPUSH_SERVER__HOST=host)) == url
