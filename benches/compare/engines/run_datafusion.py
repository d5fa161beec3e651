"""Runs a file of SQL in DataFusion's Python package: run_datafusion.py QUERY LAKE OUT --threads 2 [--memory 1GB]

A line `-- set NAME = VALUE` of the file is a setting of the session.
"""

import json
import re

from datafusion import RuntimeEnvBuilder, SessionConfig, SessionContext

import arguments

HOST = (
    r"split_part(split_part(replace(replace(replace(\1, 'android-app://', ''), 'http://', ''), 'https://', ''),"
    r" '/', 1), '?', 1)"
)

options, statements = arguments.sql(pages="pages")
settings = {
    "datafusion.execution.target_partitions": options.threads,
    "datafusion.execution.parquet.compression": "zstd(1)",
}
settings |= dict(re.findall(r"-- set (\S+) = (\S+)", statements[0]))
runtime = RuntimeEnvBuilder().with_disk_manager_os()
if options.memory:
    runtime = runtime.with_fair_spill_pool(arguments.bytes_of(options.memory))
else:
    runtime = runtime.with_unbounded_memory_pool()
context = SessionContext(SessionConfig(settings), runtime)
context.register_parquet("pages", options.lake, table_partition_cols=[])
for statement in statements:
    statement = re.sub(r"\{\{url_host\((\w+)\)\}\}", HOST, statement)
    result = context.sql(statement).collect()
if options.answer:
    print(json.dumps([float(value) for value in result[0].to_pylist()[0].values()]))
