"""One rule says which proxy a host is reached by."""

from __future__ import annotations

import pytest

from providers.errors import CredentialError
from providers.transport.proxies import Proxies

FCM = "https://fcm.googleapis.com/v1/projects/p/messages:send"
OWN, NAMED = "http://own.example:1", "http://named.example:2"


def reached_by(setting: str, url: str = FCM, **environment: str) -> str | None:
    proxy = Proxies(setting, environment).to(url)
    return None if proxy is None else f"{proxy.host}:{proxy.port}"


@pytest.mark.parametrize(
    ("setting", "environment", "proxy"),
    [
        ("", {}, None),
        (OWN, {}, "own.example:1"),
        ("", {"HTTPS_PROXY": NAMED}, "named.example:2"),
        ("", {"https_proxy": NAMED}, "named.example:2"),
        ("", {"https_proxy": NAMED, "HTTPS_PROXY": OWN}, "named.example:2"),
        ("", {"https_proxy": "", "HTTPS_PROXY": NAMED}, "named.example:2"),
        ("", {"HTTPS_PROXY": "named.example:2"}, "named.example:2"),
        ("", {"HTTPS_PROXY": "http://user:p%40ss@named.example:2/"}, "named.example:2"),
        (OWN, {"HTTPS_PROXY": NAMED}, "own.example:1"),
        (OWN, {"NO_PROXY": "*"}, "own.example:1"),
        ("", {"HTTP_PROXY": NAMED}, None),
        ("", {"ALL_PROXY": NAMED}, None),
        ("", {"HTTPS_PROXY": NAMED, "NO_PROXY": "*"}, None),
        ("", {"HTTPS_PROXY": NAMED, "no_proxy": "*"}, None),
        ("", {"HTTPS_PROXY": NAMED, "NO_PROXY": "example.com"}, "named.example:2"),
    ],
)
def test_an_apps_own_proxy_goes_before_the_environments(
    setting: str, environment: dict[str, str], proxy: str | None
) -> None:
    assert reached_by(setting, **environment) == proxy


def test_an_address_without_tls_has_a_variable_of_its_own() -> None:
    url = "http://127.0.0.1:8085/token"

    assert reached_by("", url, HTTPS_PROXY=NAMED) is None
    assert reached_by("", url, HTTP_PROXY=NAMED) == "named.example:2"


@pytest.mark.parametrize(
    ("host", "no_proxy", "spared"),
    [
        ("fcm.googleapis.com", "googleapis.com", True),
        ("fcm.googleapis.com", ".googleapis.com", True),
        ("fcm.googleapis.com", "*.googleapis.com", True),
        ("fcm.googleapis.com", "FCM.GoogleAPIs.com", True),
        ("fcm.googleapis.com", "fcm.googleapis.com.", True),
        ("fcm.googleapis.com", "localhost, googleapis.com ,x", True),
        ("fcm.googleapis.com", "localhost googleapis.com", True),
        ("fcm.googleapis.com", "fcm.googleapis.com:443", True),
        ("fcm.googleapis.com", "fcm.googleapis.com:8443", False),
        ("fcm.googleapis.com:8443", "fcm.googleapis.com:8443", True),
        ("fcm.googleapis.com:8443", "fcm.googleapis.com:443", False),
        ("fcm.googleapis.com", "apis.com", False),
        ("fcm.googleapis.com", "oauth2.googleapis.com", False),
        ("fcm.googleapis.com", ",, ,", False),
        ("fcm.googleapis.com", ".", False),
        ("10.1.2.3", "10.0.0.0/8", True),
        ("10.1.2.3:8443", "10.1.2.3", True),
        ("10.1.2.3:8443", "10.1.2.3:8443", True),
        ("11.1.2.3", "10.0.0.0/8", False),
        ("[2001:db8::1]", "2001:db8::/32", True),
        ("[2001:db8::1]", "2001:db8::1", True),
        ("[2001:db8::1]", "[2001:db8::1]", True),
        ("[2001:db8::1]:8443", "[2001:db8::1]:8443", True),
        ("[2001:db8::2]", "2001:db8::1", False),
        ("10.1.2.3", "2001:db8::/32", False),
    ],
)
def test_no_proxy_names_domains_addresses_and_networks(
    host: str, no_proxy: str, spared: bool
) -> None:
    proxy = reached_by("", f"https://{host}/", HTTPS_PROXY=NAMED, NO_PROXY=no_proxy)

    assert (proxy is None) == spared


@pytest.mark.parametrize(
    "named", ["socks5://user:secret@h:1", "https://h:1", "http://", "http://h:p"]
)
def test_a_proxy_that_cannot_be_used_is_named_by_its_variable_and_not_quoted(named: str) -> None:
    with pytest.raises(CredentialError) as raised:
        reached_by("", HTTPS_PROXY=named)

    (problem,) = raised.value.problems
    assert problem.startswith("proxy: HTTPS_PROXY in the environment must look like http://")
    assert "secret" not in problem


def test_people_are_told_which_host_is_reached_how_and_no_login() -> None:
    token = "https://oauth2.googleapis.com/token"
    login = "http://user:secret@named.example:2"
    by = "by the proxy named.example:2"

    def told(setting: str = "", **environment: str) -> str:
        proxies = Proxies(setting, environment)
        assert "secret" not in repr(proxies)
        return proxies.told([FCM, token, FCM])

    both = "fcm.googleapis.com and oauth2.googleapis.com"
    assert told() == f"{both} directly"
    assert told(login) == f"{both} {by} (proxy)"
    assert told(HTTPS_PROXY=login) == f"{both} {by} (HTTPS_PROXY)"
    assert told(HTTPS_PROXY=login, NO_PROXY="fcm.googleapis.com") == (
        f"fcm.googleapis.com directly, oauth2.googleapis.com {by} (HTTPS_PROXY)"
    )
