"""Writes the input: Segment page views as `dt=YYYY-MM-DD/part-0.parquet`, zstd.

    lake.py FOLDER --rows 10000000 [--duplicates 0.005] [--seed 1]

The same arguments give the same rows on every machine. Visitors follow a power law (most come
once, a few hundreds of times), rows are ordered by arrival (a few seconds of disorder in event
time), and a share of events is delivered twice with the same id. Pauses of exactly 30 minutes
and events at the same instant are among them, so that engines that treat either differently
do not agree. There are no null keys.
"""

import argparse
import datetime
import os

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

START = datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone.utc)
DAYS = 30
SECOND = 1_000_000
MINUTE = 60 * SECOND
DAY = 1440 * MINUTE
HOURS = [3, 2, 1, 1, 1, 2, 4, 7, 9, 10, 10, 10, 11, 10, 10, 10, 10, 11, 12, 14, 15, 13, 9, 5]
SITE = "https://www.example.com"
PATHS = ["/", "/products", "/blog", "/pricing", "/search", "/cart", "/checkout", "/about", "/über-uns"]
PATHS += [f"/products/{n}" for n in range(120)] + [f"/blog/{n}" for n in range(60)]
# (weight, referrer, utm_source, utm_medium, utm_campaign, paid)
ENTRIES = [
    (14, None, None, None, None, False),
    (16, "", None, None, None, False),
    (22, "https://www.google.com/", None, None, None, False),
    (4, "https://www.bing.com/search?q=shoes", None, None, None, False),
    (3, "https://duckduckgo.com/", None, None, None, False),
    (3, "https://chatgpt.com/", None, None, None, False),
    (4, "https://t.co/AbC123", None, None, None, False),
    (2, "https://news.ycombinator.com/item?id=38000000", None, None, None, False),
    (3, "https://partner.example.net/review", None, None, None, False),
    (2, "android-app://com.google.android.gm/", None, None, None, False),
    (6, "", "newsletter", "email", "january news", False),
    (4, "https://l.facebook.com/", "facebook", "social", None, False),
    (4, "https://m.facebook.com/", "facebook", "paid", "winter_sale", False),
    (8, "https://www.google.com/", "google", "cpc", "winter_sale", True),
]
TERMS = ["shoes", "boots", "red shoes"]
CONTENTS = ["ad-a", "ad-b"]
WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"
AGENTS = [
    (24, f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {WEBKIT} Chrome/120.0.0.0 Safari/537.36"),
    (14, f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {WEBKIT} Version/17.2 Safari/605.1.15"),
    (20, f"Mozilla/5.0 (iPhone; CPU iPhone OS 17_2 like Mac OS X) {WEBKIT} Version/17.2 Mobile/15E148 Safari/604.1"),
    (20, f"Mozilla/5.0 (Linux; Android 14; Pixel 8) {WEBKIT} Chrome/120.0.0.0 Mobile Safari/537.36"),
    (6, f"Mozilla/5.0 (Linux; Android 13; SM-S911B) {WEBKIT} Chrome/115.0.0.0 Mobile Safari/537.36"),
    (4, "Mozilla/5.0 (X11; Linux x86_64; rv:121.0) Gecko/20100101 Firefox/121.0"),
    (4, f"Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X) {WEBKIT} Version/16.6 Mobile/15E148 Safari/604.1"),
    (1, "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"),
    (1, "curl/8.4.0"),
]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--duplicates", type=float, default=0.005)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    draws = np.random.Generator(np.random.PCG64(options.seed))
    twice = int(options.rows * options.duplicates)
    visits, views = page_views(draws, options.rows - twice)
    deliver(draws, views, twice)
    for day in range(int(views["received"].max()) // DAY + 1):
        write_day(options.folder, day, visits, views, options.seed)


def page_views(draws, rows):
    """Visits, and the `rows` page views they are made of; times count from START."""
    visitors = rows // 6 + 10
    number = np.minimum(draws.random(visitors) ** (-1 / 1.8), 3000).astype(np.int64)
    visitor = np.repeat(np.arange(visitors, dtype=np.uint32), number)
    pages = np.minimum(draws.geometric(0.27, len(visitor)), 40)
    last = np.searchsorted(np.cumsum(pages), rows) + 1
    visitor, pages = visitor[:last], pages[:last]
    visit = np.repeat(np.arange(last, dtype=np.uint32), pages)[:rows]
    if len(visit) < rows:
        raise SystemExit("too few visitors were drawn: raise their number in `page_views`")
    first = (np.cumsum(pages) - pages)[visit]
    page = (np.arange(rows) - first).astype(np.uint8)
    pauses = pause(draws, rows)
    pauses[page == 0] = 0
    moved = np.cumsum(pauses)
    views = {"visit": visit, "page": page, "time": start(draws, last)[visit] + moved - moved[first]}
    weights = np.array([16, 12, 6, 6, 5, 4, 3, 2, 1] + [0.25] * 120 + [0.2] * 60)
    path = draws.choice(len(PATHS), rows, p=weights / weights.sum()).astype(np.uint8)
    views["path"], views["before"] = path, np.roll(path, 1)
    views["number"] = np.arange(rows, dtype=np.uint64)
    return visits(draws, visitor, visitors), views


def pause(draws, rows):
    """Time since the page before: mostly short, now and then around half an hour."""
    low, high = np.array([3, 60, 480, 1740, 1800, 0]) * 1000, np.array([60, 480, 1740, 3000, 1800, 0]) * 1000
    kind = draws.choice(6, rows, p=[0.70, 0.25, 0.04, 0.007, 0.001, 0.002])
    return (low[kind] + (draws.random(rows) * (high - low)[kind]).astype(np.int64)) * 1000


def start(draws, number):
    hour = draws.choice(24, number, p=np.array(HOURS) / sum(HOURS))
    day = draws.integers(0, DAYS, number)
    return day * DAY + hour * 60 * MINUTE + draws.integers(0, 3_600_000, number) * 1000


def visits(draws, visitor, visitors):
    """How each visit began, who it was, and from which page on it is logged in."""
    number = len(visitor)
    weights = np.array([entry[0] for entry in ENTRIES])
    agents = np.array([agent[0] for agent in AGENTS])
    of_visitor = draws.choice(len(AGENTS), visitors, p=agents / agents.sum()).astype(np.uint8)
    account = np.arange(visitors, dtype=np.uint32)
    shared = draws.random(visitors) < 0.15
    account[1:][shared[1:]] = account[:-1][shared[1:]]
    has_account = (draws.random(visitors) < 0.35)[account]
    logs_in = has_account[visitor] & (draws.random(number) < 0.8)
    return {
        "visitor": visitor,
        "account": account[visitor],
        "login_page": np.where(logs_in, draws.integers(0, 3, number), 255).astype(np.uint8),
        "entry": draws.choice(len(ENTRIES), number, p=weights / weights.sum()).astype(np.uint8),
        "term": draws.integers(0, len(TERMS), number, dtype=np.uint8),
        "content": draws.integers(0, len(CONTENTS), number, dtype=np.uint8),
        "agent": of_visitor[visitor],
    }


def deliver(draws, views, twice):
    """Adds arrival times and second deliveries; orders rows by arrival."""
    rows = len(views["time"])
    delay = draws.integers(80, 2000, rows) * 1000
    again = draws.choice(rows, twice, replace=False) if twice else np.array([], dtype=np.int64)
    late = delay[again] + draws.integers(1000, 600_000, twice) * 1000
    row = np.concatenate([np.arange(rows), again])
    delay = np.concatenate([delay, late])
    received = views["time"][row] + delay
    order = np.argsort(received, kind="stable")
    for name in list(views):
        views[name] = views[name][row][order]
    views["received"] = received[order]
    views["sent"] = views["received"] - 50_000


def write_day(folder, day, visits, views, seed):
    low, high = np.searchsorted(views["received"], [day * DAY, (day + 1) * DAY])
    if low == high:
        return
    view = {name: column[low:high] for name, column in views.items()}
    visit = {name: column[view["visit"]] for name, column in visits.items()}
    date = (START + datetime.timedelta(days=day)).date()
    path = os.path.join(folder, f"dt={date}")
    os.makedirs(path, exist_ok=True)
    table = pa.table(columns(view, visit, seed))
    pq.write_table(table, f"{path}/part-0.parquet", compression="zstd", row_group_size=1 << 18)


def columns(view, visit, seed):
    first = pa.array(view["page"] == 0)
    fields = ["referrer", "source", "medium", "name"]
    way = {name: pick([e[i] for e in ENTRIES], visit["entry"], first) for i, name in enumerate(fields, 1)}
    paid = pc.and_(pa.array(np.array([e[5] for e in ENTRIES])[visit["entry"]]), first)
    term, content = pick(TERMS, visit["term"], paid), pick(CONTENTS, visit["content"], paid)
    click = hexadecimal(view["visit"], seed, 4)
    search = query(way, term, content, click)
    path = pick(PATHS, view["path"])
    before = pc.binary_join_element_wise(SITE, pick(PATHS, view["before"]), "")
    logged_in = pa.array(view["page"] >= visit["login_page"])
    user = pc.binary_join_element_wise("user", hexadecimal(visit["account"], seed, 3), "-")
    return {
        "id": pc.binary_join_element_wise("ajs", hexadecimal(view["number"], seed, 1), "-"),
        "anonymous_id": hexadecimal(visit["visitor"], seed, 2),
        "user_id": pc.if_else(logged_in, user, None),
        "received_at": instant(view["received"]),
        "sent_at": instant(view["sent"]),
        "timestamp": instant(view["time"]),
        "url": pc.binary_join_element_wise(SITE, path, search, ""),
        "path": path,
        "title": pc.binary_join_element_wise("Example", path, " · "),
        "search": search,
        "referrer": pc.if_else(first, way["referrer"], before),
        "context_campaign_source": way["source"],
        "context_campaign_medium": way["medium"],
        "context_campaign_name": way["name"],
        "context_campaign_term": term,
        "context_campaign_content": content,
        "context_ip": address(visit["visitor"]),
        "context_user_agent": pick([agent[1] for agent in AGENTS], visit["agent"]),
    }


def query(way, term, content, click):
    """`?utm_source=…` of a landing page, '' elsewhere."""
    parts = ["?utm_source=", way["source"], "&utm_medium=", way["medium"]]
    base = pc.binary_join_element_wise(*parts, "")
    name = pc.replace_substring(way["name"], " ", "%20")
    name = pc.coalesce(pc.binary_join_element_wise("&utm_campaign=", name, ""), pa.scalar(""))
    parts = ["&utm_term=", pc.replace_substring(term, " ", "+"), "&utm_content=", content, "&gclid=Cj0K", click]
    click = pc.coalesce(pc.binary_join_element_wise(*parts, ""), pa.scalar(""))
    return pc.coalesce(pc.binary_join_element_wise(base, name, click, ""), pa.scalar(""))


def pick(values, index, where=None):
    picked = pa.array(values, pa.string()).take(pa.array(index))
    return picked if where is None else pc.if_else(where, picked, None)


def instant(time):
    start = int(START.timestamp()) * SECOND
    return pa.array(time + start, pa.timestamp("us", tz="UTC"))


def address(visitor):
    mixed = mix(visitor.astype(np.uint64))
    parts = [pa.array((mixed >> np.uint64(shift)) % np.uint64(256)).cast(pa.string()) for shift in (8, 16, 24)]
    return pc.binary_join_element_wise("10", *parts, ".")


def hexadecimal(number, seed, kind):
    """24 hexadecimal digits that stand for `number` among its kind."""
    salt = np.uint64((seed * 16 + kind) % 2**20 << 44)
    high = mix(number.astype(np.uint64) ^ salt)
    low = mix(high ^ np.uint64(0x9E3779B97F4A7C15))
    both = np.stack([high, low], axis=1).astype(">u8").view(np.uint8).reshape(-1, 16)
    digits = np.ascontiguousarray(both[:, :12]).tobytes().hex().encode()
    offsets = pa.py_buffer(np.arange(0, 24 * len(number) + 1, 24, dtype=np.int32))
    return pa.Array.from_buffers(pa.string(), len(number), [None, offsets, pa.py_buffer(digits)])


def mix(x):
    """splitmix64's finalizer: one to one, so that no two numbers share an id."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


if __name__ == "__main__":
    main()
