//! PNG files for tests, written byte by byte: nothing filtered, nothing compressed.

/// The longest run of bytes in a deflate stream that says them as they are.
const STORED_BYTES_MAX: usize = 65_535;

/// How a pixel is written.
#[derive(Clone, Copy, Debug)]
pub enum Pixels {
    /// Red, green and blue, a byte each.
    Rgb,
    /// Black or white, a bit each; rows begin with a new byte.
    Bits,
}

/// A file of so many columns and rows, of rows one after the other.
///
/// # Panics
/// When the rows are not as long as that, or none.
#[must_use]
pub fn png(width: u32, height: u32, pixels: Pixels, rows: &[u8]) -> Vec<u8> {
    let columns = usize::try_from(width).expect("a row in memory");
    let (length, depth, colour) = match pixels {
        Pixels::Rgb => (columns * 3, 8, 2),
        Pixels::Bits => (columns.div_ceil(8), 1, 0),
    };
    assert_eq!(Ok(rows.len() / length), usize::try_from(height));
    let rows = rows.chunks_exact(length);
    let lines: Vec<u8> = rows.flat_map(|row| [&[0], row].concat()).collect();
    let sides = [width.to_be_bytes(), height.to_be_bytes()].concat();
    let head = [sides.as_slice(), &[depth, colour, 0, 0, 0]].concat();
    let chunks = [
        chunk(b"IHDR", &head),
        chunk(b"IDAT", &stored(&lines)),
        chunk(b"IEND", &[]),
    ];
    [b"\x89PNG\r\n\x1a\n".to_vec(), chunks.concat()].concat()
}

fn stored(lines: &[u8]) -> Vec<u8> {
    let mut stream = vec![0x78, 0x01];
    let mut blocks = lines.chunks(STORED_BYTES_MAX).peekable();
    while let Some(block) = blocks.next() {
        let len = u16::try_from(block.len()).expect("as long as a block");
        stream.push(u8::from(blocks.peek().is_none()));
        stream.extend(len.to_le_bytes());
        stream.extend((!len).to_le_bytes());
        stream.extend_from_slice(block);
    }
    stream.extend(adler(lines).to_be_bytes());
    stream
}

fn chunk(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let len = u32::try_from(content.len()).expect("a short chunk");
    let named = [kind.as_slice(), content].concat();
    let sum = crc(&named).to_be_bytes();
    [len.to_be_bytes().as_slice(), &named, &sum].concat()
}

fn adler(bytes: &[u8]) -> u32 {
    let (a, b) = bytes.iter().fold((1_u32, 0_u32), |(a, b), byte| {
        let a = (a + u32::from(*byte)) % 65_521;
        (a, (b + a) % 65_521)
    });
    b << 16 | a
}

fn crc(bytes: &[u8]) -> u32 {
    let step = |sum: u32, _: u32| (sum >> 1) ^ (0xedb8_8320 & (sum & 1).wrapping_neg());
    !bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), step)
    })
}
