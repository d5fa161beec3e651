//! `connected_component`.

mod components;

use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{ArrayRef, StringBuilder};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, exec_err, plan_err};
use datafusion::logical_expr::function::{PartitionEvaluatorArgs, WindowUDFFieldArgs};
use datafusion::logical_expr::{
    Documentation, LimitEffect, PartitionEvaluator, Signature, Volatility, WindowUDFImpl,
};
use datafusion::physical_plan::PhysicalExpr;

use super::arguments::text_type;
use super::docs;
pub(crate) use components::{Components, Node, nodes};

const NAME: &str = "connected_component";
const ARGUMENTS: [&str; 2] = ["id", "other_id"];

static DOCUMENTATION: LazyLock<Documentation> = LazyLock::new(|| {
    docs::identity(
        "Names the group of ids that a row's ids belong to: two ids that stand in one row are in one \
         group, and so is everything that can be reached from there over further rows of the \
         partition. The value is the smallest `surrogate_key(id)` of the group, whatever the order \
         of the rows. A null `other_id` links nothing; the value is null where `id` is null. \
         All rows of a partition link: DISTINCT, FILTER, IGNORE NULLS and frames of some rows \
         (ORDER BY alone is one) are refused. \
         Over `OVER ()` memory is bounded: what does not fit is sorted on disk.",
        "connected_component(id, other_id) OVER ()",
        &[
            (
                "id",
                "The id to be named: any value that can be cast to text.",
            ),
            ("other_id", "An id that is known to be the same."),
        ],
        "SELECT id, other_id, connected_component(id, other_id) OVER () AS value\n\
         FROM (VALUES ('phone', 'ada'), ('laptop', 'ada'), ('tablet', 'bob')) AS links(id, other_id)\n\
         ORDER BY id;\n\
         +--------+----------+----------------------------------+\n\
         | id     | other_id | value                            |\n\
         +--------+----------+----------------------------------+\n\
         | laptop | ada      | 312f91285e048e09bb4aefef23627994 |\n\
         | phone  | ada      | 312f91285e048e09bb4aefef23627994 |\n\
         | tablet | bob      | 9f9d51bc70ef21ca5c14f307980a29d8 |\n\
         +--------+----------+----------------------------------+",
    )
});

/// The function `connected_component`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct ConnectedComponent {
    signature: Signature,
}

impl Default for ConnectedComponent {
    fn default() -> Self {
        let signature = Signature::user_defined(Volatility::Immutable);
        let named = signature.clone().with_parameter_names(ARGUMENTS.to_vec());
        Self {
            signature: named.unwrap_or(signature),
        }
    }
}

impl WindowUDFImpl for ConnectedComponent {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        Ok(given.to_vec())
    }

    fn partition_evaluator(
        &self,
        args: PartitionEvaluatorArgs,
    ) -> Result<Box<dyn PartitionEvaluator>> {
        if args.ignore_nulls() {
            return plan_err!(
                "`{NAME}`: IGNORE NULLS is not accepted; a null links nothing"
            );
        }
        Ok(Box::new(Evaluator))
    }

    fn field(&self, args: WindowUDFFieldArgs) -> Result<FieldRef> {
        let fields = args.input_fields();
        if fields.len() != ARGUMENTS.len() {
            return plan_err!(
                "`{NAME}`: {} arguments were given; accepted: `{}`",
                fields.len(),
                ARGUMENTS.join("`, `")
            );
        }
        for (field, name) in fields.iter().zip(ARGUMENTS) {
            if text_type(field.data_type()).is_none() {
                return plan_err!(
                    "`{NAME}`: `{name}` is of type {}; accepted: a value that can be cast \
                     to text",
                    field.data_type()
                );
            }
        }
        let nullable = fields[0].is_nullable();
        Ok(Arc::new(Field::new(args.name(), DataType::Utf8, nullable)))
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&DOCUMENTATION)
    }

    fn limit_effect(&self, _: &[Arc<dyn PhysicalExpr>]) -> LimitEffect {
        LimitEffect::Unknown
    }
}

/// One partition in memory.
#[derive(Debug)]
struct Evaluator;

impl PartitionEvaluator for Evaluator {
    fn evaluate_all(&mut self, values: &[ArrayRef], _: usize) -> Result<ArrayRef> {
        let [ids, others] = values else {
            return exec_err!("`{NAME}` takes 2 arguments, found {}", values.len());
        };
        let ids = nodes(ids)?;
        let mut components = Components::default();
        for (id, other) in ids.iter().zip(nodes(others)?) {
            if let (Some(id), Some(other)) = (id, other) {
                components.join(*id, other)?;
            }
        }
        let labels = ids.iter().map(|id| id.map(|id| components.label(id)));
        Ok(labels_array(labels))
    }
}

/// Labels as the function gives them.
pub(crate) fn labels_array(labels: impl Iterator<Item = Option<Node>>) -> ArrayRef {
    use std::fmt::Write;
    let rows = labels.size_hint().0;
    let mut builder = StringBuilder::with_capacity(rows, rows * 32);
    for label in labels {
        let Some(label) = label else {
            builder.append_null();
            continue;
        };
        // a builder's `write_str` never fails
        let _ = write!(builder, "{label:032x}");
        builder.append_value("");
    }
    Arc::new(builder.finish())
}
