"""Checksums of tables, independent of the order of rows: verify.py FILE_OR_DELTA_TABLE, or verify.py FOLDER TABLE…

Prints JSON: for each table its rows and for each column the sum of hash(key of the row, value).
Two engines agree on a cell for cell comparison exactly if all sums are equal (up to a collision of
64-bit hashes). A table is a Parquet file, or a folder with a Delta Lake log.
"""

import json
import pathlib
import sys

import duckdb

# What identifies a row. The same event may be delivered twice, hence two columns.
KEYS = [["session_id", "session_start"], ["page_view_id"], ["id", "received_at"], ["session_id"], ["anonymous_id"]]


def main():
    path = pathlib.Path(sys.argv[1])
    tables = {name: files_of(path, name) for name in sys.argv[2:]} or {"result": [path] if path.is_file() else live_files(path)}
    connection = duckdb.connect()
    connection.execute("set threads = 2; set TimeZone = 'UTC'")
    print(json.dumps({name: checksums(connection, files) for name, files in sorted(tables.items())}))


def files_of(folder, table):
    file = folder / f"{table}.parquet"
    return [file] if file.is_file() else live_files(folder / table)


def live_files(table):
    """The files that the newest version of a Delta table consists of."""
    live = set()
    for commit in sorted((table / "_delta_log").glob("*.json")):
        for action in map(json.loads, commit.read_text().splitlines()):
            if "add" in action:
                live.add(table / action["add"]["path"])
            if "remove" in action:
                live.discard(table / action["remove"]["path"])
    return sorted(live)


def checksums(connection, files):
    if not files:
        return {"rows": 0, "columns": {}}
    names = ", ".join(f"'{file}'" for file in files)
    source = f"read_parquet([{names}], hive_partitioning = false)"
    columns = {row[0]: row[1] for row in connection.execute(f"describe from {source}").fetchall()}
    key = next(key for key in KEYS if set(key) <= set(columns))
    key = ", ".join(plain(name, columns[name]) for name in key)
    sums = ", ".join(f"sum(hash({key}, {plain(name, type)})::hugeint)" for name, type in columns.items())
    rows, *sums = connection.execute(f"select count(*), {sums} from {source}").fetchone()
    return {"rows": rows, "columns": {name: str(value) for name, value in zip(columns, sums)} if rows else {}}


def plain(name, type):
    """A column as one of two types, whatever integer or time the engine chose."""
    if type.startswith("TIMESTAMP"):
        return f'epoch_us("{name}")'
    if type.endswith("INT") or type.endswith("INTEGER"):
        return f'"{name}"::bigint'
    return f'"{name}"::varchar'


if __name__ == "__main__":
    main()
