//! Runs every `.slt` file below `tests/slt` on a fresh context each, once with this crate's
//! operator and once on DataFusion's. `--complete` as an argument writes the results into
//! the files instead; then read them.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test runner of its own says what it ran"
)]

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use async_trait::async_trait;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::common::{DataFusionError, Result};
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion_sessionize::{SessionizeExt, SessionizeOptions, SessionizeSqlExt};
use sqllogictest::{
    AsyncDB, DBOutput, DefaultColumnType, Runner, default_column_validator,
    default_normalizer, default_validator,
};

struct Database(SessionContext);

impl Database {
    fn new((enable_operator, late_materialization): (bool, bool)) -> Self {
        let mut options = SessionizeOptions::default();
        options.enable_operator = enable_operator;
        options.late_materialization = late_materialization;
        let config = SessionConfig::new()
            .with_target_partitions(4)
            .with_option_extension(options);
        Self(SessionContext::new_with_config(config).with_sessionize())
    }
}

#[async_trait]
impl AsyncDB for Database {
    type Error = DataFusionError;
    type ColumnType = DefaultColumnType;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>> {
        let frame = self.0.sessionize_sql(sql).await?;
        let columns = frame.schema().fields().len();
        let batches = frame.collect().await?;
        if columns == 0 || is_a(sql, &["create", "drop", "set", "insert"]) {
            return Ok(DBOutput::StatementComplete(0));
        }
        let options = FormatOptions::default().with_null("NULL");
        let mut rows = Vec::new();
        for batch in &batches {
            let formatters = batch
                .columns()
                .iter()
                .map(|column| ArrayFormatter::try_new(column.as_ref(), &options))
                .collect::<std::result::Result<Vec<_>, _>>()?;
            for row in 0..batch.num_rows() {
                let cells =
                    formatters
                        .iter()
                        .map(|cell| match cell.value(row).to_string() {
                            empty if empty.is_empty() => "(empty)".to_string(),
                            text => text,
                        });
                rows.push(cells.collect());
            }
        }
        if is_a(sql, &["explain"]) {
            // one row a line of the plan, without the column that names it
            let plan = rows.iter().flat_map(|row: &Vec<String>| row[1].lines());
            rows = plan.map(|line| vec![line.trim().to_string()]).collect();
        }
        let columns = rows.first().map_or(columns, Vec::len);
        Ok(DBOutput::Rows {
            types: vec![DefaultColumnType::Any; columns],
            rows,
        })
    }

    async fn shutdown(&mut self) {}

    fn engine_name(&self) -> &str {
        "datafusion"
    }
}

/// Whether `sql` begins with one of these words.
fn is_a(sql: &str, words: &[&str]) -> bool {
    let first = sql.split_whitespace().next().unwrap_or_default();
    words.contains(&first.to_lowercase().as_str())
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "slt") {
            found.push(path);
        }
    }
    Ok(())
}

async fn run(path: &Path, complete: bool) -> std::result::Result<(), String> {
    let mut runner = Runner::new(|| async { Ok(Database::new((true, true))) });
    if complete {
        let updated = runner.update_test_file(
            path,
            " ",
            default_validator,
            default_normalizer,
            default_column_validator,
        );
        return updated.await.map_err(|error| error.to_string());
    }
    for operators in [(true, true), (true, false), (false, false)] {
        let mut runner = Runner::new(move || async move { Ok(Database::new(operators)) });
        let outcome = runner.run_file_async(path).await;
        outcome.map_err(|error| {
            let error = error.display(false);
            format!("operators (one pass, late) = {operators:?}: {error}")
        })?;
    }
    Ok(())
}

#[tokio::main]
async fn main() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/slt");
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let complete = arguments.iter().any(|argument| argument == "--complete");
    let filter = arguments
        .iter()
        .find(|argument| !argument.starts_with("--"));
    let mut found = Vec::new();
    if let Err(error) = files(&root, &mut found) {
        eprintln!("{}: {error}", root.display());
        return ExitCode::FAILURE;
    }
    found.sort();
    let mut failed = 0;
    let mut ran = 0;
    for path in found {
        let name = path
            .strip_prefix(&root)
            .unwrap_or(&path)
            .display()
            .to_string();
        if filter.is_some_and(|filter| !name.contains(filter.as_str())) {
            continue;
        }
        ran += 1;
        match run(&path, complete).await {
            Ok(()) => println!("ok     {name}"),
            Err(error) => {
                failed += 1;
                println!("FAILED {name}\n{error}");
            }
        }
    }
    println!("{ran} files, {failed} failed");
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
