{{ config(enabled=var('stitching') == 'graph') }}

-- A `canonical_id` is one person: its ids are as many as each of them says.
select canonical_id, count(*) as ids_found, min(ids) as ids
from {{ ref('identities') }}
group by canonical_id
having count(*) <> min(ids) or min(ids) <> max(ids)
