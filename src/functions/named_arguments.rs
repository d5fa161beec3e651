//! Named arguments of the window functions, in any order and with any left out.
//!
//! DataFusion's own resolver wants every argument before the last named one. Here a
//! parsed statement is rewritten: `session_number(t, boundary => 'more_than')` becomes
//! `session_number(t, NULL, 'more_than')`, a `NULL` standing for the default.

use std::ops::ControlFlow;

use datafusion::common::{DataFusionError, Result, plan_datafusion_err};
use datafusion::sql::parser::{CopyToSource, Statement};
use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList,
    FunctionArguments, Ident, Value, VisitMut, visit_expressions_mut,
};

use super::arguments;
use super::window::Kind;

/// Puts the named arguments of this crate's window functions into their positions and
/// fills those left out with `NULL`, everywhere in `statement`. Other functions are left
/// alone.
///
/// # Errors
///
/// An unknown name, one that is given twice, a missing `t` or `key`, and a position after
/// a name are planning errors.
pub fn resolve_named_arguments(statement: &mut Statement) -> Result<()> {
    match statement {
        Statement::Statement(statement) => rewrite(statement.as_mut()),
        Statement::Explain(explain) => resolve_named_arguments(&mut explain.statement),
        Statement::CopyTo(copy) => match &mut copy.source {
            CopyToSource::Query(query) => rewrite(query.as_mut()),
            CopyToSource::Relation(_) => Ok(()),
        },
        Statement::CreateExternalTable(_) | Statement::Reset(_) => Ok(()),
    }
}

fn rewrite<V: VisitMut>(node: &mut V) -> Result<()> {
    let flow = visit_expressions_mut(node, |expression| match expression {
        Expr::Function(function) => match rewrite_call(function) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        },
        _ => ControlFlow::Continue(()),
    });
    match flow {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

fn rewrite_call(function: &mut Function) -> Result<()> {
    let Some(kind) = kind_of(function) else {
        return Ok(());
    };
    let FunctionArguments::List(FunctionArgumentList { args, .. }) = &mut function.args
    else {
        return Ok(());
    };
    if args
        .iter()
        .all(|arg| matches!(arg, FunctionArg::Unnamed(_)))
    {
        return Ok(());
    }
    let names = arguments::names(kind.has_key());
    let mut slots: Vec<Option<FunctionArgExpr>> = vec![None; names.len()];
    let mut named = false;
    for (position, arg) in std::mem::take(args).into_iter().enumerate() {
        let (index, value) = match arg {
            FunctionArg::Unnamed(_) if named => {
                return Err(plan_datafusion_err!(
                    "`{}`: argument {} has no name but follows a named one",
                    kind.name(),
                    position + 1
                ));
            }
            FunctionArg::Unnamed(value) => (Some(position), value),
            FunctionArg::Named { name, arg, .. } => {
                named = true;
                (Some(position_of(kind, &names, &name)?), arg)
            }
            FunctionArg::ExprNamed { name, arg, .. } => {
                named = true;
                (Some(position_of(kind, &names, &as_ident(name))?), arg)
            }
        };
        place(kind, &names, &mut slots, index, value)?;
    }
    *args = fill(kind, &names, slots)?;
    Ok(())
}

fn place(
    kind: Kind,
    names: &[&str],
    slots: &mut [Option<FunctionArgExpr>],
    index: Option<usize>,
    value: FunctionArgExpr,
) -> Result<()> {
    match index.and_then(|index| slots.get_mut(index)) {
        Some(slot @ None) => {
            *slot = Some(value);
            Ok(())
        }
        Some(Some(_)) => Err(plan_datafusion_err!(
            "`{}`: argument `{}` is given twice",
            kind.name(),
            index.map_or("", |index| names[index])
        )),
        None => Err(plan_datafusion_err!(
            "`{}`: too many arguments; accepted: {}",
            kind.name(),
            names.join(", ")
        )),
    }
}

/// The arguments up to the last one given, gaps filled.
fn fill(
    kind: Kind,
    names: &[&str],
    slots: Vec<Option<FunctionArgExpr>>,
) -> Result<Vec<FunctionArg>> {
    let required = 1 + usize::from(kind.has_key());
    if let Some(missing) = slots.iter().take(required).position(Option::is_none) {
        return Err(plan_datafusion_err!(
            "`{}`: argument `{}` is missing",
            kind.name(),
            names[missing]
        ));
    }
    let last = slots.iter().rposition(Option::is_some).unwrap_or(0);
    let null = || FunctionArgExpr::Expr(Expr::Value(Value::Null.into()));
    let filled = slots.into_iter().take(last + 1);
    Ok(filled
        .map(|slot| FunctionArg::Unnamed(slot.unwrap_or_else(null)))
        .collect())
}

fn kind_of(function: &Function) -> Option<Kind> {
    let [part] = function.name.0.as_slice() else {
        return None;
    };
    let ident = part.as_ident()?;
    Kind::ALL.into_iter().find(|kind| is(ident, kind.name()))
}

fn position_of(kind: Kind, names: &[&str], name: &Ident) -> Result<usize> {
    let position = names.iter().position(|known| is(name, known));
    position.ok_or_else(|| unknown(kind, names, name))
}

fn unknown(kind: Kind, names: &[&str], name: &Ident) -> DataFusionError {
    plan_datafusion_err!(
        "`{}`: unknown argument `{}`; accepted: {}",
        kind.name(),
        name.value,
        names.join(", ")
    )
}

/// As SQL compares names: without quotes in any case, with quotes exactly.
fn is(ident: &Ident, name: &str) -> bool {
    match ident.quote_style {
        Some(_) => ident.value == name,
        None => ident.value.eq_ignore_ascii_case(name),
    }
}

fn as_ident(name: Expr) -> Ident {
    match name {
        Expr::Identifier(ident) => ident,
        other => Ident::new(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use datafusion::sql::parser::DFParser;

    use super::*;

    fn resolved(sql: &str) -> Result<String> {
        let mut statement = DFParser::parse_sql(sql)?.pop_front().unwrap();
        resolve_named_arguments(&mut statement)?;
        Ok(statement.to_string())
    }

    #[test]
    fn gaps_are_filled_everywhere() {
        let call = "Session_Number(t, time_zone => 'UTC', gap => '1 hour')";
        let expected = "Session_Number(t, '1 hour', NULL, NULL, NULL, 'UTC')";
        for sql in [
            "SELECT {} OVER (PARTITION BY k ORDER BY t) FROM e",
            "SELECT a + (SELECT max(n) FROM (SELECT {} OVER () AS n FROM e)) FROM e",
            "WITH s AS (SELECT {} OVER () FROM e) SELECT * FROM s",
            "EXPLAIN SELECT {} OVER () FROM e",
            "COPY (SELECT {} OVER () FROM e) TO 'x.csv'",
            "CREATE VIEW v AS SELECT {} OVER () FROM e",
            "SELECT * FROM e QUALIFY {} OVER () = 1",
        ] {
            let text = resolved(&sql.replace("{}", call)).unwrap();
            assert!(text.contains(expected), "{text}");
        }
    }

    #[test]
    fn the_key_can_be_named_too() {
        let text =
            resolved("SELECT session_id(t => b, key => a) OVER () FROM e").unwrap();
        assert_eq!(text, "SELECT session_id(a, b) OVER () FROM e");
    }

    #[test]
    fn other_functions_are_left_alone() {
        let sql = "SELECT f(b => 1) FROM e";
        assert_eq!(resolved(sql).unwrap(), sql);
    }

    #[test]
    fn mistakes_are_named() {
        for (call, expected) in [
            (
                "session_number(t, gab => 1)",
                "unknown argument `gab`; accepted: t, gap,",
            ),
            ("session_number(t, t => 1)", "argument `t` is given twice"),
            ("session_number(gap => 1)", "argument `t` is missing"),
            ("session_id(t => t)", "argument `key` is missing"),
            ("session_number(t => t, '1 h')", "argument 2 has no name"),
        ] {
            let error = resolved(&format!("SELECT {call} OVER () FROM e")).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
}
