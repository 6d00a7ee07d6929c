"""What APNs' words mean to people who do not know it."""

from __future__ import annotations

_KEY = "APNs does not accept the key that the gateway sends with."
_TOPIC = "APNs does not accept the topic, which is the app's bundle id."
_ENVIRONMENT = "The key is for the other APNs environment."
_MESSAGE = "APNs cannot read what was sent; that is the gateway's fault."
_LATER = "APNs was busy or restarting."

MEANINGS = {
    "Unregistered": "The app was removed from the phone.",
    "ExpiredToken": "The phone's token is over; the app has to register again.",
    "BadDeviceToken": "Neither APNs environment knows the phone's token.",
    "DeviceTokenNotForTopic": "The token is another app's.",
    "TooManyRequests": "Too many pushes to this phone at once.",
    "TooManyProviderTokenUpdates": "The team's provider tokens change too often.",
    "PayloadTooLarge": "The message is too large.",
    "IdleTimeout": "The connection had been idle for too long; another one was taken.",
    "ExpiredProviderToken": "The provider token was too old; a new one is made.",
    **dict.fromkeys(
        (
            "BadCertificate",
            "Forbidden",
            "InvalidProviderToken",
            "MissingProviderToken",
            "UnrelatedKeyIdInToken",
        ),
        _KEY,
    ),
    **dict.fromkeys(("BadTopic", "MissingTopic", "TopicDisallowed"), _TOPIC),
    **dict.fromkeys(
        ("BadCertificateEnvironment", "BadEnvironmentKeyIdInToken", "BadEnvironmentKeyInToken"),
        _ENVIRONMENT,
    ),
    **dict.fromkeys(
        (
            "BadCollapseId",
            "BadExpirationDate",
            "BadMessageId",
            "BadPath",
            "BadPriority",
            "DuplicateHeaders",
            "InvalidPushType",
            "MethodNotAllowed",
            "MissingDeviceToken",
            "PayloadEmpty",
        ),
        _MESSAGE,
    ),
    **dict.fromkeys(("InternalServerError", "ServiceUnavailable", "Shutdown"), _LATER),
}
