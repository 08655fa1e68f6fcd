"""Celery with prefork workers: the tasks are in celery_tasks.py.

Celery itself refuses chords over rpc://, so the chord's results are in files; its messages go through the broker all the same.
"""
import ctypes
import datetime
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

from harness import RABBITMQ, addrs, finish, mark, name, until

features, blocked, recovery = [], [], []
URLS = ["amqp://guest:guest@%s:%d//" % a for a in addrs]
SOON = 30  # seconds; how long a result may take on a busy machine
folder = tempfile.mkdtemp(prefix="celery-")  # the test removes it with the rest of its own
# kombu sends basic.qos with global=true, for which RabbitMQ closes a connection that consumes from a quorum queue (H14, Q1).
QUEUES = {"classic": name("celery-classic")} if RABBITMQ else {"classic": name("celery-classic"), "quorum": name("celery-quorum")}


def environment(first, results, queues):
    return {"BROKERS": ";".join(URLS[first:] + URLS[:first]), "RESULTS": results, "SINK": os.path.join(folder, "sink"),
            "QUEUES": ",".join("%s=%s" % (q, kind) for kind, q in queues.items())}


# This process is a producer through the first node.
os.environ.update(environment(0, "rpc://", QUEUES))
import celery_tasks as tasks  # noqa: E402  it reads the environment
from celery import chain, group  # noqa: E402
from celery.exceptions import TaskRevokedError  # noqa: E402
from kombu import Connection, Exchange, Queue  # noqa: E402

sink = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
sink.bind(os.environ["SINK"])
sink.settimeout(SOON)


def dies_with_us():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    os.setpgid(0, 0)


def know(queues):
    """Makes queues of other workers known to this process, with their arguments."""
    for kind, queue in queues.items():
        tasks.app.amqp.queues.add(Queue(queue, Exchange(queue, "direct"), queue, queue_arguments={"x-queue-type": kind}))
    return tasks.app.amqp.queues


class Worker:
    """celery worker with two processes, through a node of its own."""

    def __init__(self, first, results="rpc://", queues=QUEUES):
        self.name = name("worker") + "@here"
        self.log = open(os.path.join(folder, self.name), "w+")
        env = dict(os.environ, **environment(first, results, queues))
        self.process = subprocess.Popen(
            [sys.executable, "-B", "-m", "celery", "-A", "celery_tasks", "worker", "--pool", "prefork", "--concurrency", "2",
             "--hostname", self.name, "--loglevel", "INFO", "-E", "--pidfile=", "--without-mingle" if first else "--without-gossip"],
            env=env, stdout=self.log, stderr=subprocess.STDOUT, preexec_fn=dies_with_us)

    def ready(self):
        until("%s is ready: %s" % (self.name, self.text()[-2000:]), lambda: "ready." in self.text() or self.ended(), SOON)
        return self

    def text(self):
        with open(self.log.name) as f:
            return f.read()

    def ended(self):
        assert self.process.poll() is None, self.text()[-3000:]

    def kill(self):
        """kill -9 of the worker and its children at once."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self):
        """A warm shutdown.

        Now and then a process of billiard's pool does not end, and the worker waits for it for ever in the pool's join. By
        then it is done with the broker; a worker that waits for anything else has failed.
        """
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(SOON)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGUSR1)  # Celery tells its stacks
            try:
                until("the worker tells what it waits for", lambda: "self._pool.join()" in self.text(), SOON)
            except AssertionError as e:
                raise AssertionError("%s: %s" % (e, self.text()[-8000:])) from None
            self.kill()


main = None


def a_worker_starts():
    global main
    main = Worker(1)
    main.ready()


features.append(a_worker_starts)


def on_each_kind_of_queue(f):
    for kind, queue in QUEUES.items():
        def case(queue=queue):
            f(queue)
        case.__name__ = "%s_%s" % (f.__name__, kind)
        features.append(case)
    return f


@on_each_kind_of_queue
def results_over_rpc(queue):
    assert tasks.add.apply_async((2, 3), queue=queue).get(timeout=SOON) == 5
    try:
        tasks.fails.apply_async(("on purpose",), queue=queue).get(timeout=SOON)
        raise AssertionError("the failure is lost")
    except RuntimeError as e:
        assert str(e) == "on purpose", e


@on_each_kind_of_queue
def many_tasks(queue):
    results = [tasks.add.apply_async((n, n), queue=queue) for n in range(60)]
    assert [r.get(timeout=SOON) for r in results] == [2 * n for n in range(60)]


@on_each_kind_of_queue
def retries_with_countdown(queue):
    begin = time.monotonic()
    assert tasks.flaky.apply_async((2,), queue=queue).get(timeout=SOON) == 2
    assert time.monotonic() - begin > 0.4


@on_each_kind_of_queue
def eta(queue):
    """More tasks than the prefetch count wait for their time in the worker, and others pass them."""
    when = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=3)
    waiting = [tasks.now.apply_async(eta=when, queue=queue) for _ in range(8)]
    early = tasks.now.apply_async(queue=queue).get(timeout=SOON)
    assert early < when.timestamp(), "tasks for now waited for those for later"
    late = [w.get(timeout=SOON) for w in waiting]
    assert min(late) >= when.timestamp() - 0.1, (late, when.timestamp())


@on_each_kind_of_queue
def groups_and_chains(queue):
    result = group(tasks.add.s(n, 1).set(queue=queue) for n in range(10)).apply_async()
    assert result.get(timeout=SOON) == list(range(1, 11))
    line = chain(tasks.add.s(1, 1).set(queue=queue), tasks.add.s(10).set(queue=queue), tasks.add.s(100).set(queue=queue))
    assert line.apply_async().get(timeout=SOON) == 112


@on_each_kind_of_queue
def a_task_is_revoked(queue):
    result = tasks.add.apply_async((1, 1), queue=queue, countdown=600)
    received = 'Task celery_tasks.add[%s] received' % result.id
    until("it waits in the worker", lambda: received in main.text(), SOON)
    result.revoke()
    until("the worker knows", lambda: any(result.id in ids for ids in (inspect().revoked() or {}).values()), SOON)
    # Its time would come in ten minutes: a revoked task of that kind stays where it is until then.
    again = tasks.add.apply_async((1, 1), queue=queue, countdown=0.5, task_id=result.id)
    try:
        again.get(timeout=SOON)
        raise AssertionError("a revoked task ran")
    except TaskRevokedError:
        pass


def inspect():
    return tasks.app.control.inspect([main.name], timeout=5, limit=1)


def control():
    """Broadcasts through celery.pidbox, replies in queues of the asker's own."""
    assert inspect().ping() == {main.name: {"ok": "pong"}}
    queues = inspect().active_queues()[main.name]
    assert {q["name"] for q in queues} == set(QUEUES.values()), queues
    assert inspect().stats()[main.name]["pool"]["max-concurrency"] == 2
    tasks.app.control.broadcast("rate_limit", {"task_name": "celery_tasks.add", "rate_limit": "1000/s"}, destination=[main.name], reply=True, limit=1)
    more = name("added")
    answer = tasks.app.control.add_consumer(more, destination=[main.name], reply=True, limit=1, timeout=5)
    assert answer and "ok" in answer[0][main.name], answer
    assert tasks.add.apply_async((4, 4), queue=more, routing_key=more).get(timeout=SOON) == 8
    tasks.app.control.cancel_consumer(more, destination=[main.name], reply=True, limit=1, timeout=5)


features.append(control)


def events():
    """The stream that monitors read: a topic exchange, a queue with a TTL that expires."""
    seen = []
    with tasks.app.connection() as connection:
        receiver = tasks.app.events.Receiver(connection, handlers={"*": lambda e: seen.append((e["type"], e.get("uuid")))})
        with receiver.consumer_context() as (listening, _, _):
            result = tasks.add.delay(5, 5)

            def complete():
                return {"task-received", "task-started", "task-succeeded"} <= {kind for kind, uuid in seen if uuid == result.id}

            def drain():
                try:
                    listening.drain_events(timeout=0.5)
                except socket.timeout:
                    pass
                return complete()
            until("the task's events", drain, SOON)
            until("a worker's beat", lambda: any(kind == "worker-heartbeat" for kind, _ in seen) or drain() and False, SOON)
            assert result.get(timeout=SOON) == 10


features.append(events)


def chord_with_results_in_files():
    results = os.path.join(folder, "results")
    os.mkdir(results)
    queues = {"classic": name("celery-chord")}
    second = Worker(2, "file://" + results, queues)
    script = ("import celery_tasks as t; from celery import chord; "
              "print(chord([t.add.s(n, n) for n in range(6)])(t.total.s()).get(timeout=%d))" % SOON)
    second.ready()
    out = subprocess.run([sys.executable, "-B", "-c", script], env=dict(os.environ, **environment(0, "file://" + results, queues)),
                         capture_output=True, text=True, timeout=60)
    assert out.stdout.strip() == "30", (out.stdout, out.stderr[-1000:], second.text()[-1000:])
    second.stop()


features.append(chord_with_results_in_files)


@on_each_kind_of_queue
def a_killed_workers_task_is_redelivered(queue):
    """acks_late: the message is not acknowledged before the task has ended."""
    queues = {kind: name("celery-killed") for kind, q in QUEUES.items() if q == queue}
    (own,) = queues.values()
    victim = Worker(2, queues=queues).ready()
    know(queues)
    result = tasks.dies_the_first_time.apply_async((own,), queue=own)
    begun = sink.recv(1000).decode().split()
    assert begun[:2] == ["begun", own], begun
    victim.kill()
    heir = Worker(1, queues=queues).ready()
    assert sink.recv(1000).decode() == "again " + own
    assert result.get(timeout=SOON) == "survived"
    heir.stop()


def the_worker_stops():
    """A warm shutdown acknowledges what is done and gives back the rest."""
    main.stop()
    with tasks.app.connection() as c:
        for queue in QUEUES.values():
            assert c.default_channel.queue_delete(queue) <= 8  # the tasks for in ten minutes


features.append(the_worker_stops)


def worker_and_producer_go_on_when_their_node_is_killed():
    """The queue's home is another node, for RabbitMQ's sake; both sides begin at the first one and have all addresses."""
    queues = {"classic": name("celery-recovery")} if RABBITMQ else {"quorum": name("celery-recovery")}
    (own,) = queues.values()
    with Connection(URLS[1]) as c:
        know(queues)[own](c.default_channel).declare()
    worker = Worker(0, queues=queues).ready()
    done, sent, lost = set(), 0, 0
    policy = {"max_retries": 100, "interval_start": 0.05, "interval_step": 0.1, "interval_max": 0.3}
    stop = threading.Event()

    def collect():
        sink.settimeout(0.2)
        while not stop.is_set():
            try:
                done.add(int(sink.recv(100)))
            except socket.timeout:
                pass
    collector = threading.Thread(target=collect, daemon=True)
    collector.start()
    end = time.monotonic() + 90
    while sent < 200 or "Connection to broker lost" not in worker.text():
        assert time.monotonic() < end, (sent, worker.text()[-2000:])
        try:
            tasks.report.apply_async((sent,), queue=own, ignore_result=True, retry=True, retry_policy=policy)
            sent += 1
        except tasks.app.connection_for_write().connection_errors:
            lost += 1  # a connection that was found dead; the next publish takes a new one
        if sent == 20:
            until("the first are done", lambda: len(done) >= 20, SOON)
            mark("running")
        if sent > 20:
            until("the tasks are done as they come", lambda: len(done) > sent - 20, SOON)
    until("all tasks are done", lambda: len(done) == sent, SOON)
    stop.set()
    collector.join()
    worker.stop()


recovery.append(worker_and_producer_go_on_when_their_node_is_killed)
finish({"features": features, "blocked": blocked, "recovery": recovery})
