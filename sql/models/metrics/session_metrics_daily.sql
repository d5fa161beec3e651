{{ config(materialized='table') }}

{%- do check_metrics_variables() %}

{%- set currencies = var('metrics_currencies') %}

with valued as (
    select
        session_id
        {%- for currency in currencies %},
        sum(amount) filter (where currency = {{ literal(currency | upper) }})
            as "amount_{{ currency | lower }}"
        {%- endfor %}
    from {{ ref('metrics_session_values') }}
    group by session_id
),

counted as (
    select
        session_date,
        channel,
        device_category,
        count(*) as sessions,
        count(distinct visitor_id) as users,
        {%- for name in ['page_views', 'conversions', 'impressions', 'clicks'] %}
        sum({{ name }}) as {{ name }},
        {%- endfor %}
        {%- for name in ['open', 'engaged', 'bounce', 'converted'] %}
        count(*) filter (where is_{{ name }}) as {{ name }}_sessions,
        {%- endfor %}
        {%- for currency in currencies %}
        coalesce(sum("amount_{{ currency | lower }}"), 0) as "session_value_{{ currency | lower }}",
        {%- endfor %}
        sum(duration_in_ms) as session_duration_in_ms
    from {{ ref('metrics_sessions') }} as sessions
    left join valued on valued.session_id = sessions.session_id
    group by session_date, channel, device_category
)

select
    * except (bounce_sessions),
    bounce_sessions as bounces,
    {{ metrics_ratio("session_duration_in_ms", "sessions") }} / 1000 as average_session_duration_in_s,
    {{ metrics_ratio('page_views', 'sessions') }} as pages_per_session,
    {{ metrics_ratio('engaged_sessions', 'sessions') }} as engagement_rate,
    {{ metrics_ratio('bounce_sessions', 'sessions') }} as bounce_rate,
    {{ metrics_ratio('converted_sessions', 'sessions') }} as conversion_rate,
    {{ metrics_ratio('clicks', 'impressions') }} as click_through_rate
    {%- for currency in currencies %},
    {{ metrics_ratio('"session_value_' ~ currency | lower ~ '"', 'sessions') }}
        as "average_session_value_{{ currency | lower }}"
    {%- endfor %}
from counted
