{{ config(
    materialized='incremental',
    unique_key='session_id',
    recompute_by='blended_user_id'
) }}

select
    *,
    row_number() over (
        partition by blended_user_id order by session_start_tstamp, session_id
    ) as session_number
from {{ ref('sessions__stitched') }}
