//! Tables of the rows of files with columns of another table beside them, or with what is made
//! of a row alone: the files' chunks are copied, and the rows are those of any table.

use datafusion::arrow::compute::{concat_batches, filter_record_batch, is_not_null};

use crate::other_engine::sessionize;
use crate::splice::{Lake, all_chunks, events, lake, properties, write};

/// What is known of some visitors, and of rows without one.
const VISITORS: &str = "
select visitor, max(id) as latest, min(text) as word,
    case when max(id) % 2 = 0 then max(id) end as id
from {{ source('lake', 'events') }}
where visitor is null or visitor < 'v5'
group by visitor";

/// Of one visitor two things.
const VISITORS_TWICE: &str = "
select * from {{ ref('visitors') }}
union all select 'v123', 1, 'again', 1";

const JOINED: &str = "
select events.*, coalesce(visitors.word, events.text, 'none') as label, latest, 7 as seven
from {{ source('lake', 'events') }} as events
left join {{ ref('visitors') }} as visitors on visitors.visitor = events.visitor";

const JOINED_ON_TWO: &str = "
select events.*, latest is null as unknown
from (select * from {{ source('lake', 'events') }} where t is not null) as events
left join {{ ref('visitors') }} as visitors
    on visitors.visitor = events.visitor and visitors.latest = events.id";

/// What is null in a column of the others is none in that of the files.
const JOINED_TO_SOME: &str = "
select events.*, word
from (select * from {{ source('lake', 'events') }} where id is not null) as events
left join (select visitor, word from {{ ref('visitors') }} where id is not null) as visitors
    on visitors.visitor = events.visitor";

const JOINED_TWICE: &str = "
select events.*, latest
from {{ source('lake', 'events') }} as events
left join {{ ref('visitors_twice') }} as visitors on visitors.visitor = events.visitor";

/// No window and no join.
const ALONE: &str = "
select *, upper(text) as loud, id % 7 as seventh from {{ source('lake', 'events') }}";

/// Rows that have what they need.
const TIMED: &str = "
select *, id % 7 as seventh from {{ source('lake', 'events') }}
where id is not null and t is not null";

/// The models, and the same rows by a way that no chunk comes through.
fn built(models: &[(&str, &str)]) -> Lake {
    built_over(models, |_| ())
}

/// The same, over a lake that `change` has changed.
fn built_over(models: &[(&str, &str)], change: impl Fn(&Lake)) -> Lake {
    let plain = models.iter().map(|(name, sql)| {
        let sql =
            format!("select k.* from ({sql}) as k cross join (values (1)) as one(n)");
        (format!("{name}_plain"), sql)
    });
    let plain: Vec<_> = plain.collect();
    let plain = plain
        .iter()
        .map(|(name, sql)| (name.as_str(), sql.as_str()));
    let mut all = vec![("visitors", VISITORS), ("visitors_twice", VISITORS_TWICE)];
    all.extend(models.iter().copied().chain(plain));
    let lake = lake(&all);
    change(&lake);
    sessionize(&lake.project(), &["run"]);
    for (name, _) in models {
        let query = format!(
            "select (select count(*) from {name}) as rows, count(*) as differ from (
                (select * from {name} except all select * from {name}_plain) union all
                (select * from {name}_plain except all select * from {name}))"
        );
        let differ = sessionize(&lake.project(), &["query", &query, "--format", "csv"]);
        assert!(differ.ends_with(",0\n"), "{name}: {differ}");
        assert!(!differ.ends_with("\n0,0\n"), "{name}");
    }
    lake
}

/// Of how many of the six chunks of each column of files a table has the bytes.
fn copied(lake: &Lake, table: &str, column: &str) -> usize {
    let source = all_chunks(&[lake.file(0), lake.file(1)], column);
    let found = all_chunks(&lake.files(table), column);
    found.iter().filter(|chunk| source.contains(chunk)).count()
}

#[test]
fn columns_of_another_table_stand_beside_chunks() {
    let lake = built(&[
        ("joined", JOINED),
        ("to_some", JOINED_TO_SOME),
        ("on_two", JOINED_ON_TWO),
    ]);
    for column in ["id", "text", "t", "visitor"] {
        assert_eq!(copied(&lake, "joined", column), 6, "{column}");
        assert_eq!(copied(&lake, "to_some", column), 6, "{column}");
        // every row group loses rows, and keeps the bloom filter of its files
        assert_eq!(copied(&lake, "on_two", column), 0, "{column}");
    }
    assert!(lake.has_bloom_filters("on_two"));
}

#[test]
fn a_key_that_two_rows_have_is_joined_as_ever() {
    let lake = built(&[("twice", JOINED_TWICE)]);
    assert_eq!(copied(&lake, "twice", "id"), 0);
    assert!(!lake.has_bloom_filters("twice"));
    let rows = [
        "query",
        "select count(*) as n from twice",
        "--format",
        "csv",
    ];
    let more = sessionize(&lake.project(), &rows);
    let more: usize = more.trim_start_matches("n\n").trim().parse().unwrap();
    assert!(more > 100_000, "{more}");
}

#[test]
fn what_is_made_of_a_row_alone_stands_beside_chunks() {
    let lake = built(&[("alone", ALONE)]);
    for column in ["id", "text", "t", "visitor"] {
        assert_eq!(copied(&lake, "alone", column), 6, "{column}");
    }
}

/// Only what the files have no nulls of is not looked through for nulls.
#[test]
fn nulls_of_one_file_are_seen() {
    let some_timed = |lake: &Lake| {
        let rows = events(0);
        let timed = is_not_null(rows.column_by_name("t").unwrap()).unwrap();
        let timed = filter_record_batch(&rows, &timed).unwrap();
        // row groups that are large enough to be kept
        let timed = concat_batches(&timed.schema(), [&timed, &timed]).unwrap();
        write(&lake.file(0), &timed, properties());
    };
    let lake = built_over(&[("timed", TIMED)], some_timed);
    assert_eq!(copied(&lake, "timed", "id"), 5, "of the file without nulls");
    let all_timed = |lake: &Lake| {
        some_timed(lake);
        std::fs::copy(lake.file(0), lake.file(1)).unwrap();
    };
    let lake = built_over(&[("timed", TIMED)], all_timed);
    assert_eq!(copied(&lake, "timed", "id"), 10);
}
