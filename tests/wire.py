"""What a plain pika peer does on the wire: to receive a message, to send a request, to reply."""

import uuid
from datetime import datetime

import pika

EXPECTED_WITHIN_SECONDS = 10


class PastTheYear9999(datetime):
    """A timestamp that RabbitMQ lets through and that breaks the connection of a pika consumer."""

    def utctimetuple(self):
        return (1970, 1, 1, 0, 0, 2**62)


def receive(channel, queue):
    """Take the next message off a queue: method, properties, body."""
    method, props, body = next(channel.consume(queue, inactivity_timeout=EXPECTED_WITHIN_SECONDS))
    assert method, f"no message came to {queue}"
    channel.basic_ack(method.delivery_tag)
    channel.cancel()
    return method, props, body


def reply(channel, props, body, **changes):
    """Answer a request, or answer it wrongly."""
    answer = {"correlation_id": props.correlation_id, **changes}
    channel.basic_publish("", props.reply_to, body, pika.BasicProperties(**answer))


def request(channel, body, **changes):
    """Send a request and return its callback queue and its correlation id."""
    queue = channel.queue_declare("", exclusive=True).method.queue
    props = {"reply_to": queue, "correlation_id": str(uuid.uuid4()), **changes}
    channel.basic_publish("", "rpc_queue", body, pika.BasicProperties(**props))
    return queue, props["correlation_id"]


def ask(channel, body, **changes):
    """Send a request and return the reply to it: properties, body."""
    queue, corr_id = request(channel, body, **changes)
    _, props, answer = receive(channel, queue)
    assert props.correlation_id == corr_id
    return props, answer
