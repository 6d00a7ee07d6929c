"""Inkpush: the push notification relay for LearnInk.

A signed batch is made durable in one step, cut into chunks, and each chunk flows one way:

    LearnInk/Svix --> ingest --> queue of chunks --> relay --> lane of parts --------> FCM / APNs
                        |                              |  ^          |
    apps, backends --> devices --> registry -----------+  |          v
                                                       journal <-- verdicts

A lane is one app at one vendor, and a part of it is what fails together: a platform behind FCM, an
environment at APNs.

Rooms, and the one direction in which they may import (import-linter keeps it so):

    cli -> app -> {ingest | devices | hooks | relay | ops | store | queue | observe}
        -> exchange -> problems -> ports -> events -> core -> errors

Siblings in braces never import each other. All may use `providers.contract`, the vocabulary, and
`providers.vendor`, what a vendor is; only `app` knows concrete vendors, and only `app` and `cli`
read `config`. `core` is pure: time and jitter are arguments.
"""

__version__ = "0.1.0"
