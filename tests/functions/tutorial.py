"""The tutorial's pair, as the repository rabbitmq/rabbitmq-tutorials has it since March 2026."""

import uuid

import pika

from rpc_server import fib

QUORUM = {"x-queue-type": "quorum"}
REPOSITORY_QUEUE = {"queue": "repository_queue", "durable": True, "arguments": QUORUM}


class RepositoryClient:
    """Its client."""

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
        self.channel.basic_publish("", REPOSITORY_QUEUE["queue"], str(n), props)
        self.connection.process_data_events(time_limit=None)
        return int(self.response)


def serve(url, queue, fib=fib):
    """Its server."""

    def on_request(ch, method, props, body):
        answer = pika.BasicProperties(correlation_id=props.correlation_id)
        ch.basic_publish("", props.reply_to, str(fib(int(body))), answer)
        ch.basic_ack(method.delivery_tag)

    channel = pika.BlockingConnection(pika.URLParameters(url)).channel()
    channel.queue_declare(**queue)
    channel.basic_qos(prefetch_count=1)
    channel.basic_consume(queue["queue"], on_request)
    channel.start_consuming()
