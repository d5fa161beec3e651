-- J2 in ClickHouse: windows over the needed columns, rows within a session dropped before the
-- second window pairs first and last rows. Best of those tried: aggregating all rows or
-- arrays of wide tuples hold more.
insert into function file('{{out}}', Parquet)
with delivered_again as (
  select id, arrayJoin(arrayPopFront(arraySort(groupArray(received_at)))) as late
  from {{pages}} group by id having count() > 1
), kept as (
  select anonymous_id, toUnixTimestamp64Micro(timestamp) as ts, id, url, referrer, context_campaign_source,
    context_campaign_medium, context_campaign_name, context_campaign_term, context_campaign_content, context_user_agent
  from {{pages}} where (id, received_at) not in (select id, late from delivered_again)
), neighbours as (
  select *, row_number() over visitor as number,
    lagInFrame(ts, 1, toInt64(-9000000000000000)) over visitor as before,
    leadInFrame(ts, 1, toInt64(9000000000000000)) over visitor as after
  from kept window visitor as (
    partition by anonymous_id order by ts, id rows between unbounded preceding and unbounded following)
), edges as (
  select *, ts - before >= 1800000000 as starts, after - ts >= 1800000000 as ends
  from neighbours where starts or ends
), paired as (
  select *, if(ends, ts, leadInFrame(ts) over visitor) as end_ts,
    if(ends, url, leadInFrame(url) over visitor) as end_url,
    if(ends, number, leadInFrame(number) over visitor) - number + 1 as views,
    sum(toUInt64(starts)) over (
      partition by anonymous_id order by number rows between unbounded preceding and current row) as ordinal
  from edges window visitor as (
    partition by anonymous_id order by number rows between unbounded preceding and unbounded following)
), users as (
  select anonymous_id, toNullable(argMax(assumeNotNull(user_id), (timestamp, id))) as user
  from {{pages}} where user_id is not null group by anonymous_id
)
select concat(anonymous_id, '-', toString(ordinal)) as session_id, anonymous_id,
  fromUnixTimestamp64Micro(ts, 'UTC') as session_start, fromUnixTimestamp64Micro(end_ts, 'UTC') as session_end,
  toInt64(views) as page_views, url as first_url, domain(url) as first_url_host,
  end_url as last_url, domain(end_url) as last_url_host,
  context_campaign_source as utm_source, context_campaign_medium as utm_medium,
  context_campaign_name as utm_campaign, context_campaign_term as utm_term,
  context_campaign_content as utm_content, referrer, domain(referrer) as referrer_host,
  multiIf(context_user_agent like '%bot%', 'Bot', context_user_agent like '%iPhone%', 'iPhone',
    context_user_agent like '%iPad%', 'Tablet', context_user_agent like '%Android%', 'Android',
    context_user_agent like '%Windows%' or context_user_agent like '%Macintosh%'
      or context_user_agent like '%Linux%', 'Desktop', 'Other') as device,
  intDiv(end_ts - ts, 1000000) as duration_s, coalesce(user, anonymous_id) as blended_user_id,
  toInt64(row_number() over (partition by coalesce(user, anonymous_id) order by ts, ordinal)) as session_number
from paired left join users using (anonymous_id) where starts
