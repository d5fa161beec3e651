{{ config(materialized='incremental', unique_key='session_id') }}

with grouped as (
    select
        session_id,
        {{ on_first_page('anonymous_id') }},
        min(tstamp) as session_start_tstamp,
        max(tstamp) as session_end_tstamp,
        count(*) as page_views,
        {%- for column in ['utm_source', 'utm_content', 'utm_medium', 'utm_campaign',
                           'utm_term', 'gclid'] %}
        {{ on_first_page(column) }},
        {%- endfor %}
        {%- for column in ['page_url', 'page_url_host', 'page_url_path', 'page_url_query'] %}
        {{ on_first_page(column, 'first_' ~ column) }},
        {%- endfor %}
        {%- for column in ['referrer', 'referrer_host', 'device', 'device_category'] %}
        {{ on_first_page(column) }},
        {%- endfor %}
        {%- for column in ['page_url', 'page_url_host', 'page_url_path', 'page_url_query'] %}
        {{ on_last_page(column, 'last_' ~ column) }},
        {%- endfor %}
        {%- for column in var('segment_pass_through_columns') %}
        {{ on_first_page('"' ~ column ~ '"', '"first_' ~ column ~ '"') }},
        {{ on_last_page('"' ~ column ~ '"', '"last_' ~ column ~ '"') }},
        {%- endfor %}
        {{ whole_seconds_between('min(tstamp)', 'max(tstamp)') }} as duration_in_s
    from {{ ref('page_views__sessionized') }}
    group by session_id
)

select
    grouped.*,
    case
        when duration_in_s < 10 then '0s to 9s'
        when duration_in_s < 30 then '10s to 29s'
        when duration_in_s < 60 then '30s to 59s'
        else '60s or more'
    end as duration_in_s_tier,
    referrers.medium as referrer_medium,
    referrers.source as referrer_source
from grouped
left join {{ ref('referrer_mapping') }} as referrers
    on referrers.host = grouped.referrer_host
