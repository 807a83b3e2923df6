//! Frames to bytes and back: the only user of bincode in the project. Never on disk, never towards a
//! client.

use bincode::config::{Configuration, Fixint, Limit, LittleEndian};
use bincode::{Decode, Encode};

/// The longest frame, in bytes.
pub const FRAME_BYTES_MAX: usize = 64 * 1024;

/// Why bytes are no frame, or a frame has no bytes.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The frame would be longer than [`FRAME_BYTES_MAX`].
    #[error("a frame that cannot be written")]
    Encode(#[source] bincode::error::EncodeError),
    /// The bytes are no frame of this type.
    #[error("bytes that are no frame")]
    Decode(#[source] bincode::error::DecodeError),
    /// A frame, and then something.
    #[error("a frame of {consumed} bytes in a packet of {packet}")]
    Trailing {
        /// What the frame took.
        consumed: usize,
        /// What came.
        packet: usize,
    },
    /// A frame longer than one may be.
    #[error("a frame of {bytes} bytes; the longest has {longest}")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// What it may have.
        longest: usize,
    },
}

const fn config<const MAX: usize>() -> Configuration<LittleEndian, Fixint, Limit<MAX>> {
    bincode::config::standard()
        .with_little_endian()
        .with_fixed_int_encoding()
        .with_limit::<MAX>()
}

/// Writes a frame.
pub fn encode(frame: &impl Encode) -> Result<Vec<u8>, WireError> {
    encode_within::<FRAME_BYTES_MAX>(frame)
}

/// Reads a packet that holds exactly one frame.
pub fn decode<T: Decode<()>>(packet: &[u8]) -> Result<T, WireError> {
    decode_within::<T, FRAME_BYTES_MAX>(packet)
}

/// Writes what travels as a file and not as a packet: with a bound of its own.
pub(crate) fn encode_within<const MAX: usize>(frame: &impl Encode) -> Result<Vec<u8>, WireError> {
    let bytes = bincode::encode_to_vec(frame, config::<MAX>()).map_err(WireError::Encode)?;
    if bytes.len() > MAX {
        return Err(WireError::TooLong {
            bytes: bytes.len(),
            longest: MAX,
        });
    }
    Ok(bytes)
}

/// Reads it.
pub(crate) fn decode_within<T: Decode<()>, const MAX: usize>(
    packet: &[u8],
) -> Result<T, WireError> {
    let (frame, consumed) =
        bincode::decode_from_slice(packet, config::<MAX>()).map_err(WireError::Decode)?;
    if consumed != packet.len() {
        return Err(WireError::Trailing {
            consumed,
            packet: packet.len(),
        });
    }
    Ok(frame)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        Dial, Dialed, FromDialer, FromSpawner, FromWorker, Interrupt, Order, Slot, ToDialer,
        ToSpawner, ToWorker,
    };

    fn release(slots: usize) -> ToWorker {
        let slot = Slot {
            arena: 1,
            segment: 2,
            offset: 3,
            bytes: 4,
            generation: 5,
        };
        ToWorker::Release {
            slots: vec![slot; slots],
        }
    }

    #[test]
    fn a_frame_reads_back_as_written() {
        let bytes = encode(&release(3)).unwrap();
        assert_eq!(decode::<ToWorker>(&bytes).unwrap(), release(3));
    }

    #[test]
    fn a_frame_with_a_tail_is_refused() {
        let mut bytes = encode(&release(1)).unwrap();
        bytes.push(0);
        assert!(matches!(
            decode::<ToWorker>(&bytes),
            Err(WireError::Trailing { .. })
        ));
    }

    #[test]
    fn a_frame_beyond_the_limit_is_not_written() {
        assert!(matches!(
            encode(&release(3000)),
            Err(WireError::TooLong { .. })
        ));
    }

    #[test]
    fn a_length_that_promises_more_than_the_limit_is_refused() {
        let mut bytes = encode(&release(0)).unwrap();
        bytes.truncate(bytes.len().saturating_sub(8));
        bytes.extend(u64::MAX.to_le_bytes());
        assert!(matches!(
            decode::<ToWorker>(&bytes),
            Err(WireError::Decode(_))
        ));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_frame_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
            let _ = decode::<ToWorker>(&bytes);
            let _ = decode::<FromWorker>(&bytes);
            let _ = decode::<Interrupt>(&bytes);
            let _ = decode::<ToSpawner>(&bytes);
            let _ = decode::<FromSpawner>(&bytes);
            let _ = decode::<Order>(&bytes);
            let _ = decode::<ToDialer>(&bytes);
            let _ = decode::<FromDialer>(&bytes);
            let _ = decode::<Dial>(&bytes);
            let _ = decode::<Dialed>(&bytes);
        }
    }
}
