"""kombu over py-amqp: its declarations, pools, serializers, and the ways in which it connects again."""
import socket
import threading
import time

import kombu
from amqp.exceptions import MessageNacked
from kombu import Connection, Consumer, Exchange, Queue
from kombu.mixins import ConsumerMixin
from kombu.pools import producers

from harness import addrs, finish, mark, name, until

features, blocked, recovery = [], [], []
URLS = ["amqp://guest:guest@%s:%d//" % a for a in addrs]


def connection(i, **more):
    """An address list that begins with node i, as kombu takes it: joined by semicolons."""
    return Connection(";".join(URLS[i:] + URLS[:i]), heartbeat=more.pop("heartbeat", 0), **more)


def feature(f):
    def isolated():
        with connection(0) as here, connection(1) as there:
            f(here, there)
    isolated.__name__ = f.__name__
    features.append(isolated)
    return f


def pump(c, what, condition, seconds=10):
    def step():
        try:
            c.drain_events(timeout=0.1)
        except socket.timeout:
            pass
    until(what, lambda: condition() or step() or condition(), seconds)


@feature
def properties_of_the_server(here, there):
    """What kombu decides by: product, version and capabilities (B2)."""
    here.connect()
    c = here.connection
    assert c.server_properties["product"] == "RabbitMQ", c.server_properties
    assert tuple(int(n) for n in c.server_properties["version"].split(".")[:2]) >= (3, 10), c.server_properties
    for capability in ("publisher_confirms", "exchange_exchange_bindings", "basic.nack", "consumer_cancel_notify", "connection.blocked",
                       "consumer_priorities", "authentication_failure_close", "per_consumer_qos", "direct_reply_to"):
        assert c.server_capabilities[capability] is True, c.server_capabilities
    assert here.qos_semantics_matches_spec is False  # so Consumer.qos(apply_global=True) is sent as it is


@feature
def entities(here, there):
    """Exchanges and queues with kombu's own names for RabbitMQ's arguments."""
    x = Exchange(name("entities"), "topic", durable=True)
    q = Queue(name("entities"), x, "a.#", durable=True, expires=60, message_ttl=30, max_length=3, max_length_bytes=1 << 20, max_priority=5)
    bound = q(here.default_channel)
    bound.declare()
    with there.Producer(exchange=x) as p:
        for priority in (1, 5, 3):
            p.publish({"priority": priority}, routing_key="a.b", serializer="json", priority=priority, declare=[q])
    until("all are there", lambda: bound.queue_declare(passive=True).message_count == 3)
    got = [bound.get(no_ack=True).payload["priority"] for _ in range(3)]
    assert got == [5, 3, 1], got
    assert bound.get() is None
    second = Exchange(name("second"), "fanout", channel=here.default_channel)
    second.declare()
    second.bind_to(x, routing_key="b")
    other = Queue(name("other"), second, exclusive=True, channel=here.default_channel)
    other.declare()
    with there.Producer(exchange=x) as p:
        p.publish("over", routing_key="b")
    until("it came over", lambda: other.queue_declare(passive=True).message_count == 1)
    assert other.purge() == 1
    second.unbind_from(x, routing_key="b")
    for e in bound, other, second, x(here.default_channel):
        e.delete()


@feature
def serializers_and_compression(here, there):
    q = Queue(name("serial"), durable=True)(here.default_channel)
    q.declare()
    sent = [("json", {"a": [1, None, "grüße"]}, None), ("yaml", {"b": 2}, "zlib"), ("pickle", (3, b"x"), "bzip2"), ("json", "big" * 100000, "gzip")]
    with there.Producer() as p:
        for serializer, body, compression in sent:
            p.publish(body, routing_key=q.name, serializer=serializer, compression=compression, headers={"n": len(sent)})
    until("all are there", lambda: q.queue_declare(passive=True).message_count == len(sent))
    got = []
    with Consumer(here, [q], accept=["json", "yaml", "pickle"], callbacks=[lambda body, m: got.append(body) or m.ack()]):
        pump(here, "all came", lambda: len(got) == len(sent))
    assert [b if not isinstance(b, list) else tuple(b) for b in got] == [b for _, b, _ in sent], got
    q.delete()


@feature
def consumer_settles(here, there):
    q = Queue(name("settle"), durable=True)(here.default_channel)
    q.declare()
    with there.Producer() as p:
        for n in range(4):
            p.publish(n, routing_key=q.name)
    got = []
    with here.channel() as channel, Consumer(channel, [q], prefetch_count=2, callbacks=[lambda body, m: got.append(m)]) as consumer:
        pump(here, "two", lambda: len(got) == 2)
        got[0].reject()
        got[1].requeue()
        pump(here, "two more", lambda: len(got) == 4)
        consumer.qos(prefetch_count=10, apply_global=True)
        got[2].ack()
        got[3].ack()
        pump(here, "the last", lambda: len(got) == 5)
        got[4].ack_log_error(None, OSError)
        consumer.recover(requeue=True)
    bodies = sorted(m.payload for m in got)
    assert bodies == [0, 1, 1, 2, 3] and sum(m.delivery_info["redelivered"] for m in got) == 1, bodies
    assert q.delete() == 0


@feature
def dead_letter_by_policy_of_the_queue(here, there):
    dead = Queue(name("dead"), durable=True)(here.default_channel)
    dead.declare()
    q = Queue(name("mortal"), durable=True, queue_arguments={
        "x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead.name})(here.default_channel)
    q.declare()
    with there.Producer() as p:
        p.publish("short", routing_key=q.name, expiration=0.05)
    until("it died", lambda: dead.queue_declare(passive=True).message_count == 1)
    m = dead.get(no_ack=True)
    assert (m.headers["x-death"][0]["reason"], m.headers["x-death"][0]["original-expiration"]) == ("expired", "50"), m.headers
    q.delete()
    dead.delete()


@feature
def simple_queue_and_buffer(here, there):
    """The interface that looks like Python's queue module."""
    q = here.SimpleQueue(name("simple"))
    out = there.SimpleQueue(q.queue.name)
    for n in range(3):
        out.put({"n": n})
    for n in range(3):
        m = q.get(block=True, timeout=10)
        assert m.payload == {"n": n}, m.payload
        m.ack()
    try:
        q.get(block=False)
        raise AssertionError("not empty")
    except q.Empty:
        pass
    assert q.qsize() == 0
    q.close()
    q.queue(here.default_channel).delete()
    b = here.SimpleBuffer(name("buffer"))
    b.put("kept in memory", declare=[b.queue])
    assert b.get(timeout=10).payload == "kept in memory"
    b.close()
    b.queue(here.default_channel).delete()


@feature
def producer_pools_and_returns(here, there):
    back = []
    x = Exchange(name("pool"), "direct", durable=False)
    with producers[there].acquire(block=True) as p:
        p.publish("nobody hears it", exchange=x, routing_key="nowhere", declare=[x])
    with here.Producer(exchange=x, on_return=lambda why, x, key, message: back.append((why.reply_text, key))) as p:
        p.publish("x", routing_key="nowhere", mandatory=True)
        pump(here, "returned", lambda: back)
    assert back == [("NO_ROUTE", "nowhere")], back
    x(here.default_channel).delete()


@feature
def confirmed_publishing(here, there):
    c = connection(0, transport_options={"confirm_publish": True})
    q = Queue(name("confirmed"), durable=True, queue_arguments={"x-queue-type": "quorum"})
    with c, c.Producer() as p:
        for n in range(20):
            p.publish(n, routing_key=q.name, declare=[q], retry=True)
        assert q(there.default_channel).queue_declare(passive=True).message_count == 20
        q(there.default_channel).delete()


@feature
def request_and_reply(here, there):
    """The recipe of kombu's documentation: an exclusive auto-delete queue for replies, correlation ids."""
    work = Queue(name("rpc"), durable=False, auto_delete=True)
    stop = threading.Event()

    def serve():
        with connection(1) as c:
            def on_request(body, m):
                c.Producer().publish(body * 2, exchange="", routing_key=m.properties["reply_to"],
                                     correlation_id=m.properties["correlation_id"])
                m.ack()
            with Consumer(c, [work], callbacks=[on_request]):
                ready.set()
                while not stop.is_set():
                    try:
                        c.drain_events(timeout=0.1)
                    except socket.timeout:
                        pass
    ready = threading.Event()
    server = threading.Thread(target=serve, daemon=True)
    server.start()
    assert ready.wait(10)
    replies = Queue(kombu.uuid(), exclusive=True, auto_delete=True)
    got = {}
    with Consumer(here, [replies], callbacks=[lambda body, m: got.__setitem__(m.properties["correlation_id"], body)], no_ack=True):
        for n in range(5):
            here.Producer().publish(n, routing_key=work.name, declare=[work], reply_to=replies.name, correlation_id=str(n))
        pump(here, "five replies", lambda: len(got) == 5)
    assert got == {str(n): 2 * n for n in range(5)}, got
    stop.set()
    server.join(10)


@feature
def heartbeats(here, there):
    with connection(1, heartbeat=1) as c:
        c.connect()
        end = time.monotonic() + 3.5
        while time.monotonic() < end:
            c.heartbeat_check()
            try:
                c.drain_events(timeout=0.4)
            except socket.timeout:
                pass
        assert c.connected
        c.channel().close()


@feature
def the_next_address_when_one_is_dead(here, there):
    with Connection("amqp://guest:guest@127.0.0.1:1//;" + URLS[0]) as c:
        c.ensure_connection(max_retries=3, interval_start=0.05, timeout=10)
        c.channel().close()


def publishes_and_consumes_on_when_its_node_is_killed():
    """Producer.publish(retry=True) on one side, a ConsumerMixin on the other; both begin at the first node."""
    q = Queue(name("recovery"), durable=True, queue_arguments={"x-queue-type": "quorum"})
    got, total, errors = set(), 400, []

    class Worker(ConsumerMixin):
        def __init__(self, c):
            self.connection = c

        def get_consumers(self, Consumer, channel):
            return [Consumer([q], callbacks=[self.take], prefetch_count=20)]

        def take(self, body, message):
            got.add(body)
            message.ack()

        def on_connection_error(self, exc, interval):
            errors.append(exc)

    worker = Worker(connection(0))
    thread = threading.Thread(target=worker.run, kwargs={"safety_interval": 0.1}, daemon=True)
    thread.start()
    lost = []
    policy = {"interval_start": 0, "interval_step": 0.1, "interval_max": 0.3, "max_retries": 50}
    # While its node is dying a quorum queue of RabbitMQ has no leader: that is a channel's error, which kombu does not retry by itself.
    with connection(0, transport_options={"confirm_publish": True}) as c:
        c.connect()
        first = c.connection
        producer = c.Producer()
        publish = c.ensure(producer, producer.publish, errback=lambda exc, interval: lost.append(exc), **policy)
        n = 0
        end = time.monotonic() + 60
        while n < total or c.connection is first:
            assert time.monotonic() < end, (n, len(lost), lost[-3:])
            try:
                publish(n, routing_key=q.name, declare=[q], delivery_mode=2)
            except MessageNacked as e:  # by a queue that has lost its leader: RabbitMQ's channels may go on so for ever
                lost.append(e)
                producer.revive(c.channel())
                continue
            n += 1
            if n == 50:
                mark("running")
            if c.connection is first and n > 50:
                try:
                    c.drain_events(timeout=0.01)
                except socket.timeout:
                    pass
                except c.recoverable_connection_errors as e:
                    lost.append(e)
        until("all have arrived", lambda: got >= set(range(n)), 30)
        assert lost, "the connection was not lost"
        worker.should_stop = True
        thread.join(15)
        q(c.channel()).delete()


recovery.append(publishes_and_consumes_on_when_its_node_is_killed)
finish({"features": features, "blocked": blocked, "recovery": recovery})
