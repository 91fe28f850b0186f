"""A program: looks like LLaMA-Factory's interpreter, and lets the preloaded one (preloaded.py) do its work.

Installed by tests/support/preloaded.py beside the socket, with the real interpreter in its first line. Ends as the run
did, with its exit code or by its signal.
"""

import json
import os
import signal
import socket
import sys

request = {"words": sys.argv[1:], "cwd": os.getcwd(), "env": dict(os.environ)}
with socket.socket(socket.AF_UNIX) as connection:
    folder = os.open(os.path.dirname(__file__), os.O_PATH)  # a path to a socket must be short
    connection.connect(f"/proc/self/fd/{folder}/socket")
    socket.send_fds(connection, [b" "], [0, 1, 2])
    connection.sendall(json.dumps(request).encode() + b"\n")
    answer = connection.recv(64).decode()
if answer == "cold":
    os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
if not answer:
    sys.exit("the preloaded interpreter is gone")
code = int(answer)
if code < 0:
    if -code not in (signal.SIGKILL, signal.SIGSTOP):
        signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
sys.exit(code)
