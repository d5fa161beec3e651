//! Macros of the project: each one a template of its own, so that every macro can be called
//! from everywhere, `return()` leaves only the macro it stands in, and an error points into
//! the macro's file.

use std::collections::BTreeMap;
use std::sync::Arc;

use minijinja::value::Object;
use minijinja::{Environment, Error, ErrorKind as JinjaKind, State, Value};

use super::caller::{Arguments, Caller, MacroRoot};
use super::context::{NodeContext, ROOT};
use super::tags::{Tag, Tags};
use crate::runner::error::{ErrorKind, Result, RunnerError, did_you_mean};
use crate::runner::project::TextFile;
use crate::runner::template::{
    TemplateSource, location_at, to_runner_error, wrap_literals,
};

/// How deep macros may call each other: each level needs native stack.
const DEPTH: usize = 40;

/// dbt's hooks into naming and materialization that nothing here would call.
const REFUSED: &[&str] = &[
    "generate_alias_name",
    "generate_database_name",
    "generate_schema_name",
];

/// The macros of a project by name.
#[derive(Debug, Default)]
pub(crate) struct MacroLibrary {
    macros: BTreeMap<String, Arc<ProjectMacro>>,
    sources: BTreeMap<String, TemplateSource>,
    project: String,
}

impl MacroLibrary {
    /// Reads macro files and adds every macro to `environment`.
    pub(crate) fn load(
        environment: &mut Environment<'static>,
        files: &[TextFile],
        project: &str,
    ) -> Result<Self> {
        let mut library = Self {
            project: project.to_owned(),
            ..Self::default()
        };
        for file in files {
            for block in blocks(file)? {
                library.add(environment, file, block)?;
            }
        }
        for (name, item) in &library.macros {
            environment
                .add_global(name.clone(), Value::from_dyn_object(Arc::clone(item)));
        }
        Ok(library)
    }

    fn add(
        &mut self,
        environment: &mut Environment<'static>,
        file: &TextFile,
        block: Block,
    ) -> Result<()> {
        let place = location_at(&file.path, &file.text, block.name_at, block.name_end());
        let fail = |message: String| {
            RunnerError::new(ErrorKind::Project, message).with_location(place.clone())
        };
        if REFUSED.contains(&block.name.as_str()) {
            return Err(fail(format!("a macro `{}` is not supported", block.name)));
        }
        if super::context::NAMES.contains(&block.name.as_str()) {
            return Err(fail(format!(
                "macro `{}` would hide the built-in of that name",
                block.name
            )));
        }
        if let Some(other) = self.macros.get(&block.name) {
            let first = self.sources.get(&other.template).map(|s| s.path.display());
            let first = first.map_or_else(String::new, |p| format!(", first in `{p}`"));
            return Err(fail(format!(
                "macro `{}` is defined twice{first}",
                block.name
            )));
        }
        let template = format!("{}#{}", file.path.display(), block.name);
        let (text, offsets) = wrap_literals(&block.text);
        let source = TemplateSource {
            path: file.path.clone(),
            text: Arc::clone(&file.text),
            offsets,
        };
        let added = environment.add_template_owned(template.clone(), text);
        added.map_err(|e| to_runner_error(&e, &|_| Some(source.clone()), &[]))?;
        self.sources.insert(template.clone(), source);
        let item = ProjectMacro {
            hidden: block.hidden(),
            variadic: block.is_variadic(),
            name: block.name,
            template,
        };
        self.macros.insert(item.name.clone(), Arc::new(item));
        Ok(())
    }

    /// The source of a macro's template.
    pub(crate) fn source(&self, template: &str) -> Option<TemplateSource> {
        self.sources.get(template).cloned()
    }

    /// The macro `name`, callable.
    pub(super) fn get(&self, name: &str) -> Option<Value> {
        self.macros
            .get(name)
            .map(|m| Value::from_dyn_object(Arc::clone(m)))
    }

    /// Whether there is a macro `name`.
    pub(super) fn has(&self, name: &str) -> bool {
        self.macros.contains_key(name)
    }

    /// Names of all macros.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.macros.keys().map(String::as_str)
    }

    /// The error for `<project>.<name>`.
    pub(super) fn unknown(&self, name: &str) -> RunnerError {
        let message = format!("project `{}` has no macro `{name}`", self.project);
        let error = RunnerError::new(ErrorKind::Template, message);
        match did_you_mean(name, self.names()) {
            Some(hint) => error.with_hint(hint),
            None => error,
        }
    }
}

/// One callable macro.
#[derive(Debug)]
pub(super) struct ProjectMacro {
    name: String,
    /// Its name inside its own template, so that a call of `name` there is a global one too.
    hidden: String,
    /// Whether it uses `varargs` or `kwargs`.
    variadic: bool,
    template: String,
}

impl Object for ProjectMacro {
    fn call(
        self: &Arc<Self>,
        state: &mut State<'_, '_>,
        args: &[Value],
    ) -> Result<Value, Error> {
        let root = state.lookup(ROOT).unwrap_or_default();
        let Some(context) = root.downcast_object::<NodeContext>() else {
            return Err(Error::new(
                JinjaKind::InvalidOperation,
                format!("macro `{}` cannot be called here", self.name),
            ));
        };
        if context.enter() > DEPTH {
            context.leave();
            let message = format!(
                "macro `{}` calls itself or others too deep ({DEPTH})",
                self.name
            );
            return Err(Error::new(JinjaKind::InvalidOperation, message));
        }
        let result = self.evaluate(state, root, args);
        context.leave();
        match result {
            Err(error) => context.take_returned().ok_or(error),
            value => value,
        }
    }

    fn render(self: &Arc<Self>, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "<macro {}>", self.name)
    }
}

impl ProjectMacro {
    fn evaluate(
        &self,
        state: &mut State<'_, '_>,
        root: Value,
        args: &[Value],
    ) -> Result<Value, Error> {
        let mut args = Arguments::split(args)?;
        let root = match self.variadic {
            true => {
                let names = self.parameters(state, root.clone())?;
                let extra = args.take_extra(&names);
                Value::from_object(MacroRoot { base: root, extra })
            }
            false => root,
        };
        let Some(body) = args.caller.clone() else {
            return self.run(state, root, &args.join(None));
        };
        let caller = Caller::default();
        loop {
            let stand_in = Value::from_object(caller.clone());
            let result = self.run(state, root.clone(), &args.join(Some(stand_in)));
            match (result, caller.wanted()) {
                (Err(_), Some(wanted)) => {
                    let value = body.call(state, &wanted)?;
                    caller.answer(wanted, value);
                }
                (result, _) => return result,
            }
        }
    }

    fn run(
        &self,
        state: &State<'_, '_>,
        root: Value,
        args: &[Value],
    ) -> Result<Value, Error> {
        self.with(state, root, |callable, state| callable.call(state, args))
    }

    /// The names of its parameters.
    fn parameters(
        &self,
        state: &State<'_, '_>,
        root: Value,
    ) -> Result<Vec<String>, Error> {
        self.with(state, root, |callable, _| {
            let names = callable.get_attr("arguments")?;
            Ok(names.try_iter()?.map(|name| name.to_string()).collect())
        })
    }

    fn with<T>(
        &self,
        state: &State<'_, '_>,
        root: Value,
        work: impl FnOnce(&Value, &mut State<'_, '_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let template = state.env().get_template(&self.template)?;
        let mut captured = template.render_captured(root)?;
        captured.with_state_mut(|state| match state.lookup(&self.hidden) {
            Some(callable) => work(&callable, state),
            None => Err(Error::new(
                JinjaKind::UnknownFunction,
                format!("{} is unknown", self.name),
            )),
        })
    }
}

/// One `{% macro %}` or `{% test %}` of a file.
struct Block {
    name: String,
    name_at: usize,
    /// The file's text with everything else blanked out, at the same offsets.
    text: String,
}

impl Block {
    fn name_end(&self) -> usize {
        self.name_at + self.name.trim_start_matches("test_").len()
    }

    fn is_variadic(&self) -> bool {
        let word = |c: char| !c.is_alphanumeric() && c != '_';
        let mut words = self.text.split(word);
        words.any(|w| matches!(w, "varargs" | "kwargs"))
    }

    fn hidden(&self) -> String {
        let at = self.text[self.name_at..].chars().take_while(|c| *c == '_');
        at.collect()
    }
}

/// The blocks of a macro file; refuses by name what cannot be run.
fn blocks(file: &TextFile) -> Result<Vec<Block>> {
    let mut found = Vec::new();
    let mut tags = Tags {
        text: &file.text,
        position: 0,
    };
    while let Some(tag) = tags.next_tag() {
        match tag.word {
            "macro" | "test" => found.push(block(file, &mut tags, &tag)?),
            "snapshot" | "materialization" | "docs" | "data_test" | "operation" => {
                let message = format!("`{{% {} %}}` is not supported", tag.word);
                let place =
                    location_at(&file.path, &file.text, tag.word_at, tag.word_end());
                let error = RunnerError::new(ErrorKind::Project, message);
                return Err(error.with_location(place));
            }
            _ => {}
        }
    }
    Ok(found)
}

fn block(file: &TextFile, tags: &mut Tags<'_>, start: &Tag<'_>) -> Result<Block> {
    let end_word = format!("end{}", start.word);
    let place = location_at(&file.path, &file.text, start.word_at, start.word_end());
    let fail = |message: String| {
        RunnerError::new(ErrorKind::Template, message).with_location(place.clone())
    };
    let rest = &file.text[start.word_end()..];
    let name_at = start.word_end() + (rest.len() - rest.trim_start().len());
    let name: String = file.text[name_at..]
        .chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect();
    if name.is_empty() {
        return Err(fail(format!("`{{% {} %}}` has no name", start.word)));
    }
    let end = loop {
        match tags.next_tag() {
            Some(tag) if tag.word == end_word => break tag,
            Some(_) => {}
            None => return Err(fail(format!("`{name}` has no `{{% {end_word} %}}`"))),
        }
    };
    let mut text: Vec<u8> = file.text.bytes().collect();
    for (at, byte) in text.iter_mut().enumerate() {
        let outside = at < start.at || at >= end.end;
        if outside && !matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
    text[name_at..name_at + name.len()].fill(b'_');
    let mut name = name;
    if start.word == "test" {
        for (at, word) in [(start.word_at, "macro"), (end.word_at, "endmacro")] {
            if !file.text[..at].ends_with(' ') {
                return Err(fail("a blank is missing before `test`".to_owned()));
            }
            text[at - 1..at - 1 + word.len()].copy_from_slice(word.as_bytes());
        }
        name = format!("test_{name}");
    }
    let text = String::from_utf8(text)
        .map_err(|e| fail(format!("`{name}` is no valid text: {e}")))?;
    Ok(Block {
        name,
        name_at,
        text,
    })
}
