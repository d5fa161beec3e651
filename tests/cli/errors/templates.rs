//! Mistakes in templates: variables, blocks, macros, helpers.

use crate::support::{Project, assert_output};

#[test]
fn an_undefined_jinja_variable() {
    let project =
        Project::small().with("models/x.sql", "select 1 as a\nwhere {{ lowest }} > 1\n");
    assert_output!(project.run(&["ls"]), @r#"
    exit: 2
    --- stdout
    --- stderr
    error: `lowest` is undefined
     ,-[models/x.sql:2:10]
     1 | select 1 as a
     2 | where {{ lowest }} > 1
     :          ^^^^^^
     `----
    "#);
}

#[test]
fn a_variable_without_a_value() {
    let project =
        Project::small().with("models/x.sql", "select {{ var('lowset') }} as a\n");
    assert_output!(project.run(&["ls"]), @r#"
    exit: 2
    --- stdout
    --- stderr
    error: variable `lowset` has no value and no default, in `x`
     ,-[models/x.sql:1:11]
     1 | select {{ var('lowset') }} as a
     :           ^^^^^^^^^^^^^
     `----
    hint: did you mean `lowest`?
    "#);
}

#[test]
fn an_environment_variable_that_is_not_set() {
    let project = Project::small()
        .with("models/x.sql", "select {{ env_var('NOWHERE_SET') }} as a\n");
    assert_output!(project.run(&["ls"]), @r#"
    exit: 2
    --- stdout
    --- stderr
    error: environment variable `NOWHERE_SET` is not set
     ,-[models/x.sql:1:11]
     1 | select {{ env_var('NOWHERE_SET') }} as a
     :           ^^^^^^^^^^^^^^^^^^^^^^
     `----
    hint: set it, or give a default: `env_var('NOWHERE_SET', '…')`
    "#);
}

#[test]
fn a_jinja_block_without_its_end() {
    let project = Project::small().with("models/x.sql", "select 1 as a\n{% if true %}\n");
    assert_output!(project.run(&["ls"]), @r#"
    exit: 2
    --- stdout
    --- stderr
    error: the template does not parse: unexpected end of input, expected end of block
     ,-[models/x.sql:2:12]
     1 | select 1 as a
     2 | {% if true %}
     :            ^^
     `----
    "#);
}

#[test]
fn an_unknown_macro() {
    let project = Project::small()
        .with("models/x.sql", "select {{ cent(1) }} as a\n")
        .with(
            "macros/cents.sql",
            "{% macro cents(a) %}{{ a }} * 100{% endmacro %}\n",
        );
    assert_output!(project.run(&["ls"]), @r#"
    exit: 2
    --- stdout
    --- stderr
    error: `cent` is no known macro or function
     ,-[models/x.sql:1:11]
     1 | select {{ cent(1) }} as a
     :           ^^^^^^^
     `----
    hint: did you mean `cents`?
    "#);
}

#[test]
fn a_mistake_in_a_macro_is_shown_in_its_file() {
    let project = Project::small()
        .with("models/x.sql", "select {{ cents('id') }} as a\n")
        .with(
            "macros/cents.sql",
            "{% macro cents(column) %}\n  {{ column }} * {{ factor }}\n{% endmacro %}\n",
        );
    assert_output!(project.run(&["ls"]), @r#"
    exit: 2
    --- stdout
    --- stderr
    error: `factor` is undefined
     ,-[macros/cents.sql:2:21]
     1 | {% macro cents(column) %}
     2 |   {{ column }} * {{ factor }}
     :                     ^^^^^^
     3 | {% endmacro %}
     `----
    "#);
}

#[test]
fn a_macro_that_does_not_parse() {
    let project = Project::small().with(
        "macros/cents.sql",
        "{% macro cents(column) %}\n  {{ column }} * {{\n{% endmacro %}\n",
    );
    assert_output!(project.run(&["ls"]), @r#"
    exit: 2
    --- stdout
    --- stderr
    error: the template does not parse: unexpected `%`
     ,-[macros/cents.sql:3:2]
     2 |   {{ column }} * {{
     3 | {% endmacro %}
     :  ^
     `----
    "#);
}

#[test]
fn a_macro_that_refuses() {
    let project = Project::small()
        .with("models/x.sql", "select {{ cents('id') }} as a\n")
        .with("macros/cents.sql", "{% macro cents(column) %}\n  {{ exceptions.raise_compiler_error('no ' ~ column) }}\n{% endmacro %}\n");
    assert_output!(project.run(&["ls"]), @r#"
    exit: 2
    --- stdout
    --- stderr
    error: no id
     ,-[macros/cents.sql:2:16]
     1 | {% macro cents(column) %}
     2 |   {{ exceptions.raise_compiler_error('no ' ~ column) }}
     :                ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
     3 | {% endmacro %}
     `----
    "#);
}

#[test]
fn too_many_arguments() {
    let project = Project::small()
        .with("models/x.sql", "select\n  {{ cents('id', 2) }} as a\n")
        .with(
            "macros/cents.sql",
            "{% macro cents(column) %}{{ column }}{% endmacro %}\n",
        );
    assert_output!(project.run(&["ls"]), @r#"
    exit: 2
    --- stdout
    --- stderr
    error: `cents`: too many arguments
     ,-[models/x.sql:2:6]
     1 | select
     2 |   {{ cents('id', 2) }} as a
     :      ^^^^^^^^^^^^^^
     `----
    "#);
}

#[test]
fn a_helper_that_is_not_supported() {
    let project = Project::small().with(
        "models/x.sql",
        "select {{ dbt_utils.pivot('kind') }} as a\n",
    );
    assert_output!(project.run(&["ls"]), @r#"
    exit: 2
    --- stdout
    --- stderr
    error: `dbt_utils.pivot` is not supported
     ,-[models/x.sql:1:20]
     1 | select {{ dbt_utils.pivot('kind') }} as a
     :                    ^^^^^^^^^^^^^^
     `----
    hint: supported: `generate_surrogate_key`, `get_url_host`, `get_url_parameter`, `get_url_path`, `group_by`, `safe_add`, `safe_divide`, `safe_subtract`, `star`
    "#);
}
