-- J3: as a user would write it.
with numbered as (
    select
        anonymous_id,
        "timestamp",
        session_number("timestamp") over (
            partition by anonymous_id order by "timestamp"
        ) as number
    from {{ source('lake', 'pages') }}
),

sessions as (
    select
        cast(max("timestamp") as bigint) - cast(min("timestamp") as bigint) as duration,
        count(*) as events
    from numbered
    group by anonymous_id, number
)

select
    count(*) as sessions,
    avg(duration) / 1e6 as mean_duration_s,
    avg(case when events = 1 then 1.0 else 0.0 end) as bounce_rate
from sessions
