"""Compares each named table below `tables/` with its export below `exports/`."""

import sys

import polars as pl
from deltalake import DeltaTable
from polars.testing import assert_frame_equal


def same(table: str) -> None:
    exported = pl.read_parquet(f"exports/{table}.parquet")
    assert exported.height > 0, f"{table} is empty"
    read = pl.read_delta(f"tables/{table}")
    assert_frame_equal(read, exported, check_row_order=False)
    # the log's own counts, and its statistics: a file they rule out is not read
    actions = pl.DataFrame(DeltaTable(f"tables/{table}").get_add_actions(flatten=True))
    assert actions["num_records"].sum() == exported.height, f"{table}: row count in the log"
    for column in exported.columns:
        value = exported[column].drop_nulls().max()
        if value is not None:
            found = pl.scan_delta(f"tables/{table}").filter(pl.col(column) >= value)
            expected = exported.filter(pl.col(column) >= value)
            assert_frame_equal(found.collect(), expected, check_row_order=False)
    print(f"{table}: same, {exported.height} rows")


for name in sys.argv[1:]:
    same(name)
