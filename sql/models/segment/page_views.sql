{{ config(materialized='view') }}
{%- do check_segment_variables() %}
{%- set pages = source('segment', 'pages') %}
{%- set pass_through = var('segment_pass_through_columns') %}
with usable as (
    select
        {%- for column in segment_event_columns() %}
        "{{ column }}",
        {%- endfor %}
        {%- for column, value in segment_further_columns(pages, pass_through) %}
        {{ value }} as "{{ column }}",
        {%- endfor %}
        id
    from {{ pages }}
    where id is not null and anonymous_id is not null and "timestamp" is not null
),

-- One row an id: the earliest received.
deduplicated as (
    select *, {{ device('context_user_agent') }} as device
    from usable
    {{ first_of_each('id', segment_event_columns() + pass_through) }}
)

select
    id as page_view_id,
    anonymous_id,
    user_id,
    {{ utc('received_at') }} as received_at_tstamp,
    {{ utc('sent_at') }} as sent_at_tstamp,
    {{ utc('"timestamp"') }} as tstamp,
    url as page_url,
    url_host(url) as page_url_host,
    path as page_url_path,
    title as page_title,
    search as page_url_query,
    referrer,
    replace(url_host(referrer), 'www.', '') as referrer_host,
    context_campaign_source as utm_source,
    context_campaign_medium as utm_medium,
    context_campaign_name as utm_campaign,
    context_campaign_term as utm_term,
    context_campaign_content as utm_content,
    url_parameter(url, 'gclid') as gclid,
    context_ip as ip,
    context_user_agent as user_agent,
    device,
    {%- for column in pass_through %}
    "{{ column }}",
    {%- endfor %}
    {{ device_category('device') }} as device_category
from deduplicated
