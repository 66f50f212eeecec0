"""The tutorial's pair, to compare with: as its repository has it today, and an older copy.

The repository's client waits in process_data_events() since June 2022, and has its requests in a
quorum queue since March 2026. Both take a URL and a queue of their own here.
"""

import uuid

import pika

from rpc_server import fib

QUORUM = {"x-queue-type": "quorum"}
REPOSITORY_QUEUE = {"queue": "repository_queue", "durable": True, "arguments": QUORUM}
OLDER_QUEUE = {"queue": "older_queue", "durable": True}  # theirs is transient: 4.3 may deny it


class RepositoryClient:
    """The client of https://github.com/rabbitmq/rabbitmq-tutorials."""

    name = "the tutorial, quorum queue (blue)"
    queue = REPOSITORY_QUEUE

    def __init__(self, url):
        self.connection = pika.BlockingConnection(pika.URLParameters(url))
        self.channel = self.connection.channel()
        self.callback_queue = self.channel.queue_declare("", exclusive=True).method.queue
        self.channel.basic_consume(self.callback_queue, self.on_response, auto_ack=True)

    def on_response(self, ch, method, props, body):
        if self.corr_id == props.correlation_id:
            self.response = body

    def call(self, n):
        self.response = None
        self.corr_id = str(uuid.uuid4())
        props = pika.BasicProperties(reply_to=self.callback_queue, correlation_id=self.corr_id)
        self.channel.basic_publish("", self.queue["queue"], str(n), props)
        self.wait()
        return int(self.response)

    def wait(self):
        self.connection.process_data_events(time_limit=None)


class OlderClient(RepositoryClient):
    """The client that many programs have: it polls without a pause."""

    name = "an older copy, classic queue (gray)"
    queue = OLDER_QUEUE

    def wait(self):
        while self.response is None:
            self.connection.process_data_events()


def serve(url, queue, fib=fib):
    """The server of both."""

    def on_request(ch, method, props, body):
        answer = pika.BasicProperties(correlation_id=props.correlation_id)
        ch.basic_publish("", props.reply_to, str(fib(int(body))), answer)
        ch.basic_ack(method.delivery_tag)

    channel = pika.BlockingConnection(pika.URLParameters(url)).channel()
    channel.queue_declare(**queue)
    channel.basic_qos(prefetch_count=1)
    channel.basic_consume(queue["queue"], on_request)
    channel.start_consuming()
