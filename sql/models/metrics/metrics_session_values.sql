{{ config(
    materialized='incremental',
    unique_key=['session_id', 'currency'],
    recompute_by='session_id'
) }}

-- What a session was worth, a row a currency: amounts of two currencies are never added.
select
    session_id,
    currency,
    sum(amount) as amount,
    count(*) as amounts
from {{ ref('metrics_events__sessionized') }}
where amount is not null and currency is not null
group by session_id, currency
