{{ config(tags=['metrics']) }}

-- Shares of entries, of exits, of the sessions on a page at a step, and of those at a step.
{%- set split = metrics_split() %}
with shares as (
    select 'entries' as shares_of, sum(share) as added
    from {{ ref('entry_pages') }}
    group by {{ split }} 1
    union all
    select 'exits', sum(share)
    from {{ ref('exit_pages') }}
    group by {{ split }} 1
    union all
    select 'page at a step', sum(share)
    from {{ ref('next_pages') }}
    group by {{ split }} path_step, page
    union all
    select 'step', sum(share_of_step)
    from {{ ref('next_pages') }}
    group by {{ split }} path_step
)

select *
from shares
where abs(added - 1) > 1e-9
