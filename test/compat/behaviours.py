"""What RabbitMQ's users see through pika: answers, codes and texts.

usage: behaviours.py ADDR OTHER_ADDR
The node under test, and another one that looks at what was done there.
"""
import sys
import uuid

import pika
from pika.exceptions import (AMQPConnectionError, ChannelClosedByBroker, ConnectionClosedByBroker, ConnectionWrongStateError,
                             ProbableAccessDeniedError, ProbableAuthenticationError, UnroutableError)

from warrentest import connect, die, run, until

addr, other_addr = sys.argv[1:3]
cases = []


def case(f):
    def isolated():
        connections = []

        def opened(where):
            connections.append(connect(where))
            return connections[-1].channel()
        try:
            f(lambda: opened(addr), lambda: opened(other_addr), f.__name__ + "-" + uuid.uuid4().hex[:8])
        finally:
            for c in connections:
                try:
                    c.close()
                except (AMQPConnectionError, ConnectionWrongStateError):
                    pass  # the case has ended it
    cases.append((f.__name__, isolated))
    return f


def refused(do, code, text, hard=False):
    kind = ConnectionClosedByBroker if hard else ChannelClosedByBroker
    try:
        do()
    except kind as e:
        assert (e.reply_code, e.reply_text) == (code, text), (e.reply_code, e.reply_text)
        return
    raise AssertionError("not refused, want %d %s" % (code, text))


def settled(channel, queue, count):
    until("%s has %d messages" % (queue, count), lambda: channel.queue_declare(queue, passive=True).method.message_count == count)


def take(channel, queue, count, auto_ack=False):
    """The next deliveries as (tag, body, redelivered)."""
    got = []
    for method, _, body in channel.consume(queue, auto_ack=auto_ack, inactivity_timeout=10):
        assert method is not None, "no delivery after %r" % got
        got.append((method.delivery_tag, body, method.redelivered))
        if len(got) == count:
            return got


@case
def declare_counts(here, there, q):
    ch = here()
    ok = ch.queue_declare(q, durable=True).method
    assert (ok.queue, ok.message_count, ok.consumer_count) == (q, 0, 0), ok
    for body in "ab":
        ch.basic_publish("", q, body)
    settled(there(), q, 2)
    ch.basic_consume(q, lambda *_: None)
    ok = there().queue_declare(q, passive=True).method
    assert ok.consumer_count == 1, ok
    assert there().queue_delete(q).method.message_count == 0


@case
def declare_refusals(here, there, q):
    here().queue_declare(q, durable=True)
    refused(lambda: there().queue_declare(q, durable=False), 406,
            "PRECONDITION_FAILED - inequivalent arg 'durable' for queue '%s' in vhost '/': received 'false' but current is 'true'" % q)
    refused(lambda: here().queue_declare("nope", passive=True), 404, "NOT_FOUND - no queue 'nope' in vhost '/'")
    refused(lambda: here().queue_declare("amq.mine"), 403, "ACCESS_REFUSED - queue name 'amq.mine' contains reserved prefix 'amq.*'")
    here().queue_delete(q)


@case
def exclusive_queue(here, there, q):
    ch = here()
    ch.queue_declare(q, exclusive=True)
    text = ("RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '%s' in vhost '/'. It could be originally declared "
            "on another connection or the exclusive property value does not match that of the original declaration." % q)
    refused(lambda: there().queue_declare(q, exclusive=True), 405, text)
    refused(lambda: there().basic_consume(q, lambda *_: None), 405, text)
    ch.connection.close()
    there().queue_declare(q, exclusive=True)  # it is free at once after close-ok


@case
def auto_delete_queue(here, there, q):
    ch = here()
    ch.queue_declare(q, auto_delete=True)
    tag = ch.basic_consume(q, lambda *_: None)
    there().queue_declare(q, passive=True)
    ch.basic_cancel(tag)

    def gone():
        try:
            there().queue_declare(q, passive=True)
            return False
        except ChannelClosedByBroker as e:
            return e.reply_code == 404
    until("the queue is gone", gone)


@case
def exchange_refusals(here, there, x):
    here().exchange_declare(x, "direct")
    refused(lambda: there().exchange_declare(x, "fanout"), 406,
            "PRECONDITION_FAILED - inequivalent arg 'type' for exchange '%s' in vhost '/': received 'fanout' but current is 'direct'" % x)
    refused(lambda: here().exchange_declare("nope", passive=True), 404, "NOT_FOUND - no exchange 'nope' in vhost '/'")
    refused(lambda: here().exchange_declare("amq.mine", "direct"), 403,
            "ACCESS_REFUSED - exchange name 'amq.mine' contains reserved prefix 'amq.*'")
    refused(lambda: here().exchange_delete("amq.direct"), 403, "ACCESS_REFUSED - deletion of system exchange 'amq.direct' in vhost '/' not allowed")
    here().exchange_delete(x)


@case
def bind_and_unbind(here, there, q):
    ch = here()
    ch.queue_declare(q, exclusive=True)
    ch.queue_bind(q, "amq.topic", q + ".*")
    there().basic_publish("amq.topic", q + ".a", "bound")
    settled(ch, q, 1)
    ch.queue_unbind(q, "amq.topic", q + ".*")
    ch.queue_unbind(q, "amq.topic", q + ".*")  # of nothing: ok
    sender = there()
    sender.confirm_delivery()
    sender.basic_publish("amq.topic", q + ".a", "not bound")
    assert ch.queue_purge(q).method.message_count == 1
    refused(lambda: here().queue_bind("nope", "amq.topic", "k"), 404, "NOT_FOUND - no queue 'nope' in vhost '/'")
    refused(lambda: here().queue_bind(q + "x", "amq.topic", "k"), 404, "NOT_FOUND - no queue '%sx' in vhost '/'" % q)


@case
def purge_and_delete(here, there, q):
    ch = here()
    ch.queue_declare(q)
    for body in "abc":
        ch.basic_publish("", q, body)
    settled(ch, q, 3)
    method, _, body = ch.basic_get(q)
    assert (body, method.message_count, method.redelivered) == (b"a", 2, False), method
    assert there().queue_purge(q).method.message_count == 2
    refused(lambda: there().queue_delete(q, if_unused=True) if ch.basic_consume(q, lambda *_: None) else None, 406,
            "PRECONDITION_FAILED - queue '%s' in vhost '/' in use" % q)
    ch.basic_publish("", q, "d")
    ch.connection.close()
    settled(there(), q, 2)  # the unacknowledged one is back
    refused(lambda: there().queue_delete(q, if_empty=True), 406, "PRECONDITION_FAILED - queue '%s' in vhost '/' not empty" % q)
    assert there().queue_delete(q).method.message_count == 2
    assert there().queue_delete(q).method.message_count == 0


@case
def get(here, there, q):
    ch = there()
    ch.queue_declare(q)
    assert ch.basic_get(q) == (None, None, None)
    here().basic_publish("", q, "x")
    settled(ch, q, 1)
    method, properties, body = ch.basic_get(q, auto_ack=True)
    assert (body, method.exchange, method.routing_key) == (b"x", "", q), method
    refused(lambda: there().basic_get("nope"), 404, "NOT_FOUND - no queue 'nope' in vhost '/'")
    ch.queue_delete(q)


@case
def ack_and_nack(here, there, q):
    ch = here()
    ch.queue_declare(q)
    for body in "abcde":
        ch.basic_publish("", q, body)
    settled(ch, q, 5)
    got = take(ch, q, 5)
    assert [(b, r) for _, b, r in got] == [(b"a", False), (b"b", False), (b"c", False), (b"d", False), (b"e", False)], got
    ch.basic_ack(got[1][0], multiple=True)  # a, b
    ch.basic_reject(got[2][0], requeue=False)  # c
    ch.basic_nack(0, multiple=True, requeue=True)  # d, e
    again = take(ch, q, 2)
    assert [(b, r) for _, b, r in again] == [(b"d", True), (b"e", True)], again
    ch.basic_ack(again[-1][0], multiple=True)
    ch.cancel()
    assert ch.queue_delete(q).method.message_count == 0


@case
def ack_of_unknown_tag(here, there, q):
    def do():
        ch = here()
        ch.basic_ack(7)
        ch.queue_declare(q, exclusive=True)  # anything that waits for an answer
    refused(do, 406, "PRECONDITION_FAILED - unknown delivery tag 7")


@case
def recover(here, there, q):
    ch = here()
    ch.queue_declare(q)
    ch.basic_publish("", q, "x")
    got = []
    ch.basic_consume(q, lambda ch, method, properties, body: got.append(method.redelivered))
    until("delivered", lambda: ch.connection.process_data_events(time_limit=0.1) or len(got) == 1)
    ch.basic_recover(requeue=True)
    until("again", lambda: ch.connection.process_data_events(time_limit=0.1) or len(got) == 2)
    assert got == [False, True], got
    ch.queue_delete(q)


@case
def connection_loss_returns(here, there, q):
    ch = here()
    ch.queue_declare(q, durable=True)
    for body in "ab":
        ch.basic_publish("", q, body)
    settled(ch, q, 2)
    assert len(take(ch, q, 2)) == 2
    die(ch.connection)
    last = there()
    settled(last, q, 2)
    got = take(last, q, 2, auto_ack=True)
    assert [(b, r) for _, b, r in got] == [(b"a", True), (b"b", True)], got
    last.cancel()
    last.queue_delete(q)


@case
def qos(here, there, q):
    ch = here()
    ch.queue_declare(q)
    for body in "abcd":
        ch.basic_publish("", q, body)
    settled(ch, q, 4)
    ch.basic_qos(prefetch_count=3)
    tags = []
    ch.basic_consume(q, lambda ch, method, properties, body: tags.append(method.delivery_tag))
    until("three", lambda: ch.connection.process_data_events(time_limit=0.1) or len(tags) == 3)
    settled(there(), q, 1)
    ch.basic_ack(tags[1], multiple=True)
    until("the last", lambda: ch.connection.process_data_events(time_limit=0.1) or len(tags) == 4)
    ch.queue_delete(q)
    refused(lambda: here().basic_qos(prefetch_size=9), 540, "NOT_IMPLEMENTED - prefetch_size!=0 (9)", hard=True)


@case
def returns(here, there, q):
    ch = here()
    back = []
    ch.add_on_return_callback(lambda ch, method, properties, body: back.append((method.reply_code, method.reply_text, method.exchange, method.routing_key, body)))
    ch.basic_publish("amq.direct", q, "unroutable", mandatory=True)
    until("returned", lambda: ch.connection.process_data_events(time_limit=0.1) or back)
    assert back == [(312, "NO_ROUTE", "amq.direct", q, b"unroutable")], back


@case
def confirms(here, there, q):
    ch = here()
    ch.queue_declare(q, durable=True)
    ch.confirm_delivery()
    for i in range(20):
        ch.basic_publish("", q, str(i), pika.BasicProperties(delivery_mode=2))
    assert there().queue_declare(q, passive=True).method.message_count == 20
    ch.basic_publish("", q + "-not-there", "dropped, and confirmed")
    try:
        ch.basic_publish("", q + "-not-there", "x", mandatory=True)
        raise AssertionError("an unroutable mandatory message was confirmed and not returned")
    except UnroutableError:
        pass
    ch.queue_delete(q)
    refused(lambda: ch.basic_publish("nope", "k", "x"), 404, "NOT_FOUND - no exchange 'nope' in vhost '/'")


@case
def consumer_cancelled_by_delete(here, there, q):
    ch = here()
    ch.queue_declare(q)
    cancelled = []
    ch.add_on_cancel_callback(lambda frame: cancelled.append(frame.method.consumer_tag))
    tag = ch.basic_consume(q, lambda *_: None)
    there().queue_delete(q)
    until("cancelled", lambda: ch.connection.process_data_events(time_limit=0.1) or cancelled)
    assert cancelled == [tag] and ch.is_open, (cancelled, tag)


@case
def consumer_refusals(here, there, q):
    ch = here()
    ch.queue_declare(q)
    ch.basic_consume(q, lambda *_: None, exclusive=True)
    refused(lambda: there().basic_consume(q, lambda *_: None), 403, "ACCESS_REFUSED - queue '%s' in vhost '/' in exclusive use" % q)
    refused(lambda: here().basic_consume("nope", lambda *_: None), 404, "NOT_FOUND - no queue 'nope' in vhost '/'")
    ch.queue_delete(q)


@case
def stream(here, there, q):
    """Messages are read by their offsets, by everybody, again and again."""
    writer = here()
    writer.queue_declare(q, durable=True, arguments={"x-queue-type": "stream", "x-max-age": "7D"})
    writer.confirm_delivery()
    for i in range(100):
        writer.basic_publish("", q, b"%d" % i, pika.BasicProperties(headers={"i": i}))

    def read(channel, count, start, prefetch):
        channel.basic_qos(prefetch_count=prefetch)
        got = []
        for method, properties, body in channel.consume(q, arguments={"x-stream-offset": start}, inactivity_timeout=10):
            assert method is not None, "no delivery after %d" % len(got)
            assert not method.redelivered and properties.headers["i"] == int(body)
            got.append((properties.headers["x-stream-offset"], int(body)))
            channel.basic_ack(method.delivery_tag)
            if len(got) == count:
                channel.cancel()
                return got
    for _ in range(2):
        assert read(here(), 100, "first", 7) == [(i, i) for i in range(100)]
        assert read(there(), 60, 40, 100) == [(i, i) for i in range(40, 100)]
    reader = there()
    reader.basic_qos(prefetch_count=10)
    late = []
    reader.basic_consume(q, lambda ch, method, properties, body: late.append(properties.headers["x-stream-offset"]), arguments={"x-stream-offset": "next"})
    writer.basic_publish("", q, b"100", pika.BasicProperties(headers={"i": 100}))
    until("the late one has it", lambda: reader.connection.process_data_events(0.1) or late == [100])
    refused(lambda: here().basic_get(q), 540, "NOT_IMPLEMENTED - basic.get not supported by stream queues queue '%s' in vhost '/'" % q, hard=True)
    refused(lambda: here().queue_purge(q), 540, "NOT_IMPLEMENTED - queue.purge not supported by stream queues queue '%s' in vhost '/'" % q, hard=True)
    writer.queue_delete(q)


@case
def properties(here, there, q):
    sent = pika.BasicProperties(
        content_type="application/json", content_encoding="utf-8", delivery_mode=2, priority=4, correlation_id="c", reply_to="r",
        expiration="60000", message_id="m", timestamp=1700000000, type="t", user_id="guest", app_id="a", cluster_id="k",
        headers={"text": "grüße", "int": 1 << 40, "no": False, "none": None, "list": [1, "two"], "table": {"x": -1}})
    ch = here()
    ch.queue_declare(q)
    ch.basic_publish("", q, b"\x00\xff", sent)
    last = there()
    settled(last, q, 1)
    _, got, body = last.basic_get(q, auto_ack=True)
    assert got == sent, (got, sent)
    assert body == b"\x00\xff", body
    ch.queue_delete(q)


@case
def logins(here, there, q):
    for kind, more in ((ProbableAuthenticationError, {"credentials": pika.PlainCredentials("guest", "wrong")}),
                       ((ProbableAccessDeniedError, ConnectionClosedByBroker), {"virtual_host": "nope"})):
        try:
            connect(addr, **more).close()
            raise AssertionError("connected with %r" % more)
        except kind:
            pass
        except AMQPConnectionError as e:
            raise AssertionError("%r with %r" % (e, more))


run(cases)
