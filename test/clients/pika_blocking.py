"""pika's BlockingConnection: what it exposes, beside what test/compat/behaviours.py has of it."""
import datetime
import decimal
import threading
import time

import pika
from pika.exceptions import (AMQPConnectionError, ChannelClosedByBroker, ChannelWrongStateError, ConnectionClosedByBroker,
                             ConnectionWrongStateError, NackError, UnroutableError)

from harness import addrs, finish, mark, name, until

features, blocked, recovery = [], [], []
PERSISTENT = pika.BasicProperties(delivery_mode=2)


def connect(i, **more):
    host, port = addrs[i % len(addrs)]
    return pika.BlockingConnection(pika.ConnectionParameters(host=host, port=port, **more))


def feature(f):
    """A case with openers of channels on connections of their own, through two nodes."""
    def isolated():
        opened = []

        def opener(i):
            def channel():
                opened.append(connect(i))
                return opened[-1].channel()
            return channel
        try:
            f(opener(0), opener(1))
        finally:
            for c in opened:
                try:
                    c.close()
                except (AMQPConnectionError, ConnectionWrongStateError):
                    pass  # the case has ended it
    isolated.__name__ = f.__name__
    features.append(isolated)
    return f


def send(channel, exchange, key, *bodies, **properties):
    """Publishes and waits for each confirm."""
    channel.confirm_delivery()
    for body in bodies:
        channel.basic_publish(exchange, key, body, pika.BasicProperties(**properties))


def bodies(channel, queue, limit=None):
    """All that basic.get finds."""
    got = []
    while limit is None or len(got) < limit:
        method, _, body = channel.basic_get(queue, auto_ack=True)
        if method is None:
            break
        got.append(body.decode())
    return got


def arrived(channel, queue, count):
    until("%d messages in %s" % (count, queue),
          lambda: channel.queue_declare(queue, passive=True).method.message_count == count)


def pump(channel, what, condition):
    until(what, lambda: channel.connection.process_data_events(time_limit=0.1) or condition())


def refused(do, kind, code, text):
    try:
        do()
    except kind as e:
        assert (e.reply_code, e.reply_text) == (code, text), (e.reply_code, e.reply_text)
        return
    raise AssertionError("not refused, want %d %s" % (code, text))


@feature
def channel_error_leaves_the_connection(here, there):
    channel = here()
    refused(lambda: channel.queue_declare("nope", passive=True), ChannelClosedByBroker, 404, "NOT_FOUND - no queue 'nope' in vhost '/'")
    assert channel.is_closed and channel.connection.is_open
    again = channel.connection.channel()
    again.queue_declare("", exclusive=True)


@feature
def connection_error(here, there):
    channel = here()
    channel.basic_publish("", "k", "x", mandatory=False)
    refused(lambda: channel.basic_recover(requeue=True) or channel.basic_qos(prefetch_size=5), ConnectionClosedByBroker, 540,
            "NOT_IMPLEMENTED - prefetch_size!=0 (5)")
    assert channel.connection.is_closed


@feature
def exchange_types(here, there):
    ch = here()
    routes = {
        "direct": ({"a": "k", "b": "other"}, ("k", None), ["a"]),
        "fanout": ({"a": "k", "b": "other"}, ("", None), ["a", "b"]),
        "topic": ({"a": "*.b.#", "b": "a.*"}, ("a.b.c", None), ["a"]),
    }
    for kind, (keys, (key, _), want) in routes.items():
        x = name(kind)
        ch.exchange_declare(x, kind, durable=True)
        queues = {q: ch.queue_declare("", exclusive=True).method.queue for q in keys}
        for q, k in keys.items():
            ch.queue_bind(queues[q], x, k)
        send(there(), x, key, kind)
        got = [q for q in keys if bodies(ch, queues[q]) == [kind]]
        assert got == want, (kind, got)
        ch.exchange_delete(x)


@feature
def headers_exchange(here, there):
    ch = here()
    x = name("headers")
    ch.exchange_declare(x, "headers")
    every, some = (ch.queue_declare("", exclusive=True).method.queue for _ in range(2))
    ch.queue_bind(every, x, arguments={"x-match": "all", "n": 1, "s": "v"})
    ch.queue_bind(some, x, arguments={"x-match": "any", "n": 1, "s": "v"})
    publisher = there()
    send(publisher, x, "", "both", headers={"n": 1, "s": "v"})
    send(publisher, x, "", "one", headers={"n": 1, "s": "w"})
    send(publisher, x, "", "none", headers={"n": 2})
    assert (bodies(ch, every), bodies(ch, some)) == (["both"], ["both", "one"])
    ch.exchange_delete(x)


@feature
def exchange_to_exchange_and_alternate(here, there):
    ch = here()
    source, target, lost = name("source"), name("target"), name("lost")
    ch.exchange_declare(lost, "fanout")
    ch.exchange_declare(source, "topic", arguments={"alternate-exchange": lost})
    ch.exchange_declare(target, "fanout", internal=True)
    ch.exchange_bind(target, source, "go.#")
    q, rest = (ch.queue_declare("", exclusive=True).method.queue for _ in range(2))
    ch.queue_bind(q, target)
    ch.queue_bind(rest, lost)
    send(there(), source, "go.on", "through")
    send(there(), source, "stop", "left over")
    assert (bodies(ch, q), bodies(ch, rest)) == (["through"], ["left over"])
    ch.exchange_unbind(target, source, "go.#")
    send(there(), source, "go.on", "unbound")
    assert (bodies(ch, q), bodies(ch, rest)) == ([], ["unbound"])
    refused(lambda: send(there(), target, "k", "x"), ChannelClosedByBroker, 403,
            "ACCESS_REFUSED - cannot publish to internal exchange '%s' in vhost '/'" % target)
    for x in source, target, lost:
        ch.exchange_delete(x)


@feature
def mandatory_with_confirms(here, there):
    ch = here()
    ch.confirm_delivery()
    try:
        ch.basic_publish("amq.direct", name("nowhere"), "x", pika.BasicProperties(message_id="7"), mandatory=True)
        raise AssertionError("confirmed, and not returned")
    except UnroutableError as e:
        (m,) = e.messages
        assert (m.method.reply_code, m.method.reply_text, m.body, m.properties.message_id) == (312, "NO_ROUTE", b"x", "7"), m
    ch.basic_publish("amq.direct", name("nowhere"), "x")


@feature
def rejected_publish_is_nacked(here, there):
    ch, q = here(), name("full")
    ch.queue_declare(q, durable=True, arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
    send(ch, "", q, "one")
    try:
        ch.basic_publish("", q, "two", PERSISTENT)
        raise AssertionError("a full queue took a message")
    except NackError:
        pass
    assert bodies(ch, q) == ["one"]
    ch.queue_delete(q)


@feature
def drop_head(here, there):
    ch, q = here(), name("short")
    ch.queue_declare(q, durable=True, arguments={"x-max-length": 2})
    send(ch, "", q, *"abcd")
    arrived(ch, q, 2)
    assert bodies(there(), q) == ["c", "d"]
    ch.queue_delete(q)


@feature
def consume_generator_and_cancel(here, there):
    ch, q = here(), name("generator")
    ch.queue_declare(q, durable=True)
    send(there(), "", q, *"abc")
    got = []
    for method, properties, body in ch.consume(q, inactivity_timeout=10):
        assert method is not None, got
        ch.basic_ack(method.delivery_tag)
        got.append((body, method.delivery_tag, method.redelivered, method.exchange, method.routing_key))
        if len(got) == 3:
            break
    assert ch.cancel() == 0
    assert got == [(b, i, False, "", q) for i, b in enumerate((b"a", b"b", b"c"), 1)], got
    assert there().queue_delete(q).method.message_count == 0


@feature
def prefetch_per_consumer_and_per_channel(here, there):
    q = name("prefetch")
    admin = here()
    admin.queue_declare(q, durable=True)
    send(admin, "", q, *("m%d" % i for i in range(10)))
    for shared, want in ((False, 4), (True, 3)):
        ch, got = there(), []
        ch.basic_qos(prefetch_count=2 if not shared else 3, global_qos=shared)
        for _ in range(2):
            ch.basic_consume(q, lambda ch, method, properties, body: got.append(method.delivery_tag))
        pump(ch, "%d deliveries" % want, lambda: len(got) >= want)
        arrived(admin, q, 10 - want)
        ch.connection.process_data_events(time_limit=0)
        assert len(got) == want, (shared, got)
        ch.connection.close()
        arrived(admin, q, 10)
    admin.queue_delete(q)


@feature
def settling(here, there):
    ch, q = here(), name("settle")
    ch.queue_declare(q, durable=True)
    send(there(), "", q, *"abcdef")
    tags = [ch.basic_get(q)[0].delivery_tag for _ in range(6)]
    ch.basic_ack(tags[1], multiple=True)
    ch.basic_reject(tags[2], requeue=False)
    ch.basic_nack(tags[3], requeue=False)
    ch.basic_nack(tags[5], multiple=True, requeue=True)
    arrived(ch, q, 2)
    again = [ch.basic_get(q, auto_ack=True) for _ in range(2)]
    assert [(b, m.redelivered) for m, _, b in again] == [(b"e", True), (b"f", True)], again
    ch.queue_delete(q)


@feature
def recover(here, there):
    ch, q = here(), name("recover")
    ch.queue_declare(q, durable=True)
    send(there(), "", q, "a")
    assert not ch.basic_get(q)[0].redelivered
    ch.basic_recover(requeue=True)
    arrived(ch, q, 1)
    assert ch.basic_get(q, auto_ack=True)[0].redelivered
    ch.queue_delete(q)


@feature
def headers_of_all_types(here, there):
    headers = {
        "int32": -(1 << 31), "int64": 1 << 62, "zero": 0, "true": True, "false": False, "none": None,
        "text": "grüße, 世界", "empty": "", "bytes": b"\x00\xff\xfe", "decimal": decimal.Decimal("3.14"),
        "time": datetime.datetime(2026, 11, 22, 19, 30, 1),
        "list": [1, "two", [None, {"x": False}], b"\x80"], "table": {"in": {"deep": [-1]}, "text": "t"}, "no list": [], "no table": {},
    }
    sent = pika.BasicProperties(
        content_type="text/plain", content_encoding="gzip", headers=headers, delivery_mode=1, priority=255, correlation_id="",
        reply_to="r", expiration="600000", message_id="m" * 255, timestamp=(1 << 40) + 1, type="t", user_id="guest", app_id="a", cluster_id="c")
    ch, q = here(), name("headers")
    ch.queue_declare(q, durable=True)
    publisher = there()
    publisher.confirm_delivery()
    publisher.basic_publish("", q, b"", sent)
    _, got, body = ch.basic_get(q, auto_ack=True)
    assert body == b"" and got.encode() == sent.encode(), got
    assert got == sent, got
    ch.queue_delete(q)


@feature
def priorities(here, there):
    ch, q = here(), name("priority")
    ch.queue_declare(q, durable=True, arguments={"x-max-priority": 5})
    for p, body in ((0, "a"), (5, "b"), (3, "c"), (9, "d"), (3, "e")):
        send(ch, "", q, body, priority=p)
    send(ch, "", q, "f")
    got = bodies(there(), q)
    assert got == ["b", "d", "c", "e", "a", "f"], got
    ch.queue_delete(q)


@feature
def dead_letters(here, there):
    """Expired by the message's TTL, by the queue's, rejected, over length: each with its x-death."""
    ch = here()
    dead, x = name("dead"), name("dlx")
    ch.exchange_declare(x, "direct", durable=True)
    ch.queue_declare(dead, durable=True)
    ch.queue_bind(dead, x, "dead")
    more = {"x-dead-letter-exchange": x, "x-dead-letter-routing-key": "dead"}

    def queue(**arguments):
        q = name("mortal")
        ch.queue_declare(q, durable=True, arguments=dict(more, **{k.replace("_", "-"): v for k, v in arguments.items()}))
        return q

    def took(reason, q, body, **also):
        arrived(ch, dead, 1)
        _, properties, got = there().basic_get(dead, auto_ack=True)
        (death,) = properties.headers["x-death"]
        when = death.pop("time")
        assert isinstance(when, datetime.datetime) and abs(when.replace(tzinfo=datetime.timezone.utc).timestamp() - time.time()) < 120, when
        want = dict({"count": 1, "reason": reason, "queue": q, "exchange": "", "routing-keys": [q]}, **also)
        assert (got, death) == (body, want), (got, death, want)
        first = {k: v for k, v in properties.headers.items() if k.startswith("x-first")}
        assert first == {"x-first-death-reason": reason, "x-first-death-queue": q, "x-first-death-exchange": ""}, first
        assert properties.expiration is None and properties.headers["kept"] == "yes", properties
        ch.queue_delete(q)

    q = queue()
    send(ch, "", q, "own ttl", headers={"kept": "yes"}, expiration="20")
    took("expired", q, b"own ttl", **{"original-expiration": "20"})
    q = queue(x_message_ttl=20)
    send(ch, "", q, "queue's ttl", headers={"kept": "yes"})
    took("expired", q, b"queue's ttl")
    q = queue()
    send(ch, "", q, "rejected", headers={"kept": "yes"})
    ch.basic_reject(ch.basic_get(q)[0].delivery_tag, requeue=False)
    took("rejected", q, b"rejected")
    q = queue(x_max_length=1)
    send(ch, "", q, "too long", "rest", headers={"kept": "yes"})
    took("maxlen", q, b"too long")
    ch.queue_delete(dead)
    ch.exchange_delete(x)


@feature
def dead_letters_come_round(here, there):
    """Retry by a waiting queue: the counts of both grow."""
    ch, q = here(), name("work")
    wait = q + "-wait"
    ch.queue_declare(q, durable=True, arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": wait})
    ch.queue_declare(wait, durable=True, arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": q, "x-message-ttl": 10})
    send(ch, "", q, "again")
    for attempt in range(3):
        arrived(there(), q, 1)
        method, properties, _ = ch.basic_get(q)
        deaths = {d["queue"]: (d["count"], d["reason"]) for d in (properties.headers or {}).get("x-death", [])}
        assert deaths == ({} if attempt == 0 else {q: (attempt, "rejected"), wait: (attempt, "expired")}), deaths
        if attempt < 2:
            ch.basic_reject(method.delivery_tag, requeue=False)
    ch.basic_ack(method.delivery_tag)
    ch.queue_delete(wait)
    assert ch.queue_delete(q).method.message_count == 0


@feature
def transactions(here, there):
    ch, q = here(), name("tx")
    ch.queue_declare(q, durable=True)
    ch.tx_select()
    ch.basic_publish("", q, "rolled back")
    ch.tx_rollback()
    ch.basic_publish("", q, "committed")
    assert there().basic_get(q)[0] is None
    ch.tx_commit()
    arrived(there(), q, 1)
    tag = ch.basic_get(q)[0].delivery_tag
    ch.basic_ack(tag)
    ch.tx_rollback()
    ch.connection.close()
    arrived(there(), q, 1)
    there().queue_delete(q)
    refused(lambda: here().tx_commit(), ChannelClosedByBroker, 406, "PRECONDITION_FAILED - channel is not transactional")


@feature
def direct_reply_to(here, there):
    q, server, client = name("rpc"), here(), there()
    server.queue_declare(q, exclusive=True)
    replies = []
    client.basic_consume("amq.rabbitmq.reply-to", lambda ch, m, p, body: replies.append((p.correlation_id, body)), auto_ack=True)
    client.basic_publish("", q, "question", pika.BasicProperties(reply_to="amq.rabbitmq.reply-to", correlation_id="42"))
    arrived(server, q, 1)
    _, properties, body = server.basic_get(q, auto_ack=True)
    assert properties.reply_to.startswith("amq.rabbitmq.reply-to."), properties.reply_to
    assert server.queue_declare(properties.reply_to, passive=True).method.consumer_count == 1
    server.basic_publish("", properties.reply_to, b"re: " + body, pika.BasicProperties(correlation_id=properties.correlation_id))
    pump(client, "the reply", lambda: replies)
    assert replies == [("42", b"re: question")], replies
    lonely = here()
    lonely.basic_publish("", q, "x", pika.BasicProperties(reply_to="amq.rabbitmq.reply-to"))
    refused(lambda: lonely.queue_declare("", exclusive=True), ChannelClosedByBroker, 406, "PRECONDITION_FAILED - fast reply consumer does not exist")


@feature
def large_messages(here, there):
    ch, q = here(), name("large")
    ch.queue_declare(q, durable=True)
    body = bytes(range(256)) * (8 << 12)  # 8 MiB
    publisher = there()
    publisher.confirm_delivery()
    for part in (body, body[:131072 - 8], body[:131072 - 7], body[:1]):
        publisher.basic_publish("", q, part, PERSISTENT)
    for want in (len(body), 131072 - 8, 131072 - 7, 1):
        got = ch.basic_get(q, auto_ack=True)[2]
        assert got == body[:want], (len(got), want)
    ch.queue_delete(q)


@feature
def small_frames(here, there):
    connection = connect(0, frame_max=4096)
    ch, q = connection.channel(), name("frames")
    ch.queue_declare(q, exclusive=True)
    body = bytes(range(251)) * 400
    send(ch, "", q, body)
    assert ch.basic_get(q, auto_ack=True)[2] == body
    connection.close()


@feature
def heartbeats(here, there):
    """An idle connection lives on while both sides beat, and ends when this one falls silent."""
    beating, silent = connect(0, heartbeat=1), connect(1, heartbeat=1)
    beating.process_data_events(time_limit=3.5)
    beating.channel().queue_declare("", exclusive=True)
    beating.close()
    silent._impl._heartbeat_checker.stop()
    try:
        silent.process_data_events(time_limit=10)
        silent.channel()
        raise AssertionError("a silent client was kept")
    except AMQPConnectionError:
        pass


@feature
def callbacks_from_other_threads(here, there):
    """A long task in a thread acks through add_callback_threadsafe, while the connection beats."""
    connection = connect(0, heartbeat=1)
    ch, q = connection.channel(), name("threads")
    ch.queue_declare(q, durable=True)
    send(there(), "", q, *"abc")
    ch.basic_qos(prefetch_count=1)
    got, threads = [], []

    def work(tag, body):
        got.append(body)
        connection.add_callback_threadsafe(lambda: ch.basic_ack(tag))
        if len(got) == 3:
            connection.add_callback_threadsafe(ch.stop_consuming)

    def on_message(ch, method, properties, body):
        threads.append(threading.Thread(target=work, args=(method.delivery_tag, body)))
        threads[-1].start()
    ch.basic_consume(q, on_message)
    ch.start_consuming()
    for t in threads:
        t.join()
    assert got == [b"a", b"b", b"c"], got
    connection.close()
    assert there().queue_delete(q).method.message_count == 0


def connection_blocked():
    """Told why, kept from publishing while it lasts, told when it is over."""
    publisher, consumer = connect(0), connect(1)
    ch, q, told = publisher.channel(), name("blocked"), []
    ch.queue_declare(q, durable=True)
    send(ch, "", q, "before")
    publisher.add_on_connection_blocked_callback(lambda c, frame: told.append(frame.method.reason))
    publisher.add_on_connection_unblocked_callback(lambda c, frame: told.append(None))
    trying = publisher.channel()  # without confirms: it goes on where a confirmed publish would wait
    mark("publishing")
    until("blocked", lambda: trying.basic_publish("", q, "x") or publisher.process_data_events(time_limit=0.1) or told, 30)
    assert told[0] in ("low on memory", "low on disk", "low on disk & memory"), told
    assert consumer.channel().basic_get(q, auto_ack=True)[2] == b"before"  # consumers go on
    mark("blocked")
    until("unblocked", lambda: publisher.process_data_events(time_limit=0.1) or told[-1] is None, 30)
    ch.basic_publish("", q, "after", PERSISTENT)
    assert bodies(consumer.channel(), q)[-1] == "after"
    ch.queue_delete(q)


blocked.append(connection_blocked)


def recovers_when_its_node_is_killed():
    """The recipe of pika's documentation: connect again, to the next of the addresses, and declare again."""
    q, confirmed, got = name("recovery"), [], set()
    nodes = [pika.ConnectionParameters(host=h, port=p, retry_delay=0.2, connection_attempts=2, socket_timeout=5) for h, p in addrs]
    lost, begun = 0, time.monotonic()
    while len(confirmed) < 400 or lost == 0 or not got >= set(confirmed):
        assert time.monotonic() - begun < 60, (lost, len(confirmed))
        try:
            connection = pika.BlockingConnection(nodes)
            ch = connection.channel()
            ch.queue_declare(q, durable=True, arguments={"x-queue-type": "quorum"})
            ch.confirm_delivery()
            ch.basic_qos(prefetch_count=50)

            def on_message(ch, method, properties, body):
                got.add(int(body))
                ch.basic_ack(method.delivery_tag)
            ch.basic_consume(q, on_message)
            while len(confirmed) < 400 or lost == 0:
                n = len(confirmed)
                ch.basic_publish("", q, str(n), PERSISTENT)
                confirmed.append(n)
                connection.process_data_events(time_limit=0 if lost else 0.02)
                if n == 50:
                    mark("running")
            until("all have arrived", lambda: connection.process_data_events(time_limit=0.1) or got >= set(confirmed))
        except AMQPConnectionError:
            lost += 1
        except (ChannelClosedByBroker, ChannelWrongStateError, NackError):
            continue  # the queue's leader was on the killed node, and the next try finds the new one
    connection = connect(1)
    connection.channel().queue_delete(q)
    connection.close()


recovery.append(recovers_when_its_node_is_killed)
finish({"features": features, "blocked": blocked, "recovery": recovery})
