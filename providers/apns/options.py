"""What an APNs transport has to be told. Owns the names of Apple's hosts; does nothing."""

from __future__ import annotations

from dataclasses import dataclass, field

from providers.apns.credentials import ApnsCredentials
from providers.apns.payload import ApnsStyle
from providers.contract import Environment
from providers.transport.proxies import DIRECT, Proxies

PRODUCTION_ENDPOINT = "https://api.push.apple.com"
SANDBOX_ENDPOINT = "https://api.sandbox.push.apple.com"


@dataclass(frozen=True, slots=True)
class ApnsOptions:
    """What an APNs lane is told. `timeout_s`: from `send` to the verdict, at the latest.

    Empty endpoints are Apple's; http:// speaks HTTP/2 without TLS. With `endpoint` set and
    `sandbox_endpoint` empty there is one environment only, and all devices are reached through it.
    `sandbox_credentials` are for a key that serves one environment only, as Apple makes them since
    2025; None: `credentials` serve both.
    `ca_file` (PEM) is trusted besides the system's authorities. `proxies` says which HTTP proxy is
    asked to CONNECT.
    """

    topic: str
    endpoint: str
    sandbox_endpoint: str
    credentials: ApnsCredentials
    style: ApnsStyle = field(default_factory=ApnsStyle)
    ca_file: str = ""
    max_connections: int = 4
    timeout_s: float = 15.0
    proxies: Proxies = DIRECT
    sandbox_credentials: ApnsCredentials | None = None

    def credentials_for(self, environment: Environment) -> ApnsCredentials:
        """The key that pushes to this environment are signed with."""
        if environment is Environment.SANDBOX and self.sandbox_credentials is not None:
            return self.sandbox_credentials
        return self.credentials

    @property
    def endpoints(self) -> dict[Environment, str]:
        """Where each environment is reached; without SANDBOX there is only the one."""
        if self.endpoint and not self.sandbox_endpoint:
            return {Environment.PRODUCTION: self.endpoint}
        return {
            Environment.PRODUCTION: self.endpoint or PRODUCTION_ENDPOINT,
            Environment.SANDBOX: self.sandbox_endpoint or SANDBOX_ENDPOINT,
        }
