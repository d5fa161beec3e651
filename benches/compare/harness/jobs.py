"""Which process does which job for which engine."""

import pathlib
from typing import NamedTuple

HERE = pathlib.Path(__file__).resolve().parent.parent
REPOSITORY = HERE.parent.parent
SEED = REPOSITORY / "sql" / "seeds" / "referrer_mapping.csv"
PEERS = ["duckdb", "polars", "clickhouse", "datafusion"]
ENGINES = ["sessionize", *PEERS]
LABELS = {"duckdb": "DuckDB", "polars": "Polars", "clickhouse": "ClickHouse (chDB)", "datafusion": "DataFusion"}
NO_TESTS = ["--exclude", "resource_type:test", "resource_type:unit_test"]
# Polars has no limit of memory.
LIMITED = ["duckdb", "clickhouse", "datafusion"]


class Job(NamedTuple):
    title: str
    peers: list
    query: str
    unique: bool = False
    answers: bool = False
    tables: tuple = ()
    bounded: bool = False


SEGMENT = (
    "page_views__sessionized",
    "user_stitching",
    "sessions__initial",
    "sessions__stitched",
    "sessions",
    "page_views__rejected",
)
JOBS = {
    "j1": Job("every row and column, `session_number` and `session_id`, to Parquet", PEERS, "j1", bounded=True),
    "j1-model": Job("the same as a `table` model, over a lake without duplicates", PEERS, "j1", unique=True),
    "j2": Job("deduplication, sessions, stitching, numbering: one row a session, to Parquet", PEERS, "j2", bounded=True),
    "j3": Job("number of sessions, mean duration, bounce rate", PEERS, "j3", answers=True),
    "j4": Job("the six tables of the segment pack", ["duckdb", "polars"], "j4", tables=SEGMENT, bounded=True),
}


class Cell(NamedTuple):
    """A process that is timed. `folder` is emptied before it starts; `result` is what it writes there."""

    engine: str
    label: str
    command: tuple
    folder: pathlib.Path
    result: pathlib.Path
    limit: str = ""

    def name(self):
        return self.label + (f" within {self.limit}" if self.limit else "")


def cells(options, job):
    """All cells of `job`, ours first."""
    ours = our_cells(options, job) if "sessionize" in options.engines else []
    return ours + [peer_cell(options, job, peer) for peer in JOBS[job].peers if peer in options.engines]


def bounded_cells(options, job):
    """The cells of `job` under each limit of memory."""
    if not JOBS[job].bounded:
        return []
    bounded = []
    for limit in options.memory:
        bounded += our_cells(options, job, limit)[:1] if "sessionize" in options.engines else []
        peers = [peer for peer in JOBS[job].peers if peer in LIMITED and peer in options.engines]
        bounded += [peer_cell(options, job, peer, limit) for peer in peers]
    return bounded


def our_cells(options, job, limit=""):
    folder = options.work / "out"
    tables = folder / "tables"
    common = [f"--location={tables}", "--no-color", "--quiet"] + ([f"--memory-limit={limit}"] if limit else [])
    lake = options.lakes[JOBS[job].unique]
    project = [f"--project-dir={HERE / 'project'}", "--vars={lake: '%s'}" % lake]
    query = ["query", f"--file={HERE / 'queries' / 'sessionize' / (job + '.sql')}"]
    pack = [f"--project-dir={REPOSITORY / 'sql'}", "--select=segment", "--vars={segment_page_views_table: '%s'}" % lake]
    forms = {
        "j1": {"sessionize query": (query + project + [f"--output={folder / 'out.parquet'}"], folder / "out.parquet")},
        "j1-model": {"sessionize run": (["run", *project], tables / "pages_with_sessions")},
        "j2": {"sessionize query": (query + project + [f"--output={folder / 'out.parquet'}"], folder / "out.parquet")},
        "j3": {"sessionize query": (query + project + ["--format=json"], folder)},
        "j4": {
            "sessionize build": (["build", *pack], tables),
            "sessionize build without its tests": (["build", *pack, *NO_TESTS], tables),
        },
    }
    return [
        Cell("sessionize", label, (options.binary, *command, *common), folder, result, limit)
        for label, (command, result) in forms[job].items()
    ]


def peer_cell(options, job, peer, limit=""):
    folder = options.work / "out"
    result = folder / ("tables" if JOBS[job].tables else "out.parquet")
    queries = HERE / "queries" / peer
    script = [queries / f"{JOBS[job].query}.py"]
    if peer != "polars":
        script = [HERE / "engines" / f"run_{peer}.py", queries / f"{JOBS[job].query}.sql"]
    command = [options.python, *script, options.lakes[JOBS[job].unique], result, f"--threads={options.threads}"]
    command += [f"--seed-file={SEED}"] if JOBS[job].tables else []
    command += ["--answer"] if JOBS[job].answers else []
    command += [f"--memory={limit}"] if limit else []
    return Cell(peer, LABELS[peer], tuple(command), folder, result, limit)
