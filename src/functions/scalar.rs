//! What the scalar functions over text share: types, and rows in, rows out.

use std::borrow::Cow;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{ArrayRef, StringBuilder};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature,
    Volatility,
};

use super::text::{TextColumn, to_text};

/// A function that makes one text, or null, of one text. Null for null.
#[derive(Debug)]
pub(super) struct TextFunction {
    name: &'static str,
    arguments: &'static [&'static str; 1],
    signature: Signature,
    one: fn(&str) -> Option<Cow<'_, str>>,
    documentation: &'static LazyLock<Documentation>,
}

impl TextFunction {
    pub(super) fn new(
        name: &'static str,
        arguments: &'static [&'static str; 1],
        one: fn(&str) -> Option<Cow<'_, str>>,
        documentation: &'static LazyLock<Documentation>,
    ) -> Self {
        let signature = Signature::user_defined(Volatility::Immutable);
        let named = signature.clone().with_parameter_names(arguments.to_vec());
        Self {
            name,
            arguments,
            signature: named.unwrap_or(signature),
            one,
            documentation,
        }
    }
}

impl PartialEq for TextFunction {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for TextFunction {}

impl Hash for TextFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for TextFunction {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let coerced = coerce_texts(self.name, self.arguments, given);
        Ok(coerced.unwrap_or_else(|_| given.to_vec()))
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        coerce_texts(self.name, self.arguments, given)?;
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        map_texts(&args, |texts, row, builder| {
            builder.append_option(texts[0].get(row).and_then(self.one));
            Ok(())
        })
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(self.documentation)
    }
}

/// One argument: a text per row, or one for all rows.
#[derive(Debug)]
pub(super) enum Text {
    Column(ArrayRef),
    Constant(Option<String>),
}

impl Text {
    /// The argument as text, cast if it is none.
    pub(super) fn try_new(value: &ColumnarValue) -> Result<Self> {
        match value {
            ColumnarValue::Array(array) => Ok(Self::Column(to_text(array)?)),
            ColumnarValue::Scalar(scalar) => {
                let text = to_text(&scalar.to_array()?)?;
                let text = TextColumn::try_new(&text)?.get(0).map(str::to_string);
                Ok(Self::Constant(text))
            }
        }
    }

    /// Readable row by row.
    pub(super) fn reader(&self) -> Result<TextReader<'_>> {
        Ok(match self {
            Self::Column(array) => TextReader::Column(TextColumn::try_new(array)?),
            Self::Constant(text) => TextReader::Constant(text.as_deref()),
        })
    }
}

/// A borrowed [`Text`].
#[derive(Debug, Clone, Copy)]
pub(super) enum TextReader<'a> {
    Column(TextColumn<'a>),
    Constant(Option<&'a str>),
}

impl<'a> TextReader<'a> {
    #[inline]
    pub(super) fn get(&self, row: usize) -> Option<&'a str> {
        match self {
            Self::Column(column) => column.get(row),
            Self::Constant(text) => *text,
        }
    }
}

/// Applies `one` to each row of the arguments; constants give a constant.
pub(super) fn map_texts<F>(args: &ScalarFunctionArgs, mut one: F) -> Result<ColumnarValue>
where
    F: FnMut(&[TextReader<'_>], usize, &mut StringBuilder) -> Result<()>,
{
    let texts: Vec<_> = args.args.iter().map(Text::try_new).collect::<Result<_>>()?;
    let readers: Vec<_> = texts.iter().map(Text::reader).collect::<Result<_>>()?;
    let constant = texts.iter().all(|text| matches!(text, Text::Constant(_)));
    let rows = if constant { 1 } else { args.number_rows };
    let mut builder = StringBuilder::with_capacity(rows, rows.saturating_mul(16));
    for row in 0..rows {
        one(&readers, row, &mut builder)?;
    }
    let array: ArrayRef = Arc::new(builder.finish());
    if constant {
        return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(
            &array, 0,
        )?));
    }
    Ok(ColumnarValue::Array(array))
}

/// The types of arguments that must be text. `coerce_types` ignores the error and
/// `return_type` raises it: there it reaches the user without a frame around it.
pub(super) fn coerce_texts(
    function: &str,
    names: &[&str],
    given: &[DataType],
) -> Result<Vec<DataType>> {
    if given.len() != names.len() {
        return plan_err!(
            "`{function}`: {} arguments were given; accepted: `{}`",
            given.len(),
            names.join("`, `")
        );
    }
    given
        .iter()
        .zip(names)
        .map(|(given, name)| match text_only(given) {
            Some(text) => Ok(text),
            None => plan_err!(
                "`{function}`: argument `{name}` is of type {given}; accepted: text"
            ),
        })
        .collect()
}

fn text_only(given: &DataType) -> Option<DataType> {
    match given {
        text if text.is_string() => Some(given.clone()),
        DataType::Null => Some(DataType::Utf8),
        DataType::Dictionary(_, value) => text_only(value),
        _ => None,
    }
}
