//! `user_agent`.
//!
//! ```text
//! column --distinct--> texts, places --recent--> agents --take by place--> struct
//!                                      | not seen lately
//!                                      agent (rules/), category
//! ```

mod agent;
mod category;
mod distinct;
mod recent;

use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{
    Array, ArrayRef, BooleanArray, StringArray, StructArray, UInt32Array,
};
use datafusion::arrow::compute::take;
use datafusion::arrow::datatypes::{DataType, Field, Fields};
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature,
    Volatility,
};

use self::agent::Agent;
use super::{docs, scalar};

const ARGUMENTS: [&str; 1] = ["ua"];

static FIELDS: LazyLock<Fields> = LazyLock::new(|| {
    let text = ["device", "device_category", "os", "browser"];
    let text = text.map(|name| Field::new(name, DataType::Utf8, true));
    let is_bot = Field::new("is_bot", DataType::Boolean, true);
    text.into_iter().chain([is_bot]).collect()
});

static DOCUMENTATION: LazyLock<Documentation> = LazyLock::new(|| {
    docs::scalar(
        "What a user agent string says: `device`, `os` and `browser` as uap-core names \
         them, without versions (`Other` where no rule knows them); `device_category`: \
         phone, tablet, desktop, tv, bot or other; `is_bot`: by uap-core's and \
         crawler-user-agents' rules. An iPad that asks for desktop sites says that it is \
         a Mac. Null for null. Each distinct string is parsed once a batch, and not \
         again while it is among the up to 16,384 seen lately that are kept (8 MiB of text at \
         most, for the whole process).",
        "user_agent(ua)",
        &[("ua", "Text of any layout.")],
        "SELECT ua['device'] AS device, ua['device_category'] AS category, ua['os'] AS os,\n\
         \x20      ua['browser'] AS browser, ua['is_bot'] AS is_bot\n\
         FROM (SELECT user_agent('Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) \
         AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 Mobile/15E148 \
         Safari/604.1') AS ua);\n\
         +--------+----------+-----+---------------+--------+\n\
         | device | category | os  | browser       | is_bot |\n\
         +--------+----------+-----+---------------+--------+\n\
         | iPhone | phone    | iOS | Mobile Safari | false  |\n\
         +--------+----------+-----+---------------+--------+",
    )
});

/// The function `user_agent`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct UserAgent {
    signature: Signature,
}

impl Default for UserAgent {
    fn default() -> Self {
        let signature = Signature::user_defined(Volatility::Immutable);
        let named = signature.clone().with_parameter_names(ARGUMENTS.to_vec());
        Self {
            signature: named.unwrap_or(signature),
        }
    }
}

impl ScalarUDFImpl for UserAgent {
    fn name(&self) -> &str {
        "user_agent"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        // the values of a dictionary are parsed once each, so it is kept
        if let [DataType::Dictionary(_, value)] = given
            && value.is_string()
        {
            return Ok(given.to_vec());
        }
        let coerced = scalar::coerce_texts(self.name(), &ARGUMENTS, given);
        Ok(coerced.unwrap_or_else(|_| given.to_vec()))
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        scalar::coerce_texts(self.name(), &ARGUMENTS, given)?;
        Ok(DataType::Struct(FIELDS.clone()))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match args.args.as_slice() {
            [ColumnarValue::Array(array)] => {
                Ok(ColumnarValue::Array(Arc::new(parse(array)?)))
            }
            [ColumnarValue::Scalar(value)] => {
                let one = parse(&value.to_array()?)?;
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&one, 0)?))
            }
            _ => internal_err!("`user_agent` takes one argument"),
        }
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&DOCUMENTATION)
    }
}

fn parse(texts: &ArrayRef) -> Result<StructArray> {
    let (texts, places) = distinct::distinct(texts)?;
    let agents = recent::agents(&texts)?;
    let text = |of: fn(&Agent) -> &str| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(agents.iter().map(|a| of(a))))
    };
    let is_bot = agents.iter().map(|agent| Some(agent.is_bot));
    let columns = [
        text(|agent| &agent.device),
        text(|agent| agent.device_category),
        text(|agent| &agent.os),
        text(|agent| &agent.browser),
        Arc::new(is_bot.collect::<BooleanArray>()),
    ];
    spread(&columns, &places)
}

/// The values of the distinct texts, one row for each of `places`.
fn spread(columns: &[ArrayRef], places: &UInt32Array) -> Result<StructArray> {
    let spread = columns.iter().map(|column| take(column, places, None));
    let spread = spread.collect::<std::result::Result<Vec<_>, _>>()?;
    let nulls = places.nulls().cloned();
    Ok(StructArray::try_new(FIELDS.clone(), spread, nulls)?)
}
