-- J4 in DuckDB: the six tables of the segment pack.
-- Page views are ordered once, as narrow rows (visitor, time, row address) in a table of their own:
-- wide columns are then read from the lake by row address: once for all page views, once for the
-- first and once for the last page views of sessions. Session ids are hashed once a session.
-- Deduplication keeps the earliest delivery; the lake has no two deliveries of one id at one time.
create macro url_host(url) as split_part(split_part(replace(replace(replace(
  url, 'android-app://', ''), 'http://', ''), 'https://', ''), '/', 1), '?', 1);
create macro referrer_host(url) as replace(url_host(url), 'www.', '');
create macro gclid(url) as nullif(split_part(split_part(url, 'gclid=', 2), '&', 1), '');
create macro device(agent) as case
  when agent ilike '%android%' then 'Android'
  else replace(split_part(split_part(agent, '(', 2), ' ', 1), ';', '') end;
create macro device_category(device) as case
  when device = 'iPhone' then 'iPhone' when device = 'Android' then 'Android'
  when device in ('iPad', 'iPod') then 'Tablet' when device in ('Windows', 'Macintosh', 'X11') then 'Desktop'
  else 'Uncategorized' end;
create view pages as
  select *, file_index * 1000000000 + file_row_number as address from {{pages}};

create temp table numbered as
with delivered_again as (
  select id, min(received_at) as earliest from pages group by id having count(*) > 1
), kept as (
  select anonymous_id, epoch_us(timestamp) as ts, id, address
  from pages anti join delivered_again as again on again.id = pages.id and pages.received_at > again.earliest
  where id is not null and anonymous_id is not null and timestamp is not null
), neighbours as (
  select anonymous_id, ts, address, row_number() over visitor as number,
    lag(ts) over visitor as before, lead(ts) over visitor as after
  from kept window visitor as (partition by anonymous_id order by ts, id)
)
select anonymous_id, ts, address, number,
  (before is null or ts - before >= 1800000000) as starts,
  (after is null or after - ts >= 1800000000) as ends,
  sum(case when before is null or ts - before >= 1800000000 then 1 else 0 end)
    over (partition by anonymous_id order by number rows unbounded preceding) as ordinal
from neighbours;

create temp table paired as
with edges as (select * from numbered where starts or ends)
select anonymous_id, ordinal, ts, address, starts, md5(anonymous_id || '-' || ordinal) as session_id,
  case when ends then ts else lead(ts) over visitor end as end_ts,
  case when ends then address else lead(address) over visitor end as end_address,
  case when ends then number else lead(number) over visitor end - number + 1 as page_views
from edges window visitor as (partition by anonymous_id order by number) qualify starts;

copy (
  select id as page_view_id, anonymous_id, user_id, received_at as received_at_tstamp, sent_at as sent_at_tstamp,
    timestamp as tstamp, url as page_url, url_host(url) as page_url_host, path as page_url_path, title as page_title,
    search as page_url_query, referrer, referrer_host(referrer) as referrer_host,
    context_campaign_source as utm_source, context_campaign_medium as utm_medium, context_campaign_name as utm_campaign,
    context_campaign_term as utm_term, context_campaign_content as utm_content, gclid(url) as gclid, context_ip as ip,
    context_user_agent as user_agent, device(context_user_agent) as device,
    device_category(device(context_user_agent)) as device_category, number as page_view_number,
    md5(anonymous_id || '-' || ordinal) as session_id
  from pages join (select address, number, ordinal from numbered) using (address)
) to '{{out}}/page_views__sessionized.parquet' (format parquet, codec 'zstd', compression_level 1);

create temp table users as
  select anonymous_id, arg_max(user_id, (timestamp, id)) filter (user_id is not null) as user_id,
    min(timestamp) as first_seen_at, max(timestamp) as last_seen_at
  from pages where id is not null and anonymous_id is not null and timestamp is not null group by anonymous_id;

copy users to '{{out}}/user_stitching.parquet' (format parquet, codec 'zstd', compression_level 1);

create temp table all_sessions as
with ranked as (
  select paired.*, coalesce(user_id, anonymous_id) as blended_user_id,
    row_number() over (partition by coalesce(user_id, anonymous_id) order by ts, session_id) as session_number
  from paired left join users using (anonymous_id)
), widened as (
  select ranked.*, first.* exclude (address), last.* exclude (address), end_ts // 1000000 - ts // 1000000 as duration_in_s
  from ranked
  join (select address, context_campaign_source as utm_source, context_campaign_content as utm_content,
      context_campaign_medium as utm_medium, context_campaign_name as utm_campaign, context_campaign_term as utm_term,
      url, path, search, referrer, context_user_agent as agent from pages) as first
    on ranked.address = first.address
  join (select address, url as last_url, path as last_path, search as last_search from pages) as last
    on ranked.end_address = last.address
)
select session_id, anonymous_id, make_timestamptz(ts) as session_start_tstamp, make_timestamptz(end_ts) as session_end_tstamp,
  page_views, utm_source, utm_content, utm_medium, utm_campaign, utm_term, gclid(url) as gclid,
  url as first_page_url, url_host(url) as first_page_url_host, path as first_page_url_path, search as first_page_url_query,
  referrer, referrer_host(referrer) as referrer_host, device(agent) as device, device_category(device(agent)) as device_category,
  last_url as last_page_url, url_host(last_url) as last_page_url_host, last_path as last_page_url_path,
  last_search as last_page_url_query, duration_in_s,
  case when duration_in_s < 10 then '0s to 9s' when duration_in_s < 30 then '10s to 29s'
    when duration_in_s < 60 then '30s to 59s' else '60s or more' end as duration_in_s_tier,
  medium as referrer_medium, source as referrer_source, blended_user_id, session_number
from widened left join read_csv('{{seed}}', header = true) as mapping on mapping.host = referrer_host(referrer);

copy (select * exclude (blended_user_id, session_number) from all_sessions)
  to '{{out}}/sessions__initial.parquet' (format parquet, codec 'zstd', compression_level 1);
copy (select * exclude (session_number) from all_sessions)
  to '{{out}}/sessions__stitched.parquet' (format parquet, codec 'zstd', compression_level 1);
copy all_sessions to '{{out}}/sessions.parquet' (format parquet, codec 'zstd', compression_level 1);

copy (
  select id, received_at, timestamp, anonymous_id, user_id, sent_at, url, path, title, search, referrer,
    context_campaign_source, context_campaign_medium, context_campaign_name, context_campaign_term,
    context_campaign_content, context_ip, context_user_agent,
    case when id is null then 'id is null' when anonymous_id is null then 'anonymous_id is null'
      else 'timestamp is null' end as reason
  from {{pages}} where id is null or anonymous_id is null or timestamp is null
) to '{{out}}/page_views__rejected.parquet' (format parquet, codec 'zstd', compression_level 1)
