-- Every event is in exactly one session, and every session in exactly one row of `sources`.
select counted.events, held.events as in_sessions, summed.events as in_sources
from (select count(*) as events from {{ ref('bucketed_events') }}) as counted
cross join (
    select coalesce(sum(event_count), 0) as events from {{ ref('event_sessions') }}
) as held
cross join (select coalesce(sum(events), 0) as events from {{ ref('sources') }}) as summed
where counted.events <> held.events or counted.events <> summed.events
