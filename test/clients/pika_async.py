"""pika's asynchronous adapters: SelectConnection with its own loop, AsyncioConnection in asyncio's."""
import asyncio
import time

import pika
from pika.adapters.asyncio_connection import AsyncioConnection
from pika.exceptions import AMQPConnectionError, ChannelClosedByBroker, ConnectionClosedByBroker

from harness import addrs, finish, mark, name

features, blocked, recovery = [], [], []
PERSISTENT = pika.BasicProperties(delivery_mode=2)
QUORUM = {"x-queue-type": "quorum"}


def parameters(i, **more):
    host, port = addrs[i % len(addrs)]
    return pika.ConnectionParameters(host=host, port=port, **more)


class Ended(Exception):
    """The channel or the connection was closed; its reason is the argument."""


class Session:
    """A connection with one channel, whose callbacks settle futures."""

    @classmethod
    async def open(cls, i, **more):
        s = cls()
        s.closed = asyncio.get_running_loop().create_future()
        s.channel_closed = asyncio.get_running_loop().create_future()
        opened = asyncio.get_running_loop().create_future()

        def failed(connection, why):
            for f in (opened, s.closed, s.channel_closed):
                if not f.done():
                    f.set_result(why)
        s.connection = AsyncioConnection(parameters(i, **more), on_open_callback=lambda c: opened.set_result(None),
                                         on_open_error_callback=failed, on_close_callback=failed)
        why = await asyncio.wait_for(opened, 10)
        if why is not None:
            raise why if isinstance(why, Exception) else Ended(why)
        await s.reopen()
        return s

    async def reopen(self):
        """A new channel, in place of one that was closed."""
        opened = asyncio.get_running_loop().create_future()
        closed = self.channel_closed = asyncio.get_running_loop().create_future()
        self.channel = self.connection.channel(on_open_callback=opened.set_result)
        self.channel.add_on_close_callback(lambda ch, why: closed.done() or closed.set_result(why))
        await asyncio.wait_for(opened, 10)

    async def call(self, method, *args, **kwargs):
        """One synchronous method, as a coroutine; the broker's refusal is raised."""
        answered = asyncio.get_running_loop().create_future()
        getattr(self.channel, method)(*args, callback=lambda frame: answered.done() or answered.set_result(frame), **kwargs)
        await asyncio.wait({answered, self.channel_closed}, timeout=10, return_when=asyncio.FIRST_COMPLETED)
        if answered.done():
            return answered.result().method
        raise self.channel_closed.result() if self.channel_closed.done() else TimeoutError(method)

    async def count(self, queue):
        return (await self.call("queue_declare", queue, passive=True)).message_count

    async def close(self):
        if self.connection.is_open:
            self.connection.close()
            await asyncio.wait_for(self.closed, 10)


def feature(f):
    """An asyncio case with one session through each of two nodes."""
    async def isolated():
        sessions = [await Session.open(i) for i in range(2)]
        try:
            await asyncio.wait_for(f(*sessions), 25)
        finally:
            for s in sessions:
                await s.close()

    def case():
        asyncio.run(isolated())
    case.__name__ = "asyncio_" + f.__name__
    features.append(case)
    return f


async def so(what, condition, seconds=10):
    """Asks again until it is so."""
    end = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < end, "never so: " + what
        await asyncio.sleep(0.01)


async def arrived(session, queue, count):
    async def there():
        return await session.count(queue) == count
    await so("%d messages in %s" % (count, queue), there)


@feature
async def confirms_in_batches(here, there):
    """A thousand messages under way at once; acks may cover many."""
    q, total, covered, done = name("batch"), 1000, set(), asyncio.Event()
    await here.call("queue_declare", q, durable=True, arguments=QUORUM)
    pending = set(range(1, total + 1))

    def on_answer(frame):
        assert isinstance(frame.method, pika.spec.Basic.Ack), frame
        tag = frame.method.delivery_tag
        now = {t for t in pending if t <= tag} if frame.method.multiple else {tag}
        assert now <= pending and not now & covered, frame
        pending.difference_update(now)
        covered.update(now)
        if not pending:
            done.set()
    ok = asyncio.get_running_loop().create_future()
    here.channel.confirm_delivery(on_answer, callback=ok.set_result)
    await ok
    for i in range(total):
        here.channel.basic_publish("", q, b"%d" % i, PERSISTENT)
    await asyncio.wait_for(done.wait(), 20)
    assert (await there.call("queue_purge", q)).message_count == total
    await here.call("queue_delete", q)


@feature
async def return_comes_before_the_ack(here, there):
    events, done = [], asyncio.Event()
    here.channel.add_on_return_callback(lambda ch, m, p, body: events.append(("return", m.reply_code, m.reply_text, body)))

    def on_answer(frame):
        events.append((frame.method.NAME, frame.method.delivery_tag))
        if frame.method.delivery_tag == 2:
            done.set()
    here.channel.confirm_delivery(on_answer)
    here.channel.basic_publish("amq.topic", name("nowhere"), b"x", mandatory=True)
    here.channel.basic_publish("amq.topic", name("nowhere"), b"y")
    await asyncio.wait_for(done.wait(), 10)
    one_by_one = [("return", 312, "NO_ROUTE", b"x"), ("Basic.Ack", 1), ("Basic.Ack", 2)]
    assert events in (one_by_one, [one_by_one[0], one_by_one[2]]), events


@feature
async def consume_ack_and_server_cancel(here, there):
    q, got, cancelled = name("consume"), asyncio.Queue(), asyncio.get_running_loop().create_future()
    await here.call("queue_declare", q, durable=True)
    await here.call("basic_qos", prefetch_count=2)
    here.channel.add_on_cancel_callback(lambda frame: cancelled.set_result(frame.method.consumer_tag))
    tag = here.channel.basic_consume(q, lambda ch, m, p, body: got.put_nowait((m.delivery_tag, m.redelivered, body)))
    for body in (b"a", b"b", b"c"):
        there.channel.basic_publish("", q, body)
    first, second = [await asyncio.wait_for(got.get(), 10) for _ in range(2)]
    assert (first, second) == ((1, False, b"a"), (2, False, b"b")), (first, second)
    await arrived(there, q, 1)
    here.channel.basic_ack(2, multiple=True)
    assert await asyncio.wait_for(got.get(), 10) == (3, False, b"c")
    here.channel.basic_nack(3, requeue=True)
    assert await asyncio.wait_for(got.get(), 10) == (4, True, b"c")
    await there.call("queue_delete", q)
    assert await asyncio.wait_for(cancelled, 10) == tag
    assert here.channel.is_open


@feature
async def cancel_keeps_what_is_out(here, there):
    q, got = name("cancel"), asyncio.Queue()
    await here.call("queue_declare", q, durable=True)
    tag = here.channel.basic_consume(q, lambda ch, m, p, body: got.put_nowait(m.delivery_tag))
    there.channel.basic_publish("", q, b"out")
    delivery = await asyncio.wait_for(got.get(), 10)
    await here.call("basic_cancel", tag)
    await arrived(there, q, 0)
    here.channel.basic_reject(delivery, requeue=True)
    await arrived(there, q, 1)
    await here.call("queue_delete", q)


@feature
async def channel_errors(here, there):
    for code, text, do in (
            (404, "NOT_FOUND - no queue 'nope' in vhost '/'", lambda: here.call("queue_declare", "nope", passive=True)),
            (403, "ACCESS_REFUSED - queue name 'amq.nope' contains reserved prefix 'amq.*'", lambda: here.call("queue_declare", "amq.nope")),
            (406, "PRECONDITION_FAILED - unknown delivery tag 9", lambda: here.channel.basic_ack(9) or here.call("queue_declare", "", exclusive=True))):
        try:
            await do()
            raise AssertionError("no %d" % code)
        except ChannelClosedByBroker as e:
            assert (e.reply_code, e.reply_text) == (code, text), e
        await here.reopen()
    assert here.connection.is_open


@feature
async def connection_error(here, there):
    here.channel.basic_qos(prefetch_size=1)
    why = await asyncio.wait_for(here.closed, 10)
    assert isinstance(why, ConnectionClosedByBroker) and (why.reply_code, why.reply_text) == (540, "NOT_IMPLEMENTED - prefetch_size!=0 (1)"), why


@feature
async def transactions(here, there):
    q = name("tx")
    await here.call("queue_declare", q, durable=True)
    await here.call("tx_select")
    here.channel.basic_publish("", q, b"gone")
    await here.call("tx_rollback")
    here.channel.basic_publish("", q, b"kept")
    await here.call("tx_commit")
    await arrived(there, q, 1)
    await here.call("queue_delete", q)


@feature
async def exchanges(here, there):
    x, y = name("x"), name("y")
    await here.call("exchange_declare", x, "topic", durable=True)
    await here.call("exchange_declare", y, "headers", auto_delete=True)
    await here.call("exchange_bind", y, x, "a.#")
    q = (await here.call("queue_declare", "", exclusive=True)).queue
    assert q.startswith("amq.gen-"), q
    await here.call("queue_bind", q, y, arguments={"x-match": "all", "n": 1})
    for key, n in (("a.b", 1), ("a.b", 2), ("b", 1)):
        there.channel.basic_publish(x, key, b"x", pika.BasicProperties(headers={"n": n}))
    await arrived(here, q, 1)
    await here.call("queue_unbind", q, y, arguments={"x-match": "all", "n": 1})
    try:  # it went with its last binding
        await there.call("exchange_declare", y, passive=True)
        raise AssertionError("an auto-delete exchange outlived its last binding")
    except ChannelClosedByBroker as e:
        assert e.reply_code == 404, e
    await here.call("exchange_delete", x)


@feature
async def heartbeats(here, there):
    s = await Session.open(0, heartbeat=1)
    begin = s.connection._heartbeat_checker.bytes_received_on_connection
    ended, _ = await asyncio.wait({s.closed}, timeout=3.5)
    assert not ended and s.connection._heartbeat_checker.bytes_received_on_connection > begin
    await s.close()


@feature
async def large_messages(here, there):
    q, body, got = name("large"), bytes(8 << 20), asyncio.get_running_loop().create_future()
    await here.call("queue_declare", q, durable=True)
    there.channel.basic_publish("", q, body, PERSISTENT)
    here.channel.basic_consume(q, lambda ch, m, p, b: got.set_result(b), auto_ack=True)
    assert await asyncio.wait_for(got, 20) == body
    await here.call("queue_delete", q)


def select_connection():
    """The whole of the documentation's asynchronous example on pika's own loop."""
    q, total, steps, got, acked = name("select"), 100, [], [], []
    c = pika.SelectConnection(parameters(0), on_open_callback=lambda c: c.channel(on_open_callback=on_channel),
                              on_open_error_callback=lambda c, e: steps.append(e) or c.ioloop.stop(),
                              on_close_callback=lambda c, e: steps.append(e) or c.ioloop.stop())

    def on_channel(ch):
        ch.confirm_delivery(lambda frame: on_confirm(ch, frame), callback=lambda _: ch.queue_declare(
            q, durable=True, arguments=QUORUM, callback=lambda _: ch.basic_qos(prefetch_count=10, callback=lambda _: consume(ch))))

    def on_confirm(ch, frame):
        acked.append(frame.method)
        finish_if_done(ch)

    def consume(ch):
        ch.basic_consume(q, on_message)
        for i in range(total):
            ch.basic_publish("", q, b"%d" % i, PERSISTENT)

    def on_message(ch, method, properties, body):
        got.append(int(body))
        ch.basic_ack(method.delivery_tag)
        finish_if_done(ch)

    def finish_if_done(ch):
        if len(got) == total and max(m.delivery_tag for m in acked) == total:
            ch.queue_delete(q, callback=lambda _: c.close())
    c.ioloop.call_later(20, lambda: steps.append(TimeoutError()) or c.ioloop.stop())
    c.ioloop.start()
    assert got == list(range(total)), got
    assert isinstance(steps[0], pika.exceptions.ConnectionClosedByClient), steps


features.append(select_connection)


async def blocked_connection():
    s, q = await Session.open(2), name("blocked")
    reasons, over = asyncio.Queue(), asyncio.Event()
    s.connection.add_on_connection_blocked_callback(lambda c, frame: reasons.put_nowait(frame.method.reason))
    s.connection.add_on_connection_unblocked_callback(lambda c, frame: over.set())
    await s.call("queue_declare", q, durable=True)
    s.channel.basic_publish("", q, b"before")
    await arrived(s, q, 1)
    mark("publishing")

    async def blocked_now():
        s.channel.basic_publish("", q, b"x")
        return not reasons.empty()
    await so("blocked", blocked_now, 30)
    reason = reasons.get_nowait()
    assert reason in ("low on memory", "low on disk", "low on disk & memory"), reason
    mark("blocked")
    await asyncio.wait_for(over.wait(), 30)
    s.channel.basic_publish("", q, b"after")
    await s.call("queue_delete", q)
    await s.close()


def connection_blocked():
    asyncio.run(blocked_connection())


blocked.append(connection_blocked)


async def one_life(q, state):
    """Publishes and consumes until the connection ends; true when all is done."""
    s = await Session.open(state["node"], socket_timeout=5, stack_timeout=5)
    try:
        await s.call("queue_declare", q, durable=True, arguments=QUORUM)
        unconfirmed = {}

        def on_answer(frame):
            tag = frame.method.delivery_tag
            now = [t for t in unconfirmed if t <= tag] if frame.method.multiple else [tag]
            for t in now:
                n = unconfirmed.pop(t)
                if isinstance(frame.method, pika.spec.Basic.Ack):
                    state["confirmed"].add(n)

        def on_message(ch, method, properties, body):
            state["got"].add(int(body))
            ch.basic_ack(method.delivery_tag)
        s.channel.confirm_delivery(on_answer)
        s.channel.basic_consume(q, on_message)
        tag = 0
        while not s.channel_closed.done():
            if len(unconfirmed) < 20 and (len(state["confirmed"]) < 400 or state["lost"] == 0):
                tag += 1
                unconfirmed[tag] = state["next"] = state["next"] + 1
                s.channel.basic_publish("", q, b"%d" % state["next"], PERSISTENT)
            elif state["lost"] and not unconfirmed and state["confirmed"] <= state["got"]:
                await s.call("queue_delete", q)
                return True
            if len(state["confirmed"]) == 50:
                mark("running")
            await asyncio.sleep(0.002 if state["lost"] else 0.01)  # the pace of the publisher
        return False
    finally:
        await s.close()


async def recover():
    q, state = name("recovery"), {"node": 0, "lost": 0, "next": 0, "confirmed": set(), "got": set()}
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            if await one_life(q, state):
                return
            state["lost"] += 1
        except (AMQPConnectionError, ChannelClosedByBroker, asyncio.TimeoutError, TimeoutError, Ended):
            pass  # this node is gone, or does not serve the queue yet
        state["node"] += 1
        await asyncio.sleep(0.05)
    raise AssertionError("after a minute: %d confirmed, %d lost, %d connections lost" % (
        len(state["confirmed"]), len(state["confirmed"] - state["got"]), state["lost"]))


def recovers_when_its_node_is_killed():
    asyncio.run(recover())


recovery.append(recovers_when_its_node_is_killed)
finish({"features": features, "blocked": blocked, "recovery": recovery})
