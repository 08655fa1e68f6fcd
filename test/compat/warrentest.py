"""What the scripts beside this file share: running named cases with a line
each, connections, and the call style of pika 0.x over pika 1.x."""
import faulthandler
import os
import socket
import sys
import threading
import time
import traceback

import pika

# RabbitMQ's classic queues do not keep the order of one channel's messages that
# take different routes through two nodes; a test of the scripts on it asks less.
KEEPS_ORDER = os.environ.get("WARREN_COMPAT") != "rabbitmq"

CASE_LIMIT = 30  # seconds; a case that hangs shows where and ends the script


def connect(addr, **more):
    """A connection as the tutorials make it, to host:port."""
    host, port = addr.rsplit(":", 1)
    return pika.BlockingConnection(pika.ConnectionParameters(host=host, port=int(port), **more))


def die(connection):
    """The end of a client that was killed: its socket goes, nothing is said."""
    connection._impl._transport._sock.shutdown(socket.SHUT_RDWR)


class OldChannel:
    """The signatures that tutorials written for pika 0.x call. Debian's pika
    no longer has them; what they put on the wire is the same."""

    def __init__(self, channel):
        self._channel = channel

    def __getattr__(self, name):
        return getattr(self._channel, name)

    def queue_declare(self, queue="", passive=False, durable=False, exclusive=False, auto_delete=False, arguments=None):
        return self._channel.queue_declare(queue, passive, durable, exclusive, auto_delete, arguments)

    def exchange_declare(self, exchange=None, type="direct", passive=False, durable=False, auto_delete=False, arguments=None):
        return self._channel.exchange_declare(exchange, type, passive, durable, auto_delete, arguments=arguments)

    def basic_consume(self, consumer_callback, queue="", no_ack=False, exclusive=False, consumer_tag=None, arguments=None):
        return self._channel.basic_consume(queue, consumer_callback, no_ack, exclusive, consumer_tag, arguments)

    def basic_get(self, queue="", no_ack=False):
        return self._channel.basic_get(queue, no_ack)


class NewChannel:
    """pika 1.x as it is, and the calls whose names differ between the styles."""

    def __init__(self, channel):
        self._channel = channel

    def __getattr__(self, name):
        return getattr(self._channel, name)


def consume(style, channel, queue, callback, auto_ack=False):
    if style == "old":
        return channel.basic_consume(callback, queue=queue, no_ack=auto_ack)
    return channel.basic_consume(queue=queue, on_message_callback=callback, auto_ack=auto_ack)


def declare_exchange(style, channel, exchange, kind):
    if style == "old":
        return channel.exchange_declare(exchange=exchange, type=kind)
    return channel.exchange_declare(exchange=exchange, exchange_type=kind)


def anonymous_queue(style, channel):
    """The tutorials' queue for one connection: named by the server, exclusive."""
    if style == "old":
        return channel.queue_declare(exclusive=True).method.queue
    return channel.queue_declare(queue="", exclusive=True).method.queue


def open_channel(style, connection):
    channel = connection.channel()
    return OldChannel(channel) if style == "old" else NewChannel(channel)


def persistent(style):
    if style == "old":
        return pika.BasicProperties(delivery_mode=2)
    return pika.BasicProperties(delivery_mode=pika.spec.PERSISTENT_DELIVERY_MODE)


class Worker(threading.Thread):
    """A consumer program: it sets up its channel, then sits in start_consuming."""

    def __init__(self, style, addr, setup):
        super().__init__(daemon=True)
        self.style, self.addr, self.setup = style, addr, setup
        self.got = []  # bodies
        self.news = threading.Condition()
        self.ready = threading.Event()
        self.failed = None
        self.start()
        assert self.ready.wait(10), "a consumer did not get ready"
        if self.failed:
            raise self.failed

    def run(self):
        try:
            self.connection = connect(self.addr)
            self.channel = open_channel(self.style, self.connection)
            self.setup(self)
            self.ready.set()
            self.channel.start_consuming()
            self.connection.close()
        except Exception as e:  # told where the test waits
            self.failed = e
            self.ready.set()

    def took(self, body):
        with self.news:
            self.got.append(body.decode())
            self.news.notify_all()

    def wait(self, count, seconds=10):
        with self.news:
            assert self.news.wait_for(lambda: len(self.got) >= count, seconds), \
                "%d messages of %d after %d s: %r" % (len(self.got), count, seconds, self.got)
        return self.got

    def stop(self):
        self.connection.add_callback_threadsafe(self.channel.stop_consuming)
        self.join(10)
        assert not self.is_alive(), "a consumer did not stop"
        if self.failed:
            raise self.failed


def until(what, condition, seconds=10):
    """Asks again until it is so."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "not within %d s: %s" % (seconds, what)
        time.sleep(0.01)


def run(cases, limit=CASE_LIMIT):
    """Runs (name, function) pairs; a line each for the Go side. The process
    ends at once afterwards, whatever threads a failed case left."""
    failed = 0
    for name, case in cases:
        faulthandler.dump_traceback_later(limit, exit=True)
        try:
            case()
            print("ok", name, flush=True)
        except Exception as e:
            failed += 1
            last = traceback.extract_tb(e.__traceback__)[-1]
            print("FAIL %s: %s: %s (%s:%d)" % (name, type(e).__name__, str(e).replace("\n", " "), os.path.basename(last.filename), last.lineno), flush=True)
        faulthandler.cancel_dump_traceback_later()
    sys.stdout.flush()
    os._exit(1 if failed else 0)
