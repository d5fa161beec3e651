//! The bytes of a file.

use std::sync::Arc;

use bytes::Bytes;
use datafusion::common::{DataFusionError, Result};
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::{GetResultPayload, ObjectMeta, ObjectStore, ObjectStoreExt};

/// How much of a file on disk is read at once.
const CHUNK: u64 = 1 << 20;

/// The file's bytes, decompressed.
pub(super) async fn chunks(
    store: &Arc<dyn ObjectStore>,
    file: &ObjectMeta,
    compression: FileCompressionType,
) -> Result<BoxStream<'static, Result<Bytes>>> {
    let path = file.location.clone();
    let found = store.get(&path).await?;
    let whole = found.range.clone();
    let bytes: BoxStream<'static, Result<Bytes>> = match found.payload {
        GetResultPayload::Stream(bytes) => bytes.map_err(DataFusionError::from).boxed(),
        GetResultPayload::File(..) => {
            let store = Arc::clone(store);
            futures::stream::try_unfold(whole.start, move |start| {
                let (store, path) = (Arc::clone(&store), path.clone());
                let end = whole.end.min(start.saturating_add(CHUNK));
                async move {
                    if start >= end {
                        return Ok(None);
                    }
                    let bytes = store.get_range(&path, start..end).await?;
                    Ok(Some((bytes, end)))
                }
            })
            .boxed()
        }
    };
    compression.convert_stream(bytes)
}
