//! Templates that stand in no file of their own: expressions of property files, calls of
//! `{% test %}` blocks, queries.

use std::sync::Arc;

use serde_json::Value;

use super::build::{Compiler, Job};
use super::jinja::Rendered;
use super::{Compiled, Node, NodeId, NodeKind, config};
use crate::runner::data_tests::TestInput;
use crate::runner::error::{ErrorKind, Result, RunnerError};
use crate::runner::project::{Properties, TextFile};
use crate::runner::template::{OffsetMap, TemplateSource};

impl Compiler<'_> {
    /// The relation that `expression` (`ref('…')`, `source('…', '…')`) names.
    pub(super) fn relation_of(
        &self,
        reader: &str,
        expression: &str,
    ) -> Result<(String, NodeId)> {
        let inner = expression
            .trim()
            .trim_start_matches("{{")
            .trim_end_matches("}}");
        let rendered = self.fragment(reader, &format!("{{{{ {} }}}}", inner.trim()))?;
        let read = rendered.record.reads.into_iter().next();
        let id = read.ok_or_else(|| {
            let message = format!("`{expression}` is no `ref` or `source`");
            RunnerError::new(ErrorKind::Project, message)
        })?;
        Ok((rendered.sql, id))
    }

    /// The query of a `{% test %}` block of the project, with what it reads and how it
    /// configures itself.
    pub(super) fn custom_test(
        &self,
        name: &str,
        input: &TestInput<'_>,
    ) -> Result<Rendered> {
        let mut arguments = vec![format!("model={}", Value::from(input.relation))];
        if let Some(column) = input.column {
            arguments.push(format!("column_name={}", Value::from(column)));
        }
        for (key, value) in input.arguments {
            arguments.push(format!(
                "{key}=fromjson({})",
                Value::from(value.to_string())
            ));
        }
        let call = format!("{{{{ test_{name}({}) }}}}", arguments.join(", "));
        self.fragment(name, &call)
    }

    /// Renders a text that stands in no file of its own.
    fn fragment(&self, reader: &str, text: &str) -> Result<Rendered> {
        let file = TextFile {
            path: "<inline>".into(),
            text: Arc::from(text),
        };
        let node = self.inline_node(&file, reader);
        let job = Job {
            execute: true,
            ..Job::default()
        };
        self.render(&template(&file), &node, job)
            .map_err(|stopped| {
                let plain =
                    RunnerError::new(stopped.error.kind(), stopped.error.message());
                match stopped.error.hint() {
                    Some(hint) => plain.with_hint(hint),
                    None => plain,
                }
            })
    }

    /// The node of an ad-hoc query.
    pub(super) fn inline_node(&self, file: &TextFile, name: &str) -> Node {
        Node {
            id: format!("sql_operation.{}.{name}", self.project.name).into(),
            name: name.to_owned(),
            kind: NodeKind::Model,
            fqn: vec![self.project.name.clone(), name.to_owned()],
            checksum: self.checksum(&file.text),
            file: Some(file.clone()),
            config: config::defaults(),
            properties: Properties::default(),
            relation: None,
            raw_code: Arc::clone(&file.text),
            compiled: Compiled::default(),
            depends_on: Vec::new(),
        }
    }
}

/// A file as a template.
pub(super) fn template(file: &TextFile) -> TemplateSource {
    TemplateSource {
        path: file.path.clone(),
        text: Arc::clone(&file.text),
        offsets: OffsetMap::default(),
    }
}
