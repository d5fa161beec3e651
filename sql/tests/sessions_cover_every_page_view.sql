-- Every page view is in exactly one session: the sessions' counts add up to the page views.
select counted.page_views, held.page_views as page_views_in_sessions
from (select count(*) as page_views from {{ ref('page_views') }}) as counted
cross join (
    select coalesce(sum(page_views), 0) as page_views from {{ ref('sessions') }}
) as held
where counted.page_views <> held.page_views
