//! What a commit says of the table itself, and what its log asks of writers.

use datafusion::arrow::datatypes::SchemaRef;
use delta_kernel::table_properties::TableProperties;
use deltalake::kernel::engine::arrow_conversion::TryIntoKernel;
use deltalake::kernel::transaction::TableReference;
use deltalake::kernel::{
    Action, EagerSnapshot, Metadata, MetadataExt, Protocol, StructType, new_metadata,
};
use serde_json::{Value, json};
use url::Url;

use crate::table::{TableError, TableVersion};

/// The feature of files with deleted rows.
const VECTORS: &str = "deletionVectors";
/// The property that allows them.
const ENABLED: &str = "delta.enableDeletionVectors";
/// The features that a table of the oldest protocol has.
const OLDEST: [&str; 2] = ["appendOnly", "invariants"];

/// What becomes of the table itself.
pub(super) struct Next<'a> {
    pub(super) base: Option<&'a TableVersion>,
    pub(super) schema: &'a SchemaRef,
    /// Whether single files come and go, and some stay.
    pub(super) stay: bool,
    /// Whether rows of files that stay are deleted.
    pub(super) masks: bool,
}

fn failed(url: &Url, error: deltalake::kernel::Error) -> TableError {
    TableError::caused(url, "cannot describe the table", error)
}

impl Next<'_> {
    /// All when the table is new, what changes when it is not.
    pub(super) fn actions(
        &self,
        url: &Url,
        snapshot: Option<&EagerSnapshot>,
    ) -> Result<Vec<Action>, TableError> {
        let schema: StructType = self
            .schema
            .as_ref()
            .try_into_kernel()
            .map_err(|e| TableError::caused(url, "cannot hold this schema", e))?;
        let (Some(base), Some(snapshot)) = (self.base, snapshot) else {
            let none: [(&str, &str); 0] = [];
            let metadata = new_metadata(&schema, Vec::<String>::new(), none);
            let metadata = metadata.map_err(|e| failed(url, e))?;
            return Ok(vec![
                Action::Protocol(oldest(url)?),
                Action::Metadata(metadata),
            ]);
        };
        let columns = &base.schema != self.schema;
        if columns && self.stay && !extends(self.schema, &base.schema) {
            let message = "a commit of single files can only add columns to the table";
            return Err(TableError::new(url, message));
        }
        let mut actions = Vec::new();
        let mut metadata: Metadata = snapshot.metadata().clone();
        let enables = self.masks && !has_vectors(snapshot);
        if enables {
            actions.push(Action::Protocol(with_vectors(url, snapshot.protocol())?));
            let enabled = metadata.add_config_key(ENABLED.to_owned(), "true".to_owned());
            metadata = enabled.map_err(|e| failed(url, e))?;
        }
        if columns {
            metadata = metadata.with_schema(&schema).map_err(|e| failed(url, e))?;
        }
        if enables || columns {
            actions.push(Action::Metadata(metadata));
        }
        Ok(actions)
    }
}

/// Whether `schema` has the columns of `base` and new ones, which are null in older files.
fn extends(schema: &SchemaRef, base: &SchemaRef) -> bool {
    base.fields()
        .iter()
        .all(|field| schema.fields().iter().any(|new| new == field))
}

fn protocol(url: &Url, value: Value) -> Result<Protocol, TableError> {
    serde_json::from_value(value)
        .map_err(|e| TableError::caused(url, "cannot describe the table", e))
}

/// The oldest protocol: every engine reads it, and we need no feature.
fn oldest(url: &Url) -> Result<Protocol, TableError> {
    protocol(url, json!({ "minReaderVersion": 1, "minWriterVersion": 2 }))
}

fn has_vectors(snapshot: &EagerSnapshot) -> bool {
    let (protocol, metadata) = (json!(snapshot.protocol()), json!(snapshot.metadata()));
    let has = |features: &str| names(&protocol, features).any(|name| name == VECTORS);
    has("readerFeatures")
        && has("writerFeatures")
        && metadata["configuration"][ENABLED] == "true"
}

/// The features under `key` of a protocol.
fn names<'a>(protocol: &'a Value, key: &str) -> impl Iterator<Item = &'a str> {
    let names = protocol[key].as_array().into_iter().flatten();
    names.filter_map(Value::as_str)
}

/// `before`, and files may have deleted rows. It has to name what it had without a name.
fn with_vectors(url: &Url, before: &Protocol) -> Result<Protocol, TableError> {
    let before = json!(before);
    let features = |key: &str, unnamed: &'static [&'static str]| {
        let mut all: Vec<_> =
            names(&before, key).chain(unnamed.iter().copied()).collect();
        all.push(VECTORS);
        all.sort_unstable();
        all.dedup();
        json!(all)
    };
    let unnamed = match before["minWriterVersion"].as_u64() {
        Some(2..7) => &OLDEST[..],
        _ => &[],
    };
    let value = json!({
        "minReaderVersion": 3,
        "minWriterVersion": 7,
        "readerFeatures": features("readerFeatures", &[]),
        "writerFeatures": features("writerFeatures", unnamed),
    });
    protocol(url, value)
}

/// A snapshot whose protocol does not name `invariants` if no column has one: `deltalake` as
/// we build it cannot check them, and would not write to the table.
pub(super) struct Known<'a> {
    snapshot: &'a EagerSnapshot,
    protocol: Protocol,
}

impl<'a> Known<'a> {
    pub(super) fn of(url: &Url, snapshot: &'a EagerSnapshot) -> Result<Self, TableError> {
        let mut known = json!(snapshot.protocol());
        let metadata = json!(snapshot.metadata());
        let schema = metadata["schemaString"].as_str().unwrap_or_default();
        if let Some(features) = known["writerFeatures"].as_array_mut()
            && !schema.contains("delta.invariants")
        {
            features.retain(|feature| feature != "invariants");
        }
        Ok(Self {
            snapshot,
            protocol: protocol(url, known)?,
        })
    }
}

impl TableReference for Known<'_> {
    fn config(&self) -> &TableProperties {
        self.snapshot.table_properties()
    }

    fn protocol(&self) -> &Protocol {
        &self.protocol
    }

    fn metadata(&self) -> &Metadata {
        self.snapshot.metadata()
    }

    fn eager_snapshot(&self) -> &EagerSnapshot {
        self.snapshot
    }
}
