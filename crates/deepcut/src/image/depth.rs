//! Samples of more than eight bits as eight.

use super::picture::eight_bits;

/// What a camera of fewer bits leaves unused of 16, if the greatest value shows it: the value that is white, and the note.
///
/// An image that is dark, but of 16 bits, has some value in its upper three quarters.
pub(super) fn unused_bits(most: u16) -> Option<(u16, String)> {
    let bits = [8, 10, 12, 14].into_iter().find(|bits| u32::from(most) < 1 << bits)?;
    let full = (1_u16 << bits) - 1;
    (most > 0).then(|| (full, format!("its 16-bit values reach only {most}: taken as {bits} bits and scaled by {full}")))
}

/// A 16-bit value as 8 bits, where `full` is white.
pub(super) fn scaled(value: u16, full: u16) -> u8 {
    if full == u16::MAX {
        eight_bits(value)
    } else {
        ((u32::from(value.min(full)) * 255 + u32::from(full) / 2) / u32::from(full)) as u8
    }
}
