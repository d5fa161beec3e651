{{ config(tags=['metrics']) }}

-- Sessions of the input's own may be numbered within the visitor: then `metrics_columns` must
-- make their id of both columns, such as {session_id: [visitor, session]}.
select session_id, count(distinct visitor_id) as visitors
from {{ ref('metrics_events__sessionized') }}
group by session_id
having count(distinct visitor_id) > 1
