-- J2: as a user would write it, with the names and rules of the other engines' queries.
with kept as (
    select *
    from {{ source('lake', 'pages') }}
    qualify row_number() over (partition by id order by received_at) = 1
),

numbered as (
    select
        *,
        session_number("timestamp") over (
            partition by anonymous_id order by "timestamp", id
        ) as ordinal
    from kept
),

users as (
    select
        anonymous_id,
        last_value(user_id order by "timestamp", id)
            filter (where user_id is not null) as user_id
    from kept
    group by anonymous_id
),

sessions as (
    select
        anonymous_id,
        ordinal,
        min("timestamp") as session_start,
        max("timestamp") as session_end,
        count(*) as page_views,
        first_value(url order by "timestamp", id) as first_url,
        last_value(url order by "timestamp", id) as last_url,
        first_value(context_campaign_source order by "timestamp", id) as utm_source,
        first_value(context_campaign_medium order by "timestamp", id) as utm_medium,
        first_value(context_campaign_name order by "timestamp", id) as utm_campaign,
        first_value(context_campaign_term order by "timestamp", id) as utm_term,
        first_value(context_campaign_content order by "timestamp", id) as utm_content,
        first_value(referrer order by "timestamp", id) as referrer,
        first_value(context_user_agent order by "timestamp", id) as agent
    from numbered
    group by anonymous_id, ordinal
),

stitched as (
    select sessions.*, coalesce(users.user_id, sessions.anonymous_id) as blended_user_id
    from sessions
    left join users on users.anonymous_id = sessions.anonymous_id
)

select
    anonymous_id || '-' || ordinal as session_id,
    anonymous_id,
    session_start,
    session_end,
    page_views,
    first_url,
    url_host(first_url) as first_url_host,
    last_url,
    url_host(last_url) as last_url_host,
    utm_source,
    utm_medium,
    utm_campaign,
    utm_term,
    utm_content,
    referrer,
    url_host(referrer) as referrer_host,
    case
        when agent like '%bot%' then 'Bot'
        when agent like '%iPhone%' then 'iPhone'
        when agent like '%iPad%' then 'Tablet'
        when agent like '%Android%' then 'Android'
        when agent like '%Windows%' or agent like '%Macintosh%' or agent like '%Linux%' then 'Desktop'
        else 'Other'
    end as device,
    (cast(session_end as bigint) - cast(session_start as bigint)) / 1000000 as duration_s,
    blended_user_id,
    row_number() over (
        partition by blended_user_id order by session_start, ordinal
    ) as session_number
from stitched
