-- J2 in vanilla DataFusion: narrow windows over (visitor, time, id, row address), wide columns
-- fetched by row address. The other forms that were tried ran out of memory.
copy (
with delivered_again as (
  select id as again_id, min(received_at) as earliest from {{pages}} group by id having count(*) > 1
), addressed as (
  select id, anonymous_id, received_at, cast(timestamp as bigint) as ts,
    input_file_name() as file, file_row_index() as row from {{pages}}
), kept as (
  select id, anonymous_id, ts, file, row
  from addressed left anti join delivered_again on again_id = id and received_at > earliest
), neighbours as (
  select *, cast(row_number() over (partition by anonymous_id order by ts, id) as bigint) as number,
    lag(ts) over (partition by anonymous_id order by ts, id) as before,
    lead(ts) over (partition by anonymous_id order by ts, id) as after
  from kept
), edges as (
  select * from (
    select *, (before is null or ts - before >= 1800000000) as starts,
      (after is null or after - ts >= 1800000000) as ends from neighbours
  ) where starts or ends
), paired as (
  select edges.*,
    case when ends then ts else lead(ts) over (partition by anonymous_id order by ts, id) end as end_ts,
    case when ends then file else lead(file) over (partition by anonymous_id order by ts, id) end as end_file,
    case when ends then row else lead(row) over (partition by anonymous_id order by ts, id) end as end_row,
    case when ends then number else lead(number) over (partition by anonymous_id order by ts, id) end
      - number + 1 as page_views,
    sum(case when starts then 1 else 0 end)
      over (partition by anonymous_id order by ts, id rows unbounded preceding) as ordinal
  from edges
), users as (
  select anonymous_id as visitor, last_value(user_id order by timestamp, id) as user_id
  from {{pages}} where user_id is not null group by 1
), first_rows as (
  select url, referrer, context_campaign_source as utm_source, context_campaign_medium as utm_medium,
    context_campaign_name as utm_campaign, context_campaign_term as utm_term, context_campaign_content as utm_content,
    context_user_agent as agent, input_file_name() as first_file, file_row_index() as first_row from {{pages}}
), last_rows as (
  select url as last_url, input_file_name() as last_file, file_row_index() as last_row from {{pages}}
), sessions as (
  select *, anonymous_id || '-' || cast(ordinal as varchar) as session_id,
    coalesce(user_id, anonymous_id) as blended_user_id
  from paired left join users on anonymous_id = visitor
  join first_rows on file = first_file and row = first_row
  join last_rows on end_file = last_file and end_row = last_row
  where starts
)
select session_id, anonymous_id,
  arrow_cast(arrow_cast(ts, 'Timestamp(Microsecond, None)'), 'Timestamp(Microsecond, Some("UTC"))') as session_start,
  arrow_cast(arrow_cast(end_ts, 'Timestamp(Microsecond, None)'), 'Timestamp(Microsecond, Some("UTC"))') as session_end,
  page_views, url as first_url, {{url_host(url)}} as first_url_host,
  last_url, {{url_host(last_url)}} as last_url_host,
  utm_source, utm_medium, utm_campaign, utm_term, utm_content, referrer, {{url_host(referrer)}} as referrer_host,
  case when agent like '%bot%' then 'Bot' when agent like '%iPhone%' then 'iPhone'
    when agent like '%iPad%' then 'Tablet' when agent like '%Android%' then 'Android'
    when agent like '%Windows%' or agent like '%Macintosh%' or agent like '%Linux%' then 'Desktop'
    else 'Other' end as device,
  (end_ts - ts) / 1000000 as duration_s, blended_user_id,
  row_number() over (partition by blended_user_id order by ts, ordinal) as session_number
from sessions
) to '{{out}}' stored as parquet
