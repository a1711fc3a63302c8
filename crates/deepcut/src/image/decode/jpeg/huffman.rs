//! Huffman tables (T.81, annex C and F.2.2.3), and those of annex K.3 for files that leave them out.
//!
//! A table of 2^[`LOOK`] entries resolves short codes at once, together with the value's own bits where these fit too; longer codes
//! are found by comparing with the first code that is too long for each length.

use super::bits::{Bits, extend};

/// Bits that one look into the table resolves.
const LOOK: u32 = 10;

/// A table of codes: at most 256 symbols of 1 to 16 bits.
pub(super) struct Huffman {
    lookup: Box<[Entry; 1 << LOOK]>,
    /// For each length, the first code that is longer, at the top of sixteen bits.
    limit: [u32; 17],
    /// For each length, index of its first symbol less its first code.
    offset: [i32; 17],
    symbols: Vec<u8>,
}

/// What the next [`LOOK`] bits begin with.
#[derive(Clone, Copy, Default)]
pub(super) struct Entry {
    /// The value that follows the code; 0 if there is none, or its bits do not fit.
    pub(super) value: i16,
    pub(super) symbol: u8,
    /// Bits of the code, and of the value if there is one. 0: the code is longer than [`LOOK`].
    bits: u8,
}

impl Huffman {
    /// Builds a table from the numbers of codes of 1 to 16 bits and the symbols in order of their codes.
    ///
    /// `None` if there are more codes of a length than that length has room for, or another number of symbols.
    pub(super) fn new(counts: &[u8; 16], symbols: &[u8]) -> Option<Self> {
        let mut table =
            Self { lookup: Box::new([Entry::default(); 1 << LOOK]), limit: [0; 17], offset: [0; 17], symbols: symbols.to_vec() };
        let (mut code, mut index) = (0_u32, 0_usize);
        for (length, &count) in (1_u32..).zip(counts) {
            table.offset[length as usize] = index as i32 - code as i32;
            for &symbol in symbols.get(index..index + usize::from(count))? {
                if code >> length != 0 {
                    return None;
                }
                if length <= LOOK {
                    let first = (code as usize) << (LOOK - length);
                    for (next, entry) in table.lookup[first..first + (1 << (LOOK - length))].iter_mut().enumerate() {
                        *entry = Entry::new(symbol, length, next as u32);
                    }
                }
                code += 1;
            }
            index += usize::from(count);
            table.limit[length as usize] = code << (16 - length);
            code <<= 1;
        }
        (index == symbols.len()).then_some(table)
    }

    /// One of the four tables of T.81, K.3: for Motion JPEG, whose frames may leave them out.
    pub(super) fn standard(ac: bool, chroma: bool) -> Option<Self> {
        let (counts, symbols): (_, &[u8]) = match (ac, chroma) {
            (false, false) => (&[0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0], &DC),
            (false, true) => (&[0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0], &DC),
            (true, false) => (&[0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 125], &AC_LUMA),
            (true, true) => (&[0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 119], &AC_CHROMA),
        };
        Self::new(counts, symbols)
    }

    /// Whether every symbol is the size of a DC difference.
    pub(super) fn is_for_dc(&self) -> bool {
        self.symbols.iter().all(|&symbol| symbol < 16)
    }

    /// The next value's entry, passed over; if it has no value, nothing is passed over.
    #[inline(always)]
    pub(super) fn entry(&self, bits: &mut Bits) -> Entry {
        let entry = self.lookup[bits.peek(LOOK) as usize];
        if entry.value != 0 {
            bits.consume(entry.bits.into());
        }
        entry
    }

    /// The next symbol. Bits that are no code are passed over as libjpeg does, as a 0, and `valid` becomes false.
    #[inline]
    pub(super) fn symbol(&self, bits: &mut Bits, valid: &mut bool) -> u8 {
        let entry = self.lookup[bits.peek(LOOK) as usize];
        if entry.bits != 0 {
            bits.consume(entry.code_bits());
            return entry.symbol;
        }
        self.long_symbol(bits).unwrap_or_else(|| {
            *valid = false;
            bits.consume(17);
            0
        })
    }

    fn long_symbol(&self, bits: &mut Bits) -> Option<u8> {
        let next = bits.peek(16);
        let length = (LOOK + 1..=16).find(|&length| next < self.limit[length as usize])?;
        let index = self.offset[length as usize] + (next >> (16 - length)) as i32;
        let symbol = self.symbols.get(index as usize).copied()?;
        bits.consume(length);
        Some(symbol)
    }
}

impl Entry {
    /// A code's entry, `next` being the bits that follow the code within [`LOOK`].
    fn new(symbol: u8, length: u32, next: u32) -> Self {
        let size = u32::from(symbol & 15);
        if size == 0 || length + size > LOOK {
            return Self { value: 0, symbol, bits: length as u8 };
        }
        let value = extend(next >> (LOOK - length - size), size);
        Self { value: value as i16, symbol, bits: (length + size) as u8 }
    }

    fn code_bits(self) -> u32 {
        u32::from(self.bits) - if self.value == 0 { 0 } else { u32::from(self.symbol & 15) }
    }
}

const DC: [u8; 12] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
#[rustfmt::skip]
const AC_LUMA: [u8; 162] = [
    0x01, 0x02, 0x03, 0x00, 0x04, 0x11, 0x05, 0x12, 0x21, 0x31, 0x41, 0x06, 0x13, 0x51, 0x61, 0x07, 0x22, 0x71,
    0x14, 0x32, 0x81, 0x91, 0xa1, 0x08, 0x23, 0x42, 0xb1, 0xc1, 0x15, 0x52, 0xd1, 0xf0, 0x24, 0x33, 0x62, 0x72,
    0x82, 0x09, 0x0a, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x25, 0x26, 0x27, 0x28, 0x29, 0x2a, 0x34, 0x35, 0x36, 0x37,
    0x38, 0x39, 0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59,
    0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a, 0x83,
    0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0xa2, 0xa3,
    0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xc2, 0xc3,
    0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda, 0xe1, 0xe2,
    0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa,
];
#[rustfmt::skip]
const AC_CHROMA: [u8; 162] = [
    0x00, 0x01, 0x02, 0x03, 0x11, 0x04, 0x05, 0x21, 0x31, 0x06, 0x12, 0x41, 0x51, 0x07, 0x61, 0x71, 0x13, 0x22,
    0x32, 0x81, 0x08, 0x14, 0x42, 0x91, 0xa1, 0xb1, 0xc1, 0x09, 0x23, 0x33, 0x52, 0xf0, 0x15, 0x62, 0x72, 0xd1,
    0x0a, 0x16, 0x24, 0x34, 0xe1, 0x25, 0xf1, 0x17, 0x18, 0x19, 0x1a, 0x26, 0x27, 0x28, 0x29, 0x2a, 0x35, 0x36,
    0x37, 0x38, 0x39, 0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58,
    0x59, 0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a,
    0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a,
    0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba,
    0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda,
    0xe2, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa,
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Every code of a standard table, in order, against the code assigned by annex C.
    #[test]
    fn codes_decode_to_their_symbols() {
        for (ac, chroma) in [(false, false), (false, true), (true, false), (true, true)] {
            let table = Huffman::standard(ac, chroma).unwrap();
            assert!(table.is_for_dc() != ac);
            let mut seen = 0;
            for length in 1..=16_u32 {
                let first = (i32::from(length > 1)) * (table.limit[length as usize - 1] >> (16 - length)) as i32;
                for code in first as u32..table.limit[length as usize] >> (16 - length) {
                    // Ones follow the code: a value's bits are then its largest.
                    let bytes = ((code << (32 - length)) | (u32::MAX >> length)).to_be_bytes();
                    let stuffed: Vec<u8> = bytes.iter().flat_map(|&b| if b == 0xff { vec![b, 0] } else { vec![b] }).collect();
                    let mut bits = Bits::new(&stuffed, 0);
                    bits.refill();
                    let mut valid = true;
                    let symbol = table.symbol(&mut bits, &mut valid);
                    assert!(valid);
                    assert_eq!(symbol, table.symbols[seen]);
                    assert_eq!(bits.peek(16), 0xffff, "{length} bits were passed over");
                    let mut bits = Bits::new(&stuffed, 0);
                    bits.refill();
                    let entry = table.entry(&mut bits);
                    assert!(entry.value == 0 || (entry.symbol, entry.value) == (symbol, (1 << (symbol & 15)) - 1));
                    seen += 1;
                }
            }
            assert_eq!(seen, table.symbols.len());
            // All ones are no code.
            let mut bits = Bits::new(&[0xff, 0, 0xff, 0], 0);
            bits.refill();
            let mut valid = true;
            assert_eq!((table.symbol(&mut bits, &mut valid), valid), (0, false));
        }
    }

    #[test]
    fn impossible_tables_are_refused() {
        let counts = |n: &[u8]| std::array::from_fn(|i| n.get(i).copied().unwrap_or_default());
        assert!(Huffman::new(&counts(&[2]), &[1, 2]).is_some());
        assert!(Huffman::new(&counts(&[3]), &[1, 2, 3]).is_none());
        assert!(Huffman::new(&counts(&[1, 3]), &[1, 2, 3, 4]).is_none());
        assert!(Huffman::new(&counts(&[1]), &[]).is_none());
        assert!(Huffman::new(&counts(&[1]), &[1, 2]).is_none());
        assert!(Huffman::new(&counts(&[]), &[]).is_some());
    }
}
