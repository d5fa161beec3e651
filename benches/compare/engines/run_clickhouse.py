"""Runs a file of SQL in ClickHouse (chDB): run_clickhouse.py QUERY LAKE OUT --threads 2 [--memory 1GB]"""

import json

from chdb import session

import arguments

# Only columns that hold nulls are declared so: Nullable costs.
TEXT, TIME, MAYBE = "String", "DateTime64(6, \\'UTC\\')", "Nullable(String)"
TYPES = {"id": TEXT, "anonymous_id": TEXT, "user_id": MAYBE, "received_at": TIME, "sent_at": TIME, "timestamp": TIME}
TYPES |= {"url": TEXT, "path": TEXT, "title": TEXT, "search": TEXT, "referrer": MAYBE}
TYPES |= {f"context_campaign_{part}": MAYBE for part in ("source", "medium", "name", "term", "content")}
TYPES |= {"context_ip": TEXT, "context_user_agent": TEXT}
SETTINGS = {
    "output_format_parquet_compression_method": "'zstd'",
    "output_format_compression_level": 1,
    "output_format_parquet_string_as_string": 1,
    "engine_file_truncate_on_insert": 1,
    "use_hive_partitioning": 0,
    "session_timezone": "'UTC'",
}

columns = ", ".join(f"{name} {type}" for name, type in TYPES.items())
options, statements = arguments.sql(pages="file('{lake}/*/*.parquet', Parquet, '%s')" % columns)
settings = SETTINGS | {"max_threads": options.threads, "max_insert_threads": options.threads}
if options.memory:
    limit = arguments.bytes_of(options.memory)
    settings |= {"max_memory_usage": limit}
    settings |= {f"max_bytes_before_external_{kind}": limit // 3 for kind in ("sort", "group_by")}
engine = session.Session()
for name, value in settings.items():
    engine.query(f"set {name} = {value}")
for statement in statements:
    result = engine.query(statement, "JSONCompactEachRow")
if options.answer:
    print(json.dumps([float(value) for value in json.loads(str(result))]))
