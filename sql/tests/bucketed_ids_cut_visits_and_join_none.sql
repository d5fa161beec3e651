{#- Events of one bucket lie less than its width apart, so the sliding rule with that width for a
    gap never parts them: no bucket holds events of two visits, and there are at least as
    many buckets as visits. #}
with counted as (
    select project_id, count(distinct anonymous_id || ' ' || bucket) as buckets
    from (
        select
            project_id,
            anonymous_id,
            session_bucket_id(anonymous_id, tstamp, {{ bucketed_width() }}) as bucket
        from {{ ref('bucketed_events') }}
    )
    group by project_id
)

select edges.project_id, edges.bucket_sessions, edges.sliding_sessions, counted.buckets
from {{ ref('bucket_edges') }} as edges
inner join counted on counted.project_id = edges.project_id
where edges.bucket_sessions <> counted.buckets
    or edges.bucket_sessions < edges.sliding_sessions
    or edges.visits_cut > edges.sliding_sessions
