{{ config(
    materialized='incremental',
    unique_key='page_view_id',
    recompute_by='anonymous_id'
) }}

{%- do check_segment_variables() %}

select
    *,
    row_number() over (
        partition by anonymous_id order by tstamp, page_view_id
    ) as page_view_number,
    session_id(
        anonymous_id,
        tstamp,
        gap => interval '{{ var("segment_inactivity_cutoff") }} seconds',
        boundary => '{{ var("segment_boundary") }}',
        granularity => '{{ var("segment_granularity") }}'
    ) over (
        partition by anonymous_id order by tstamp, page_view_id
    ) as session_id
from {{ ref('page_views') }}
