"""The pace: how often things are done, and how much of a thing is taken at once.

Owns the constants that set the rhythm of a gateway and are no settings: in production there is one
pace, the default. It is passed as one object, so that a test or simulation can bring every edge
near: chunks of three, a backlog of eight. Refuses to know promises: no value here changes what is
kept, only when and in what portions.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.core.model import CHUNK_SIZE


@dataclass(frozen=True, slots=True)
class Pace:
    """The rhythm of one process. Processes on one queue share `chunk_items`: one that completes an
    event of another process cuts it again, and must get the same chunks."""

    chunk_items: int = CHUNK_SIZE
    """Items of a chunk at most: they share one lease, one lookup of devices, one settlement."""

    # --- claiming -----------------------------------------------------------------------------

    claim_chunks: int = 8
    """Chunks claimed at once, because each claim costs a transaction."""
    fan_outs: int = 2
    """Chunks fanned out at once: enough to keep the readers busy, and few enough that webhooks soon
    get the event loop when all the answers arrive together. A database that is milliseconds away
    needs no more: two per 30 ms are 17 000 deliveries a second."""
    idle_s: float = 0.25
    """Seconds until an empty queue in a database is looked at again, unless something wakes us."""
    unknown_s: float = 5.0
    """Seconds that a chunk is left alone whose source the configuration does not name."""
    full_s: float = 0.25
    """Seconds the dispatcher rests while its lanes have no room, unless a chunk finishes."""
    renew_again_s: float = 1.0
    """Seconds until a failed renewal of leases is tried again; a third of a lease at most."""

    # --- lanes --------------------------------------------------------------------------------

    backlog: int = 2048
    """Deliveries that a part keeps in memory; the rest stay in the queue, open to other relays."""
    refill_share: float = 0.5
    """Refill from the queue when the backlog falls to this share: it then has room, and does not
    run dry before the chunks arrive."""
    rest_s: float = 2.0
    """A lane that has to be quiet for longer than this gives back its backlog: a chunk ends only
    when all of its deliveries do, so other lanes' pushes would wait as well."""
    recheck_s: float = 0.1
    """Seconds until a full transport is asked again: it does not report when it has room."""

    # --- writing ------------------------------------------------------------------------------

    flush_s: float = 0.02
    """Seconds from the first record of a batch to its flush. An answer waits this long for others
    that share its transaction; pushes of this time may be repeated after a crash."""
    flush_rows: int = 512
    """Records that are flushed at once, however recent they are."""
    slow_s: float = 0.25
    """Seconds after which a flush stops the lanes until it is done: pushes that are not on record
    when the process dies may be sent again, so their number must not grow."""

    # --- duties -------------------------------------------------------------------------------

    beat_s: float = 3.0
    """Seconds between heartbeats: a relay counts as gone after missing five."""
    follow_s: float = 1.0
    """Seconds between two looks for what people decided about the lanes."""
    watch_s: float = 1.0
    """Seconds between two looks at whether vendors are reached."""
    silent_s: float = 15.0
    """Seconds that nothing of a lane's part may get an answer before the part counts as failing."""
    broken_s: float = 60.0
    """Seconds that a vendor may answer nothing but 5xx before the part counts as failing."""
    reach_s: float = 30.0
    """Seconds between two connections that a failing part makes by itself."""
    reach_soon_s: float = 5.0
    """The same before it counts as failing."""
    fade_s: float = 60.0
    """Seconds in which the weight of past failures halves, in the error rate that people see."""
    purge_s: float = 3600.0
    """Seconds between two looks for rows whose retention, a matter of days, is over."""
    device_counts_s: float = 10.0
    """Minimum seconds between two counts of the devices; longer after a slow count."""
    audience_s: float = 10.0
    """The same of who is muted, and who was seen when."""
    depth_s: float = 1.0
    """Seconds for which a measurement of the queue's depth is reused."""
    note_s: float = 10.0
    """Seconds between two notes of how far a SQLite file has come."""
    trial_s: float = 5.0
    """Seconds between two trial rows, while what was to be stored last could not be."""
    schema_s: float = 5.0
    """Seconds between two looks at whether the database still has its tables and indexes."""
    erase_s: float = 5.0
    """Seconds between two looks for erases that another process left half way."""
    hook_idle_s: float = 0.5
    """Seconds until it is looked again whether something waits for a hook."""
    hook_first_s: float = 2.0
    """Seconds after which a hook that failed is tried again, the first time."""
    hook_lease_s: float = 60.0
    """Seconds that a process which went leaves a hook without anybody who posts to it."""
    hook_end_s: float = 5.0
    """Seconds that a process which ends gives what is on its way to hooks."""
    hook_trim_s: float = 10.0
    """Seconds between two looks for what is too old, or too much, for a hook."""
    hook_follow_s: float = 5.0
    """Seconds between two looks for learning events that hooks ask for."""
    hook_silent_s: float = 86_400.0
    """Seconds between two looks for devices that have been silent for long."""
    count_days_s: float = 600.0
    """Seconds between two looks for days that are over and not counted yet."""
    chain_s: float = 2.0
    """Seconds between two looks for learning events that are to be chained."""
    complete_s: float = 20.0
    """Seconds between two looks for events that an ingest left half way."""
