-- One row a project, session and visitor.
select project_id, session_id, anonymous_id, count(*) as rows_found
from {{ ref('event_sessions') }}
group by project_id, session_id, anonymous_id
having count(*) > 1
