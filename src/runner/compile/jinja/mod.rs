//! Rendering one template of a project.

mod caller;
mod context;
mod convert;
mod dbt;
mod dbt_utils;
mod functions;
mod macros;
mod namespace;
mod relation;
mod tags;

use std::sync::Arc;

use minijinja::{Environment, OutputSpanKind, Value};

use super::SourceMap;
use crate::runner::error::{Result, RunnerError};
use crate::runner::project::Project;
use crate::runner::template::{
    TemplateSource, environment, to_runner_error, wrap_literals,
};

pub(super) use context::{Columns, Index, NodeContext, Record, Referable, target_json};
pub(super) use macros::MacroLibrary;
pub(crate) use relation::quote;

/// Renders the templates of a project.
pub(super) struct Renderer {
    environment: Environment<'static>,
    pub(super) macros: Arc<MacroLibrary>,
}

/// The result of rendering.
pub(super) struct Rendered {
    pub(super) sql: String,
    pub(super) map: SourceMap,
    pub(super) record: Record,
}

/// Why rendering stopped.
pub(super) struct Stopped {
    pub(super) error: RunnerError,
    /// What was known by then (`wanted`, `config`).
    pub(super) record: Record,
}

impl Renderer {
    pub(super) fn new(project: &Project) -> Result<Self> {
        let mut environment = environment();
        let macros =
            MacroLibrary::load(&mut environment, &project.macros, &project.name)?;
        Ok(Self {
            environment,
            macros: Arc::new(macros),
        })
    }

    /// Whether templates of `project` can call `name` (or `package.name`).
    pub(super) fn can_call(&self, project: &str, name: &str) -> bool {
        match name.split_once('.') {
            Some(("dbt", name)) => dbt::NAMES.contains(&name),
            Some(("dbt_utils", name)) => {
                dbt_utils::NAMES.contains(&name) || dbt::NAMES.contains(&name)
            }
            Some((package, name)) => package == project && self.macros.has(name),
            None => {
                self.macros.has(name)
                    || dbt::NAMES.contains(&name)
                    || context::NAMES.contains(&name)
            }
        }
    }

    /// Renders `text`, which stands in `source`'s file at the same offsets.
    pub(super) fn render(
        &self,
        source: &TemplateSource,
        context: NodeContext,
    ) -> Result<Rendered, Box<Stopped>> {
        let context = Arc::new(context);
        let (text, offsets) = wrap_literals(&source.text);
        let source = TemplateSource {
            offsets,
            ..source.clone()
        };
        let name = source.path.display().to_string();
        let root = Value::from_dyn_object(Arc::clone(&context));
        let rendered = self
            .environment
            .template_from_named_str(&name, &text)
            .and_then(|template| template.render_with_spans(root));
        let record = std::mem::take(&mut *context.record());
        match rendered {
            Ok((sql, spans)) => {
                let spans = spans
                    .iter()
                    .filter(|span| span.name() == name)
                    .map(|span| {
                        let (out, from) = (span.output_range(), span.source_range());
                        let start = source.offsets.to_source(from.start);
                        let mut end = source.offsets.to_source(from.end);
                        let raw = span.kind() == OutputSpanKind::Raw;
                        if !raw && end - start == out.len() {
                            // Equal lengths mean literal text, so an expression takes in the
                            // blank or brace behind it.
                            end = (end + 1).min(source.text.len());
                        }
                        (out.start, out.end, start, end)
                    })
                    .collect();
                Ok(Rendered {
                    sql,
                    map: SourceMap { spans },
                    record,
                })
            }
            Err(error) => {
                let find = |wanted: &str| match wanted == name {
                    true => Some(source.clone()),
                    false => self.macros.source(wanted),
                };
                let error = to_runner_error(&error, &find, &context.known_names());
                Err(Box::new(Stopped { error, record }))
            }
        }
    }
}
