use proptest::prelude::*;

use super::{headers::encode, *};

fn headers(pairs: &[(&str, &str)]) -> Headers {
    Headers(pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect())
}

fn open(stream: u32, block: &[u8], flags: u8) -> Bytes {
    control_frame(SYN_STREAM, flags, &[&stream.to_be_bytes()[..], &[0; 6], block].concat())
}

/// All frames of a text, which comes in pieces of this length.
fn frames(text: &[u8], piece: usize) -> Result<Vec<Frame>, SpdyError> {
    let (mut decoder, mut frames) = (Decoder::new(), Vec::new());
    for piece in text.chunks(piece) {
        decoder.push(piece);
        while let Some(frame) = decoder.next()? {
            frames.push(frame);
        }
    }
    Ok(frames)
}

fn bytes(hex: &str) -> Vec<u8> {
    let digit = |byte: &u8| u8::try_from(char::from(*byte).to_digit(16).unwrap()).unwrap();
    hex.as_bytes().chunks(2).map(|pair| (digit(&pair[0]) << 4) | digit(&pair[1])).collect()
}

/// Two blocks of one connection as zlib compresses them against the dictionary.
const FIRST: &str =
    "78f9e3c6a7c202253a703a2b294a4dcc851625aca9a0808614cb45a024cc64610024398b209198094adc8c0600000000ffff";
const SECOND: &str = "c2aa15540a2512d209000000ffff";

#[test]
fn headers_are_read_that_zlib_has_compressed() {
    let text = [open(1, &bytes(FIRST), 0), open(3, &bytes(SECOND), FLAG_FIN)].concat();
    let of = |kind| headers(&[("streamtype", kind), ("port", "80"), ("requestid", "0")]);
    let expected = [
        Frame::Open { stream: 1, headers: of("error"), fin: false },
        Frame::Open { stream: 3, headers: of("data"), fin: true },
    ];
    for piece in [1, 7, text.len()] {
        assert_eq!(frames(&text, piece).unwrap(), expected);
    }
    assert_eq!(headers(&[("a", "b")]).get("a"), Some("b"));
}

#[test]
fn a_block_that_was_passed_over_is_part_of_what_follows() {
    let ignored = control_frame(HEADERS, 0, &[&[0; 4][..], &bytes(FIRST)].concat());
    let frames = frames(&[ignored, open(3, &bytes(SECOND), 0)].concat(), 5).unwrap();
    assert_eq!(frames[0], Frame::Other);
    assert!(matches!(&frames[1], Frame::Open { headers, .. } if headers.get("streamtype") == Some("data")));
}

#[test]
fn replies_can_be_read() {
    let mut encoder = Encoder::default();
    let text = [encoder.reply(1), encoder.reply(3)].concat();
    assert_eq!(frames(&text, 3).unwrap(), [Frame::Other, Frame::Other]);
}

#[test]
fn every_other_frame_is_what_it_is() {
    let text = [
        data(5, b"hello", false),
        data(5, b"", true),
        reset(5, CANCEL),
        ping(7),
        go_away(5),
        control_frame(SETTINGS, 0, &[0; 4]),
        control_frame(WINDOW_UPDATE, 0, &[0; 8]),
        control_frame(77, 0, b"?"),
    ]
    .concat();
    let expected = [
        Frame::Data { stream: 5, bytes: "hello".into(), fin: false },
        Frame::Data { stream: 5, bytes: "".into(), fin: true },
        Frame::Reset { stream: 5 },
        Frame::Ping { id: 7 },
        Frame::GoAway,
        Frame::Other,
        Frame::Other,
        Frame::Other,
    ];
    assert_eq!(frames(&text, text.len()).unwrap(), expected);
}

#[test]
fn what_is_too_much_is_refused() {
    let many = vec![("a", "b"); SPDY_HEADERS_MAX_AND_ONE];
    assert_eq!(frames(&open(1, &encode(&headers(&many), true), 0), 4096), Err(SpdyError::Headers));
    let long = "x".repeat(crate::limits::SPDY_HEADERS_BYTES_MAX);
    assert_eq!(frames(&open(1, &encode(&headers(&[("a", &long)]), true), 0), 4096), Err(SpdyError::Headers));
    let length = SPDY_CONTROL_BYTES_MAX + 1;
    let long = control_frame(SETTINGS, 0, &vec![0; length]);
    assert_eq!(frames(&long[..8], 8), Err(SpdyError::TooLong(length)));
    assert_eq!(frames(&[0x80, 2, 0, 1, 0, 0, 0, 0], 8), Err(SpdyError::Version(2)));
    assert_eq!(frames(&control_frame(PING, 0, &[0]), 16), Err(SpdyError::TooShort));
    assert_eq!(frames(&control_frame(SYN_STREAM, 0, &[0; 9]), 32), Err(SpdyError::TooShort));
}

const SPDY_HEADERS_MAX_AND_ONE: usize = crate::limits::SPDY_HEADERS_MAX + 1;

/// A small block that stands for a large text.
#[test]
fn a_block_that_grows_too_large_is_refused() {
    let mut compress = flate2::Compress::new(flate2::Compression::best(), false);
    let mut text = Vec::with_capacity(1 << 16);
    compress.compress_vec(&vec![0; 1 << 22], &mut text, flate2::FlushCompress::Sync).unwrap();
    assert!(text.len() < SPDY_CONTROL_BYTES_MAX - 64);
    let block = [&[0x78, 0x20, 0xe3, 0xc6, 0xa7, 0xc2][..], &text].concat();
    assert_eq!(frames(&open(1, &block, 0), 4096), Err(SpdyError::Headers));
}

proptest! {
    #[test]
    fn headers_and_data_arrive_as_they_were_sent(
        pairs in proptest::collection::vec(("[a-z:-]{1,20}", "[ -~]{0,60}"), 0..8),
        content in proptest::collection::vec(any::<u8>(), 0..100_000),
        piece in 1_usize..70_000,
        fin in any::<bool>(),
    ) {
        let sent = Headers(pairs);
        let text = [open(1, &encode(&sent, true), 0), open(3, &encode(&sent, false), 0), data(3, &content, fin)].concat();
        let mut frames = frames(&text, piece).unwrap().into_iter();
        prop_assert_eq!(frames.next(), Some(Frame::Open { stream: 1, headers: sent.clone(), fin: false }));
        prop_assert_eq!(frames.next(), Some(Frame::Open { stream: 3, headers: sent, fin: false }));
        let (mut all, mut ended) = (Vec::new(), false);
        for frame in frames {
            let Frame::Data { stream: 3, bytes, fin } = frame else { panic!("{frame:?}") };
            prop_assert!(bytes.len() <= SPDY_PIECE_BYTES_MAX && !ended);
            all.extend_from_slice(&bytes);
            ended = fin;
        }
        prop_assert_eq!(all, content);
        prop_assert_eq!(ended, fin);
    }

    /// Whatever comes, and however: there is an end, and the pieces make no difference.
    #[test]
    fn nothing_breaks_the_decoder(
        kinds in proptest::collection::vec((0_u16..12, any::<u8>(), proptest::collection::vec(any::<u8>(), 0..40)), 0..6),
        noise in proptest::collection::vec(any::<u8>(), 0..300),
        piece in 1_usize..64,
    ) {
        let mut text: Vec<u8> = kinds.iter().flat_map(|(kind, flags, content)| control_frame(*kind, *flags, content)).collect();
        text.extend(noise);
        let is_broken = frames(&text, text.len().max(1)).is_err();
        prop_assert_eq!(frames(&text, piece).is_err(), is_broken);
    }

    /// Damage to what a client sends is noticed, or makes no harm.
    #[test]
    fn damage_breaks_nothing(position in 0_usize..80, byte in any::<u8>()) {
        let mut text = [open(1, &bytes(FIRST), 0), open(3, &bytes(SECOND), FLAG_FIN)].concat();
        let position = position % text.len();
        text[position] = byte;
        let _ = frames(&text, 9);
    }
}
