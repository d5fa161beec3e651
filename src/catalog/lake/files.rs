//! The files of a lake: listing, globs, endings, `key=value` folders.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::NaiveDate;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{DataFusionError, Result, ScalarValue, plan_err};
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use url::Url;

use super::glob::Glob;
use crate::store::decoded_path;

/// There is nothing at a location.
#[derive(Debug, thiserror::Error)]
#[error("no files match `{location}`{unread}")]
pub(crate) struct NoFiles {
    location: String,
    /// What is said of a file there that is of no format.
    unread: String,
}

impl NoFiles {
    fn at(location: &Url, unread: Option<String>) -> DataFusionError {
        let unread =
            unread.map(|unread| format!(": `{unread}` has another ending; {ENDINGS}"));
        DataFusionError::External(Box::new(Self {
            location: shown(location),
            unread: unread.unwrap_or_default(),
        }))
    }

    /// Whether this is what `error` is about, whatever was put around it.
    #[cfg(feature = "runner")]
    pub(crate) fn is_behind(error: &DataFusionError) -> bool {
        matches!(error.find_root(), DataFusionError::External(e) if e.is::<Self>())
    }
}

/// How a lake's files are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Parquet,
    Csv,
    Json,
}

impl Format {
    pub(super) fn named(name: &str) -> Result<Self> {
        match name.to_ascii_lowercase().as_str() {
            "parquet" => Ok(Self::Parquet),
            "csv" => Ok(Self::Csv),
            "json" | "ndjson" | "jsonl" => Ok(Self::Json),
            _ => plan_err!(
                "`{name}` is not a file format; expected `parquet`, `csv` or `json`"
            ),
        }
    }

    fn of(path: &Path) -> Option<Self> {
        let name = path.filename()?.to_ascii_lowercase();
        let name = name.strip_suffix(".gz").unwrap_or(&name);
        let (_, ending) = name.rsplit_once('.')?;
        match ending {
            "parquet" | "parq" | "pq" => Some(Self::Parquet),
            "csv" | "tsv" => Some(Self::Csv),
            "json" | "ndjson" | "jsonl" => Some(Self::Json),
            _ => None,
        }
    }
}

/// What errors say where an ending does not tell the format.
const ENDINGS: &str = "expected `.parquet`, `.csv`, `.tsv`, `.json`, `.ndjson` or `.jsonl` (the texts also with `.gz`)";

/// What separates the fields of a CSV file, by its ending.
pub(super) fn delimiter(path: &Path) -> u8 {
    let name = path.as_ref().to_ascii_lowercase();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    match name.ends_with(".tsv") {
        true => b'\t',
        false => b',',
    }
}

/// The compression that a file's ending tells of.
pub(super) fn compression(path: &Path) -> FileCompressionType {
    if path.as_ref().to_ascii_lowercase().ends_with(".gz") {
        FileCompressionType::GZIP
    } else {
        FileCompressionType::UNCOMPRESSED
    }
}

/// What a location holds.
pub(super) struct Listing {
    pub(super) files: Vec<ObjectMeta>,
    /// Folder below which `key=value` names are columns.
    pub(super) base: Path,
    pub(super) format: Format,
    /// A Delta table's folder: its log says which files count.
    pub(super) delta: bool,
}

/// Lists the files of `location`, ordered by path.
pub(super) async fn list(
    store: &Arc<dyn ObjectStore>,
    location: &Url,
    format: Option<Format>,
) -> Result<Listing> {
    let whole = decoded_path(location);
    let exact = Path::from_url_path(location.path())?;
    // also a file whose name looks like a glob
    if let Some(meta) = file_at(store, &exact).await? {
        let base = parent(&exact);
        let format = match format.or_else(|| Format::of(&exact)) {
            Some(format) => format,
            None => guessed(store, &meta, location).await?,
        };
        return chosen(vec![meta], base, Some(format), location);
    }
    let glob = Glob::new(&whole);
    if glob.is_none() {
        let log = exact.clone().join("_delta_log");
        if store.list(Some(&log)).try_next().await?.is_some() {
            let format = Format::Parquet;
            let files = Vec::new();
            let (base, delta) = (exact, true);
            return Ok(Listing {
                files,
                base,
                format,
                delta,
            });
        }
    }
    let base = match &glob {
        Some(glob) => Path::parse(glob.folder())?,
        None => exact,
    };
    let mut files: Vec<_> = store.list(Some(&base)).try_collect().await?;
    files.retain(|file| {
        let below = file.location.prefix_match(&base);
        !below.is_none_or(|mut parts| parts.any(|p| is_hidden(p.as_ref())))
    });
    let unread = files
        .first()
        .map(|file| shown_file(location, &file.location));
    files.retain(|file| {
        let found = Format::of(&file.location);
        let told = || found.is_some() && (format.is_none() || format == found);
        let path = file.location.as_ref();
        match &glob {
            None => told(),
            Some(glob) => glob.matches(path) || (glob.matches_folder_of(path) && told()),
        }
    });
    if let Some(unread) = unread.filter(|_| files.is_empty() && glob.is_none()) {
        return Err(NoFiles::at(location, Some(unread)));
    }
    files.sort_by(|a, b| a.location.cmp(&b.location));
    chosen(files, base, format, location)
}

/// The file at a path, if there is one.
pub(super) async fn file_at(
    store: &Arc<dyn ObjectStore>,
    path: &Path,
) -> Result<Option<ObjectMeta>> {
    if path.as_ref().is_empty() {
        return Ok(None);
    }
    match store.head(path).await {
        Ok(meta) => Ok(Some(meta)),
        Err(object_store::Error::NotFound { .. }) => Ok(None),
        Err(e) => Err(DataFusionError::from(e)),
    }
}

/// A file that was named and whose ending does not tell its format may be Parquet.
async fn guessed(
    store: &Arc<dyn ObjectStore>,
    file: &ObjectMeta,
    location: &Url,
) -> Result<Format> {
    const MAGIC: &[u8] = b"PAR1";
    let begin = 0..file.size.min(MAGIC.len() as u64);
    if file.size == 0 || store.get_range(&file.location, begin).await? == MAGIC {
        return Ok(Format::Parquet);
    }
    plan_err!(
        "the ending of `{}` does not tell its format, and it is no Parquet file; {ENDINGS}",
        shown_file(location, &file.location)
    )
}

/// The folder of a file.
pub(super) fn parent(path: &Path) -> Path {
    let parts: Vec<_> = path.parts().collect();
    let folders = parts.len().saturating_sub(1);
    parts.into_iter().take(folders).collect()
}

/// Names that writers use for what is not data. `_key=value` is a column.
fn is_hidden(name: &str) -> bool {
    name.starts_with('.') || (name.starts_with('_') && !name.contains('='))
}

/// Checks that there are files, and that they are of one format.
fn chosen(
    files: Vec<ObjectMeta>,
    base: Path,
    format: Option<Format>,
    location: &Url,
) -> Result<Listing> {
    if files.is_empty() {
        return Err(NoFiles::at(location, None));
    }
    let mut first: Option<(Format, &Path)> = None;
    for file in &files {
        let path = &file.location;
        let Some(found) = format.or_else(|| Format::of(path)) else {
            return plan_err!(
                "the ending of `{}` does not tell its format; {ENDINGS}, or `format` in the source's `config`",
                shown_file(location, path)
            );
        };
        let (expected, other) = *first.get_or_insert((found, path));
        if expected != found {
            return plan_err!(
                "`{}` and `{}` are of different formats; name the files of one by a glob such as `{}/*.{}`",
                shown_file(location, other),
                shown_file(location, path),
                shown(location).trim_end_matches('/'),
                other.extension().unwrap_or("parquet")
            );
        }
    }
    let format = first.map_or(Format::Parquet, |(format, _)| format);
    // Files of no bytes are what a writer that was killed leaves: they hold no rows.
    let files: Vec<_> = files.into_iter().filter(|f| f.size > 0).collect();
    if files.is_empty() {
        return plan_err!("every file of `{}` is empty", shown(location));
    }
    let delta = false;
    Ok(Listing {
        files,
        base,
        format,
        delta,
    })
}

/// The location as a user would write it.
fn shown(location: &Url) -> String {
    let path = decoded_path(location);
    match location.scheme() {
        "file" => format!("/{path}"),
        scheme => {
            format!(
                "{scheme}://{}/{path}",
                location.host_str().unwrap_or_default()
            )
        }
    }
}

/// A file of the store of `location` as a user would write it.
pub(super) fn shown_file(location: &Url, file: &Path) -> String {
    match location.scheme() {
        "file" => format!("/{file}"),
        scheme => format!(
            "{scheme}://{}/{file}",
            location.host_str().unwrap_or_default()
        ),
    }
}

/// The typed columns of the `key=value` folders, and each file's values.
pub(super) fn partitions(
    files: &[ObjectMeta],
    base: &Path,
) -> Result<(Vec<FieldRef>, Vec<Vec<ScalarValue>>)> {
    let texts: Vec<_> = files.iter().map(|f| keys(&f.location, base)).collect();
    let mut names: Vec<String> = Vec::new();
    for (name, _) in texts.iter().flatten() {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    let mut fields: Vec<FieldRef> = Vec::new();
    let mut values = vec![Vec::new(); files.len()];
    for name in names {
        let column: Vec<_> = texts
            .iter()
            .map(|file| file.iter().find(|(key, _)| key == &name))
            .map(|pair| pair.and_then(|(_, value)| value.as_deref()))
            .collect();
        let data_type = value_type(&column);
        for (row, text) in values.iter_mut().zip(&column) {
            row.push(match text {
                Some(text) => {
                    ScalarValue::try_from_string((*text).to_owned(), &data_type)?
                }
                None => ScalarValue::try_from(&data_type)?,
            });
        }
        fields.push(Arc::new(Field::new(name, data_type, true)));
    }
    Ok((fields, values))
}

/// `key=value` names between `base` and the file, with `%` escapes undone.
fn keys(file: &Path, base: &Path) -> Vec<(String, Option<String>)> {
    let names: Vec<_> = match file.prefix_match(base) {
        Some(parts) => parts.map(|p| p.as_ref().to_owned()).collect(),
        None => return Vec::new(),
    };
    let folders = names.len().saturating_sub(1);
    let mut keys = BTreeMap::new();
    let mut order = Vec::new();
    for name in &names[..folders] {
        if let Some((key, value)) = name.split_once('=') {
            let value = crate::store::decode(value);
            let null = value == "__HIVE_DEFAULT_PARTITION__";
            let key = crate::store::decode(key);
            order.push(key.clone());
            keys.insert(key, (!null).then_some(value));
        }
    }
    let pairs = order.into_iter();
    pairs
        .filter_map(|k| keys.remove(&k).map(|v| (k, v)))
        .collect()
}

fn value_type(values: &[Option<&str>]) -> DataType {
    let known = || values.iter().flatten();
    // `007` is a code, not a number: a number must read back as it was written.
    // Months and hours are padded to two digits by many writers.
    let number = |t: &str| {
        let padded = t.len() == 2 && t.bytes().all(|b| b.is_ascii_digit());
        padded || t.parse::<i64>().is_ok_and(|n| n.to_string() == t)
    };
    let date =
        |t: &str| t.len() == 10 && NaiveDate::parse_from_str(t, "%Y-%m-%d").is_ok();
    if known().next().is_none() {
        DataType::Utf8
    } else if known().all(|t| number(t)) {
        DataType::Int64
    } else if known().all(|t| date(t)) {
        DataType::Date32
    } else {
        DataType::Utf8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folder_values_are_typed() {
        assert_eq!(value_type(&[Some("2024"), None]), DataType::Int64);
        assert_eq!(value_type(&[Some("01"), Some("12")]), DataType::Int64);
        assert_eq!(value_type(&[Some("007")]), DataType::Utf8);
        assert_eq!(value_type(&[Some("2024-01-31")]), DataType::Date32);
        assert_eq!(value_type(&[Some("2024-01-31"), Some("x")]), DataType::Utf8);
        assert_eq!(value_type(&[None]), DataType::Utf8);
        let found = keys(&Path::from("lake/k=v/d=1/f"), &Path::from("lake"));
        let text = |s: &str| s.to_owned();
        let wanted = [(text("k"), Some(text("v"))), (text("d"), Some(text("1")))];
        assert_eq!(found, wanted);
    }
}
