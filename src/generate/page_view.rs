//! One delivery of a page view, and how many of them become an Arrow batch.

use std::sync::Arc;

use chrono::{NaiveDate, NaiveTime};
use datafusion::arrow::array::{
    ArrayRef, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::arrow::error::ArrowError;

/// Milliseconds of a second.
pub(crate) const SECOND: i64 = 1_000;
/// Milliseconds of a minute.
pub(crate) const MINUTE: i64 = 60 * SECOND;
/// Milliseconds of an hour.
pub(crate) const HOUR: i64 = 60 * MINUTE;
/// Milliseconds of a day.
pub(crate) const DAY: i64 = 24 * HOUR;

/// A delivery as Segment stores it. Times are milliseconds since 1970 in UTC.
#[derive(Debug, Clone, Default)]
pub(crate) struct PageView {
    pub(crate) id: Option<String>,
    pub(crate) anonymous_id: Option<String>,
    pub(crate) user_id: Option<String>,
    pub(crate) received_at: i64,
    pub(crate) sent_at: Option<i64>,
    pub(crate) timestamp: Option<i64>,
    pub(crate) url: Option<String>,
    pub(crate) path: Option<String>,
    pub(crate) title: Option<String>,
    pub(crate) search: Option<String>,
    pub(crate) referrer: Option<String>,
    pub(crate) campaign: Campaign,
    pub(crate) ip: Option<String>,
    pub(crate) user_agent: Option<String>,
}

/// The campaign that the address of a page names.
#[derive(Debug, Clone, Default)]
pub(crate) struct Campaign {
    pub(crate) source: Option<String>,
    pub(crate) medium: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) term: Option<String>,
    pub(crate) content: Option<String>,
}

/// Milliseconds since 1970 at which `day` begins in UTC.
pub(crate) fn day_start(day: NaiveDate) -> i64 {
    day.and_time(NaiveTime::MIN).and_utc().timestamp_millis()
}

type Text = fn(&PageView) -> Option<&str>;
type Time = fn(&PageView) -> Option<i64>;

enum Column {
    Text(&'static str, Text),
    Time(&'static str, Time),
}

/// The columns of the files, in order.
const COLUMNS: [Column; 18] = [
    Column::Text("id", |p| p.id.as_deref()),
    Column::Text("anonymous_id", |p| p.anonymous_id.as_deref()),
    Column::Text("user_id", |p| p.user_id.as_deref()),
    Column::Time("received_at", |p| Some(p.received_at)),
    Column::Time("sent_at", |p| p.sent_at),
    Column::Time("timestamp", |p| p.timestamp),
    Column::Text("url", |p| p.url.as_deref()),
    Column::Text("path", |p| p.path.as_deref()),
    Column::Text("title", |p| p.title.as_deref()),
    Column::Text("search", |p| p.search.as_deref()),
    Column::Text("referrer", |p| p.referrer.as_deref()),
    Column::Text("context_campaign_source", |p| p.campaign.source.as_deref()),
    Column::Text("context_campaign_medium", |p| p.campaign.medium.as_deref()),
    Column::Text("context_campaign_name", |p| p.campaign.name.as_deref()),
    Column::Text("context_campaign_term", |p| p.campaign.term.as_deref()),
    Column::Text("context_campaign_content", |p| {
        p.campaign.content.as_deref()
    }),
    Column::Text("context_ip", |p| p.ip.as_deref()),
    Column::Text("context_user_agent", |p| p.user_agent.as_deref()),
];

/// The schema of the files. Every column may be null, as in files from elsewhere.
pub(crate) fn schema() -> SchemaRef {
    let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let fields = COLUMNS.iter().map(|column| match column {
        Column::Text(name, _) => Field::new(*name, DataType::Utf8, true),
        Column::Time(name, _) => Field::new(*name, time.clone(), true),
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// `page_views` as a batch of [`schema`].
pub(crate) fn to_batch(
    schema: SchemaRef,
    page_views: &[PageView],
) -> Result<RecordBatch, ArrowError> {
    let arrays = COLUMNS.iter().map(|column| -> ArrayRef {
        match column {
            Column::Text(_, get) => {
                Arc::new(page_views.iter().map(get).collect::<StringArray>())
            }
            Column::Time(_, get) => {
                let micros = page_views.iter().map(|p| get(p).map(|t| t * 1_000));
                let array = micros.collect::<TimestampMicrosecondArray>();
                Arc::new(array.with_timezone("UTC"))
            }
        }
    });
    RecordBatch::try_new(schema, arrays.collect())
}
