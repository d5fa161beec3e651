//! Sessionization for Apache DataFusion: turns raw event lakes into sessions.
//!
//! The library has two halves. The **extension** (always there) adds window and scalar
//! functions, table providers and one call that installs them on a `SessionContext`. The
//! **runner** (feature `runner`) executes dbt-shaped projects of SQL models over Parquet
//! lakes and commits their results as Delta Lake tables.
//!
//! # Features
//!
//! | feature  | default | adds |
//! |----------|---------|------|
//! | `cli`    | yes     | the binary `sessionize`; implies `runner` |
//! | `runner` | (cli)   | SQL-model projects, committed tables, templates |
//! | `s3`     | yes     | `s3://` stores, AWS profiles |
//! | `gcs`    | yes     | `gs://` stores |
//! | `azure`  | yes     | `az://` and `abfss://` stores |
//! | `http`   | yes     | files of web servers by `https://` and `http://`, read only |

mod boundary;
mod catalog;
mod config;
mod csv;
mod ext;
pub mod functions;
mod operators;
mod optimizer;
mod store;
mod timestamp;

#[cfg(feature = "runner")]
pub mod generate;
#[cfg(feature = "runner")]
pub mod runner;
#[cfg(feature = "runner")]
mod table;

pub use catalog::{
    CatalogEntry, EventLakeOptions, LakeColumn, ProjectCatalog, event_lake,
};
pub use config::SessionizeOptions;
pub use ext::{SessionizeExt, SessionizeSqlExt};
pub use store::Stores;
