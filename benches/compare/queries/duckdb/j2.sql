-- J2 in DuckDB: everything runs on narrow rows (visitor, time, id, row address); urls and
-- campaigns are fetched by row address, of the first and last row of a session only.
-- Best of those tried: wide windows with `first_value` cost more than three times the CPU.
create macro url_host(url) as split_part(split_part(replace(replace(replace(
  url, 'android-app://', ''), 'http://', ''), 'https://', ''), '/', 1), '?', 1);
create macro device(agent) as case
  when agent like '%bot%' then 'Bot' when agent like '%iPhone%' then 'iPhone'
  when agent like '%iPad%' then 'Tablet' when agent like '%Android%' then 'Android'
  when agent like '%Windows%' or agent like '%Macintosh%' or agent like '%Linux%' then 'Desktop'
  else 'Other' end;
copy (
with delivered_again as (
  select id, min(received_at) as earliest from {{pages}} group by id having count(*) > 1
), kept as (
  select anonymous_id, epoch_us(timestamp) as ts, id, address
  from (select *, file_index * 1000000000 + file_row_number as address from {{pages}}) as pages
  anti join delivered_again as again on again.id = pages.id and pages.received_at > again.earliest
), neighbours as (
  select anonymous_id, ts, address, row_number() over visitor as number,
    lag(ts) over visitor as before, lead(ts) over visitor as after
  from kept window visitor as (partition by anonymous_id order by ts, id)
), edges as (
  select * from (
    select *, (before is null or ts - before >= 1800000000) as starts,
      (after is null or after - ts >= 1800000000) as ends from neighbours
  ) where starts or ends
), paired as (
  select anonymous_id, ts, address, starts,
    case when ends then ts else lead(ts) over visitor end as end_ts,
    case when ends then address else lead(address) over visitor end as end_address,
    case when ends then number else lead(number) over visitor end - number + 1 as page_views,
    sum(case when starts then 1 else 0 end)
      over (partition by anonymous_id order by number rows unbounded preceding) as ordinal
  from edges window visitor as (partition by anonymous_id order by number)
), users as (
  select anonymous_id, arg_max(user_id, (timestamp, id)) as user_id
  from {{pages}} where user_id is not null group by 1
), sessions as (
  select anonymous_id || '-' || ordinal as session_id, anonymous_id, make_timestamptz(ts) as session_start,
    make_timestamptz(end_ts) as session_end, page_views, address, end_address,
    (end_ts - ts) // 1000000 as duration_s, coalesce(user_id, anonymous_id) as blended_user_id,
    row_number() over (partition by coalesce(user_id, anonymous_id) order by ts, ordinal) as session_number
  from paired left join users using (anonymous_id) where starts
)
select session_id, sessions.anonymous_id, session_start, session_end, page_views,
  first.url as first_url, url_host(first.url) as first_url_host,
  last.url as last_url, url_host(last.url) as last_url_host,
  context_campaign_source as utm_source, context_campaign_medium as utm_medium,
  context_campaign_name as utm_campaign, context_campaign_term as utm_term,
  context_campaign_content as utm_content, referrer, url_host(referrer) as referrer_host,
  device(context_user_agent) as device, duration_s, blended_user_id, session_number
from sessions
join (select *, file_index * 1000000000 + file_row_number as address from {{pages}}) as first
  on sessions.address = first.address
join (select url, file_index * 1000000000 + file_row_number as address from {{pages}}) as last
  on sessions.end_address = last.address
) to '{{out}}' (format parquet, codec 'zstd', compression_level 1)
