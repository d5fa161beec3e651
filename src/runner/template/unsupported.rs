//! What dbt's templates can use and these cannot, with what to do instead.

/// Name -> hint.
const UNSUPPORTED: &[(&str, &str)] = &[
    (
        "api",
        "write types as SQL, or with `dbt.type_string()` and the like",
    ),
    ("database", "use `target.database` or `this.database`"),
    ("dbt_version", "leave it out: there is no dbt here"),
    ("doc", "descriptions are kept as they are written"),
    ("drop_relation", TABLES),
    ("graph", "name the nodes with `ref()`"),
    ("invocation_args_dict", "use `var()` and `flags`"),
    ("load_relation", TABLES),
    ("load_result", QUERIES),
    ("metric", "the semantic layer is not supported"),
    (
        "modules",
        "`run_started_at.strftime()` and SQL give times; there is `modules.pytz.all_timezones`",
    ),
    ("run_query", QUERIES),
    ("schema", "use `target.schema` or `this.schema`"),
    ("selected_resources", "name the nodes with `ref()`"),
    ("statement", QUERIES),
    ("store_raw_result", QUERIES),
    ("store_result", QUERIES),
    ("submit_python_job", "write the model as SQL"),
];

const QUERIES: &str = "no query runs while a template is rendered: put it into the model's \
                       SQL, or into a variable";
const TABLES: &str = "tables are written by materializations only";

/// The name at the start of `expression` and its hint, if it is one of dbt's.
pub(super) fn unsupported(expression: &str) -> Option<(&'static str, &'static str)> {
    let end = expression.find(['.', '(', '[', ' ']);
    let root = &expression[..end.unwrap_or(expression.len())];
    let found = UNSUPPORTED.iter().find(|(name, _)| *name == root);
    found.map(|(name, hint)| (*name, *hint))
}
