"""py-amqp, the library below kombu and Celery, by itself."""
import datetime
import decimal
import socket
import time

import amqp
from amqp.exceptions import (AccessRefused, AMQPNotImplementedError, NotAllowed, NotFound, PreconditionFailed, RecoverableConnectionError,
                             ResourceLocked)

from harness import RABBITMQ, addrs, finish, mark, name, until

features, blocked, recovery = [], [], []


def connect(i, **more):
    host, port = addrs[i % len(addrs)]
    c = amqp.Connection("%s:%d" % (host, port), **more)
    c.connect()
    return c


def feature(f):
    """A case with openers of channels on connections of their own, through two nodes."""
    def isolated():
        opened = []

        def opener(i):
            def channel(**more):
                opened.append(connect(i, **more))
                return opened[-1].channel()
            return channel
        try:
            f(opener(0), opener(1))
        finally:
            for c in opened:
                c.collect() if not c.connected else c.close()
    isolated.__name__ = f.__name__
    features.append(isolated)
    return f


def pump(channel, what, condition, seconds=10):
    def step():
        try:
            channel.connection.drain_events(timeout=0.1)
        except socket.timeout:
            pass
    until(what, lambda: condition() or step() or condition(), seconds)


def refused(do, kind, code, text):
    try:
        do()
    except kind as e:
        assert (e.reply_code, e.reply_text) == (code, text), (e.reply_code, e.reply_text)
        return
    raise AssertionError("not refused, want %d %s" % (code, text))


def arrived(channel, queue, count):
    until("%d messages in %s" % (count, queue), lambda: channel.queue_declare(queue, passive=True).message_count == count)


def send(channel, exchange, key, *texts, **properties):
    for text in texts:
        channel.basic_publish_confirm(amqp.Message(text, delivery_mode=2, **properties), exchange, key)


@feature
def refusals(here, there):
    refused(lambda: here().queue_declare("nope", passive=True), NotFound, 404, "NOT_FOUND - no queue 'nope' in vhost '/'")
    refused(lambda: here().exchange_declare("amq.nope", "direct"), AccessRefused, 403,
            "ACCESS_REFUSED - exchange name 'amq.nope' contains reserved prefix 'amq.*'")
    q = name("mine")
    here().queue_declare(q, exclusive=True)
    refused(lambda: there().queue_declare(q, exclusive=True), ResourceLocked, 405,
            "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '%s' in vhost '/'. It could be originally declared "
            "on another connection or the exclusive property value does not match that of the original declaration." % q)
    refused(lambda: here().queue_declare(q + "x", durable=True, arguments={"x-message-ttl": "x"}), PreconditionFailed, 406,
            "PRECONDITION_FAILED - invalid arg 'x-message-ttl' for queue '%sx' in vhost '/': \"expected integer, got longstr\"" % q)
    refused(lambda: here().basic_qos(7, 0, False), AMQPNotImplementedError, 540, "NOT_IMPLEMENTED - prefetch_size!=0 (7)")
    refused(lambda: connect(0, virtual_host="nope"), NotAllowed, 530, "NOT_ALLOWED - vhost nope not found")
    refused(lambda: connect(0, password="wrong"), AccessRefused, 403,
            "ACCESS_REFUSED - Login was refused using authentication mechanism AMQPLAIN. For details see the broker logfile.")


@feature
def login_methods(here, there):
    for method in "PLAIN", "AMQPLAIN":
        connect(1, login_method=method).close()


@feature
def confirms_and_returns(here, there):
    ch, q, back = here(confirm_publish=True), name("confirms"), []
    ch.queue_declare(q, durable=True, auto_delete=False)
    ch.events["basic_return"].add(lambda *a: back.append((a[1:4])))
    send(ch, "", q, "a", "b")
    assert there().queue_purge(q) == 2
    ch.basic_publish(amqp.Message("x"), "amq.direct", q + "-nowhere", mandatory=True)
    assert len(back) == 1, back  # it was there before the ack
    many, acks = there(), []
    many.confirm_select()
    many.events["basic_ack"].add(lambda tag, multiple: acks.append((tag, multiple)))
    for i in range(300):
        many.basic_publish(amqp.Message(str(i), delivery_mode=2), "", q)
    pump(many, "all acked", lambda: acks and max(t for t, _ in acks) == 300 and
         (sum(1 for _, m in acks if not m) == 300 or any(m for _, m in acks)))
    assert ch.queue_delete(q) == 300


@feature
def exchanges_of_all_types(here, there):
    ch = here()
    for kind, binding, key, headers in (("direct", "k", "k", None), ("fanout", "", "x", None), ("topic", "#.b", "a.b", None),
                                        ("headers", "", "", {"x-match": "any", "n": 1})):
        x, alternate = name(kind), name("alternate")
        ch.exchange_declare(alternate, "fanout", auto_delete=False)
        ch.exchange_declare(x, kind, durable=True, auto_delete=False, arguments={"alternate-exchange": alternate})
        q, missed = (ch.queue_declare("", exclusive=True).queue for _ in range(2))
        ch.queue_bind(q, x, binding, arguments=headers)
        ch.queue_bind(missed, alternate)
        publisher = there()
        send(publisher, x, key, "in", application_headers={"n": 1, "s": "x"})
        assert ch.basic_get(q, no_ack=True).body == "in", kind
        ch.queue_unbind(q, x, binding, arguments=headers)
        send(publisher, x, key, "out", application_headers={"n": 1})
        assert ch.basic_get(q, no_ack=True) is None and ch.basic_get(missed, no_ack=True).body == "out", kind
        y = name("second")
        ch.exchange_declare(y, "fanout", auto_delete=False)
        ch.exchange_bind(y, x, binding, arguments=headers)
        ch.queue_bind(q, y)
        send(publisher, x, key, "over", application_headers={"n": 1})
        assert ch.basic_get(q, no_ack=True).body == "over", kind
        ch.exchange_unbind(y, x, binding, arguments=headers)
        for e in x, y, alternate:
            ch.exchange_delete(e)


@feature
def consume_settle_cancel(here, there):
    ch, q, got, cancelled = here(), name("consume"), [], []
    ch.queue_declare(q, durable=True, auto_delete=False)
    send(there(), "", q, *"abcde")
    ch.basic_qos(0, 3, False)
    tag = ch.basic_consume(q, callback=got.append, on_cancel=cancelled.append)
    pump(ch, "three", lambda: len(got) == 3)
    arrived(there(), q, 2)
    ch.basic_ack(got[1].delivery_tag, multiple=True)
    pump(ch, "all", lambda: len(got) == 5)
    ch.basic_reject(got[4].delivery_tag, requeue=True)
    pump(ch, "again", lambda: len(got) == 6)
    assert [(m.body, m.delivery_info["redelivered"]) for m in got] == [
        ("a", False), ("b", False), ("c", False), ("d", False), ("e", False), ("e", True)], got
    ch.basic_cancel(tag)
    ch.basic_recover(requeue=True)
    arrived(there(), q, 3)
    ch.basic_consume(q, callback=lambda m: None, on_cancel=cancelled.append, consumer_tag="mine")
    there().queue_delete(q)
    pump(ch, "cancelled", lambda: cancelled)
    assert cancelled == ["mine"] and ch.is_open, cancelled


@feature
def an_auto_delete_queue_is_gone_after_cancel(here, there):
    """kombu's mailboxes: the next request declares the same queue at once."""
    ch, q = here(), name("mailbox")
    for round in range(20):
        assert ch.queue_declare(q, auto_delete=True).consumer_count == 0
        ch.queue_bind(q, "amq.fanout", "")
        tag = ch.basic_consume(q, no_ack=True)
        ch.basic_cancel(tag)


@feature
def prefetch_of_the_channel(here, there):
    """basic.qos with global, as kombu sends it to RabbitMQ."""
    ch, q, got = here(), name("global"), []
    ch.queue_declare(q, durable=True, auto_delete=False)
    send(there(), "", q, *"abcdef")
    ch.basic_qos(0, 3, True)
    for _ in range(2):
        ch.basic_consume(q, callback=got.append)
    pump(ch, "three", lambda: len(got) == 3)
    arrived(there(), q, 3)
    ch.basic_qos(0, 5, True)  # and it may be changed under way
    pump(ch, "five", lambda: len(got) == 5)
    arrived(there(), q, 1)
    ch.connection.close()
    there().queue_delete(q)


@feature
def headers_of_all_types(here, there):
    headers = {
        "int": -7, "long": 1 << 40, "negative": -(1 << 62), "true": True, "false": False, "none": None, "text": "grüße", "double": 0.1,
        "decimal": decimal.Decimal("2.71"), "time": datetime.datetime(2026, 11, 22, 20, 15), "bytes": b"\x00\xff",
        "list": [1, "two", [3.5], {"four": None}], "table": {"deep": {"er": [True]}}}
    ch, q = here(), name("types")
    ch.queue_declare(q, durable=True, auto_delete=False)
    sent = dict(content_type="c", content_encoding="e", application_headers=headers, delivery_mode=2, priority=9, correlation_id="i",
                reply_to="r", expiration="99999", message_id="m", timestamp=(1 << 33) + 7, type="t",
                user_id="guest", app_id="a", cluster_id="k")
    message = amqp.Message(b"\x00\xfe", **sent)
    there().basic_publish_confirm(message, "", q)
    got = ch.basic_get(q, no_ack=True)
    assert bytes(got.body) == b"\x00\xfe", got.body
    assert got._serialize_properties() == message._serialize_properties(), got.properties
    ch.queue_delete(q)


@feature
def life_of_messages(here, there):
    """TTL, priorities, a dead letter with its history."""
    ch, q = here(), name("life")
    dead = q + "-dead"
    ch.queue_declare(dead, durable=True, auto_delete=False)
    ch.queue_declare(q, durable=True, auto_delete=False, arguments={
        "x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead, "x-max-priority": 10})
    send(ch, "", q, "low", priority=1)
    send(ch, "", q, "high", priority=8)
    send(ch, "", q, "short", expiration="30")
    got = [ch.basic_get(q) for _ in range(2)]
    assert [m.body for m in got] == ["high", "low"], got
    arrived(there(), dead, 1)
    m = there().basic_get(dead, no_ack=True)
    (death,) = m.headers["x-death"]
    assert abs(death.pop("time").replace(tzinfo=datetime.timezone.utc).timestamp() - time.time()) < 120
    assert (m.body, death) == ("short", {"count": 1, "reason": "expired", "queue": q, "exchange": "", "routing-keys": [q],
                                         "original-expiration": "30"}), death
    assert "expiration" not in m.properties
    ch.basic_reject(got[0].delivery_tag, requeue=False)
    arrived(there(), dead, 1)
    assert there().basic_get(dead, no_ack=True).headers["x-first-death-reason"] == "rejected"
    ch.queue_delete(q)
    ch.queue_delete(dead)


@feature
def queue_expires(here, there):
    ch, q = here(), name("expires")
    ch.queue_declare(q, durable=True, auto_delete=False, arguments={"x-expires": 100})

    def gone():
        # Each look would be a use of the queue, were it a declare: binding is none.
        probe = there()
        try:
            probe.queue_bind(q, "amq.direct", "k")
            return False
        except NotFound:
            return True
        finally:
            probe.connection.close()
    until("the queue has expired", gone)


@feature
def transactions(here, there):
    ch, q = here(), name("tx")
    ch.queue_declare(q, durable=True, auto_delete=False)
    ch.tx_select()
    ch.basic_publish(amqp.Message("no"), "", q)
    ch.tx_rollback()
    ch.basic_publish(amqp.Message("yes"), "", q)
    ch.tx_commit()
    assert there().queue_delete(q) == 1
    refused(lambda: ch.confirm_select(), PreconditionFailed, 406, "PRECONDITION_FAILED - cannot switch from tx to confirm mode")


@feature
def channel_flow(here, there):
    """RabbitMQ grants flow(True) and refuses flow(False); Warren pauses the deliveries (C2, Q4)."""
    ch = here()
    ch.flow(True)
    if RABBITMQ:
        refused(lambda: ch.flow(False), AMQPNotImplementedError, 540, "NOT_IMPLEMENTED - active=false")
        return
    q, got, publisher = name("flow"), [], there(confirm_publish=True)
    ch.queue_declare(q, durable=True, auto_delete=False)
    ch.basic_consume(q, callback=lambda m: got.append(m.body), no_ack=True)
    ch.flow(False)
    send(publisher, "", q, "a", "b")
    ch.queue_declare(q, passive=True)  # what was sent before its answer would be here
    assert not got, got
    ch.flow(True)
    pump(ch, "both", lambda: len(got) == 2)
    ch.connection.close()
    publisher.queue_delete(q)


@feature
def heartbeats(here, there):
    ch = here(heartbeat=1)
    c = ch.connection
    end = time.monotonic() + 3.5
    while time.monotonic() < end:
        c.heartbeat_tick()
        try:
            c.drain_events(timeout=0.4)
        except socket.timeout:
            pass
    ch.queue_declare("", exclusive=True)
    c.close()
    silent = connect(1, heartbeat=1)
    try:
        until("the broker gives up a silent client", lambda: silent.drain_events(timeout=10))
    except (OSError, RecoverableConnectionError) as e:
        assert not isinstance(e, socket.timeout), "a silent client was kept"


@feature
def large_messages(here, there):
    ch, q, body = here(), name("large"), b"\x01\x02\x03\xce" * (2 << 20)
    ch.queue_declare(q, durable=True, auto_delete=False)
    send(there(), "", q, body)
    assert bytes(ch.basic_get(q, no_ack=True).body) == body
    small = here(frame_max=4096)
    send(small, "", q, body[:100001])
    assert bytes(small.basic_get(q, no_ack=True).body) == body[:100001]
    ch.queue_delete(q)


def connection_blocked():
    told = []
    c = connect(1, on_blocked=lambda reason: told.append(reason), on_unblocked=lambda: told.append(None), confirm_publish=True)
    ch, q = c.channel(), name("blocked")
    ch.queue_declare(q, durable=True, auto_delete=False)
    send(ch, "", q, "before")
    mark("publishing")
    trying = c.channel()
    pump(ch, "blocked", lambda: told or trying._basic_publish(amqp.Message("x"), "", q) and False, 30)
    assert told[0], told  # the text is py-amqp's own: it does not read the broker's
    mark("blocked")
    pump(ch, "unblocked", lambda: told[-1] is None, 30)
    send(ch, "", q, "after")
    assert ch.queue_delete(q) >= 2


blocked.append(connection_blocked)
finish({"features": features, "blocked": blocked, "recovery": recovery})
