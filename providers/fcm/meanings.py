"""What FCM's words mean to people who do not know it."""

from __future__ import annotations

MEANINGS = {
    "UNREGISTERED": "The app was removed from the phone, or its data was deleted.",
    "INVALID_ARGUMENT": "FCM does not know this registration token, or cannot read the message.",
    "SENDER_ID_MISMATCH": "The token belongs to another Firebase project than the configured one.",
    "QUOTA_EXCEEDED": "Too many pushes at once, to this phone or from the whole project.",
    "RESOURCE_EXHAUSTED": "Too many pushes at once, to this phone or from the whole project.",
    "UNAVAILABLE": "FCM was overloaded.",
    "INTERNAL": "FCM had a fault of its own.",
    "UNSPECIFIED_ERROR": "FCM does not say why.",
    "THIRD_PARTY_AUTH_ERROR": "FCM cannot log in to APNs or the web push service for this phone.",
    "APNS_AUTH_ERROR": "FCM cannot log in to APNs for this phone.",
    "UNAUTHENTICATED": "FCM refuses the access token; check the service account.",
    "PERMISSION_DENIED": "The service account may not send for this project.",
    "NOT_FOUND": "FCM knows no such project.",
    "ApnsError": "APNs refused what FCM passed on to it.",
    "Unregistered": "APNs told FCM that the app was removed from the phone.",
    "ExpiredToken": "APNs told FCM that the phone's token is over.",
    "BadDeviceToken": "APNs told FCM that it does not know the phone's token.",
    "DeviceTokenNotForTopic": "APNs told FCM that the token is another app's.",
}
