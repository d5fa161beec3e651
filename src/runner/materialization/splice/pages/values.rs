//! The values of a page: kept or left out without looking at more than their places.

use std::cmp::Ordering;
use std::ops::Range;

use bytes::Bytes;
use datafusion::arrow::buffer::BooleanBuffer;
use datafusion::parquet::basic::{SortOrder, Type};
use datafusion::parquet::data_type::ByteArray;
use datafusion::parquet::errors::Result;
use datafusion::parquet::file::statistics::Statistics;
use datafusion::parquet::schema::types::ColumnDescriptor;

use super::hybrid::{damaged, decode, encode, take};

/// What values are, and how they sort.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Bytes,
    Int32,
    Int64,
}

/// The least and the greatest value.
pub(super) type Bounds = (Vec<u8>, Vec<u8>);

impl Kind {
    /// `None` if values of such a column cannot be taken out of pages here.
    pub(super) fn of(column: &ColumnDescriptor) -> Option<Self> {
        match (column.physical_type(), column.sort_order()) {
            (Type::BYTE_ARRAY, SortOrder::UNSIGNED) => Some(Self::Bytes),
            (Type::INT32, SortOrder::SIGNED) => Some(Self::Int32),
            (Type::INT64, SortOrder::SIGNED) => Some(Self::Int64),
            _ => None,
        }
    }

    fn compare(self, a: &[u8], b: &[u8]) -> Ordering {
        match self {
            Self::Bytes => a.cmp(b),
            Self::Int32 => int32(a).cmp(&int32(b)),
            Self::Int64 => int64(a).cmp(&int64(b)),
        }
    }

    /// Where the first `count` plain values are in `bytes`.
    fn places(self, bytes: &[u8], count: usize) -> Result<Vec<Range<usize>>> {
        let mut places = Vec::with_capacity(count.min(bytes.len()));
        let mut rest = bytes;
        for _ in 0..count {
            let length = match self {
                Self::Bytes => int32(take(&mut rest, 4)?).cast_unsigned() as usize,
                Self::Int32 => 4,
                Self::Int64 => 8,
            };
            let start = bytes.len() - rest.len();
            take(&mut rest, length)?;
            places.push(start..start + length);
        }
        Ok(places)
    }

    /// Where a plain value begins that is at that place.
    fn begin(self, place: &Range<usize>) -> usize {
        match self {
            Self::Bytes => place.start - 4,
            Self::Int32 | Self::Int64 => place.start,
        }
    }

    pub(super) fn statistics(self, bounds: Option<&Bounds>, nulls: u64) -> Statistics {
        let (min, max) = (bounds.map(|b| &b.0[..]), bounds.map(|b| &b.1[..]));
        let nulls = Some(nulls);
        match self {
            Self::Bytes => {
                let bytes = |value: Option<&[u8]>| value.map(ByteArray::from);
                Statistics::byte_array(bytes(min), bytes(max), None, nulls, false)
            }
            Self::Int32 => {
                Statistics::int32(min.map(int32), max.map(int32), None, nulls, false)
            }
            Self::Int64 => {
                Statistics::int64(min.map(int64), max.map(int64), None, nulls, false)
            }
        }
    }

    /// Bounds that hold a value too.
    fn take_in<'a>(self, bounds: &mut Option<(&'a [u8], &'a [u8])>, value: &'a [u8]) {
        let (min, max) = bounds.get_or_insert((value, value));
        if self.compare(value, min).is_lt() {
            *min = value;
        } else if self.compare(value, max).is_gt() {
            *max = value;
        }
    }

    /// Bounds that hold both.
    pub(super) fn widen(self, bounds: &mut Option<Bounds>, by: &Bounds) {
        let Some((min, max)) = bounds else {
            *bounds = Some(by.clone());
            return;
        };
        if self.compare(&by.0, min).is_lt() {
            min.clone_from(&by.0);
        }
        if self.compare(&by.1, max).is_gt() {
            max.clone_from(&by.1);
        }
    }
}

fn owned((min, max): (&[u8], &[u8])) -> Bounds {
    (min.to_vec(), max.to_vec())
}

fn int32(bytes: &[u8]) -> i32 {
    bytes.try_into().map_or(0, i32::from_le_bytes)
}

fn int64(bytes: &[u8]) -> i64 {
    bytes.try_into().map_or(0, i64::from_le_bytes)
}

/// The values that a chunk's pages point to.
pub(super) struct Dictionary {
    kind: Kind,
    bytes: Bytes,
    places: Vec<Range<usize>>,
    /// The last page that each value was met in.
    met: Vec<u32>,
    page: u32,
}

impl Dictionary {
    pub(super) fn try_new(kind: Kind, bytes: &Bytes, count: usize) -> Result<Self> {
        Ok(Self {
            kind,
            bytes: bytes.clone(),
            places: kind.places(bytes, count)?,
            met: vec![0; count],
            page: 0,
        })
    }

    /// Page data with the indices that are kept of `count`, and the bounds of their values.
    pub(super) fn without(
        &mut self,
        data: &[u8],
        count: usize,
        keeps: &BooleanBuffer,
    ) -> Result<(Vec<u8>, Option<Bounds>)> {
        let Some((bits, data)) = data.split_first() else {
            return match count {
                0 => Ok((Vec::new(), None)),
                _ => Err(damaged("no indices")),
            };
        };
        if *bits > 32 {
            return Err(damaged("indices of more than 32 bits"));
        }
        let mut indices = decode(data, u32::from(*bits), count)?;
        self.page += 1;
        let (mut kept, mut bounds) = (0, None);
        for row in keeps.set_indices() {
            let index = indices[row];
            let met = self.met.get_mut(index as usize);
            let met = met.ok_or_else(|| damaged("an index past the dictionary"))?;
            if *met != self.page {
                *met = self.page;
                let value = &self.bytes[self.places[index as usize].clone()];
                self.kind.take_in(&mut bounds, value);
            }
            indices[kept] = index;
            kept += 1;
        }
        indices.truncate(kept);
        let mut out = vec![*bits];
        encode(&indices, u32::from(*bits), &mut out);
        Ok((out, bounds.map(owned)))
    }
}

/// Plain values that are kept of `count`, and their bounds.
pub(super) fn plain_without(
    kind: Kind,
    data: &[u8],
    count: usize,
    keeps: &BooleanBuffer,
) -> Result<(Vec<u8>, Option<Bounds>)> {
    let places = kind.places(data, count)?;
    let mut out = Vec::with_capacity(data.len());
    let mut bounds = None;
    for (from, until) in keeps.set_slices() {
        out.extend(&data[kind.begin(&places[from])..places[until - 1].end]);
        for place in &places[from..until] {
            let value = &data[place.clone()];
            kind.take_in(&mut bounds, value);
        }
    }
    Ok((out, bounds.map(owned)))
}
