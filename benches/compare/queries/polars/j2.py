"""J2 in Polars: one sort of the needed columns, rows within a session dropped, first and last rows
paired by shifting; on the streaming engine. Best of those tried: aggregating all rows by session
takes more CPU."""

from common import CAMPAIGN, GAP, changes, ordinal, pages, pl, url_host, write

col = pl.col


def device(agent):
    def has(text):
        return agent.str.contains(text, literal=True)

    desktop = has("Windows") | has("Macintosh") | has("Linux")
    kinds = [(has("bot"), "Bot"), (has("iPhone"), "iPhone"), (has("iPad"), "Tablet"), (has("Android"), "Android")]
    rule = pl
    for condition, kind in [*kinds, (desktop, "Desktop")]:
        rule = rule.when(condition).then(pl.lit(kind))
    return rule.otherwise(pl.lit("Other"))


def at_end(column):
    """The value in the session's last row, seen from its first."""
    return pl.when("ends").then(column).otherwise(col(column).shift(-1))


delivered_again = (
    pages.group_by("id").agg(earliest=col("received_at").min(), rows=pl.len()).filter(col("rows") > 1).drop("rows")
)
kept = (
    pages.join(delivered_again, on="id", how="left")
    .filter(col("earliest").is_null() | (col("received_at") == col("earliest")))
    .select("anonymous_id", "id", "url", "referrer", "context_user_agent",
            *[f"context_campaign_{part}" for part in CAMPAIGN], ts=col("timestamp").to_physical())
    .sort("anonymous_id", "ts", "id")
)
new = changes("anonymous_id")
edges = (
    kept.with_columns(new=new, starts=new | (col("ts").diff() >= GAP).fill_null(True))
    .with_columns(ends=col("starts").shift(-1).fill_null(True))
    .with_row_index("row")
    .filter(col("starts") | col("ends"))
)
users = (
    pages.filter(col("user_id").is_not_null()).select("anonymous_id", "user_id", "timestamp", "id")
    .group_by("anonymous_id").agg(col("user_id").sort_by("timestamp", "id").last())
)
sessions = (
    edges.with_columns(end_ts=at_end("ts"), last_url=at_end("url"), last_row=at_end("row").cast(pl.Int64))
    .with_columns(page_views=col("last_row") - col("row").cast(pl.Int64) + 1)
    .filter("starts")
    .with_row_index("session")
    .with_columns(ordinal=ordinal("session", "new"))
    .join(users, on="anonymous_id", how="left")
    .with_columns(blended_user_id=pl.coalesce("user_id", "anonymous_id"))
    .drop("session")
    .sort("blended_user_id", "ts", "ordinal")
    .with_row_index("session")
    .with_columns(session_number=ordinal("session", changes("blended_user_id")))
)
write(
    sessions.select(
        pl.concat_str("anonymous_id", pl.lit("-"), "ordinal").alias("session_id"),
        "anonymous_id",
        col("ts").cast(pl.Datetime("us", "UTC")).alias("session_start"),
        col("end_ts").cast(pl.Datetime("us", "UTC")).alias("session_end"),
        "page_views",
        col("url").alias("first_url"),
        url_host(col("url")).alias("first_url_host"),
        "last_url",
        url_host(col("last_url")).alias("last_url_host"),
        *[col(f"context_campaign_{part}").alias("utm_" + {"name": "campaign"}.get(part, part)) for part in CAMPAIGN],
        "referrer",
        url_host(col("referrer")).alias("referrer_host"),
        device(col("context_user_agent")).alias("device"),
        ((col("end_ts") - col("ts")) // 1_000_000).alias("duration_s"),
        "blended_user_id",
        "session_number",
    )
)
