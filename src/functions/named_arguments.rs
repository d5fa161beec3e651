//! Named arguments of the window functions and of scalars with optional arguments, in any
//! order and with any left out.
//!
//! DataFusion's own resolver wants every argument before the last named one. Here a
//! parsed statement is rewritten: `session_number(t, boundary => 'more_than')` becomes
//! `session_number(t, NULL, 'more_than')`, a `NULL` standing for the default.

use std::ops::ControlFlow;

use datafusion::common::{Result, plan_datafusion_err};
use datafusion::sql::parser::{CopyToSource, Statement};
use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList,
    FunctionArguments, Ident, Value, VisitMut, visit_expressions_mut,
};

use super::session::Kind;
use super::{arguments, session_bucket_id, traffic_source};

/// A function whose arguments may be named, and those beyond `required` left out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Optional {
    pub(super) function: &'static str,
    pub(super) names: &'static [&'static str],
    pub(super) required: usize,
}

/// The scalar functions with optional arguments; DataFusion names those of the others.
const SCALARS: [Optional; 2] = [session_bucket_id::CALL, traffic_source::CALL];

/// What a call is checked against.
#[derive(Debug)]
struct Callee {
    name: &'static str,
    names: Vec<&'static str>,
    required: usize,
}

/// Puts the named arguments of this crate's window functions, and of its scalar functions
/// with optional arguments, into their positions and fills those left out with `NULL`,
/// everywhere in `statement`. Other functions are left alone.
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
    let Some(callee) = callee(function) else {
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
    let mut slots: Vec<Option<FunctionArgExpr>> = vec![None; callee.names.len()];
    let mut named = false;
    for (position, arg) in std::mem::take(args).into_iter().enumerate() {
        let (index, value) = match arg {
            FunctionArg::Unnamed(_) if named => {
                return Err(plan_datafusion_err!(
                    "`{}`: argument {} has no name but follows a named one",
                    callee.name,
                    position + 1
                ));
            }
            FunctionArg::Unnamed(value) => (Some(position), value),
            FunctionArg::Named { name, arg, .. } => {
                named = true;
                (Some(callee.position_of(&name)?), arg)
            }
            FunctionArg::ExprNamed { name, arg, .. } => {
                named = true;
                (Some(callee.position_of(&as_ident(name))?), arg)
            }
        };
        place(&callee, &mut slots, index, value)?;
    }
    *args = fill(&callee, slots)?;
    Ok(())
}

fn place(
    callee: &Callee,
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
            callee.name,
            index.map_or("", |index| callee.names[index])
        )),
        None => Err(plan_datafusion_err!(
            "`{}`: too many arguments; accepted: {}",
            callee.name,
            callee.names.join(", ")
        )),
    }
}

/// The arguments up to the last one given, gaps filled.
fn fill(
    callee: &Callee,
    slots: Vec<Option<FunctionArgExpr>>,
) -> Result<Vec<FunctionArg>> {
    let required = slots.iter().take(callee.required);
    if let Some(missing) = required.clone().position(Option::is_none) {
        return Err(plan_datafusion_err!(
            "`{}`: argument `{}` is missing",
            callee.name,
            callee.names[missing]
        ));
    }
    let last = slots.iter().rposition(Option::is_some).unwrap_or(0);
    let null = || FunctionArgExpr::Expr(Expr::Value(Value::Null.into()));
    let filled = slots.into_iter().take(last + 1);
    Ok(filled
        .map(|slot| FunctionArg::Unnamed(slot.unwrap_or_else(null)))
        .collect())
}

fn callee(function: &Function) -> Option<Callee> {
    let [part] = function.name.0.as_slice() else {
        return None;
    };
    let ident = part.as_ident()?;
    let window = Kind::ALL.into_iter().find(|kind| is(ident, kind.name()));
    let scalar = || SCALARS.iter().find(|scalar| is(ident, scalar.function));
    window
        .map(Callee::from)
        .or_else(|| scalar().map(Callee::from))
}

impl From<Kind> for Callee {
    fn from(kind: Kind) -> Self {
        Self {
            name: kind.name(),
            names: arguments::names(kind.has_key()),
            required: 1 + usize::from(kind.has_key()),
        }
    }
}

impl From<&Optional> for Callee {
    fn from(scalar: &Optional) -> Self {
        Self {
            name: scalar.function,
            names: scalar.names.to_vec(),
            required: scalar.required,
        }
    }
}

impl Callee {
    fn position_of(&self, name: &Ident) -> Result<usize> {
        let position = self.names.iter().position(|known| is(name, known));
        position.ok_or_else(|| {
            plan_datafusion_err!(
                "`{}`: unknown argument `{}`; accepted: {}",
                self.name,
                name.value,
                self.names.join(", ")
            )
        })
    }
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
    fn scalars_with_optional_arguments_are_resolved_too() {
        let sql = "SELECT session_bucket_id(width => '1 h', t => b, key => a) FROM e";
        let text = resolved(sql).unwrap();
        assert_eq!(text, "SELECT session_bucket_id(a, b, '1 h') FROM e");
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
            (
                "session_bucket_id(width => '1 h', t => t)",
                "argument `key` is missing",
            ),
            (
                "session_bucket_id(key => k, t => t, gap => '1 h')",
                "unknown argument `gap`; accepted: key, t, width",
            ),
        ] {
            let error = resolved(&format!("SELECT {call} OVER () FROM e")).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
}
