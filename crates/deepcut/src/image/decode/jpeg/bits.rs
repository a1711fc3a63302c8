//! Bits of an entropy-coded segment (T.81, F.2.2.5), most significant first.

/// Reads one segment: stuffed zeros after `FF` are dropped, the segment ends before the next marker, and zeros follow its end.
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    /// First byte that is not in the window.
    at: usize,
    /// The next bits, first at the top. Those below `count` are the stream's own or zero.
    window: u64,
    count: u32,
    /// How many of the window's last bits were made up since the segment ended.
    padding: u32,
    ended: bool,
}

/// Whether one of eight bytes is `FF`.
fn has_ff(eight: u64) -> bool {
    const LOW: u64 = 0x0101_0101_0101_0101;
    (!eight).wrapping_sub(LOW) & eight & (LOW << 7) != 0
}

impl<'a> Bits<'a> {
    /// Starts a segment at a byte.
    pub(super) fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at, window: 0, count: 0, padding: 0, ended: false }
    }

    /// Makes 32 bits or more ready: the longest code and its value take 31.
    #[inline(always)]
    pub(super) fn refill(&mut self) {
        if self.count >= 32 {
            return;
        }
        if let Some(eight) = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk()) {
            let eight = u64::from_be_bytes(*eight);
            if !has_ff(eight) {
                self.window |= eight >> self.count;
                let taken = (63 - self.count) / 8;
                self.at += taken as usize;
                self.count += 8 * taken;
                return;
            }
        }
        self.refill_bytewise();
    }

    #[inline(never)]
    fn refill_bytewise(&mut self) {
        while self.count <= 56 {
            let Some(byte) = self.next_byte() else {
                self.padding += 64 - self.count;
                self.count = 64;
                return;
            };
            self.window |= u64::from(byte) << (56 - self.count);
            self.count += 8;
        }
    }

    fn next_byte(&mut self) -> Option<u8> {
        if self.ended {
            return None;
        }
        let byte = self.bytes.get(self.at).copied();
        if byte.is_some_and(|byte| byte != 0xff) {
            self.at += 1;
            return byte;
        }
        // Any number of fill bytes may come before a marker, or, as some writers have it, before the stuffed zero.
        let fill = self.bytes.get(self.at..).unwrap_or_default().iter().take_while(|&&byte| byte == 0xff).count();
        if byte.is_some() && self.bytes.get(self.at + fill) == Some(&0) {
            self.at += fill + 1;
            return byte;
        }
        self.ended = true;
        None
    }

    /// The next `n` bits, 1 to 32, which [`Bits::refill`] has made ready.
    #[inline(always)]
    pub(super) fn peek(&self, n: u32) -> u32 {
        (self.window >> (64 - n)) as u32
    }

    /// Passes over bits that were peeked at.
    #[inline(always)]
    pub(super) fn consume(&mut self, n: u32) {
        self.window <<= n;
        self.count -= n;
    }

    /// The next `n` bits, 0 to 16, as a number.
    #[inline(always)]
    pub(super) fn take(&mut self, n: u32) -> u32 {
        if n == 0 {
            return 0;
        }
        let value = self.peek(n);
        self.consume(n);
        value
    }

    /// RECEIVE and EXTEND (T.81, F.2.2.1): a number of `n` bits, 0 to 16, whose first bit says that it is positive.
    #[inline(always)]
    pub(super) fn take_signed(&mut self, n: u32) -> i32 {
        extend(self.take(n), n)
    }

    /// Whether bits were read that the segment does not have.
    #[inline(always)]
    pub(super) fn is_past_end(&self) -> bool {
        self.count < self.padding
    }

    /// Where the segment was left, and how many whole bytes of it nobody read.
    pub(super) fn finish(&self) -> (usize, usize) {
        (self.at, self.count.saturating_sub(self.padding) as usize / 8)
    }
}

/// EXTEND of T.81, figure F.12.
#[inline(always)]
pub(super) fn extend(value: u32, n: u32) -> i32 {
    let value = value as i32;
    if n > 0 && value < 1 << (n - 1) { value - (1 << n) + 1 } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stuffing_fill_bytes_and_the_end() {
        let bytes = [0xa5, 0xff, 0x00, 0x12, 0xff, 0xff, 0x00, 0x34, 0xff, 0xff, 0xd9];
        let mut bits = Bits::new(&bytes, 0);
        let read: Vec<u32> = (0..6)
            .map(|_| {
                bits.refill();
                bits.take(8)
            })
            .collect();
        assert_eq!(read, [0xa5, 0xff, 0x12, 0xff, 0x34, 0]);
        assert!(bits.is_past_end());
        assert_eq!(bits.finish(), (8, 0));
        // The last bit of a segment is not past its end.
        let mut bits = Bits::new(&bytes[..1], 0);
        bits.refill();
        assert_eq!((bits.take(7), bits.is_past_end(), bits.take(1), bits.is_past_end()), (0x52, false, 1, false));
        assert_eq!((bits.take(1), bits.is_past_end()), (0, true));
    }

    #[test]
    fn bytes_left_over_are_counted() {
        let bytes: Vec<u8> = (0..40).collect();
        let mut bits = Bits::new(&bytes, 0);
        for read in 0..40 {
            bits.refill();
            let (at, left) = bits.finish();
            assert_eq!(at - left, read);
            assert_eq!(bits.take(8) as usize, read);
        }
        bits.refill();
        assert!(!bits.is_past_end());
    }

    #[test]
    fn values_extend_as_in_the_standard() {
        assert_eq!([extend(0, 0), extend(0, 1), extend(1, 1), extend(0, 3), extend(3, 3), extend(4, 3)], [0, -1, 1, -7, -4, 4]);
        assert_eq!(extend(0, 16), -65_535);
    }

    #[test]
    fn bytes_of_ones_are_found() {
        for place in 0..8 {
            assert!(has_ff(0xff << (8 * place)) && has_ff(0x0123_4567_89ab_cdef | 0xff << (8 * place)));
            assert!(!has_ff(0xfe << (8 * place)) && !has_ff(0xfeff_7f00_0180_80fe & !(0xff << 48)));
        }
    }
}
