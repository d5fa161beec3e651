//! The documentation of the functions, and the page that is generated from it.

use datafusion::logical_expr::{DocSection, Documentation};

use super::arguments::ARGUMENTS;
use super::session::Kind;

const WINDOW: DocSection = DocSection {
    include: true,
    label: "Window functions",
    description: Some(
        "All take the same arguments, which may be given by name (see \
         `resolve_named_arguments`), over `PARTITION BY key ORDER BY t` and columns that \
         break ties. `NULL` stands for an argument's default.",
    ),
};

const IDENTITY: DocSection = DocSection {
    include: true,
    label: "Identity functions",
    description: Some("Window functions over links between ids."),
};

const SCALAR: DocSection = DocSection {
    include: true,
    label: "Scalar functions",
    description: None,
};

/// The documentation of a window function.
pub(super) fn window(kind: Kind, description: &str, example: &str) -> Documentation {
    let name = kind.name();
    let key = if kind.has_key() { "key, " } else { "" };
    let optional: Vec<_> = ARGUMENTS[1..].iter().map(|a| a.name()).collect();
    let syntax = format!(
        "{name}({key}t [, {}]) OVER (PARTITION BY key ORDER BY t, …)",
        optional.join(", ")
    );
    let mut builder =
        Documentation::builder(WINDOW, description, syntax).with_sql_example(example);
    if kind.has_key() {
        builder = builder
            .with_argument("key", "The visitor: any value that can be cast to text.");
    }
    for argument in ARGUMENTS {
        let text = format!("{} Accepted: {}.", argument.meaning(), argument.accepted());
        builder = builder.with_argument(argument.name(), text);
    }
    builder.build()
}

/// The documentation of a scalar function.
pub(super) fn scalar(
    description: &str,
    syntax: &str,
    arguments: &[(&str, &str)],
    example: &str,
) -> Documentation {
    section(SCALAR, description, syntax, arguments, example)
}

/// The documentation of a window function over links between ids.
pub(super) fn identity(
    description: &str,
    syntax: &str,
    arguments: &[(&str, &str)],
    example: &str,
) -> Documentation {
    section(IDENTITY, description, syntax, arguments, example)
}

fn section(
    section: DocSection,
    description: &str,
    syntax: &str,
    arguments: &[(&str, &str)],
    example: &str,
) -> Documentation {
    let builder =
        Documentation::builder(section, description, syntax).with_sql_example(example);
    arguments
        .iter()
        .fold(builder, |builder, (name, meaning)| {
            builder.with_argument(*name, *meaning)
        })
        .build()
}

/// The reference of all functions as Markdown: the content of `docs/functions.md`.
pub fn functions_markdown() -> String {
    let mut page = String::from(
        "# Functions\n\nGenerated from the functions' own documentation by \
         `UPDATE_DOCS=1 cargo test --test it functions_page`.\n",
    );
    let windows = super::window_functions();
    let scalars = super::scalar_functions();
    let windows = windows.iter().map(|f| (f.name(), f.documentation()));
    let scalars = scalars.iter().map(|f| (f.name(), f.documentation()));
    let mut label = "";
    for (name, documentation) in windows.chain(scalars) {
        let Some(documentation) = documentation else {
            continue;
        };
        let section = &documentation.doc_section;
        if section.label != label {
            label = section.label;
            page.push_str(&format!("\n## {label}\n"));
            if let Some(text) = section.description {
                page.push_str(&format!("\n{text}\n"));
            }
        }
        push_function(&mut page, name, documentation);
    }
    page
}

fn push_function(page: &mut String, name: &str, documentation: &Documentation) {
    page.push_str(&format!(
        "\n### `{name}`\n\n{}\n\n```sql\n{}\n```\n\n",
        documentation.description, documentation.syntax_example
    ));
    for (argument, meaning) in documentation.arguments.iter().flatten() {
        page.push_str(&format!("- `{argument}`: {meaning}\n"));
    }
    if let Some(example) = &documentation.sql_example {
        page.push_str(&format!("\n```text\n{example}\n```\n"));
    }
}
