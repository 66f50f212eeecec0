"""What a plain pika peer does on the wire, while a call runs in the background."""

import threading
import uuid
from concurrent.futures import Future

import pika


def background(call, *args, **kwargs):
    """Run a call in a thread, while the test plays its server; a call that hangs harms nobody."""

    def work():
        try:
            future.set_result(call(*args, **kwargs))
        except BaseException as error:
            future.set_exception(error)

    future = Future()
    threading.Thread(target=work, daemon=True).start()
    return future


def send_request(channel, body, **changes):
    """Send a request and return its callback queue and its correlation id."""
    queue = channel.queue_declare("", exclusive=True).method.queue
    props = {"reply_to": queue, "correlation_id": str(uuid.uuid4()), **changes}
    channel.basic_publish("", "rpc_queue", body, pika.BasicProperties(**props))
    return queue, props["correlation_id"]


def receive(channel, queue):
    """Take the next message off a queue: method, properties, body."""
    method, props, body = next(channel.consume(queue, inactivity_timeout=10))
    assert method, f"no message came to {queue}"
    channel.basic_ack(method.delivery_tag)
    channel.cancel()
    return method, props, body


def send_reply(channel, props, body, **changes):
    """Reply to the request with these properties, or reply wrongly."""
    answer = {"correlation_id": props.correlation_id, **changes}
    channel.basic_publish("", props.reply_to, body, pika.BasicProperties(**answer))


def round_trip(channel, body, **changes):
    """Send a request and return the reply to it: properties, body."""
    queue, corr_id = send_request(channel, body, **changes)
    _, props, answer = receive(channel, queue)
    assert props.correlation_id == corr_id
    return props, answer


def waiting(channel, queue="rpc_queue"):
    """Return how many messages wait in a queue."""
    return channel.queue_declare(queue, passive=True).method.message_count
