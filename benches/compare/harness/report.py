"""Measurements -> Markdown."""

import os
import pathlib
import platform
import re
import statistics
import subprocess

import jobs

HERE = pathlib.Path(__file__).resolve().parent.parent


def header(options):
    """What was run where."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    lines = [
        f"- machine: {os.cpu_count()} cores ({processor()}), {memory:.0f} GiB, {platform.system()} {platform.release()}",
        f"- {options.threads} threads, {options.rounds} alternating rounds; medians (least to most)",
        f"- {output(options.binary, '--version')}, {options.commit or 'a binary that was given'}",
        f"- engines: {', '.join(f'{name} {version}' for name, version in pins() if name in ENGINES)}",
        "- ratios: to the peer with the least CPU time, for wall time to the one with the least wall time",
    ]
    return "\n".join(lines) + "\n"


ENGINES = ["duckdb", "polars", "chdb", "datafusion"]


def pins():
    return re.findall(r"^([\w-]+)==(\S+)$", (HERE / "requirements.txt").read_text(), re.MULTILINE)


def commit():
    """The commit that is checked out, and whether files differ from it."""
    changes = output("git", "status", "--porcelain")
    return f"commit {output('git', 'rev-parse', '--short', 'HEAD')}{', with changes' if changes else ''}"


def processor():
    models = re.findall(r"^model name\s*:\s*(.+)$", pathlib.Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return models[0].strip() if models else platform.machine()


def output(*command):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, cwd=HERE)
    return done.stdout.strip()


def tables(results, rows):
    """One table for each job, and one for its runs under limits of memory."""
    text = ""
    for job, result in results.items():
        title = f"{job.upper()}: {jobs.JOBS[job].title} ({rows:,} rows)"
        free = {cell: runs for cell, runs in result["measured"].items() if not cell.limit}
        text += f"\n### {title}\n\n{table(free)}"
        bounded = {cell: runs for cell, runs in result["measured"].items() if cell.limit}
        if bounded:
            text += f"\n### {title}, with a limit of memory\n\n{limits(bounded, free, result['broken'])}"
    return text


def table(measured):
    good = {cell: [run for run in runs if not run.failure] for cell, runs in measured.items()}
    peers = [runs for cell, runs in good.items() if cell.engine != "sessionize" and runs]
    best = {what: min((median(runs, what) for runs in peers), default=None) for what in ("cpu", "wall")}
    lines = head("engine", "CPU s", "to the best peer", "wall s", "to the best peer", "peak MB", "written MB")
    for cell, runs in good.items():
        if not runs:
            lines.append(f"| {cell.label} | {reason(measured[cell])} | | | | | |")
            continue
        sizes = f"{median(runs, 'peak') / 1e6:,.0f} | {median(runs, 'written') / 1e6:,.1f}"
        lines.append(f"| {cell.label} | {times(runs, best)} | {sizes} |")
    return "\n".join(lines) + "\n"


def head(*columns):
    return [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]


def times(runs, bases):
    """CPU and wall time, each with its ratio to that of `bases`."""
    return " | ".join(f"{spread(runs, what)} | {ratio(median(runs, what), bases[what])}" for what in ("cpu", "wall"))


def limits(bounded, free, broken):
    lines = head("limit", "engine", "CPU s", "to without limit", "wall s", "to without limit", "peak MB")
    unbounded = {cell.label: runs for cell, runs in free.items()}
    for cell, runs in bounded.items():
        failure = broken.get(cell) or reason(runs)
        if failure:
            lines.append(f"| {cell.limit} | {cell.label} | {failure} | | | | |")
            continue
        free_of = {what: median(unbounded[cell.label], what) for what in ("cpu", "wall")}
        peak = f"{median(runs, 'peak') / 1e6:,.0f}"
        lines.append(f"| {cell.limit} | {cell.label} | {times(runs, free_of)} | {peak} |")
    return "\n".join(lines) + "\n"


def growth(sizes):
    """CPU time a row at each size of the input, against the smallest."""
    lines = head("job", "engine", "rows", "CPU µs a row", "to the smallest", "peak MB")
    smallest = {}
    for rows, results in sizes.items():
        for job, result in results.items():
            for cell, runs in result["measured"].items():
                if cell.limit or reason(runs):
                    continue
                each = median(runs, "cpu") / rows * 1e6
                first = smallest.setdefault((job, cell.label), each)
                peak = median(runs, "peak") / 1e6
                lines.append(f"| {job.upper()} | {cell.label} | {rows:,} | {each:.2f} | {ratio(each, first)} | {peak:,.0f} |")
    return "\n### Growth\n\n" + "\n".join(lines[:2] + sorted(lines[2:], key=by_job_and_engine)) + "\n"


def by_job_and_engine(line):
    return line.split(" | ")[:2]


def median(runs, what):
    return statistics.median(getattr(run, what) for run in runs)


def spread(runs, what):
    values = [getattr(run, what) for run in runs]
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def ratio(value, base):
    return f"{value / base:.2f}" if base else ""


def reason(runs):
    """Why there is nothing to report; '' if every run succeeded."""
    return next((run.failure for run in runs if run.failure), "") if runs else "not run"
