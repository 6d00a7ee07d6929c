"""A vendor is a folder: its description holds, is cheap, and its name is nowhere else."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest

import providers
from gateway.app.vendors import VENDORS
from providers.contract import Address, AddressKind, Environment, Platform
from providers.vendor import ReportedAddress, Vendor

ROOT = Path(providers.__path__[0]).parent
EACH_VENDOR = pytest.mark.parametrize("vendor", VENDORS.values(), ids=VENDORS)
ADDRESSES = ("cX1:APA91b-_token", "Ab" * 32, "f" * 22, "0" * 200)
REPORTS = [
    ReportedAddress(*each)
    for each in product(ADDRESSES, Platform, [None, *AddressKind], [None, *Environment])
]

# --- the description ---------------------------------------------------------------------------


def accepted(vendor: Vendor) -> list[ReportedAddress]:
    reached = [reported for reported in REPORTS if reported.platform in vendor.platforms]
    read = [vendor.read_address(reported) for reported in reached]
    return [one for one in read if isinstance(one, ReportedAddress)]


@EACH_VENDOR
def test_the_name_is_the_folder_s(vendor: Vendor) -> None:
    assert (ROOT / "providers" / vendor.name / "vendor.py").is_file()
    assert vendor is VENDORS[vendor.name]


@EACH_VENDOR
def test_an_address_that_was_read_is_read_as_itself(vendor: Vendor) -> None:
    assert accepted(vendor)
    for canonical in accepted(vendor):
        assert vendor.read_address(canonical) == canonical


@EACH_VENDOR
def test_all_that_a_vendor_reaches_can_be_registered_and_no_other_environment(
    vendor: Vendor,
) -> None:
    assert {one.platform for one in accepted(vendor)} == vendor.platforms
    assert {one.environment for one in accepted(vendor)} == {None, *vendor.environments}


@EACH_VENDOR
def test_every_address_is_in_one_of_the_parts_and_every_part_has_some(vendor: Vendor) -> None:
    addresses = [
        Address(
            one.value,
            one.kind or AddressKind.TOKEN,
            one.platform,
            one.environment or Environment.PRODUCTION,
        )
        for one in accepted(vendor)
    ]
    assert {vendor.part_of(address) for address in addresses} == set(vendor.parts)


@EACH_VENDOR
def test_problems_name_fields_of_a_registration_and_quote_nothing(vendor: Vendor) -> None:
    for reported in REPORTS:
        read = vendor.read_address(reported)
        problems = [] if isinstance(read, ReportedAddress) else read
        for field, message in problems:
            assert field in {"address", "address_kind", "environment"}
            assert reported.value not in message


def test_a_reported_address_is_masked() -> None:
    assert "secret" not in repr(ReportedAddress("secret-address", Platform.WEB))


def test_what_an_address_carries_beside_its_value_is_masked() -> None:
    address = Address("secret-value", extra=(("auth", "secret-key"),))
    assert "secret" not in f"{address} {address!r}"


CLIENTS = {"aioapns", "aiohttp", "asyncpg", "firebase_admin", "google.auth", "httpx", "nats"}


def loaded_by(*modules: str) -> set[str]:
    found = subprocess.run(
        [sys.executable, "-c", f"import sys, {', '.join(modules)}; print(*sys.modules)"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(found.stdout.split())


def test_looking_at_the_vendors_loads_no_client_library() -> None:
    slow = CLIENTS | {"asyncio", "cryptography", "h11", "hpack", "jwt", "requests", "ssl"}
    assert loaded_by(*(f"providers.{name}.vendor" for name in VENDORS)) & slow == set()


def test_reading_the_settings_loads_no_client_library() -> None:
    assert loaded_by("gateway.app.settings") & CLIENTS == set()


# --- the name ----------------------------------------------------------------------------------

NAME = re.compile(r"(?<![a-z])(?:fcm|apns)(?![a-z])", re.IGNORECASE)
HOMES = ("providers/fcm/", "providers/apns/", "providers/sandbox/")
ALLOWED = {
    "gateway/app/vendors.py": "the one list",
    "gateway/app/benching/nginx.py": "a stand-in of both vendors, as the sandbox is",
    "gateway/app/benching/served.py": "points a gateway at that stand-in",
    "gateway/app/benching/vendors.py": "names the ports and files of that stand-in",
    "gateway/cli/benching.py": "chooses one of that stand-in's vendors",
    "gateway/cli/demo.py": "the options of the sandbox",
    "gateway/ops/openapi.json": "a document: what a registration's `provider` may be",
}
#: arguments whose text a person reads as an example or as help
FOR_PEOPLE = {"example", "help"}


def words_of(tree: ast.AST) -> Iterator[str]:
    """What of a module is code: its names and strings, without comments, docstrings and help."""
    for node in ast.iter_child_nodes(tree):
        match node:
            case ast.Expr(ast.Constant()):
                continue
            case ast.keyword(arg) if arg in FOR_PEOPLE:
                continue
            case ast.Constant(str(text)) | ast.Name(text) | ast.Attribute(attr=text):
                yield text
            case ast.arg(text) | ast.keyword(str(text)) | ast.ImportFrom(str(text)):
                yield text
            case ast.FunctionDef(text) | ast.AsyncFunctionDef(text) | ast.ClassDef(text):
                yield text
            case ast.alias(text, other):
                yield f"{text} {other or ''}"
            case _:
                pass
        yield from words_of(node)


def files_that_name_a_vendor() -> set[str]:
    found = set()
    for room in ("gateway", "providers", "config"):
        for file in (ROOT / room).rglob("*"):
            place = file.relative_to(ROOT).as_posix()
            if place.startswith(HOMES) or place.endswith((".md", ".example.toml")):
                continue
            if file.suffix == ".py":
                words = words_of(ast.parse(file.read_text()))
            elif file.suffix in {".sql", ".html", ".js", ".css", ".json"}:
                words = iter([file.read_text()])
            else:
                continue
            if any(NAME.search(word) for word in words):
                found.add(place)
    return found


def test_a_vendor_is_named_in_its_folder_in_the_one_list_and_by_its_stand_ins() -> None:
    assert files_that_name_a_vendor() == set(ALLOWED)


@pytest.mark.parametrize(
    ("code", "named"),
    [
        ("if provider == 'fcm': pass", True),
        ("app.apns", True),
        ("APNS_SECOND_RETRY_S = 900", True),
        ("def plan_fcm(): pass", True),
        ("from providers.apns.vendor import VENDOR", True),
        ("run(fcm=1)", True),
        ("match p:\n  case 'apns': pass", True),
        ('"""What FCM says."""', False),
        ("@command(example='inkpush lanes pause agent/fcm')\ndef pause(): pass", False),
        ("import aioapns", False),  # a library of its own name
    ],
)
def test_the_search_finds_names_in_code_and_not_in_prose(code: str, named: bool) -> None:
    words = list(words_of(ast.parse(f"x = 1\n{code}")))
    assert any(NAME.search(word) for word in words) is named
