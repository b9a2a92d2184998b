//! The bytes of every stream of the race: see bench/streams/pattern.h.

const PERIOD: usize = 65521;
/// Bytes that can be had in one piece.
pub const MOST: usize = 2 * PERIOD;

pub struct Pattern(Vec<u8>);

impl Pattern {
    pub fn new() -> Self {
        let mut state = 1u32;
        let once: Vec<u8> = (0..PERIOD)
            .map(|_| {
                state = state.wrapping_mul(1664525).wrapping_add(1013904223);
                (state >> 24) as u8
            })
            .collect();
        Pattern(once.repeat(3))
    }

    /// `size` bytes, at most MOST, from a position on.
    pub fn at(&self, position: u64, size: usize) -> &[u8] {
        &self.0[(position % PERIOD as u64) as usize..][..size]
    }

    pub fn matches(&self, position: u64, data: &[u8]) -> bool {
        data.chunks(MOST).enumerate().all(|(index, piece)| piece == self.at(position + (index * MOST) as u64, piece.len()))
    }
}
