{{ config(tags=['metrics']) }}

-- Of every currency the days hold what the events hold.
with events as (
    select currency, sum(amount) as amount
    from {{ ref('metrics_events__sessionized') }}
    where amount is not null and currency is not null
    group by currency
),

days as (
    select currency, sum(session_value) as amount
    from {{ ref('session_values_daily') }}
    group by currency
)

select coalesce(events.currency, days.currency) as currency, events.amount, days.amount as in_days
from events
full join days on days.currency = events.currency
where events.amount is distinct from days.amount
