-- One row a project, source and medium.
select project_id, source, medium, count(*) as rows_found
from {{ ref('sources') }}
group by project_id, source, medium
having count(*) > 1
