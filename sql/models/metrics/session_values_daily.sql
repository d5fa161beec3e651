{{ config(materialized='table') }}

with days as (
    select session_date, channel, device_category, count(*) as sessions
    from {{ ref('metrics_sessions') }}
    group by session_date, channel, device_category
),

summed as (
    select
        session_date,
        channel,
        device_category,
        currency,
        count(*) as sessions_with_value,
        sum(amount) as session_value
    from {{ ref('metrics_session_values') }} as session_values
    inner join {{ ref('metrics_sessions') }} as sessions
        on sessions.session_id = session_values.session_id
    group by session_date, channel, device_category, currency
)

select
    summed.session_date,
    summed.channel,
    summed.device_category,
    summed.currency,
    days.sessions,
    summed.sessions_with_value,
    summed.session_value,
    {{ metrics_ratio('summed.session_value', 'days.sessions') }} as average_session_value
from summed
inner join days
    on days.session_date = summed.session_date
    and days.channel = summed.channel
    and days.device_category = summed.device_category
