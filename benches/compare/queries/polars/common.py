"""What the Polars queries share."""

import os

import arguments

options = arguments.parse()
os.environ["POLARS_MAX_THREADS"] = options.threads

import polars as pl  # noqa: E402  (reads the variable above when it is imported)

GAP = 1_800_000_000
CAMPAIGN = ["source", "medium", "name", "term", "content"]
pages = pl.scan_parquet(f"{options.lake}/*/*.parquet", hive_partitioning=False)


def write(frame, path=options.out):
    frame.lazy().sink_parquet(path, engine="streaming", compression="zstd", compression_level=1)


def url_host(url):
    for scheme in ("android-app://", "http://", "https://"):
        url = url.str.replace_all(scheme, "", literal=True)
    return before(before(url, "/"), "?")


def before(text, separator):
    """What stands before the first `separator`."""
    return text.str.splitn(separator, 2).struct.field("field_0")


def changes(column):
    """Whether a row of a sorted frame has another value than the row before."""
    return (pl.col(column) != pl.col(column).shift()).fill_null(True)


def ordinal(row, starts):
    """1, 2, 3, … within groups that begin where `starts`, of rows numbered `row`."""
    return (pl.col(row) - pl.when(starts).then(row).forward_fill() + 1).cast(pl.Int64)
