"""The shapes of the classic tutorials, as a user types them.

usage: tutorial.py STYLE PUBLISH_ADDR CONSUME_ADDR SUFFIX [SHAPE...]
"""
import sys
import threading
import time
import uuid

import pika

from warrentest import (KEEPS_ORDER, Worker, anonymous_queue, connect, consume, declare_exchange, die,
                        open_channel, persistent, run, until)

style, publish_addr, consume_addr, suffix = sys.argv[1:5]

DURABLE_COUNT = 50


def publisher():
    connection = connect(publish_addr)
    return connection, open_channel(style, connection)


def hello():
    """Both sides declare; the publisher names no exchange."""
    queue = "hello-" + suffix
    connection, channel = publisher()
    channel.queue_declare(queue=queue)
    channel.basic_publish(exchange="", routing_key=queue, body="Hello World!")
    connection.close()

    connection = connect(consume_addr)
    channel = open_channel(style, connection)
    channel.queue_declare(queue=queue)
    got = []

    def callback(ch, method, properties, body):
        got.append((body, method.routing_key, method.exchange, method.redelivered))
        ch.stop_consuming()

    consume(style, channel, queue, callback, auto_ack=True)
    channel.start_consuming()
    assert got == [(b"Hello World!", queue, "", False)], got
    channel.queue_delete(queue)
    connection.close()


def round_robin():
    """Several consumers share a queue evenly."""
    queue = "tasks-" + suffix

    def setup(w):
        w.channel.queue_declare(queue=queue)
        consume(style, w.channel, queue, lambda ch, method, properties, body: w.took(body), auto_ack=True)

    workers = [Worker(style, addr, setup) for addr in (consume_addr, publish_addr, consume_addr)]
    connection, channel = publisher()
    for i in range(30):
        channel.basic_publish(exchange="", routing_key=queue, body=str(i))
    for w in workers:
        w.wait(10)
    got = [sorted(int(b) for b in w.got) for w in workers]
    for numbers in got:
        assert len(numbers) == 10 and {n % 3 for n in numbers} == {numbers[0] % 3}, got
    for w in workers:
        assert [int(b) for b in w.got] == sorted(int(b) for b in w.got), w.got
        w.stop()
    channel.queue_delete(queue)
    connection.close()


def fair_dispatch():
    """basic_qos(prefetch_count=1): while one worker is busy the other gets the work."""
    queue = "fair-" + suffix
    release = threading.Event()

    def setup(slow):
        def work(w):
            def callback(ch, method, properties, body):
                w.took(body)
                if slow:
                    w.hold = method.delivery_tag
                else:
                    ch.basic_ack(delivery_tag=method.delivery_tag)
            w.channel.queue_declare(queue=queue, durable=True)
            w.channel.basic_qos(prefetch_count=1)
            consume(style, w.channel, queue, callback)
        return work

    slow = Worker(style, consume_addr, setup(True))
    fast = Worker(style, consume_addr, setup(False))
    connection, channel = publisher()
    for i in range(20):
        channel.basic_publish(exchange="", routing_key=queue, body=str(i), properties=persistent(style))
    slow.wait(1)
    fast.wait(19)
    assert len(slow.got) == 1, (slow.got, fast.got)
    slow.connection.add_callback_threadsafe(lambda: slow.channel.basic_ack(slow.hold))
    slow.stop()
    fast.stop()
    assert channel.queue_declare(queue=queue, durable=True, passive=True).method.message_count == 0
    channel.queue_delete(queue)
    connection.close()


def acknowledgement():
    """A worker that dies mid-work: another gets the message, flagged."""
    queue = "acks-" + suffix
    connection, channel = publisher()
    channel.queue_declare(queue=queue)
    for i in range(3):
        channel.basic_publish(exchange="", routing_key=queue, body=str(i))

    dying = connect(consume_addr)
    ch = open_channel(style, dying)
    flags = []
    consume(style, ch, queue, lambda ch, method, properties, body: flags.append((body, method.redelivered)))
    until("the first worker has all", lambda: dying.process_data_events(time_limit=0.1) or len(flags) == 3)
    assert flags == [(b"0", False), (b"1", False), (b"2", False)], flags
    die(dying)

    again = []

    def setup(w):
        def callback(ch, method, properties, body):
            again.append((body, method.redelivered))
            ch.basic_ack(delivery_tag=method.delivery_tag)
            w.took(body)
        consume(style, w.channel, queue, callback)

    second = Worker(style, consume_addr, setup)
    second.wait(3, 20)
    assert again == [(b"0", True), (b"1", True), (b"2", True)], again
    second.stop()
    assert channel.queue_delete(queue).method.message_count == 0
    connection.close()


def auto_acknowledgement():
    """What was delivered with auto_ack never comes back."""
    queue = "auto-" + suffix
    connection, channel = publisher()
    channel.queue_declare(queue=queue)
    for i in range(5):
        channel.basic_publish(exchange="", routing_key=queue, body=str(i))
    w = Worker(style, consume_addr, lambda w: consume(
        style, w.channel, queue, lambda ch, method, properties, body: w.took(body), auto_ack=True))
    w.wait(5)
    w.stop()
    method, _, _ = channel.basic_get(queue)
    assert method is None, method
    assert channel.queue_delete(queue).method.message_count == 0
    connection.close()


def polling():
    """A program with a loop of its own calls process_data_events."""
    queue = "poll-" + suffix
    connection, channel = publisher()
    channel.queue_declare(queue=queue)
    consumer = connect(consume_addr)
    ch = open_channel(style, consumer)
    got = []
    consume(style, ch, queue, lambda ch, method, properties, body: got.append(int(body)), auto_ack=True)
    for i in range(10):
        channel.basic_publish(exchange="", routing_key=queue, body=str(i))
        if style == "old":
            until("message %d" % i, lambda: consumer.process_data_events() or len(got) > i)
        else:
            until("message %d" % i, lambda: consumer.process_data_events(time_limit=0.2) or len(got) > i)
    assert got == list(range(10)), got
    consumer.close()
    channel.queue_delete(queue)
    connection.close()


def fanout():
    """Publish/subscribe: exclusive queues named by the server, gone with their connections."""
    exchange = "logs-" + suffix
    names = []

    def setup(w):
        declare_exchange(style, w.channel, exchange, "fanout")
        queue = anonymous_queue(style, w.channel)
        names.append(queue)
        w.channel.queue_bind(exchange=exchange, queue=queue)
        consume(style, w.channel, queue, lambda ch, method, properties, body: w.took(body), auto_ack=True)

    subscribers = [Worker(style, addr, setup) for addr in (consume_addr, publish_addr)]
    connection, channel = publisher()
    declare_exchange(style, channel, exchange, "fanout")
    for i in range(5):
        channel.basic_publish(exchange=exchange, routing_key="", body="info %d" % i)
    for s in subscribers:
        s.wait(5)
        assert s.got == ["info %d" % i for i in range(5)], s.got
    assert len(set(names)) == 2 and all(n.startswith("amq.gen-") for n in names), names
    for s in subscribers:
        s.stop()
    for n in names:
        def vanished():
            ch = open_channel(style, connection)
            try:
                ch.queue_declare(queue=n, passive=True)
                ch.close()
                return False
            except pika.exceptions.ChannelClosedByBroker as e:
                if e.reply_code == 405:  # its connection is being taken down
                    return False
                assert e.reply_code == 404, e
                return True
        until("queue %s is gone" % n, vanished)
    channel.exchange_delete(exchange)
    connection.close()


def direct():
    """Routing: one queue with several binding keys, one with one."""
    exchange = "direct_logs-" + suffix

    def subscriber(keys):
        def setup(w):
            declare_exchange(style, w.channel, exchange, "direct")
            queue = anonymous_queue(style, w.channel)
            for key in keys:
                w.channel.queue_bind(exchange=exchange, queue=queue, routing_key=key)
            consume(style, w.channel, queue, lambda ch, method, properties, body: w.took(body), auto_ack=True)
        return setup

    everything = Worker(style, consume_addr, subscriber(["info", "warning", "error"]))
    errors = Worker(style, publish_addr, subscriber(["error"]))
    connection, channel = publisher()
    declare_exchange(style, channel, exchange, "direct")
    sent = ["info", "error", "debug", "warning", "error"]
    for severity in sent:
        channel.basic_publish(exchange=exchange, routing_key=severity, body=severity)
    everything.wait(4)
    errors.wait(2)
    assert everything.got == ["info", "error", "warning", "error"], everything.got
    assert errors.got == ["error", "error"], errors.got
    everything.stop()
    errors.stop()
    channel.exchange_delete(exchange)
    connection.close()


def topic():
    """Topics: * is one word, # is none or more."""
    exchange = "topic_logs-" + suffix
    sent = ["quick.orange.rabbit", "lazy.orange.elephant", "quick.orange.fox", "lazy.brown.fox",
            "lazy.pink.rabbit", "quick.brown.fox", "orange", "quick.orange.new.rabbit",
            "lazy.orange.new.rabbit", "lazy", ""]
    wanted = {
        ("*.orange.*",): sent[:3],
        ("*.*.rabbit", "lazy.#"): ["quick.orange.rabbit", "lazy.orange.elephant", "lazy.brown.fox", "lazy.pink.rabbit",
                                   "lazy.orange.new.rabbit", "lazy"],
        ("#",): sent,
        ("*",): ["orange", "lazy"],
        ("#.new.#", "lazy.*"): ["quick.orange.new.rabbit", "lazy.orange.new.rabbit"],
    }

    def subscriber(keys):
        def setup(w):
            declare_exchange(style, w.channel, exchange, "topic")
            queue = anonymous_queue(style, w.channel)
            for key in keys:
                w.channel.queue_bind(exchange=exchange, queue=queue, routing_key=key)
            consume(style, w.channel, queue, lambda ch, method, properties, body: w.took(body), auto_ack=True)
        return setup

    workers = {keys: Worker(style, consume_addr, subscriber(keys + ("the.end",))) for keys in wanted}
    connection, channel = publisher()
    declare_exchange(style, channel, exchange, "topic")
    for key in sent + ["the.end"]:
        channel.basic_publish(exchange=exchange, routing_key=key, body=key)
    for keys, w in workers.items():
        w.wait(len(wanted[keys]) + 1)
        w.stop()
        got, want = w.got, wanted[keys] + ["the.end"]
        if not KEEPS_ORDER:
            got, want = sorted(got), sorted(want)
        assert got == want, (keys, w.got)
    channel.exchange_delete(exchange)
    connection.close()


def rpc():
    """Requests with reply_to and correlation_id, answered by one of two servers."""
    queue = "rpc_queue-" + suffix

    def fib(n):
        return n if n < 2 else fib(n - 1) + fib(n - 2)

    def setup(w):
        def on_request(ch, method, props, body):
            w.took(body)
            ch.basic_publish(exchange="", routing_key=props.reply_to, body=str(fib(int(body))),
                             properties=pika.BasicProperties(correlation_id=props.correlation_id))
            ch.basic_ack(delivery_tag=method.delivery_tag)
        w.channel.queue_declare(queue=queue)
        w.channel.basic_qos(prefetch_count=1)
        consume(style, w.channel, queue, on_request)

    servers = [Worker(style, addr, setup) for addr in (consume_addr, publish_addr)]
    connection, channel = publisher()
    callback_queue = anonymous_queue(style, channel)
    replies = {}
    consume(style, channel, callback_queue,
            lambda ch, method, props, body: replies.__setitem__(props.correlation_id, int(body)), auto_ack=True)
    for n in range(12):
        corr_id = str(uuid.uuid4())
        channel.basic_publish(exchange="", routing_key=queue, body=str(n),
                              properties=pika.BasicProperties(reply_to=callback_queue, correlation_id=corr_id))
        end = time.monotonic() + 10
        while corr_id not in replies and time.monotonic() < end:
            connection.process_data_events(time_limit=1)
        assert replies.get(corr_id) == fib(n), (n, replies.get(corr_id))
    assert all(s.got for s in servers), [s.got for s in servers]
    for s in servers:
        s.stop()
    channel.queue_delete(queue)
    connection.close()


def durable_send():
    """task_queue as the tutorial has it, before all nodes are killed."""
    queue = "task_queue-" + suffix
    connection, channel = publisher()
    channel.queue_declare(queue=queue, durable=True)
    if style == "new":
        channel.confirm_delivery()
    for i in range(DURABLE_COUNT):
        channel.basic_publish(exchange="", routing_key=queue, body="task %d" % i, properties=persistent(style))
    until("all are in the queue", lambda: channel.queue_declare(
        queue=queue, durable=True, passive=True).method.message_count == DURABLE_COUNT)
    connection.close()


def durable_receive():
    """And after they were started again."""
    queue = "task_queue-" + suffix
    delivery_modes = set()

    def setup(w):
        def callback(ch, method, properties, body):
            delivery_modes.add(properties.delivery_mode)
            w.took(body)
            ch.basic_ack(delivery_tag=method.delivery_tag)
        w.channel.queue_declare(queue=queue, durable=True)
        w.channel.basic_qos(prefetch_count=1)
        consume(style, w.channel, queue, callback)

    w = Worker(style, consume_addr, setup)
    w.wait(DURABLE_COUNT)
    assert w.got == ["task %d" % i for i in range(DURABLE_COUNT)], w.got
    assert delivery_modes == {2}, delivery_modes
    w.stop()
    connection, channel = publisher()
    channel.queue_delete(queue)
    connection.close()


shapes = {f.__name__: f for f in (hello, round_robin, fair_dispatch, acknowledgement, auto_acknowledgement,
                                  polling, fanout, direct, topic, rpc)}
apart = {f.__name__: f for f in (durable_send, durable_receive)}  # with a restart between them
chosen = sys.argv[5:] or list(shapes)
run([(name, {**shapes, **apart}[name]) for name in chosen])
