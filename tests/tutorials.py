"""The tutorial's two pairs, to compare with: that of its web page, and that of its repository.

Both are written here as people copy them, and take a URL and a queue of their own. The page's pair
computes recursively, and its client polls without a pause. The repository's pair has moved on: it
computes iteratively, on a durable quorum queue, and its client waits in one process_data_events().
"""

import multiprocessing
import uuid

import pika

PAGE_QUEUE = {"queue": "page_queue", "durable": True}  # the page's is transient: 4.3 refuses that
QUORUM = {"x-queue-type": "quorum"}
REPOSITORY_QUEUE = {"queue": "repository_queue", "durable": True, "arguments": QUORUM}

spawn = multiprocessing.get_context("spawn")


def page_fib(n):
    return n if n < 2 else page_fib(n - 1) + page_fib(n - 2)


def repository_fib(n):
    a, b = 0, 1
    for _ in range(n):
        a, b = b, a + b
    return a


class PageClient:
    """The client of https://www.rabbitmq.com/tutorials/tutorial-six-python."""

    name = "the page's tutorial"
    queue = PAGE_QUEUE
    fib = page_fib

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
        while self.response is None:
            self.connection.process_data_events()

    def close(self):
        self.connection.close()


class RepositoryClient(PageClient):
    """The client of https://github.com/rabbitmq/rabbitmq-tutorials."""

    name = "the repository's tutorial"
    queue = REPOSITORY_QUEUE
    fib = repository_fib

    def wait(self):
        self.connection.process_data_events(time_limit=None)


def serve(url, queue, fib):
    """The server of both."""

    def on_request(ch, method, props, body):
        response = fib(int(body))
        answer = pika.BasicProperties(correlation_id=props.correlation_id)
        ch.basic_publish("", props.reply_to, str(response), answer)
        ch.basic_ack(method.delivery_tag)

    channel = pika.BlockingConnection(pika.URLParameters(url)).channel()
    channel.queue_declare(**queue)
    channel.basic_qos(prefetch_count=1)
    channel.basic_consume(queue["queue"], on_request)
    channel.start_consuming()


def start_server(url, queue, fib):
    """Start a server as a process."""
    process = spawn.Process(target=serve, args=(url, queue, fib))
    process.start()
    return process
