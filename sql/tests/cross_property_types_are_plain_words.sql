-- A type is the first part of a session's key, up to the `-`: it has none itself.
select source, type from {{ ref('source_types') }}
where type is null or not regexp_like(type, '^[a-z][a-z0-9_]*$')
