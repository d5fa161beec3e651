//! Parquet's hybrid of run lengths and packed bits, which levels and dictionary indices are
//! written in ([the format](https://parquet.apache.org/docs/file-format/data-pages/encodings/)).
//!
//! The `parquet` crate has the same, but not in its stable interface.

use datafusion::parquet::errors::{ParquetError, Result};

/// Values of one run.
const GROUP: usize = 8;

/// The first `count` numbers in `bytes`, each of so many bits.
pub(super) fn decode(bytes: &[u8], bits: u32, count: usize) -> Result<Vec<u32>> {
    let mut numbers = Vec::with_capacity(count);
    let mut rest = bytes;
    while numbers.len() < count {
        let header = varint(&mut rest)?;
        let (is_packed, length) = (header & 1 == 1, (header >> 1) as usize);
        let missing = count - numbers.len();
        if is_packed {
            let packed = take(&mut rest, length.saturating_mul(bits as usize))?;
            let held = length.saturating_mul(GROUP).min(missing);
            unpack(packed, bits, held, &mut numbers);
        } else {
            let value = take(&mut rest, bits.div_ceil(8) as usize)?;
            let value = value.iter().rev().fold(0, |n, b| n << 8 | u32::from(*b));
            numbers.resize(numbers.len() + length.min(missing), value);
        }
        if length == 0 {
            return Err(damaged("a run of no values"));
        }
    }
    Ok(numbers)
}

/// `numbers`, each of at most so many bits.
pub(super) fn encode(numbers: &[u32], bits: u32, out: &mut Vec<u8>) {
    let (mut packed, mut at) = (0, 0);
    while at < numbers.len() {
        let same = numbers[at..].iter().take_while(|n| **n == numbers[at]);
        let end = at + same.count();
        // packed values come in groups: some of the run fill the last one
        let filled = packed + (at - packed).next_multiple_of(GROUP);
        if end >= filled + GROUP {
            pack(&numbers[packed..filled], bits, out);
            put_varint(((end - filled) as u64) << 1, out);
            let bytes = numbers[at].to_le_bytes();
            out.extend(&bytes[..bits.div_ceil(8) as usize]);
            packed = end;
        }
        at = end;
    }
    pack(&numbers[packed..], bits, out);
}

fn unpack(packed: &[u8], bits: u32, count: usize, numbers: &mut Vec<u32>) {
    let mask = (1u64 << bits) - 1;
    let (mut held, mut length) = (0u64, 0);
    let mut bytes = packed.iter();
    for _ in 0..count {
        while length < bits {
            let byte = bytes.next().copied().unwrap_or_default();
            held |= u64::from(byte) << length;
            length += 8;
        }
        numbers.push((held & mask) as u32);
        held >>= bits;
        length -= bits;
    }
}

fn pack(numbers: &[u32], bits: u32, out: &mut Vec<u8>) {
    if numbers.is_empty() {
        return;
    }
    let groups = numbers.len().div_ceil(GROUP);
    put_varint((groups as u64) << 1 | 1, out);
    let padding = groups * GROUP - numbers.len();
    let (mut held, mut length) = (0u64, 0);
    for number in numbers.iter().chain(std::iter::repeat_n(&0, padding)) {
        held |= u64::from(*number) << length;
        length += bits;
        while length >= 8 {
            out.push(held as u8);
            held >>= 8;
            length -= 8;
        }
    }
}

fn varint(bytes: &mut &[u8]) -> Result<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(bytes, 1)?[0];
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(damaged("the length of a run"))
}

fn put_varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// The next bytes.
pub(super) fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Result<&'a [u8]> {
    let taken = bytes.split_at_checked(count);
    let (taken, rest) = taken.ok_or_else(|| damaged("the end of the page"))?;
    *bytes = rest;
    Ok(taken)
}

pub(super) fn damaged(found: &str) -> ParquetError {
    ParquetError::General(format!("a page is damaged: found {found}"))
}

#[cfg(test)]
mod tests {
    use rand::prelude::*;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn numbers_come_back() {
        let mut draws = ChaCha8Rng::seed_from_u64(1);
        for bits in [0, 1, 2, 3, 7, 8, 9, 17, 31, 32] {
            for _ in 0..40 {
                let most = u32::MAX.checked_shr(32 - bits).unwrap_or(0);
                let mut numbers = Vec::new();
                for _ in 0..draws.random_range(0..30) {
                    let runs = if draws.random_bool(0.5) { 40 } else { 3 };
                    let length = draws.random_range(0..runs);
                    let value = draws.random_range(0..=most);
                    numbers.extend(std::iter::repeat_n(value, length));
                }
                let mut bytes = Vec::new();
                encode(&numbers, bits, &mut bytes);
                assert_eq!(decode(&bytes, bits, numbers.len()).unwrap(), numbers);
                let longer = decode(&bytes, bits, numbers.len() + GROUP);
                assert!(longer.is_err(), "{bits} bits: more than was written");
            }
        }
    }

    #[test]
    fn bytes_of_the_format() {
        // the example of the specification: 0 to 7 in three bits
        let mut bytes = Vec::new();
        encode(&[0, 1, 2, 3, 4, 5, 6, 7], 3, &mut bytes);
        assert_eq!(bytes, [3, 0b1000_1000, 0b1100_0110, 0b1111_1010]);
        bytes.clear();
        encode(&[5; 100], 3, &mut bytes);
        assert_eq!(bytes, [0b1100_1000, 1, 5]);
    }

    #[test]
    fn damage_is_an_error() {
        for bytes in [&[][..], &[0x80], &[3, 1], &[200, 1], &[0, 0], &[0xff; 12]] {
            assert!(decode(bytes, 3, 9).is_err(), "{bytes:?}");
        }
    }
}
