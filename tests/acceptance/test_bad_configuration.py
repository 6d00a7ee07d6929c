"""A configuration with many mistakes is refused with all of them at once, and nothing else."""

from __future__ import annotations

from tests.kit.figures import Figures
from tests.kit.gateway import Installation

BAD = """
[server]
port = "eighty"
colour = "blue"
[webhook]
secrets = ["not a secret"]
[relay]
max_attempts = 0
[surprise]
[[apps]]
id = "agent"
  [apps.fcm]
  credentials_file = "nowhere.json"
  rate_per_s = -1
  [apps.apns]
  key_file = "nowhere.p8"
"""
MISTAKES = {
    "server.port": "expected a whole number",
    "server.colour": "there is no such setting",
    "webhook.secrets[0]": "expected whsec_ and base64",
    "relay.max_attempts": "expected at least 1",
    "surprise": "there is no such setting",
    "apps[0].fcm.credentials_file": "expected a readable file",
    "apps[0].fcm.rate_per_s": "expected at least 0",
    "apps[0].apns.key_file": "expected a readable file",
    "apps[0].apns.key_id": "is missing; expected a value",
    "apps[0].apns.team_id": "is missing; expected a value",
    "apps[0].apns.topic": "is missing; expected a value",
}


async def test_all_mistakes_are_told_at_once_with_key_and_expectation(
    installation: Installation, figures: Figures
) -> None:
    installation.config.write_text(BAD)
    done = await installation.run("serve")
    lines = done.err.splitlines()
    told = dict(line.split(": ", 1) for line in lines)
    assert told.keys() == MISTAKES.keys()
    for key, expected in MISTAKES.items():
        assert expected in told[key]
    assert done.status == 2
    assert "Traceback" not in done.err + done.out
    assert not (installation.folder / "inkpush.db").exists()
    figures(f"exit status {done.status}, {len(MISTAKES)} mistakes in {len(lines)} lines")


async def test_credentials_that_cannot_be_read_are_told_at_once_too(
    installation: Installation, figures: Figures
) -> None:
    wrong = installation.folder / "wrong"
    wrong.write_text("{}")
    installation.configure(fcm={"credentials_file": str(wrong)}, apns={"key_file": str(wrong)})
    done = await installation.run("serve")
    lines = done.err.splitlines()
    assert [line.split()[0] for line in lines] == [
        "apps[0].fcm.credentials_file",
        "apps[0].apns.key_file",
    ]
    assert done.status == 2
    assert "Traceback" not in done.err
    figures(f"exit status {done.status}, {len(lines)} mistakes in {len(lines)} lines")


async def test_a_trust_anchor_that_is_none_is_told_by_serve_and_by_check(
    installation: Installation, figures: Figures
) -> None:
    wrong = installation.folder / "wrong.pem"
    wrong.write_text("no certificate")
    installation.configure(fcm={"ca_file": str(wrong)}, apns={"ca_file": str(wrong)})
    served, checked = await installation.run("serve"), await installation.run("check")
    assert (served.status, checked.status) == (2, 1)
    for told in (served.err, checked.out):
        assert f"apps[0].fcm.ca_file {wrong}: not a PEM certificate" in told
        assert f"apps[0].apns.ca_file {wrong}: not a PEM certificate" in told
        assert "Traceback" not in told
    figures(f"serve: exit status {served.status}, check: {checked.status}, both lanes named")
