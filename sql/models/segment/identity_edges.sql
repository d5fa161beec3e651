{{ config(
    materialized='incremental',
    unique_key=['left_type', 'left_id', 'right_type', 'right_id'],
    recompute_by=['left_type', 'left_id', 'right_type', 'right_id'],
    enabled=var('stitching') == 'graph'
) }}

{%- do check_segment_variables() %}

-- Which ids were seen together on one page view.
with pairs as (
    {%- for pair in segment_identity_pairs() %}
    select
        '{{ pair.left }}' as left_type,
        nullif(cast("{{ pair.left }}" as varchar), '') as left_id,
        '{{ pair.right }}' as right_type,
        nullif(cast("{{ pair.right }}" as varchar), '') as right_id,
        tstamp
    from {{ ref('page_views__sessionized') }}
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
)

select
    left_type,
    left_id,
    right_type,
    right_id,
    min(tstamp) as first_seen_at,
    max(tstamp) as last_seen_at,
    count(*) as page_views
from pairs
where left_id is not null and right_id is not null
group by left_type, left_id, right_type, right_id
