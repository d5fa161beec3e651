"""Starts processes and tells what they took and what came out."""

import json
import os
import pathlib
import shutil
import subprocess
import threading
import time
from typing import NamedTuple

HERE = pathlib.Path(__file__).resolve().parent.parent
PAGE = os.sysconf("SC_PAGE_SIZE")
# A process that holds more than this share of the machine's memory is ended before the kernel does it.
SHARE = 0.85


class Measurement(NamedTuple):
    wall: float
    cpu: float
    peak: int
    written: int
    failure: str

    def line(self):
        figures = f"{self.cpu:.2f} s CPU, {self.wall:.2f} s wall, {self.peak / 1e6:,.0f} MB"
        return self.failure or figures


def run(cell, options):
    """Runs the process of `cell`, alone, in an emptied folder."""
    remove(cell.folder)
    cell.folder.mkdir(parents=True)
    os.sync()
    environment = os.environ | {"PYTHONPATH": str(HERE / "engines"), "PYTHONDONTWRITEBYTECODE": "1"}
    said, failed = options.work / "stdout.txt", options.work / "stderr.txt"
    with open(said, "w") as out, open(failed, "w") as errors:
        started = time.perf_counter()
        command = list(map(str, cell.command))
        process = subprocess.Popen(command, stdout=out, stderr=errors, cwd=options.work, env=environment)
        ended = watch(process.pid, options.timeout)
        try:
            _, status, used = os.wait4(process.pid, 0)
            wall = time.perf_counter() - started
        except BaseException:
            process.kill()
            raise
        finally:
            reason = ended()
    process.returncode = os.waitstatus_to_exitcode(status)
    failure = reason or (f"exit {process.returncode}: {last_line(failed)}" if process.returncode else "")
    return Measurement(wall, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024, size(cell.result), failure)


def watch(pid, timeout):
    """Ends the process if it runs or holds too long or much; the function that is returned stops
    watching and tells why it was ended, if it was."""
    stop, reasons = threading.Event(), []
    most = os.sysconf("SC_PHYS_PAGES") * PAGE * SHARE
    deadline = time.monotonic() + timeout

    def look():
        while not stop.wait(0.2):
            if resident(pid) > most:
                reasons.append(f"ended: it held more than {most / 1e9:.0f} GB")
            elif time.monotonic() > deadline:
                reasons.append(f"ended after {timeout:.0f} s")
            else:
                continue
            os.kill(pid, 9)
            return

    thread = threading.Thread(target=look)
    thread.start()

    def end():
        stop.set()
        thread.join()
        return "".join(reasons)

    return end


def resident(pid):
    try:
        return int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
    except (OSError, IndexError):
        return 0


def last_line(file):
    lines = [line for line in file.read_text(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if "rror" in line]
    line = (errors or lines or ["nothing was said"])[-1].strip()
    return (line[:160] + "…" if len(line) > 160 else line).replace("|", "/")


def remove(path):
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def size(path):
    """Bytes of the data files in `path`."""
    if path.is_file():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*.parquet"))


def answer(options):
    """The three numbers that the last process printed."""
    printed = json.loads((options.work / "stdout.txt").read_text().strip().splitlines()[-1])
    row = list(printed[0].values()) if isinstance(printed[0], dict) else printed
    return [float(value) for value in row]


def close(left, right):
    """Equal but for the order in which floating-point numbers were added."""
    return all(abs(a - b) <= 1e-9 * max(abs(a), abs(b)) for a, b in zip(left, right, strict=True))


def checksums(options, script, path, tables):
    command = [options.python, script, path, *tables]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"error: cannot check `{path}`: {done.stderr.strip()}")
    return json.loads(done.stdout)


def difference(expected, found):
    """The first way in which two sets of checksums differ; '' if they do not."""
    for table, left in expected.items():
        right = found[table]
        if left["rows"] != right["rows"]:
            return f"`{table}` has {left['rows']} and {right['rows']} rows"
        if set(left["columns"]) != set(right["columns"]):
            return f"`{table}` has the columns {list(left['columns'])} and {list(right['columns'])}"
        differing = [name for name, value in left["columns"].items() if right["columns"][name] != value]
        if differing:
            return f"`{table}` differs in {', '.join(differing)}"
    return ""


def executable(messages, name):
    """The path of a binary, out of cargo's messages."""
    for message in map(json.loads, filter(lambda line: line.startswith("{"), messages.splitlines())):
        target = message.get("target", {})
        if message.get("executable") and target.get("name") == name and "bin" in target.get("kind", []):
            return pathlib.Path(message["executable"])
    raise SystemExit(f"error: cargo built no `{name}`")
