"""The queue on NATS JetStream, for more than one machine. Only here is nats-py imported."""

from gateway.queue.nats.link import Broker, Link, servers_of
from gateway.queue.nats.publishing import newest_event
from gateway.queue.nats.queue import JetStreamQueue
from gateway.queue.nats.stream import StreamSpec

__all__ = ["Broker", "JetStreamQueue", "Link", "StreamSpec", "newest_event", "servers_of"]
