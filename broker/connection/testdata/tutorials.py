"""The shapes of pika's tutorials against a listener on 127.0.0.1, port argv[1]."""
import sys
import threading
import uuid

import pika

PORT = int(sys.argv[1])


def connect(**more):
    return pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", PORT, **more))


def hello_world():
    with connect() as sender:
        ch = sender.channel()
        ch.queue_declare(queue="hello")
        ch.basic_publish(exchange="", routing_key="hello", body="Hello World!")
    with connect() as receiver:
        ch = receiver.channel()
        ch.queue_declare(queue="hello")
        got = []

        def on_message(ch, method, properties, body):
            got.append(body)
            ch.stop_consuming()

        ch.basic_consume(queue="hello", auto_ack=True, on_message_callback=on_message)
        ch.start_consuming()
        assert got == [b"Hello World!"], got
        ch.queue_delete(queue="hello")


def work_queues():
    with connect() as c:
        ch = c.channel()
        ch.queue_declare(queue="tasks", durable=True)
        for i in range(6):
            ch.basic_publish(exchange="", routing_key="tasks", body=str(i),
                             properties=pika.BasicProperties(delivery_mode=2))
        # A worker that dies in the middle of its work.
        dying = connect()
        worker = dying.channel()
        worker.basic_qos(prefetch_count=1)
        method, _, body = next(worker.consume("tasks"))
        assert (body, method.redelivered) == (b"0", False), (method, body)
        dying.close()
        ch.basic_qos(prefetch_count=1)
        seen = []
        for method, _, body in ch.consume("tasks", inactivity_timeout=5):
            assert method is not None, seen
            seen.append((body, method.redelivered))
            ch.basic_ack(method.delivery_tag)
            if len(seen) == 6:
                break
        ch.cancel()
        assert seen[0] == (b"0", True), seen
        assert [b for b, _ in seen] == [str(i).encode() for i in range(6)], seen
        ch.queue_delete(queue="tasks")


def publish_subscribe():
    with connect() as c:
        ch = c.channel()
        ch.exchange_declare(exchange="logs", exchange_type="fanout")
        names = [ch.queue_declare(queue="", exclusive=True).method.queue for _ in range(2)]
        for name in names:
            assert name.startswith("amq.gen-"), name
            ch.queue_bind(exchange="logs", queue=name)
        ch.basic_publish(exchange="logs", routing_key="", body="info")
        for name in names:
            _, _, body = ch.basic_get(name, auto_ack=True)
            assert body == b"info", body
    with connect() as c:
        for name in names:
            ch = c.channel()
            try:
                ch.queue_declare(queue=name, passive=True)
                raise AssertionError("the exclusive queue outlived its connection")
            except pika.exceptions.ChannelClosedByBroker as e:
                assert e.reply_code == 404, e


def routing():
    with connect() as c:
        ch = c.channel()
        ch.exchange_declare(exchange="direct_logs", exchange_type="direct")
        name = ch.queue_declare(queue="", exclusive=True).method.queue
        for severity in ("warning", "error"):
            ch.queue_bind(exchange="direct_logs", queue=name, routing_key=severity)
        for severity in ("info", "warning", "error"):
            ch.basic_publish(exchange="direct_logs", routing_key=severity, body=severity)
        assert [ch.basic_get(name, auto_ack=True)[2] for _ in range(3)] == [b"warning", b"error", None]


def topics():
    with connect() as c:
        ch = c.channel()
        ch.exchange_declare(exchange="topic_logs", exchange_type="topic")
        name = ch.queue_declare(queue="", exclusive=True).method.queue
        for key in ("*.orange.*", "lazy.#"):
            ch.queue_bind(exchange="topic_logs", queue=name, routing_key=key)
        for key in ("quick.orange.rabbit", "lazy.orange.elephant", "quick.brown.fox", "lazy"):
            ch.basic_publish(exchange="topic_logs", routing_key=key, body=key)
        got = [ch.basic_get(name, auto_ack=True)[2] for _ in range(4)]
        assert got == [b"quick.orange.rabbit", b"lazy.orange.elephant", b"lazy", None], got


def rpc():
    ready, stop = threading.Event(), threading.Event()

    def server():
        with connect() as c:
            ch = c.channel()
            ch.queue_declare(queue="rpc_queue")

            def on_request(ch, method, props, body):
                ch.basic_publish(exchange="", routing_key=props.reply_to, body=str(int(body) * 2),
                                 properties=pika.BasicProperties(correlation_id=props.correlation_id))
                ch.basic_ack(delivery_tag=method.delivery_tag)

            ch.basic_qos(prefetch_count=1)
            ch.basic_consume(queue="rpc_queue", on_message_callback=on_request)
            ready.set()
            while not stop.is_set():
                c.process_data_events(time_limit=0.05)

    thread = threading.Thread(target=server, daemon=True)
    thread.start()
    assert ready.wait(10)
    with connect() as c:
        ch = c.channel()
        reply_to = ch.queue_declare(queue="", exclusive=True).method.queue
        answers = {}
        ch.basic_consume(queue=reply_to, auto_ack=True,
                         on_message_callback=lambda ch, m, props, body: answers.update({props.correlation_id: body}))
        want = {}
        for n in range(20):
            correlation = str(uuid.uuid4())
            want[correlation] = str(n * 2).encode()
            ch.basic_publish(exchange="", routing_key="rpc_queue", body=str(n),
                             properties=pika.BasicProperties(reply_to=reply_to, correlation_id=correlation))
        while len(answers) < len(want):
            c.process_data_events(time_limit=1)
        assert answers == want, answers
    stop.set()
    thread.join(10)


def confirms():
    with connect() as c:
        ch = c.channel()
        ch.confirm_delivery()
        ch.queue_declare(queue="", exclusive=True)
        ch.basic_publish(exchange="amq.fanout", routing_key="nobody", body="x")
        try:
            ch.basic_publish(exchange="amq.fanout", routing_key="nobody", body="x", mandatory=True)
            raise AssertionError("an unroutable message was not returned")
        except pika.exceptions.UnroutableError as e:
            assert e.messages[0].method.reply_code == 312, e


def refused_login():
    try:
        connect(credentials=pika.PlainCredentials("guest", "wrong"))
        raise AssertionError("a wrong password was taken")
    except pika.exceptions.ProbableAuthenticationError as e:
        assert "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. " \
               "For details see the broker logfile." in str(e), e


def large_messages():
    with connect() as c:
        ch = c.channel()
        name = ch.queue_declare(queue="", exclusive=True).method.queue
        body = b"0123456789abcdef" * 65536 * 3
        ch.basic_publish(exchange="", routing_key=name, body=body)
        ch.basic_publish(exchange="", routing_key=name, body=b"")
        assert ch.basic_get(name, auto_ack=True)[2] == body
        assert ch.basic_get(name, auto_ack=True)[2] == b""


for shape in (hello_world, work_queues, publish_subscribe, routing, topics, rpc, confirms, refused_login, large_messages):
    shape()
    print(shape.__name__, "ok", flush=True)
