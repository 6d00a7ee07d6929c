"""Addresses of PostgreSQL as hosters print them and people paste them. Pure.

Owns what is said in another form: a command around the address, a driver in its scheme, libpq's
`host=... dbname=...`, a password whose signs were not escaped, options of other clients. Refuses
to judge whether there is a host and a database: `config.formats` does. No message holds a password.
"""

from __future__ import annotations

import re
import ssl
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from providers import pasted

_AROUND = re.compile(
    r"(?:export\s+)?[A-Za-z_][A-Za-z0-9_]*\s*=\s*(?=[\"']?(?:jdbc:)?postgres)|psql\s+|jdbc:",
    re.IGNORECASE,
)
_SCHEME = re.compile(r"(postgres(?:ql)?)(?:\+[a-z0-9]+)?://", re.IGNORECASE)
_KEYWORD = re.compile(r"\s*(\w+)\s*=\s*('(?:[^'\\]|\\.)*'|[^\s']\S*|)")
_STANDS_FOR = re.compile(r"\[[^\]]*pass[^\]]*\]|<[^>]*pass[^>]*>|\$\{\w+\}|\*{3,}", re.IGNORECASE)
_USER_INFO = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=%-]*(?::[A-Za-z0-9._~!$&'()*+,;=:%-]*)?")

_OF_OTHERS = frozenset(
    {
        "channel_binding", "connect_timeout", "connection_limit", "gssencmode", "keepalives",
        "keepalives_count", "keepalives_idle", "keepalives_interval", "pgbouncer", "pool_timeout",
        "pool_mode", "preparethreshold", "requiressl", "sslaccept", "sslcompression", "supa",
        "uselibpqcompat", "socket_timeout", "statement_cache_size", "reconnect", "max_pool_size",
    }
)  # fmt: skip
"""What tells other clients how to behave; PostgreSQL would take it for a setting of its own, and
refuse the connection."""
_TLS_NAMES = frozenset({"sslmode", "ssl-mode", "ssl_mode", "ssl", "tls"})
_TLS_WORDS = {
    **dict.fromkeys(("true", "1", "yes", "on", "required", "no-verify"), "require"),
    **dict.fromkeys(("false", "0", "no", "off", "disabled"), "disable"),
    "preferred": "prefer",
    "verify_ca": "verify-ca",
    "verify_full": "verify-full",
    "verify_identity": "verify-full",
}


def plain(value: str) -> str:
    """The address as asyncpg takes it; what is no address of PostgreSQL's, as it was.

    Raises ValueError where a password is only stood for.
    """
    text = pasted.unquoted(value)
    while around := _AROUND.match(text):
        text = pasted.unquoted(text[around.end() :])
    text = _from_keywords(text) or text
    scheme = _SCHEME.match(text)
    if scheme is None:
        return value
    login, place = _parted(text[scheme.end() :])
    _, colon, password = login.partition(":")
    if colon and _STANDS_FOR.fullmatch(password):
        raise ValueError("holds no password but what stands for one; expected yours in its place")
    if not _USER_INFO.fullmatch(login):
        login = ":".join(quote(unquote(part), safe="") for part in login.split(":", 1))
    before, mark, query = place.partition("?")
    options = mark and _options(query)
    return f"{scheme[1].lower()}://{login}{login and '@'}{before}{options}"


def _parted(rest: str) -> tuple[str, str]:
    """Login and place. The last @ before a sound place parts them: a password may hold an @, a
    slash or a question mark as it is, a host may not."""
    ends = [at for at, sign in enumerate(rest) if sign == "@"]
    for at in reversed(ends):
        if _is_place(rest[at + 1 :]):
            return rest[:at], rest[at + 1 :]
    return ("", rest) if not ends else (rest[: ends[-1]], rest[ends[-1] + 1 :])


def _is_place(text: str) -> bool:
    try:
        parts = urlsplit(f"//{text}")
        hosts = [urlsplit(f"//{one}") for one in parts.netloc.split(",")]
        sound = all(one.port != 0 for one in hosts)
    except ValueError:
        return False
    return sound and bool(parts.path.strip("/")) and "/" not in parts.path[1:]


def _options(query: str) -> str:
    """The options after the question mark, with it, without those of other clients."""
    try:
        given = parse_qsl(query, keep_blank_values=True, strict_parsing=True)
    except ValueError:
        given = parse_qsl(query, keep_blank_values=True)
    kept = [option for name, value in given if (option := _option(name, value))]
    if kept == given:
        return f"?{query}"
    return f"?{urlencode(kept, quote_via=quote)}" if kept else ""


def _option(name: str, value: str) -> tuple[str, str] | None:
    lower = name.strip().lower()
    if lower in _TLS_NAMES:
        word = value.strip().lower()
        return "sslmode", _TLS_WORDS.get(word, word)
    if lower in _OF_OTHERS or not value:
        return None
    if lower in {"schema", "currentschema"}:
        if value != "public":
            raise ValueError(
                f"names a schema by {name}; expected none, for the tables are in the first schema "
                "of the user's search_path (ALTER ROLE ... SET search_path)"
            )
        return None
    if lower == "sslrootcert" and value == "system":
        found = ssl.get_default_verify_paths().cafile
        return ("sslrootcert", found) if found else None
    return name, value


def _from_keywords(text: str) -> str:
    """The URL for libpq's `host=db dbname=push user=u password='p w'`; "" where it is not that."""
    pairs, end = {}, 0
    while found := _KEYWORD.match(text, end):
        value = found[2]
        if value.startswith("'"):
            value = re.sub(r"\\(.)", r"\1", value[1:-1])
        pairs[found[1]], end = value, found.end()
    if text[end:].strip() or not {"host", "dbname"} <= pairs.keys():
        return ""
    hosts, ports = pairs.pop("host").split(","), pairs.pop("port", "").split(",")
    ports = ports * len(hosts) if len(ports) == 1 else ports
    if len(ports) != len(hosts):
        return ""
    login = quote(pairs.pop("user", ""), safe="")
    if password := pairs.pop("password", ""):
        login += f":{quote(password, safe='')}"
    database = quote(pairs.pop("dbname"), safe="")
    query = {name: value for name, value in pairs.items() if value}
    place = ",".join(
        host + (f":{port}" if port else "") for host, port in zip(hosts, ports, strict=True)
    )
    if place.startswith("/"):
        query, place = {"host": hosts[0], **query}, ""
    options = f"?{urlencode(query, quote_via=quote)}" if query else ""
    return f"postgresql://{login}{login and '@'}{place}/{database}{options}"
