"""What an FCM transport has to be told. Owns the name of Google's host; does nothing."""

from __future__ import annotations

from dataclasses import dataclass, field

from providers.fcm.credentials import FcmCredentials
from providers.fcm.payload import FcmStyle
from providers.transport.proxies import DIRECT, Proxies

ENDPOINT = "https://fcm.googleapis.com"


@dataclass(frozen=True, slots=True)
class FcmOptions:
    """What an FCM lane is told. `timeout_s`: from `send` to the verdict, at the latest.

    FCM asks for at least 10 s. An empty `project_id` is the service account's own, an empty
    `endpoint` is Google's; http:// speaks HTTP/1.1. `ca_file` (PEM) is trusted besides the
    system's authorities. `proxies` says which HTTP proxy is asked to CONNECT.
    """

    project_id: str
    endpoint: str
    credentials: FcmCredentials
    style: FcmStyle = field(default_factory=FcmStyle)
    ca_file: str = ""
    max_connections: int = 10
    timeout_s: float = 15.0
    proxies: Proxies = DIRECT

    @property
    def url(self) -> str:
        """Where messages are posted to."""
        endpoint = (self.endpoint or ENDPOINT).rstrip("/")
        return (
            f"{endpoint}/v1/projects/{self.project_id or self.credentials.project_id}/messages:send"
        )
