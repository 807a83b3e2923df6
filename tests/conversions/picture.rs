//! Pictures as a decoder leaves them: rows of red, green and blue bytes.

/// scikit-image's coffee.png (CC0, models/pictures.toml) at 192 × 128: each pixel the mean of those that it covers.
const COFFEE: &[u8] = include_bytes!("coffee.rgb");

/// The longest run of bytes in a deflate stream that says them as they are.
const STORED_BYTES_MAX: usize = 65_535;

/// One of them.
#[derive(Debug)]
pub(crate) struct Picture {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) pixels: Vec<u8>,
}

fn index(number: u32) -> usize {
    usize::try_from(number).expect("an address of more than 32 bits")
}

impl Picture {
    /// A cup of it, seen from above.
    pub(crate) fn coffee() -> Self {
        Self {
            width: 192,
            height: 128,
            pixels: COFFEE.to_vec(),
        }
    }

    /// Bytes that differ from each other.
    pub(crate) fn pattern(width: u32, height: u32) -> Self {
        let pixels = (0..=250_u8).cycle().take(index(width) * index(height) * 3);
        Self {
            width,
            height,
            pixels: pixels.collect(),
        }
    }

    /// The same in another size, each pixel from the one below it.
    pub(crate) fn of_size(&self, width: u32, height: u32) -> Self {
        let mut pixels = Vec::new();
        for y in 0..height {
            for x in 0..width {
                let (left, top) = (x * self.width / width, y * self.height / height);
                let at = (index(top) * index(self.width) + index(left)) * 3;
                pixels.extend_from_slice(&self.pixels[at..at + 3]);
            }
        }
        Self {
            width,
            height,
            pixels,
        }
    }

    /// A PNG file of it: nothing filtered, nothing compressed.
    pub(crate) fn png(&self) -> Vec<u8> {
        let rows = self.pixels.chunks_exact(index(self.width) * 3);
        let lines: Vec<u8> = rows.flat_map(|row| [&[0], row].concat()).collect();
        let mut stream = vec![0x78, 0x01];
        let mut blocks = lines.chunks(STORED_BYTES_MAX).peekable();
        while let Some(block) = blocks.next() {
            let len = u16::try_from(block.len()).expect("as long as a block");
            stream.push(u8::from(blocks.peek().is_none()));
            stream.extend(len.to_le_bytes());
            stream.extend((!len).to_le_bytes());
            stream.extend_from_slice(block);
        }
        stream.extend(adler(&lines).to_be_bytes());
        let sides = [self.width.to_be_bytes(), self.height.to_be_bytes()].concat();
        let head = [sides.as_slice(), &[8, 2, 0, 0, 0]].concat();
        let chunks = [
            chunk(b"IHDR", &head),
            chunk(b"IDAT", &stream),
            chunk(b"IEND", &[]),
        ];
        [b"\x89PNG\r\n\x1a\n".to_vec(), chunks.concat()].concat()
    }
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
