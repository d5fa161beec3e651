"""Runs a file of SQL in DuckDB: run_duckdb.py QUERY LAKE OUT --threads 2 [--memory 1GB]"""

import json

import duckdb

import arguments

options, statements = arguments.sql(pages="read_parquet('{lake}/*/*.parquet', hive_partitioning=false)")
connection = duckdb.connect()
connection.execute(f"set threads = {options.threads}; set TimeZone = 'UTC'; set preserve_insertion_order = false")
connection.execute(f"set temp_directory = '{options.out}.spilled'")
if options.memory:
    connection.execute(f"set memory_limit = '{options.memory}'")
for statement in statements:
    result = connection.execute(statement)
if options.answer:
    print(json.dumps([float(value) for value in result.fetchone()]))
