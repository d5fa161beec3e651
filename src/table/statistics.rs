//! A data file's statistics, as the log keeps them.

use chrono::{DateTime, NaiveDate, TimeDelta};
use datafusion::arrow::array::{Array, ArrayRef};
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::{Result, ScalarValue};
use datafusion::parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use datafusion::parquet::file::metadata::ParquetMetaData;
use serde_json::{Map, Value, json};

/// Longest string whose value is kept.
const LONGEST: usize = 64;

/// Rows, nulls, smallest and greatest values by column; engines skip files by them. Of texts
/// in chunks that were copied they may be bounds that another writer has cut short.
pub(super) fn of_file(metadata: &ParquetMetaData, schema: &SchemaRef) -> Result<String> {
    let (mut min, mut max, mut nulls) = (Map::new(), Map::new(), Map::new());
    let file = metadata.file_metadata();
    let groups = metadata.row_groups();
    for field in schema.fields().iter().filter(|f| has_bounds(f.data_type())) {
        let name = field.name();
        let converter = StatisticsConverter::try_new(name, schema, file.schema_descr())?;
        let counts = converter.row_group_null_counts(groups)?;
        if let Some(counts) = counts.iter().collect::<Option<Vec<_>>>() {
            nulls.insert(name.clone(), json!(counts.iter().sum::<u64>()));
        }
        let smallest = converter.row_group_mins(groups)?;
        let greatest = converter.row_group_maxes(groups)?;
        // a group that does not tell its bounds may be one that was copied from another file
        let told = groups.iter().enumerate().all(|(place, group)| {
            let only_nulls = i64::try_from(counts.value(place)) == Ok(group.num_rows());
            let only_nulls = counts.is_valid(place) && only_nulls;
            only_nulls || (smallest.is_valid(place) && greatest.is_valid(place))
        });
        if !told {
            continue;
        }
        let smallest = extreme(&smallest, |a, b| a < b)?;
        let greatest = extreme(&greatest, |a, b| a > b)?;
        // Both or neither: half a range helps nobody.
        if let (Some(low), Some(high)) = (smallest, greatest)
            && let (Some(low), Some(high)) = (json_value(&low), json_value(&high))
        {
            min.insert(name.clone(), low);
            max.insert(name.clone(), high);
        }
    }
    let all = json!({
        "numRecords": file.num_rows(),
        "minValues": min,
        "maxValues": max,
        "nullCount": nulls,
    });
    Ok(all.to_string())
}

fn has_bounds(data_type: &DataType) -> bool {
    !data_type.is_nested() && !matches!(data_type, DataType::Decimal128(_, _))
}

/// The extreme of the row groups' values; those without one hold nothing but nulls.
fn extreme(
    values: &ArrayRef,
    better: fn(&ScalarValue, &ScalarValue) -> bool,
) -> Result<Option<ScalarValue>> {
    let mut best: Option<ScalarValue> = None;
    for row in 0..values.len() {
        let value = ScalarValue::try_from_array(values, row)?;
        if !value.is_null() && best.as_ref().is_none_or(|best| better(&value, best)) {
            best = Some(value);
        }
    }
    Ok(best)
}

/// The value as the log writes it; `None` for what it cannot write exactly.
fn json_value(value: &ScalarValue) -> Option<Value> {
    match value {
        ScalarValue::Int8(Some(v)) => Some(json!(v)),
        ScalarValue::Int16(Some(v)) => Some(json!(v)),
        ScalarValue::Int32(Some(v)) => Some(json!(v)),
        ScalarValue::Int64(Some(v)) => Some(json!(v)),
        ScalarValue::Float32(Some(v)) if v.is_finite() => Some(json!(v)),
        ScalarValue::Float64(Some(v)) if v.is_finite() => Some(json!(v)),
        ScalarValue::Utf8(Some(v)) if v.len() <= LONGEST => Some(json!(v)),
        ScalarValue::Date32(Some(days)) => {
            let date = NaiveDate::default()
                .checked_add_signed(TimeDelta::days(i64::from(*days)))?;
            Some(json!(date.format("%Y-%m-%d").to_string()))
        }
        // The format keeps milliseconds, rounded down; readers know.
        ScalarValue::TimestampMicrosecond(Some(ticks), _) => {
            let time = DateTime::from_timestamp_millis(ticks.div_euclid(1_000))?;
            let text = time.format("%Y-%m-%dT%H:%M:%S%.3fZ");
            Some(json!(text.to_string()))
        }
        _ => None,
    }
}
