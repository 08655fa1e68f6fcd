"""The application that celery_client.py and its workers share, set up by the environment:

BROKERS  the addresses to connect to, in this order
RESULTS  the result backend
QUEUES   name=type, comma separated; the first is the default
SINK     a datagram socket on which tasks say what they do
"""
import os
import socket
import threading
import time

from celery import Celery
from kombu import Exchange, Queue

queues = [q.split("=") for q in os.environ["QUEUES"].split(",")]
app = Celery("tasks", broker=os.environ["BROKERS"].split(";"), backend=os.environ["RESULTS"])
app.conf.update(
    task_queues=[Queue(q, Exchange(q, "direct"), q, queue_arguments={"x-queue-type": kind}) for q, kind in queues],
    task_default_queue=queues[0][0], task_default_exchange=queues[0][0], task_default_routing_key=queues[0][0],
    task_acks_late=True, task_reject_on_worker_lost=True, worker_prefetch_multiplier=2,
    broker_transport_options={"confirm_publish": True}, broker_heartbeat=2, broker_connection_timeout=5, broker_connection_max_retries=None,
    result_expires=60, task_track_started=True, worker_send_task_events=True, result_persistent=False, worker_redirect_stdouts=False,
)


def tell(what):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.sendto(str(what).encode(), os.environ["SINK"])


@app.task
def add(x, y):
    return x + y


@app.task
def total(numbers):
    return sum(numbers)


@app.task(bind=True, max_retries=5)
def flaky(self, failures):
    """Fails as often as asked for, and says how often it was tried."""
    if self.request.retries < failures:
        raise self.retry(countdown=0.2, exc=ValueError(self.request.retries))
    return self.request.retries


@app.task(bind=True)
def now(self):
    return time.time()


@app.task
def fails(why):
    raise RuntimeError(why)


@app.task(bind=True)
def dies_the_first_time(self, key):
    """Waits to be killed; what was redelivered ends."""
    if self.request.delivery_info["redelivered"]:
        tell("again " + key)
        return "survived"
    tell("begun %s %d" % (key, os.getpid()))
    threading.Event().wait()


@app.task
def report(n):
    tell(n)
