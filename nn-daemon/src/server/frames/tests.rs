//! Fields are written here by an encoder that chooses each way to write them; HTTP/2's own server reads them.

use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::fields::{INSTEAD, NAME_INDEX, is_plain, may_stand};
use super::*;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How a field is written.
#[derive(Clone, Copy, Debug)]
enum Way {
    Kept,
    NotKept,
    Never,
}

/// A field that is written, and how.
#[derive(Clone, Debug)]
struct Field {
    way: Way,
    name: String,
    value: Vec<u8>,
    /// Whether its name is that of the table, where that has it at 1.
    is_indexed: bool,
}

fn number(first: u8, bits: u32, value: usize, out: &mut Vec<u8>) {
    let most = (1_usize << bits) - 1;
    if value < most {
        out.push(first | u8::try_from(value).unwrap());
        return;
    }
    out.push(first | u8::try_from(most).unwrap());
    let mut left = value - most;
    while left >= 0x80 {
        out.push(u8::try_from(left & 0x7f).unwrap() | 0x80);
        left >>= 7;
    }
    out.push(u8::try_from(left).unwrap());
}

fn text(text: &[u8], out: &mut Vec<u8>) {
    number(0, 7, text.len(), out);
    out.extend(text);
}

fn encode(field: &Field, out: &mut Vec<u8>) {
    let (first, bits) = match field.way {
        Way::Kept => (0x40, 6),
        Way::NotKept => (0, 4),
        Way::Never => (0x10, 4),
    };
    if field.is_indexed && field.name == ":authority" {
        number(first, bits, NAME_INDEX, out);
    } else {
        number(first, bits, 0, out);
        text(field.name.as_bytes(), out);
    }
    text(&field.value, out);
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![len[1], len[2], len[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

fn field(name: &str, value: &[u8]) -> Field {
    Field {
        way: Way::Kept,
        name: name.into(),
        value: value.into(),
        is_indexed: false,
    }
}

/// What every request of gRPC has.
fn request(path: &str, authority: &[u8]) -> Vec<Field> {
    vec![
        field(":path", path.as_bytes()),
        field(":authority", authority),
        field(":method", b"POST"),
        field(":scheme", b"http"),
        field("te", b"trailers"),
    ]
}

fn encoded(fields: &[Field]) -> Vec<u8> {
    let mut out = Vec::new();
    fields.iter().for_each(|field| encode(field, &mut out));
    out
}

fn mended(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    Frames::new(true).follow(&mut bytes);
    bytes
}

/// A connection with these frames behind its begin.
fn connection(frames: &[Vec<u8>]) -> Vec<u8> {
    let mut all = PREFACE.to_vec();
    all.extend(frame(4, 0, 0, &[]));
    all.extend(frames.concat());
    all
}

fn way() -> impl Strategy<Value = Way> {
    prop_oneof![Just(Way::Kept), Just(Way::NotKept), Just(Way::Never)]
}

/// A field that is not the authority: a name, and bytes that no header has where they matter.
fn other() -> impl Strategy<Value = Field> {
    let value = prop::collection::vec(0x20_u8..0x7f, 0..300);
    ("x-[a-z%/-]{0,20}", value, way()).prop_map(|(name, value, way)| Field {
        way,
        name,
        value,
        is_indexed: false,
    })
}

#[test]
fn the_path_of_a_socket_becomes_a_name_of_the_same_length() {
    let of = |text: &[u8]| {
        let sent = connection(&[frame(
            HEADERS,
            END_HEADERS,
            1,
            &encoded(&request("/a/b", text)),
        )]);
        let got = mended(&sent);
        assert_eq!(got.len(), sent.len());
        let fields = encoded(&request("/a/b", b"")).len();
        let at = got.len() - fields + b"/a/b".len() + 2 + ":path".len() + 1;
        let at = at + ":authority".len() + 3;
        String::from_utf8_lossy(&got[at - text.len()..at]).into_owned()
    };
    assert_eq!(
        of(b"run%2Fnn-daemon%2Fnn.sock"),
        "run-2Fnn-daemon-2Fnn.sock"
    );
    assert_eq!(of(b"/run/nn.sock"), "-run-nn.sock");
    assert_eq!(of(b"tmp%2Fa:b%2F[c]@nn.sock"), "tmp-2Fa-b-2F-c--nn.sock");
    for name in ["localhost", "localhost:80", "[::1]:80", "nn.sock", "a_b~c"] {
        assert_eq!(of(name.as_bytes()), name);
    }
}

#[test]
fn what_is_not_one_frame_of_plain_fields_passes_unchanged() {
    let fields = encoded(&request("/a/b", b"run%2Fnn.sock"));
    let padded = [&[0][..], &fields].concat();
    let mut short = fields.clone();
    short.truncate(fields.len() / 2);
    for frame in [
        frame(HEADERS, 0, 1, &fields),
        frame(9, END_HEADERS, 1, &fields),
        frame(HEADERS, END_HEADERS | PADDED, 1, &padded),
        frame(0, END_HEADERS, 1, &fields),
        frame(HEADERS, END_HEADERS | PRIORITY, 1, &[0; 3]),
        frame(
            HEADERS,
            END_HEADERS,
            1,
            &[0x7f, 0xff, 0xff, 0xff, 0xff, 0xff],
        ),
        frame(HEADERS, END_HEADERS, 1, &[0x41, 0x7f, 0xff, 0x7f, b'%']),
    ] {
        let sent = connection(&[frame]);
        assert_eq!(mended(&sent), sent);
    }
}

proptest! {
    /// Each way to write fields, and any frames around them: what is not the text of an authority comes out as it went in.
    #[test]
    fn nothing_changes_but_the_text_of_an_authority(
        before in prop::collection::vec(other(), 0..6),
        behind in prop::collection::vec(other(), 0..6),
        (way, is_indexed, has_priority) in (way(), any::<bool>(), any::<bool>()),
        authority in "[a-z]{0,9}[%/?#\\\\ ][a-zA-Z0-9%:/@\\[\\]._~ -]{0,200}",
        data in prop::collection::vec(any::<u8>(), 0..1000),
        pieces in prop::collection::vec(1_usize..400, 1..40),
    ) {
        let build = |text: &[u8]| {
            let mut fields = vec![0x3f, 0xe1, 0x1f, 0x82];
            before.iter().for_each(|field| encode(field, &mut fields));
            let named = Field { way, name: ":authority".into(), value: text.into(), is_indexed };
            encode(&named, &mut fields);
            behind.iter().for_each(|field| encode(field, &mut fields));
            let (flags, before) = if has_priority { (PRIORITY, vec![0x41; PRIORITY_BYTES]) } else { (0, Vec::new()) };
            let headers = frame(HEADERS, END_HEADERS | flags, 1, &[before, fields].concat());
            connection(&[frame(0, 0, 1, &data), headers.clone(), frame(0, 1, 1, &data), headers])
        };
        let sent = build(authority.as_bytes());
        let mut is_mended = false;
        let expected: String = authority.chars().map(|c| {
            is_mended |= !may_stand(u8::try_from(c).unwrap());
            if is_mended && !is_plain(u8::try_from(c).unwrap()) { '-' } else { c }
        }).collect();
        let expected = build(expected.as_bytes());
        prop_assert_eq!(mended(&sent), expected.clone());
        // However it is cut; and what has been mended needs nothing more.
        let (mut reader, mut cut) = (Frames::new(true), sent);
        let (mut at, mut pieces) = (0, pieces.into_iter().cycle());
        while at < cut.len() {
            let end = cut.len().min(at + pieces.next().unwrap());
            reader.follow(&mut cut[at..end]);
            at = end;
        }
        prop_assert_eq!(&cut, &expected);
        prop_assert_eq!(mended(&expected), expected);
    }

    /// Of anything at all only bytes become another, that could be in a name's place; and where it is cut does not matter.
    #[test]
    fn anything_passes_in_its_length_however_it_is_cut(
        bytes in prop::collection::vec(any::<u8>(), 0..3000),
        heads in prop::collection::vec((0_usize..3000, 0_u8..120), 0..20),
        cut in 1_usize..100,
    ) {
        // Frames that may be frames: short ones, of fields.
        let mut sent = PREFACE.to_vec();
        sent.extend(&bytes);
        for (at, len) in heads {
            if let Some(head) = sent.get_mut(24 + at..24 + at + 9) {
                head.copy_from_slice(&[0, 0, len, HEADERS, END_HEADERS, 0, 0, 0, 1]);
            }
        }
        let whole = mended(&sent);
        let mut pieces = sent.clone();
        let mut reader = Frames::new(true);
        pieces.chunks_mut(cut).for_each(|piece| {
            reader.follow(piece);
        });
        prop_assert_eq!(&pieces, &whole);
        for (before, after) in sent.iter().zip(&whole) {
            prop_assert!(before == after || *after == INSTEAD && !is_plain(*before));
        }
    }
}

/// Two requests, the second by the table that the first has filled: the server's has the sizes that the client thinks.
#[tokio::test]
async fn the_server_reads_what_was_mended_and_its_table_is_the_clients() {
    let long = b"run%2Fof%2Fa%2Flong%2Fpath%2Fnn.sock";
    let first = encoded(&request("/a/b", long));
    // By the table alone: five entries, the last written first.
    let second = [0xc2, 0xc1, 0xc0, 0xbf, 0xbe];
    let mut sent = connection(&[
        frame(HEADERS, END_HEADERS | 1, 1, &first),
        frame(HEADERS, END_HEADERS | 1, 3, &second),
    ]);
    let (client, server) = tokio::io::duplex(1 << 16);
    let (mut read, mut write) = tokio::io::split(client);
    Frames::new(true).follow(&mut sent);
    write.write_all(&sent).await.unwrap();
    let drained = tokio::spawn(async move {
        let mut bytes = Vec::new();
        let _ = read.read_to_end(&mut bytes).await;
    });
    let mut connection = h2::server::handshake(server).await.unwrap();
    for _ in 0..2 {
        let (request, _answer) = connection.accept().await.unwrap().unwrap();
        let uri = request.uri();
        assert_eq!(uri.path(), "/a/b");
        let name = uri.authority().unwrap().as_str();
        assert_eq!(name, "run-2Fof-2Fa-2Flong-2Fpath-2Fnn.sock");
        assert_eq!(request.headers()["te"], "trailers");
    }
    drop(connection);
    drained.abort();
}
