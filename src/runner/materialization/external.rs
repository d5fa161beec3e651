//! `external`: a plain Parquet, CSV or JSON export.
//!
//! The export is written beside its place and takes it when it is complete. A single file
//! appears at once on every store. A folder (`partition_by`) is swapped by renaming on the local file
//! system; object stores cannot rename a folder, so there the old files are deleted after
//! the new ones are complete.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::arrow::array::{Array, UInt64Array};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::config::CsvOptions;
use datafusion::dataframe::DataFrameWriteOptions;
use datafusion::functions::expr_fn::coalesce;
use datafusion::logical_expr::{cast, ident, lit};
use datafusion::prelude::DataFrame;
use futures::TryStreamExt;
use futures::future::BoxFuture;
use object_store::ObjectStoreExt;
use object_store::path::Path as ObjectPath;
use url::Url;

use super::{Built, Job, Materialization, execution_error};
use crate::runner::compile::{Materialized, Node};
use crate::runner::error::{ErrorKind, Result, RunnerError, did_you_mean};
use crate::store::Stores;

/// An export.
#[derive(Debug)]
pub(super) struct External;

impl Materialization for External {
    fn kind(&self) -> Materialized {
        Materialized::External
    }

    fn word(&self) -> &'static str {
        "external"
    }

    fn build<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, Result<Built>> {
        Box::pin(async move {
            let rows = match job.location.to_file_path() {
                Ok(place) if job.location.scheme() == "file" => {
                    local(job, &place).await?
                }
                _ => remote(job).await?,
            };
            (job.progress)(rows);
            Ok(Built {
                rows: Some(rows),
                bytes: None,
                message: None,
            })
        })
    }
}

/// `format`, else the ending of `location`, else Parquet.
pub(crate) fn export_format(node: &Node) -> Result<&'static str> {
    let ending = node
        .config
        .location
        .as_deref()
        .and_then(|l| Path::new(l).extension())
        .and_then(|e| e.to_str());
    match (node.config.format.as_deref(), ending) {
        (Some("parquet"), _) | (None, Some("parquet")) => Ok("parquet"),
        (Some("csv"), _) | (None, Some("csv")) => Ok("csv"),
        (Some("json"), _) | (None, Some("json" | "ndjson" | "jsonl")) => Ok("json"),
        (None, Some(ending)) if node.config.partition_by.is_empty() => {
            let message = format!(
                "model `{}`: the location ends in `.{ending}`, which names no format",
                node.name
            );
            let error = RunnerError::new(ErrorKind::Project, message);
            Err(error.with_hint("set `format` to `parquet`, `csv` or `json`"))
        }
        (None, _) => Ok("parquet"),
        (Some(other), _) => Err(RunnerError::new(
            ErrorKind::Project,
            format!(
                "model `{}`: expected `format` to be `parquet`, `csv` or `json`, found `{other}`",
                node.name
            ),
        )),
    }
}

/// The name of an export without `location`: `<name>.<format>`, or the folder `<name>` with
/// `partition_by`.
pub(crate) fn export_name(node: &Node) -> Result<String> {
    let name = node.relation.as_ref().map_or(&node.name, |r| &r.name);
    if node.config.partition_by.is_empty() {
        return Ok(format!("{name}.{}", export_format(node)?));
    }
    Ok(name.clone())
}

/// Removes what a dropped or failed export left.
struct Leftover(PathBuf);

impl Drop for Leftover {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
        let _ = std::fs::remove_file(&self.0);
    }
}

async fn local(job: &Job, place: &Path) -> Result<u64> {
    let name = place.file_name().and_then(|n| n.to_str()).ok_or_else(|| {
        RunnerError::new(
            ErrorKind::Project,
            format!(
                "model `{}`: `{}` is no place for an export",
                job.node.name, job.location
            ),
        )
    })?;
    let parent = place.parent().unwrap_or_else(|| Path::new("/"));
    tokio::fs::create_dir_all(parent)
        .await
        .map_err(|e| io(parent, e))?;
    let fresh = parent.join(format!(".{name}.{}.new", job.run_id));
    let stale = parent.join(format!(".{name}.{}.old", job.run_id));
    let _fresh = Leftover(fresh.clone());
    let url = file_url(&fresh, !job.node.config.partition_by.is_empty())?;
    let rows = write(job, job.rows.clone(), &url).await?;
    if !job.node.config.partition_by.is_empty() {
        // a query without rows writes no folder
        tokio::fs::create_dir_all(&fresh)
            .await
            .map_err(|e| io(&fresh, e))?;
    }
    job.enter_gate().await?;
    let _stale = Leftover(stale.clone());
    let folder = tokio::fs::metadata(place).await.is_ok_and(|m| m.is_dir());
    if folder || fresh.is_dir() && place.exists() {
        tokio::fs::rename(place, &stale)
            .await
            .map_err(|e| io(place, e))?;
    }
    if let Err(error) = tokio::fs::rename(&fresh, place).await {
        let _ = tokio::fs::rename(&stale, place).await;
        return Err(io(place, error));
    }
    Ok(rows)
}

async fn remote(job: &Job) -> Result<u64> {
    if job.node.config.partition_by.is_empty() {
        return write(job, job.rows.clone(), &job.location).await;
    }
    let store = job.stores.get(&job.location).map_err(execution_error)?;
    let prefix = ObjectPath::from_url_path(job.location.path())
        .map_err(|e| RunnerError::new(ErrorKind::Store, e.to_string()))?;
    let failed = |e: object_store::Error| {
        let message = format!("export `{}`: {e}", job.location);
        RunnerError::new(ErrorKind::Store, message).with_source(e)
    };
    let before: Vec<_> = store
        .list(Some(&prefix))
        .try_collect()
        .await
        .map_err(failed)?;
    let mut folder = job.location.clone();
    folder.set_path(&format!("{}/", job.location.path().trim_end_matches('/')));
    let rows = write(job, job.rows.clone(), &folder).await?;
    for object in before {
        Arc::clone(&store)
            .delete(&object.location)
            .await
            .map_err(failed)?;
    }
    Ok(rows)
}

/// The word that stands for null in the name of a partition's folder.
const NO_VALUE: &str = "__HIVE_DEFAULT_PARTITION__";

/// The rows with the columns of `partition_by` as text, as they stand in folder names.
fn partitioned(node: &Node, mut rows: DataFrame) -> Result<DataFrame> {
    for name in &node.config.partition_by {
        let schema = rows.schema();
        if !schema.has_column_with_unqualified_name(name) {
            let names = schema.fields().iter().map(|f| f.name().as_str());
            let message = format!(
                "model `{}`: `partition_by` names `{name}`, which is no column of it",
                node.name
            );
            let error = RunnerError::new(ErrorKind::Project, message);
            return Err(match did_you_mean(name, names) {
                Some(hint) => error.with_hint(hint),
                None => error,
            });
        }
        let text = cast(ident(name), DataType::Utf8);
        let text = coalesce(vec![text, lit(NO_VALUE)]);
        rows = rows.with_column(name, text).map_err(execution_error)?;
    }
    Ok(rows)
}

async fn write(job: &Job, rows: DataFrame, url: &Url) -> Result<u64> {
    let config = &job.node.config;
    let rows = partitioned(&job.node, rows)?;
    let single = config.partition_by.is_empty();
    let options = DataFrameWriteOptions::new()
        .with_single_file_output(single)
        .with_partition_by(config.partition_by.clone());
    let url = Stores::registered(url);
    let target = url.as_str();
    let written = match export_format(&job.node)? {
        "csv" => {
            let csv = CsvOptions::default().with_has_header(true);
            rows.write_csv(target, options, Some(csv)).await
        }
        "json" => rows.write_json(target, options, None).await,
        _ => rows.write_parquet(target, options, None).await,
    };
    let count = |a: &Arc<dyn Array>| {
        let counts = a.as_any().downcast_ref::<UInt64Array>();
        counts.map_or(0, |c| c.iter().flatten().sum::<u64>())
    };
    let batches = written.map_err(execution_error)?;
    Ok(batches
        .iter()
        .filter_map(|b| b.columns().first())
        .map(count)
        .sum())
}

fn file_url(path: &Path, folder: bool) -> Result<Url> {
    let url = if folder {
        Url::from_directory_path(path)
    } else {
        Url::from_file_path(path)
    };
    url.map_err(|()| {
        let message = format!("`{}` is not an absolute path", path.display());
        RunnerError::new(ErrorKind::Project, message)
    })
}

fn io(path: &Path, error: std::io::Error) -> RunnerError {
    let message = format!("export `{}`: {error}", path.display());
    RunnerError::new(ErrorKind::Store, message).with_source(error)
}
