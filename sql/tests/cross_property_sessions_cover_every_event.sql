-- Every event is in exactly one session of its type and in exactly one of all types.
select counted.events, within_type.events as of_types, any_type.events as of_all
from (select count(*) as events from {{ ref('property_events') }}) as counted
cross join (
    select coalesce(sum(events), 0) as events from {{ ref('property_sessions') }}
) as within_type
cross join (
    select coalesce(sum(events), 0) as events from {{ ref('cross_property_sessions') }}
) as any_type
where counted.events <> within_type.events or counted.events <> any_type.events
