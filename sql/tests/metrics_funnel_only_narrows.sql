{{ config(tags=['metrics']) }}

-- Nobody reaches a step who has not reached the one before.
select step, reached, drop_off
from {{ ref('funnel') }}
where drop_off < 0
