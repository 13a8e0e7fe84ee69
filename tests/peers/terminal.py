"""Runs a command at a terminal of its own and answers its questions.

Reads JSON on standard input: `command`, `answers` (each with `question`, `answer`, and `secret` where nothing may be
shown), and `input: false` where standard input is not to be the terminal. Writes JSON: what the terminal showed, and the
exit code. A secret is given only once the terminal has stopped showing what is typed.
"""

import json
import os
import pty
import select
import sys
import termios
import time

PATIENCE = 60


def main():
    task = json.load(sys.stdin)
    process, terminal = pty.fork()
    if process == 0:
        if not task.get("input", True):
            nothing = os.open(os.devnull, os.O_RDONLY)
            os.dup2(nothing, 0)
        os.execv(task["command"][0], task["command"])
    until = time.monotonic() + PATIENCE
    screen = ""
    for answer in task["answers"]:
        answered = len(screen)
        while answer["question"] not in screen[answered:]:
            more = read(terminal, until)
            if more is None:
                return end(process, screen, "it ended before it asked: " + answer["question"])
            screen += more
        if answer.get("secret"):
            while termios.tcgetattr(terminal)[3] & termios.ECHO:
                if time.monotonic() > until:
                    return end(process, screen, "it shows what is typed")
                select.select([], [], [], 0.005)
        os.write(terminal, (answer["answer"] + "\n").encode())
    while (more := read(terminal, until)) is not None:
        screen += more
    end(process, screen, None)


def read(terminal, until):
    """What the terminal shows next; none at its end."""
    ready, _, _ = select.select([terminal], [], [], max(0, until - time.monotonic()))
    if not ready:
        return None
    try:
        return os.read(terminal, 65536).decode(errors="replace") or None
    except OSError:
        return None


def end(process, screen, trouble):
    if trouble:
        os.kill(process, 9)
    _, status = os.waitpid(process, 0)
    json.dump({"screen": screen, "code": os.waitstatus_to_exitcode(status), "trouble": trouble}, sys.stdout)


main()
