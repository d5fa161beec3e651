-- J1 in vanilla DataFusion: two windows over whole rows, strings not as views.
-- set datafusion.execution.parquet.schema_force_view_types = false
-- Best of those tried: joining the number back costs more than the wide sort saves.
copy (
  with gaps as (
    select *, lag(timestamp) over (partition by anonymous_id order by timestamp) as before from {{pages}}
  ), numbered as (
    select * except (before),
      sum(case when before is null or timestamp - before >= interval '30 minutes' then 1 else 0 end)
        over (partition by anonymous_id order by timestamp rows unbounded preceding) as session_number
    from gaps
  )
  select *, anonymous_id || '-' || cast(session_number as varchar) as session_id from numbered
) to '{{out}}' stored as parquet
