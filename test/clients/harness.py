"""What the Python clients' scripts share: the command line, the cases of a phase, names.

usage: SCRIPT PHASE ADDR...
PHASE is features, blocked or recovery; the addresses are those of all nodes, the first one's first.
"""
import os
import sys
import uuid

from warrentest import run, until  # test/compat has them

__all__ = ["RABBITMQ", "addrs", "finish", "mark", "name", "phase", "until"]

# The cases are tried on RabbitMQ 3.10; what it refuses on purpose and Warren does is told apart by this.
RABBITMQ = os.environ.get("WARREN_COMPAT") == "rabbitmq"

phase = sys.argv[1]
addrs = [(host, int(port)) for host, port in (a.rsplit(":", 1) for a in sys.argv[2:])]


def mark(what):
    """Tells the test how far this script is."""
    print("at", what, flush=True)


def name(what):
    """A name that nobody else uses."""
    return "%s-%s" % (what, uuid.uuid4().hex[:8])


def finish(phases):
    """Runs the cases of the phase that was asked for, and ends."""
    run([(f.__name__, f) for f in phases[phase]], limit=90)
