//! FNV-1a, 64 bits: enough to tell replies apart, and five lines in any language.

/// A checksum that is being made.
#[derive(Debug, Clone)]
pub struct Fnv(u64);

// === impl Fnv ===

impl Fnv {
    /// The checksum of no bytes.
    #[must_use]
    pub const fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    /// The checksum of these bytes, as text.
    #[must_use]
    pub fn of(bytes: &[u8]) -> String {
        let mut checksum = Self::new();
        checksum.add(bytes);
        checksum.hex()
    }

    /// Goes on with more bytes.
    pub fn add(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    /// Sixteen hexadecimal digits.
    #[must_use]
    pub fn hex(&self) -> String {
        format!("{:016x}", self.0)
    }
}

impl Default for Fnv {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksum_is_the_published_one() {
        assert_eq!(Fnv::of(b"foobar"), "85944171f73967e8");
    }
}
