"""README, deploy/docs and deploy cannot drift from the code: what they name exists, and vice versa.

The references beside the code have their own: test_docs.py, test_settings_docs.py.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import tomllib
from collections.abc import Iterator, Mapping
from enum import StrEnum
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

import click
import pytest
import yaml
from prometheus_client import CollectorRegistry

from config import shape
from config.settings import RelaySettings
from gateway import __version__
from gateway.app.settings import load, settings_model
from gateway.app.vendors import VENDORS
from gateway.cli.root import inkpush
from gateway.core.audit import ACTS
from gateway.core.hooks import TYPES
from gateway.core.states import DELIVERY_STEPS, DEVICE_STEPS, DeliveryState, DeviceState
from gateway.events import (
    BrakeReleased,
    BrakeTripped,
    ChunkBuried,
    ClockCorrected,
    ClockDoubted,
    DevicesRemoved,
    ExperimentEnded,
    GatewayEvent,
    LaneHeld,
    LaneResumed,
    LaneThrottled,
    LearningSealed,
    Lifecycle,
    PartsFailing,
    PartsReached,
    PutAside,
    RelaysCounted,
    SourceKnown,
    SourceUnknown,
    StoreFailed,
    WebhookAnswered,
)
from gateway.observe.labels import OTHER, WEBHOOK_RESULTS
from gateway.observe.logs import say
from gateway.observe.metrics import Metrics
from gateway.problems import PROBLEMS

S = TypeVar("S", bound=StrEnum)

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
DOCS = DEPLOY / "docs"
PAGES = [ROOT / "README.md", DEPLOY / "README.md", *sorted(DOCS.rglob("*.md"))]
SAID: list[GatewayEvent] = [
    *(WebhookAnswered(result, 0.0) for result in WEBHOOK_RESULTS if result != OTHER),
    *(DevicesRemoved("agent", "fcm", state, {}) for state in ("pruned", "quarantined")),
    *(LaneHeld("agent", "fcm", "android", held, "", "") for held in ("operator", "misconfigured")),
    LaneResumed("agent", "fcm", "android"),
    PartsFailing([("agent", "fcm", "android")], "", ""),
    PartsReached([("agent", "fcm", "android")]),
    LaneThrottled("agent", "fcm", 1.0, "vendor"),
    BrakeTripped("agent", "fcm", 60, 100),
    BrakeReleased("agent", "fcm"),
    RelaysCounted(3),
    ChunkBuried("msg_1", 0, 20),
    PutAside("chunk", "msg_1", "it says no version"),
    PutAside("device", "msg_1", "unknown"),
    SourceUnknown("staging", "name it"),
    SourceKnown("staging"),
    ClockDoubted("stepped", "the database", ""),
    ClockCorrected(-3600.0, 0.0, "the database"),
    LearningSealed(0, 2, 2, "00"),
    ExperimentEnded("spring", "its time is over"),
    StoreFailed("claim", "locked"),
    *(
        Lifecycle(phase)
        for phase in (
            "starting",
            "ready",
            "reloaded",
            "reload_refused",
            "draining",
            "stopped",
            "failed",
        )
    ),
]


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


# --- pages -------------------------------------------------------------------------------------


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}


def test_no_page_holds_both_sides_of_a_merge() -> None:
    rooms = [ROOT / name for name in ("gateway", "providers", "config", "tests")]
    pages = [*PAGES, *(page for room in rooms for page in sorted(room.rglob("*.md")))]
    both = re.compile(r"^(<{7}|>{7}) ", re.MULTILINE)
    assert [page.name for page in pages if both.search(page.read_text())] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_somewhere(page: Path) -> None:
    broken = []
    for link in re.findall(r"\]\((?!https?:)([^)\s]+)\)", page.read_text()):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_setting_that_is_named_exists(page: Path) -> None:
    known = {shape.dotted(loc).replace("[0]", "") for loc in shape.leaves(settings_model())}
    sections = "|".join(sorted({key.partition(".")[0] for key in known}))
    named = set(re.findall(rf"`((?:{sections})\.\w+)`", page.read_text()))
    # acts of the audit table, and types of hook events, are written the same way
    assert {key for key in named if key not in known} - set(ACTS) - set(TYPES) == set()


def test_the_readme_s_configuration_is_one_that_works(tmp_path: Path) -> None:
    (block,) = blocks(ROOT / "README.md", "toml")
    for name in tomllib.loads(block)["apps"][0]["fcm"], tomllib.loads(block)["apps"][0]["apns"]:
        (tmp_path / (name.get("credentials_file") or name["key_file"])).write_text("{}")
    (secret,) = re.findall(r"echo '(whsec_\S+)' > webhook-secret\.txt", readme())
    (tmp_path / "webhook-secret.txt").write_text(secret)
    (tmp_path / "jwt-secret.txt").write_text("0" * 64)
    (tmp_path / "inkpush.toml").write_text(block)
    assert load(tmp_path / "inkpush.toml", {}).apps[0].id == "agent"


def readme() -> str:
    return (ROOT / "README.md").read_text()


def test_the_example_event_is_json() -> None:
    (event,) = re.findall(r"<<'JSON'\n(.*?)^JSON$", readme(), re.DOTALL | re.MULTILINE)
    assert json.loads(event)["type"] == "notifications.sent"


# --- commands ----------------------------------------------------------------------------------


def documented_commands(page: Path) -> Iterator[str]:
    """Every `inkpush ...` of a page's shell blocks, and every longer one that it quotes."""
    for block in blocks(page, "sh"):
        for line in block.splitlines():
            command = re.search(r"(?:^|\$\(|&& )(inkpush \w[^)&]*)", line)
            if command is not None:
                yield command.group(1)
    yield from re.findall(r"`(inkpush \w[^`]*)`", page.read_text())


def misuse(text: str) -> str:
    """Why a command line cannot be, or nothing."""
    words = shlex.split(text, comments=True)[1:]
    command: click.Command = inkpush
    # a group that runs by itself has options of its own
    while isinstance(command, click.Group) and words and not words[0].startswith(("...", "-")):
        if words[0] not in command.commands:
            return f"{text}: there is no {words[0]}"
        command = command.commands[words.pop(0)]
    known = {option for param in command.params for option in param.opts}
    unknown = [word for word in words if word.startswith("-") and word not in {"-", *known}]
    return f"{text}: there is no {unknown[0]}" if unknown else ""


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_command_that_is_named_exists(page: Path) -> None:
    wrong = [misuse(command) for command in documented_commands(page)]
    assert [why for why in wrong if why] == []


def test_commands_are_found_where_they_are() -> None:
    assert "inkpush check --online" in list(documented_commands(ROOT / "README.md"))
    assert misuse("inkpush chekc")
    assert misuse("inkpush check --onlin")


# --- the API -----------------------------------------------------------------------------------


def test_every_error_code_is_documented_as_it_is() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\d{3}) \| (.+?) \| .+ \|$", doc("api.md"), re.MULTILINE)
    assert rows == [(code, str(status), title) for code, (status, title) in PROBLEMS.items()]


def test_every_route_is_documented() -> None:
    paths = json.loads(files("gateway.ops").joinpath("openapi.json").read_text())["paths"]
    routes = {f"{verb.upper()} {path}" for path, verbs in paths.items() for verb in verbs}
    headings = set(re.findall(r"^##+ ([A-Z]+ /\S+)$", doc("api.md"), re.MULTILINE))
    # parameters of a path are all verbs have in common, and the document itself is in the intro
    assert headings == {route for route in routes if not route.startswith("PARAMETERS")} - {
        "GET /openapi.json"
    }


def doc(name: str) -> str:
    return (DOCS / name).read_text()


# --- states ------------------------------------------------------------------------------------


def chart(steps: Mapping[S, frozenset[S]], start: S) -> str:
    lines = ["stateDiagram-v2", f"    [*] --> {start}"]
    for state, following in steps.items():
        lines += [f"    {state} --> {after}" for after in type(state) if after in following]
    return "\n".join(lines) + "\n"


def test_the_charts_are_the_tables_of_the_code() -> None:
    assert blocks(DOCS / "states.md", "mermaid") == [
        chart(DELIVERY_STEPS, DeliveryState.PENDING),
        chart(DEVICE_STEPS, DeviceState.ACTIVE),
    ]


# --- metrics and alerts ------------------------------------------------------------------------


def series() -> dict[str, dict[str, set[str]]]:
    """Every metric of a gateway with one app: label -> the values it has from the start."""
    registry = CollectorRegistry()
    metrics = Metrics(registry, VENDORS, [("agent", "fcm"), ("agent", "apns")], now=0.0)
    metrics.hooks.learn(["crm"])
    found: dict[str, dict[str, set[str]]] = {}
    for family in registry.collect():
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = found.setdefault(name, {})
        for sample in family.samples:
            for label, value in sample.labels.items():
                if label != "le":
                    labels.setdefault(label, set()).add(value)
    return found


SERIES = series()


def test_every_metric_is_documented_with_its_labels() -> None:
    rows = re.findall(r"^\| `(inkpush_\w+)` \| (.+?) \| .+ \|$", doc("metrics.md"), re.MULTILINE)
    documented = {name: set(re.findall(r"`(\w+)`", labels)) for name, labels in rows}
    assert documented == {name: set(labels) for name, labels in SERIES.items()}


@pytest.mark.parametrize("label", ["result", "verdict", "reason", "state"])
def test_every_value_of_a_label_is_documented(label: str) -> None:
    for name, labels in SERIES.items():
        (row,) = re.findall(rf"^\| `{name}` .+$", doc("metrics.md"), re.MULTILINE)
        assert labels.get(label, set()) - {OTHER} <= set(re.findall(r"`(\w+)`", row)), name


ALERTS = DEPLOY / "prometheus" / "alerts.yml"
ALERT_TESTS = DEPLOY / "prometheus" / "tests" / "alerts.yml"
WATCHING = [ALERTS, ALERT_TESTS, DEPLOY / "grafana" / "inkpush.json"]


@pytest.mark.parametrize("where", [*PAGES, *WATCHING], ids=name_of)
def test_every_metric_that_is_named_exists(where: Path) -> None:
    named = set(re.findall(r"\binkpush_[a-z_]+", where.read_text()))
    assert {name.removesuffix("_bucket") for name in named} <= set(SERIES)


def panels() -> list[str]:
    dashboard = json.loads((DEPLOY / "grafana" / "inkpush.json").read_text())
    return [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]


def alerts() -> dict[str, str]:
    text = ALERTS.read_text()
    found = dict(re.findall(r"^ +- alert: (\w+)\n +expr: (.+)$", text, re.MULTILINE))
    assert len(found) == text.count("alert:") == text.count("expr:")
    return found


@pytest.mark.parametrize("expression", [*alerts().values(), *panels()])
def test_alerts_and_panels_ask_for_series_that_exist(expression: str) -> None:
    selectors = [
        (name.removesuffix("_bucket"), matchers)
        for name, matchers in re.findall(r"\b(inkpush_\w+)(?:\{([^}]*)\})?", expression)
    ]
    assert selectors or expression.startswith("up{")
    for name, matchers in selectors:
        for label, value in re.findall(r'(\w+)="([^"]*)"', matchers):
            assert value in SERIES[name].get(label, set()), f"{name}: {label}={value}"
    for labels in re.findall(r"\bby \(([^)]*)\)", expression):
        for name, _ in selectors:
            assert set(labels.split(", ")) - {"le"} <= set(SERIES[name]), name
    assert expression.count("(") == expression.count(")")


def alert_scenarios() -> list[dict[str, Any]]:
    scenarios: list[dict[str, Any]] = yaml.safe_load(ALERT_TESTS.read_text())["tests"]
    return scenarios


def test_the_scenarios_of_alerts_have_series_that_exist() -> None:
    for scenario in alert_scenarios():
        for given in scenario["input_series"]:
            name = given["series"].partition("{")[0]
            found = dict(re.findall(r'(\w+)="([^"]*)"', given["series"]))
            # what Prometheus adds by itself
            found = {key: found[key] for key in found.keys() - {"job", "instance"}}
            known = SERIES.get(name, {})
            assert found.keys() == known.keys() or name == "up", given["series"]
            assert all(value in known[key] for key, value in found.items()), given["series"]


def test_every_alert_has_a_scenario_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    said: dict[bool, set[str]] = {True: set(), False: set()}
    for scenario in alert_scenarios():
        for case in scenario["alert_rule_test"]:
            said[bool(case.get("exp_alerts"))].add(case["alertname"])
    assert said[True] == said[False] == set(alerts())


def test_alerts_fire_when_they_should_and_only_then() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed: apt-get install prometheus")
    done = subprocess.run(
        [promtool, "test", "rules", ALERT_TESTS], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_its_paragraph_in_the_runbook() -> None:
    headings = re.findall(r"^### (Inkpush\w+)$", doc("operations.md"), re.MULTILINE)
    assert headings
    assert set(headings) == set(alerts())


def test_every_line_of_the_log_is_in_the_runbook() -> None:
    _, _, rest = doc("operations.md").partition("\n## Log lines\n")
    rows = [row for row in rest.partition("\n## ")[0].splitlines() if row.startswith("| `")]
    missing = [
        text
        for level, text in map(say, SAID)
        if not any(
            f"| {level} |" in row and (f"`{text}`" in row or f"`` {text} ``" in row) for row in rows
        )
    ]
    assert missing == []


# --- deploy ------------------------------------------------------------------------------------


def test_supervisors_wait_for_the_drain() -> None:
    # the drain, as long again for writing what came in, and the listener's 5 s
    longest = 2 * RelaySettings().drain_s + 5
    unit = (DEPLOY / "systemd" / "inkpush.service").read_text()
    compose = (DEPLOY / "compose.yaml").read_text()
    for text, pattern in (
        (unit, r"^TimeoutStopSec=(\d+)$"),
        (compose, r"stop_grace_period: (\d+)s"),
    ):
        (seconds,) = re.findall(pattern, text, re.MULTILINE)
        assert int(seconds) >= longest


def test_the_image_is_built_from_files_that_exist() -> None:
    lines = (DEPLOY / "Dockerfile").read_text().splitlines()
    copied = [line.split()[1:-1] for line in lines if line.startswith("COPY ") and "--" not in line]
    sources = {source for line in copied for source in line}
    assert all((ROOT / source).exists() for source in sources)
    allowed = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    assert sources == {line[1:] for line in allowed if line.startswith("!")}


def test_the_database_of_unit_and_image_is_where_they_may_write() -> None:
    url = "INKPUSH_STORE__URL=sqlite:////var/lib/inkpush/inkpush.db"
    for file in (DEPLOY / "systemd" / "inkpush.service", DEPLOY / "Dockerfile", ROOT / "README.md"):
        assert url in file.read_text()


def test_this_version_is_in_the_changelog_and_on_the_image() -> None:
    assert f"## [{__version__}] - " in doc("CHANGELOG.md")
    assert f"image: inkpush:{__version__}\n" in (DEPLOY / "compose.yaml").read_text()


def test_the_decisions_are_numbered_and_listed() -> None:
    pages = sorted(file.name for file in (DOCS / "decisions").glob("0*.md"))
    listed = re.findall(r"^\d+\. \[(.+)\]\((.+)\)$", doc("decisions/README.md"), re.MULTILINE)
    assert [target for _, target in listed] == pages
    for title, target in listed:
        number = int(target[:4])
        text = (DOCS / "decisions" / target).read_text()
        assert text.startswith(f"# {number}. {title}\n")
        for part in ("Context", "Decision", "Consequences"):
            assert f"\n## {part}\n" in text
