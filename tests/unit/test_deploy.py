"""What deploy/ sets is what there is: variables, keys, ports, versions, metrics, time limits.

Compose files and the chart are read as they are; the chart is rendered too where helm is installed.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml
from prometheus_client import CollectorRegistry

from config import shape
from config.settings import OpsSettings, RelaySettings, ServerSettings, Settings
from config.sources import OTHER_VARIABLES, PREFIX
from gateway import __version__
from gateway.app.settings import load, settings_model
from gateway.app.vendors import VENDORS
from gateway.observe.metrics import Metrics

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
CHART = DEPLOY / "helm" / "inkpush"
TEMPLATES = sorted((CHART / "templates").iterdir())
HELM = shutil.which("helm")
#: the drain, as long again for writing what came in, and the listener's 5 s
LONGEST_S = 2 * RelaySettings().drain_s + 5
SIGNING = "whsec_" + "a" * 32


def read(file: Path) -> Any:
    return yaml.safe_load(file.read_text())


COMPOSE = read(DEPLOY / "compose.distributed.yaml")
GATEWAYS = {
    name: service
    for name, service in COMPOSE["services"].items()
    if service["image"].startswith("inkpush:")
}
VALUES = read(CHART / "values.yaml")
EXAMPLE = read(DEPLOY / "helm" / "values.example.yaml")


def settings_of(
    folder: Path, environment: dict[str, str], config: dict[str, Any], file: Path | None = None
) -> Settings:
    """What the loader makes of a pod or container: its variables, and a chart's `config`, as more
    variables or as the file that was rendered of it."""
    places = {loc: str(shape.get(config, loc)) for loc in shape.walk(config)}
    for loc, value in places.items():
        if shape.is_path(settings_model(), loc):
            (folder / value).write_text(SIGNING if loc[0] == "webhook" else "0" * 64)
            places[loc] = str(folder / value)
    given = {} if file else {PREFIX + shape.variable(loc): value for loc, value in places.items()}
    return load(file, given | environment)


def merged(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    both = under | over
    for key in under.keys() & over.keys():
        if isinstance(under[key], dict) and isinstance(over[key], dict):
            both[key] = merged(under[key], over[key])
    return both


# --- compose -----------------------------------------------------------------------------------


def test_the_distributed_form_has_what_it_promises() -> None:
    roles = sorted(service["environment"]["INKPUSH_SERVER__ROLE"] for service in GATEWAYS.values())
    assert roles == ["ingest", "ingest", "relay", "relay"]
    assert {"postgres", "nats-1", "nats-2", "nats-3", "prometheus", "grafana"} == set(
        COMPOSE["services"]
    ) - set(GATEWAYS)


@pytest.mark.parametrize("name", GATEWAYS)
def test_a_replica_waits_for_what_it_needs_and_ends_in_time(name: str) -> None:
    service = GATEWAYS[name]
    assert set(service["depends_on"]) == {"postgres", "nats-1", "nats-2", "nats-3"}
    for other in service["depends_on"]:
        assert COMPOSE["services"][other]["healthcheck"]["test"]
    assert int(service["stop_grace_period"].removesuffix("s")) >= LONGEST_S
    assert service["image"] == f"inkpush:{__version__}"
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]


def test_only_ingest_and_people_s_pages_are_published_and_on_loopback() -> None:
    published = {
        name: [port.split(":") for port in service["ports"]]
        for name, service in COMPOSE["services"].items()
        if "ports" in service
    }
    assert set(published) == {"ingest-1", "ingest-2", "prometheus", "grafana"}
    assert {port[0] for ports in published.values() for port in ports} == {"127.0.0.1"}
    for name in ("ingest-1", "ingest-2"):
        assert published[name][0][2] == str(ServerSettings().port)


def test_what_must_be_given_is_asked_for_by_name() -> None:
    text = (DEPLOY / "compose.distributed.yaml").read_text()
    named = set(re.findall(r"^#   ([A-Z_]+)=", text, re.MULTILINE))
    assert {name for name, rest in re.findall(r"\$\{(\w+)([^}]*)\}", text)} == named
    assert all(
        rest.startswith(":?set it in") for _, rest in re.findall(r"\$\{(\w+)([^}]*)\}", text)
    )


def test_every_node_of_the_queue_is_a_route_and_an_address() -> None:
    nodes = [name for name in COMPOSE["services"] if name.startswith("nats-")]
    conf = (DEPLOY / "nats" / "jetstream.conf").read_text()
    assert re.findall(r'"nats://([\w-]+):6222"', conf) == nodes
    for service in GATEWAYS.values():
        addresses = ",".join(f"{node}:4222" for node in nodes)
        assert service["environment"]["INKPUSH_QUEUE__URL"] == f"nats://{addresses}"
    for node in nodes:
        assert f"--name={node}" in COMPOSE["services"][node]["command"]


def test_prometheus_asks_every_replica() -> None:
    (job,) = read(DEPLOY / "prometheus" / "distributed.yml")["scrape_configs"]
    asked = {
        target: group["labels"]["role"]
        for group in job["static_configs"]
        for target in group["targets"]
    }
    assert asked == {
        f"{name}:{OpsSettings().port}": service["environment"]["INKPUSH_SERVER__ROLE"]
        for name, service in GATEWAYS.items()
    }
    assert f'up{{job="{job["job_name"]}"}}' in (DEPLOY / "prometheus" / "alerts.yml").read_text()


def test_mounted_files_exist() -> None:
    mounts = [
        mount.split(":")[0]
        for service in COMPOSE["services"].values()
        for mount in service.get("volumes", [])
        if mount.startswith("./")
    ]
    assert mounts
    assert [mount for mount in mounts if not (DEPLOY / mount).exists()] == []
    for file in (DEPLOY / "grafana" / "provisioning").rglob("*.yml"):
        assert read(file)["apiVersion"] == 1


# --- settings ----------------------------------------------------------------------------------


def variables() -> Iterator[str]:
    yield from (key for service in GATEWAYS.values() for key in service["environment"])
    for file in TEMPLATES:
        yield from re.findall(r"\bINKPUSH_[A-Z0-9_]+", file.read_text())


def test_every_variable_is_a_setting() -> None:
    ours = {name for name in variables() if name.startswith(PREFIX)} - OTHER_VARIABLES
    assert ours >= {"INKPUSH_STORE__URL", "INKPUSH_QUEUE__URL", "INKPUSH_SERVER__ROLE"}
    places = {name: shape.parse_variable(name.removeprefix(PREFIX)) for name in ours}
    assert [name for name, loc in places.items() if not shape.exists(settings_model(), loc)] == []


@pytest.mark.parametrize("name", GATEWAYS)
def test_a_replica_has_a_configuration_that_works(name: str, tmp_path: Path) -> None:
    environment = {
        key: re.sub(r"\$\{\w+[^}]*\}", "secret", value)
        for key, value in GATEWAYS[name]["environment"].items()
    }
    config = {key: value for key, value in EXAMPLE["config"].items() if key != "queue"}
    settings = settings_of(tmp_path, environment, config)
    assert settings.queue.url.startswith("nats://")
    assert "secret" not in settings.store.url + settings.queue.url


@pytest.mark.parametrize("role", ["ingest", "relay"])
def test_the_chart_s_example_is_a_configuration_that_works(role: str, tmp_path: Path) -> None:
    environment = {
        "INKPUSH_SERVER__ROLE": role,
        "INKPUSH_STORE__URL": EXAMPLE["store"]["url"],
        "INKPUSH_QUEUE__URL": EXAMPLE["queue"]["url"],
    }
    settings = settings_of(tmp_path, environment, merged(VALUES["config"], EXAMPLE["config"]))
    assert settings.apps[0].id == "agent"


# --- the chart as it is written ------------------------------------------------------------------


def test_chart_and_image_are_of_this_version() -> None:
    chart = read(CHART / "Chart.yaml")
    assert chart["appVersion"] == __version__
    assert VALUES["image"]["tag"] == ""


def test_the_schema_takes_the_values_and_refuses_slips() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    validator = jsonschema_rs.validator_for(schema)
    for good in VALUES, EXAMPLE, merged(VALUES, EXAMPLE):
        validator.validate(good)
    for bad in (
        {"relay": {"replcas": 3}},
        {"relay": {"replicas": 0}},
        {"queue": {"url": "kafka://there"}},
        {"config": {"server": {"port": 1}}},
    ):
        assert not validator.is_valid(bad), bad
    assert set(schema["properties"]) == set(VALUES) | {"global"}
    sections = set(schema["properties"]["config"]["properties"])
    assert sections == set(Settings.model_fields) - {"server", "ops"}


def test_every_value_is_commented() -> None:
    lines = (CHART / "values.yaml").read_text().splitlines()
    silent = [
        line
        for above, line in pairwise(lines)
        if re.match(r"\s*\w+: \S", line) and not above.lstrip().startswith("#")
    ]
    assert silent == []


def test_templates_ask_for_values_that_exist() -> None:
    for file in TEMPLATES:
        for path in re.findall(r"\.Values\.([A-Za-z.]+)", file.read_text()):
            found: Any = VALUES
            for key in path.strip(".").split("."):
                assert key in found, f"{file.name}: {path}"
                found = found[key]


def test_relays_are_scaled_by_a_metric_that_exists() -> None:
    registry = CollectorRegistry()
    Metrics(registry, VENDORS, [], now=0.0)
    (name,) = re.findall(r"name: (inkpush_\w+)", (CHART / "templates" / "hpa.yaml").read_text())
    assert name in {family.name for family in registry.collect()}


# --- the chart, rendered -------------------------------------------------------------------------


def rendered(*options: str) -> list[dict[str, Any]]:
    if HELM is None:
        pytest.skip("helm is not installed: the chart is not rendered")
    command = [HELM, "template", "inkpush", str(CHART), "--kube-version", "1.31"]
    command += ["--values", str(DEPLOY / "helm" / "values.example.yaml"), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [manifest for manifest in yaml.safe_load_all(done.stdout) if manifest]


ALL = [
    "--set=ingest.autoscaling.enabled=true,relay.autoscaling.enabled=true",
    "--set=serviceMonitor.enabled=true",
]


def of_kind(kind: str, *options: str) -> dict[str, dict[str, Any]]:
    found = [manifest for manifest in rendered(*options) if manifest["kind"] == kind]
    return {manifest["metadata"]["name"]: manifest for manifest in found}


def test_pods_are_hardened_and_leave_in_time() -> None:
    deployments = of_kind("Deployment")
    assert set(deployments) == {"inkpush-ingest", "inkpush-relay"}
    for deployment in deployments.values():
        pod = deployment["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        lifecycle = container.get("lifecycle")
        waits = int(lifecycle["preStop"]["exec"]["command"][1]) if lifecycle else 0
        assert pod["terminationGracePeriodSeconds"] - waits >= LONGEST_S
        assert pod["securityContext"]["runAsNonRoot"]
        assert container["securityContext"]["readOnlyRootFilesystem"]
        assert deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
        asked = {
            container[f"{probe}Probe"]["httpGet"]["path"]
            for probe in ("startup", "liveness", "readiness")
        }
        assert asked <= {"/healthz", "/openapi.json"}, "a 503 of /readyz is shared by all pods"


def test_a_longer_drain_gives_pods_more_time() -> None:
    for deployment in of_kind("Deployment", "--set-json=config.relay.drain_s=40.5").values():
        assert deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] >= 86


def test_ports_and_selectors_meet() -> None:
    manifests = rendered(*ALL)
    pods = [one["spec"]["template"] for one in manifests if one["kind"] == "Deployment"]
    ports = {"http": ServerSettings().port, "ops": OpsSettings().port}
    for pod in pods:
        for port in pod["spec"]["containers"][0]["ports"]:
            assert ports[port["name"]] == port["containerPort"]
    for one in manifests:
        if one["kind"] in {"Service", "PodDisruptionBudget", "NetworkPolicy"}:
            selector = one["spec"].get("podSelector") or one["spec"]["selector"]
            wanted = selector.get("matchLabels", selector).items()
            assert [pod for pod in pods if wanted <= pod["metadata"]["labels"].items()], one
        if one["kind"] == "Service":
            for port in one["spec"]["ports"]:
                assert port["targetPort"] in ports


def test_what_scales_names_its_deployment() -> None:
    scalers, deployments = of_kind("HorizontalPodAutoscaler", *ALL), of_kind("Deployment", *ALL)
    assert set(scalers) == set(deployments)
    for name, scaler in scalers.items():
        assert scaler["spec"]["scaleTargetRef"]["name"] == name
        assert "replicas" not in deployments[name]["spec"]


def test_the_rendered_pods_have_a_configuration_that_works(tmp_path: Path) -> None:
    # helm writes all numbers as floats
    numbers = "config.relay.max_backlog=2000000,config.webhook.max_body_bytes=8388608"
    manifests = rendered(f"--set={numbers}")
    (text,) = [one["data"]["inkpush.toml"] for one in manifests if one["kind"] == "ConfigMap"]
    file = tmp_path / "inkpush.toml"
    file.write_text(text)
    for one in manifests:
        if one["kind"] == "Deployment":
            (container,) = one["spec"]["template"]["spec"]["containers"]
            environment = {each["name"]: each.get("value", "") for each in container["env"]}
            settings = settings_of(tmp_path, environment, EXAMPLE["config"], file)
            assert settings.server.role == container["name"]
            assert settings.store.url == EXAMPLE["store"]["url"]
            assert settings.queue.url == EXAMPLE["queue"]["url"]
            assert settings.relay.max_backlog == 2_000_000
            assert settings.webhook.max_body_bytes == 8_388_608
            assert settings.log.format == "json"


@pytest.mark.parametrize(
    "value", ["webhook.secrets={whsec_a}", "auth.jwt_secret=a", "queue.password=a"]
)
def test_a_secret_does_not_get_into_the_configmap(value: str) -> None:
    with pytest.raises(AssertionError, match="has no place in a ConfigMap"):
        rendered(f"--set=config.{value}")


# --- systemd -----------------------------------------------------------------------------------


def test_the_unit_is_told_of_each_step_and_gives_each_its_time() -> None:
    unit: dict[str, str] = {}
    for line in (DEPLOY / "systemd" / "inkpush.service").read_text().splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            unit[key] = value
    assert unit["Type"] == "notify", "notify-reload asks for systemd 253"
    assert unit["NotifyAccess"] == "main"
    assert unit["ExecReload"] == "kill -HUP $MAINPID"
    assert unit["TimeoutStartSec"] == "infinity", "a migration takes as long as it takes"
    assert float(unit["WatchdogSec"]) >= OpsSettings().stall_s, "it is heard four times in that"
    assert float(unit["TimeoutStopSec"]) >= LONGEST_S
    assert "AF_UNIX" in unit["RestrictAddressFamilies"], "where NOTIFY_SOCKET is"
