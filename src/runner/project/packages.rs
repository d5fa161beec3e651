//! `packages.yml` and `dependencies.yml`: only what is built in can be asked for.

use std::path::Path;

use super::files::read_text;
use super::yaml::{Fields, Node, parse};
use crate::runner::error::Result;

/// Packages whose macros are built in.
const BUILT_IN: &[&str] = &["dbt-labs/dbt_utils"];

/// Refuses packages that are not built in.
pub(crate) fn check(root: &Path) -> Result<()> {
    for name in ["packages.yml", "dependencies.yml"] {
        let path = root.join(name);
        if !path.is_file() {
            continue;
        }
        let node = parse(&read_text(&path, Path::new(name))?)?;
        let mut fields = Fields::new(&node, format!("`{name}`"))?;
        for package in fields.list("packages")? {
            check_package(package)?;
        }
        fields.refuse("projects", "models of other projects cannot be referenced")?;
        fields.finish()?;
    }
    Ok(())
}

fn check_package(package: &Node) -> Result<()> {
    let mut fields = Fields::new(package, "a package")?;
    fields.ignore(&[
        "version",
        "revision",
        "subdirectory",
        "install_prerelease",
        "warn_unpinned",
        "name",
        "unrendered",
    ]);
    for key in ["package", "git", "local", "tarball", "private"] {
        let Some(node) = fields.optional(key) else {
            continue;
        };
        let name = node.string()?;
        let short = name.trim_end_matches(".git").to_lowercase();
        let is = |known: &&str| short == **known || short.ends_with(&format!("/{known}"));
        if key != "local" && BUILT_IN.iter().any(is) {
            continue;
        }
        let error = node.error(format!("package `{name}` is not supported"));
        return Err(error.with_hint(format!(
            "built in: `{}`; copy the macros of others into the project",
            BUILT_IN.join("`, `")
        )));
    }
    fields.finish()
}
