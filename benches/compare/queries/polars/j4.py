"""J4 in Polars: the six tables of the segment pack.

Page views are ordered once, as narrow rows with their row numbers; what comes out (whether the row is
kept, its number, its session) is sorted back into file order and laid beside plain scans of the lake:
one writes all page views, one gathers the first and last page views of sessions. Session ids are
hashed once a session. All on the streaming engine. Deduplication keeps the earliest delivery; the
lake has no two deliveries of one id at one time."""

import os

import polars_hash  # noqa: F401  (adds `nchash`)
from common import CAMPAIGN, GAP, before, changes, options, ordinal, pages, pl, url_host, write

col = pl.col
# What a session has of its last page view.
ENDS = {"end": "timestamp", "end_number": "number"}
ENDS |= {"last_page_url": "url", "last_page_url_path": "path", "last_page_url_query": "search"}


def out(table):
    return os.path.join(options.out, f"{table}.parquet")


def between(text, start, end):
    """What follows the first `start`, up to the next `start` and to `end`; null if there is none."""
    return before(text.str.splitn(start, 3).struct.field("field_1"), end)


def gclid(url):
    value = between(url, "gclid=", "&")
    return pl.when(value != "").then(value)


def device(agent):
    word = between(agent, "(", " ").str.replace_all(";", "", literal=True).fill_null("")
    android = agent.str.contains_any(["android"], ascii_case_insensitive=True)
    return pl.when(android).then(pl.lit("Android")).when(agent.is_not_null()).then(word)


def device_category(kind):
    named = pl.when(kind.is_in(["iPhone", "Android"])).then(kind)
    named = named.when(kind.is_in(["iPad", "iPod"])).then(pl.lit("Tablet"))
    named = named.when(kind.is_in(["Windows", "Macintosh", "X11"])).then(pl.lit("Desktop"))
    return named.otherwise(pl.lit("Uncategorized"))


def referrer_host(url):
    return url_host(url).str.replace_all("www.", "", literal=True)


def tier(seconds):
    rule = pl
    for bound, name in [(10, "0s to 9s"), (30, "10s to 29s"), (60, "30s to 59s")]:
        rule = rule.when(seconds < bound).then(pl.lit(name))
    return rule.otherwise(pl.lit("60s or more"))


def number_page_views():
    """For each row of the lake, in its order: its number and session (nulls if it is a second
    delivery). And the ids of the sessions."""
    delivered = pages.select("id", "anonymous_id", "received_at", ts=col("timestamp").to_physical())
    delivered = delivered.with_row_index("row")
    again = pages.group_by("id").agg(earliest=col("received_at").min(), rows=pl.len()).filter(col("rows") > 1)
    late = (
        delivered.select("row", "id", "received_at").join(again.drop("rows"), on="id")
        .filter(col("received_at") > col("earliest")).select("row").collect(engine="streaming")
    )
    new = changes("anonymous_id")
    ordered = (
        delivered.drop("received_at").join(late.lazy(), on="row", how="anti")
        .sort("anonymous_id", "ts", "id")
        .select("row", "anonymous_id", new=new, starts=new | (col("ts").diff() >= GAP).fill_null(True))
        .with_columns(ends=col("starts").shift(-1).fill_null(True))
        .with_columns(session=col("starts").cast(pl.UInt32).cum_sum() - 1)
        .with_row_index("number")
        .with_columns(number=ordinal("number", "new"))
        .collect(engine="streaming")
    )
    starts = ordered.lazy().filter("starts").with_columns(ordinal=ordinal("session", "new"))
    key = pl.concat_str("anonymous_id", pl.lit("-"), "ordinal")
    ids = starts.select(key.nchash.md5()).collect(engine="streaming").to_series()
    numbers = pl.concat([ordered.lazy().drop("anonymous_id", "new"), late.lazy()], how="diagonal").sort("row")
    return numbers.collect(engine="streaming").drop("row"), ids


def page_views(numbers, ids):
    """The numbered page views with the columns of the table, in the order of the lake."""
    numbers = numbers.select(col("number").alias("page_view_number"), session_id=ids.gather(numbers["session"]))
    kind = device(col("context_user_agent"))
    return pl.concat([pages, numbers.lazy()], how="horizontal").filter(col("session_id").is_not_null()).select(
        col("id").alias("page_view_id"), "anonymous_id", "user_id",
        col("received_at").alias("received_at_tstamp"), col("sent_at").alias("sent_at_tstamp"),
        col("timestamp").alias("tstamp"), col("url").alias("page_url"), url_host(col("url")).alias("page_url_host"),
        col("path").alias("page_url_path"), col("title").alias("page_title"), col("search").alias("page_url_query"),
        "referrer", referrer_host(col("referrer")).alias("referrer_host"), *utm(CAMPAIGN), gclid(col("url")).alias("gclid"),
        col("context_ip").alias("ip"), col("context_user_agent").alias("user_agent"),
        kind.alias("device"), device_category(kind).alias("device_category"), "page_view_number", "session_id",
    )


def utm(parts):
    return [col(f"context_campaign_{part}").alias("utm_" + {"name": "campaign"}.get(part, part)) for part in parts]


def users():
    named = [col(name).filter(col("user_id").is_not_null()) for name in ("user_id", "timestamp", "id")]
    return pages.select("anonymous_id", "user_id", "timestamp", "id").group_by("anonymous_id").agg(
        named[0].sort_by(*named[1:]).last(), first_seen_at=col("timestamp").min(), last_seen_at=col("timestamp").max()
    )


def edges(numbers):
    """First and last page views of sessions, by session."""
    wanted = ["anonymous_id", "timestamp", "url", "path", "search", "referrer", "context_user_agent"]
    wanted += [f"context_campaign_{part}" for part in CAMPAIGN]
    return (
        pl.concat([pages.select(wanted), numbers.lazy()], how="horizontal")
        .filter(col("starts") | col("ends"))
        .sort("session", "number")
    )


def sessions(numbers, ids, users):
    """All columns of `sessions`, which hold those of the other session tables."""
    mapping = pl.read_csv(options.seed_file).lazy()
    mapping = mapping.rename({"host": "referrer_host", "medium": "referrer_medium", "source": "referrer_source"})
    kind = device(col("context_user_agent"))
    seconds = col("end").dt.epoch("us") // 1_000_000 - col("timestamp").dt.epoch("us") // 1_000_000
    at_end = {name: pl.when("ends").then(source).otherwise(col(source).shift(-1)) for name, source in ENDS.items()}
    frame = (
        edges(numbers).with_columns(**at_end).filter("starts")
        .select(
            pl.lit(ids).alias("session_id"), "anonymous_id",
            col("timestamp").alias("session_start_tstamp"), col("end").alias("session_end_tstamp"),
            (col("end_number") - col("number") + 1).alias("page_views"),
            *utm(["source", "content", "medium", "name", "term"]), gclid(col("url")).alias("gclid"),
            col("url").alias("first_page_url"), url_host(col("url")).alias("first_page_url_host"),
            col("path").alias("first_page_url_path"), col("search").alias("first_page_url_query"),
            "referrer", referrer_host(col("referrer")).alias("referrer_host"),
            kind.alias("device"), device_category(kind).alias("device_category"),
            "last_page_url", url_host(col("last_page_url")).alias("last_page_url_host"),
            "last_page_url_path", "last_page_url_query",
            seconds.alias("duration_in_s"), tier(seconds).alias("duration_in_s_tier"),
        )
        .join(mapping, on="referrer_host", how="left")
        .join(users.lazy().select("anonymous_id", "user_id"), on="anonymous_id", how="left")
        .with_columns(blended_user_id=pl.coalesce("user_id", "anonymous_id")).drop("user_id")
        .with_row_index("row")
        .collect(engine="streaming")
    )
    by_user = ordinal("place", changes("blended_user_id"))
    ranked = (
        frame.lazy().select("row", "blended_user_id", "session_start_tstamp", "session_id")
        .sort("blended_user_id", "session_start_tstamp", "session_id")
        .with_row_index("place").select("row", session_number=by_user).sort("row").select("session_number")
    )
    return frame.drop("row").with_columns(ranked.collect(engine="streaming")["session_number"])


def rejected():
    """Rows that belong to nobody or to no time."""
    names = ["id", "anonymous_id", "timestamp"]
    reason = pl.coalesce([pl.when(col(name).is_null()).then(pl.lit(f"{name} is null")) for name in names])
    order = ["id", "received_at", "timestamp", "anonymous_id", "user_id", "sent_at", "url", "path", "title", "search"]
    order += ["referrer", *[f"context_campaign_{part}" for part in CAMPAIGN], "context_ip", "context_user_agent"]
    null = pl.any_horizontal([col(name).is_null() for name in names])
    return pages.filter(null).select(*order, reason.alias("reason"))


numbers, ids = number_page_views()
write(page_views(numbers, ids), out("page_views__sessionized"))
stitching = users().collect(engine="streaming")
write(stitching, out("user_stitching"))
every = sessions(numbers, ids, stitching)
write(every.drop("blended_user_id", "session_number"), out("sessions__initial"))
write(every.drop("session_number"), out("sessions__stitched"))
write(every, out("sessions"))
write(rejected(), out("page_views__rejected"))
