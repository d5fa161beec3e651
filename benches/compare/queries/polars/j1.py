"""J1 in Polars: a narrow sort with row numbers gives session numbers, which are sorted back into
file order and laid beside the plain scan; all on the streaming engine. Best of those tried:
window expressions and a sort of whole rows take more CPU and several times the memory."""

from common import GAP, changes, ordinal, pages, pl, write

new = changes("anonymous_id")
numbers = (
    pages.select("anonymous_id", ts=pl.col("timestamp").to_physical())
    .with_row_index("row")
    .sort("anonymous_id", "ts")
    .select("row", new=new, starts=new | (pl.col("ts").diff() >= GAP).fill_null(True))
    .with_columns(count=pl.col("starts").cast(pl.Int64).cum_sum())
    .select("row", session_number=ordinal("count", "new"))
    .sort("row")
    .select("session_number")
)
session_id = pl.concat_str("anonymous_id", pl.lit("-"), "session_number")
write(pl.concat([pages, numbers], how="horizontal").with_columns(session_id=session_id))
