-- J3 in DuckDB: one sorted list of times a visitor, no window.
-- Best of those tried: a window pays for each of the many tiny partitions.
with visitors as (
  select list_sort(list(epoch_us(timestamp))) as times from {{pages}} group by anonymous_id
), neighbours as (
  select unnest(times) as ts, unnest(list_prepend(null, times[:-2])) as before, unnest(times[2:]) as after
  from visitors
)
select count(*) filter (starts) as sessions,
  sum(case when starts then 0 else ts - before end) / count(*) filter (starts) / 1e6 as mean_duration_s,
  count(*) filter (starts and (after is null or after - ts >= 1800000000)) / count(*) filter (starts) as bounce_rate
from (select *, (before is null or ts - before >= 1800000000) as starts from neighbours)
