"""Stand-ins for FCM v1, Google's OAuth endpoint and APNs, with scriptable answers.

They check requests as the vendors do, so that a push which passes here is one that the vendors
would understand. For the demo, tests and staging; no secret of theirs opens anything else.
"""

from providers.sandbox.answers import Answer
from providers.sandbox.credentials import Credentials
from providers.sandbox.describe import config_toml, describe
from providers.sandbox.phonebook import PhoneChange
from providers.sandbox.received import ReceivedPush
from providers.sandbox.server import Sandbox
from providers.sandbox.settings import Settings

__all__ = [
    "Answer",
    "Credentials",
    "PhoneChange",
    "ReceivedPush",
    "Sandbox",
    "Settings",
    "config_toml",
    "describe",
]
