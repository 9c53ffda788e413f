use bytes::Bytes;
use proptest::prelude::*;

use super::*;

type Part = (Vec<(String, String)>, Vec<u8>);

/// All parts of a body fed in the given pieces.
fn read<'a>(boundary: &str, pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<Part>, MultipartError> {
    let mut reader = Reader::new(boundary)?;
    let mut parts: Vec<Part> = Vec::new();
    let mut open = false;
    let mut closed = false;
    for piece in pieces {
        reader.feed(Bytes::copy_from_slice(piece));
        while let Some(event) = reader.next_event()? {
            assert!(!closed, "nothing comes after the end");
            match event {
                Event::Headers(headers) => {
                    assert!(!std::mem::replace(&mut open, true));
                    let fields = headers
                        .iter()
                        .map(|(n, v)| (n.to_owned(), v.to_owned()))
                        .collect();
                    parts.push((fields, Vec::new()));
                }
                Event::Data(data) => {
                    assert!(open && !data.is_empty());
                    parts.last_mut().unwrap().1.extend_from_slice(&data);
                }
                Event::PartEnd => assert!(std::mem::take(&mut open)),
                Event::End => closed = true,
            }
        }
    }
    reader.finish()?;
    assert!(closed && !open);
    Ok(parts)
}

fn whole(body: &[u8]) -> Result<Vec<Part>, MultipartError> {
    read("B", [body])
}

fn part(value: &str, content: &[u8]) -> Part {
    (vec![("a".to_owned(), value.to_owned())], content.to_vec())
}

#[test]
fn bytes_are_those_of_java() {
    let mut writer = Writer::new("xtopB");
    writer.part(&[("content-type", "application/ocsp-response")], b"DER");
    writer.begin(&[("content-type", "application/x-road-rest-body")]);
    writer.close();
    assert_eq!(
        writer.take(),
        "--xtopB\r\ncontent-type: application/ocsp-response\r\n\r\nDER\r\n--xtopB\r\n\
         content-type: application/x-road-rest-body\r\n\r\n\r\n--xtopB--\r\n"
    );
    let mut nested = Writer::nested("xattB");
    nested.part(&[], b"x");
    nested.close();
    assert_eq!(nested.take(), "\r\n--xattB\r\n\r\nx\r\n--xattB--\r\n");
}

#[test]
fn a_boundary_has_its_prefix_and_thirty_letters() {
    let name = boundary("xtop", std::array::from_fn(|i| u8::try_from(i * 8).unwrap()));
    assert_eq!(name.len(), 34);
    assert!(name.starts_with("xtop") && name.chars().all(|c| c.is_ascii_alphabetic()));
}

#[test]
fn part_bytes_are_what_stands_between_boundaries() {
    let body = b"--B\r\na: 1\r\n\r\n\r\n\r\n--B\r\na:2\r\n\r\n--B\r\n--B \t\r\n\r\n\r\n--B--";
    assert_eq!(
        whole(body),
        Ok(vec![part("1", b"\r\n"), part("2", b"--B"), (vec![], vec![])])
    );
}

#[test]
fn lines_that_only_begin_like_a_boundary_are_content() {
    let body = b"--Bx\r\n--B\r\na:1\r\n\r\nx\r\n--Bx\r\n--B-\r\r\n\n--B\r\n--B--\r\n";
    assert_eq!(whole(body), Ok(vec![part("1", b"x\r\n--Bx\r\n--B-\r\r\n\n--B")]));
}

#[test]
fn preamble_and_epilogue_are_skipped_within_bounds() {
    assert_eq!(
        whole(b"before\r\n--B\r\na:1\r\n\r\nx\r\n--B--after\r\n--B\r\n\r\n"),
        Ok(vec![part("1", b"x")])
    );
    let long = "y".repeat(limits::PREAMBLE + 1);
    assert_eq!(
        whole(format!("{long}\r\n--B\r\n\r\nx\r\n--B--").as_bytes()),
        Err(MultipartError::Outside)
    );
    assert_eq!(
        whole(format!("--B\r\n\r\nx\r\n--B--{long}").as_bytes()),
        Err(MultipartError::Outside)
    );
}

#[test]
fn a_body_without_its_closing_boundary_is_cut() {
    for body in [
        "",
        "--B",
        "--B\r\na:1",
        "--B\r\n\r\nx",
        "--B\r\n\r\nx\r\n--B",
        "--B\r\n\r\nx\r\n--B-",
    ] {
        assert_eq!(whole(body.as_bytes()), Err(MultipartError::Cut), "{body:?}");
    }
}

#[test]
fn header_lines_and_blocks_have_bounds() {
    let with = |headers: &str| whole(format!("--B\r\n{headers}\r\n\r\nx\r\n--B--").as_bytes());
    assert!(with(&format!("a:{}", "x".repeat(limits::PART_HEADER_LINE - 2))).is_ok());
    assert_eq!(
        with(&format!("a:{}", "x".repeat(limits::PART_HEADER_LINE - 1))),
        Err(MultipartError::HeaderLine)
    );
    let many = vec!["a:b"; limits::PART_HEADER_COUNT + 1].join("\r\n");
    assert_eq!(with(&many), Err(MultipartError::Headers));
    let long = vec![format!("a:{}", "x".repeat(900)); 12].join("\r\n");
    assert_eq!(with(&long), Err(MultipartError::Headers));
    for bad in ["no colon", ":x", " folded", "a:b\nc:d", "a:b\r\r"] {
        assert!(with(bad).is_err(), "{bad}");
    }
    let parts = "--B\r\n\r\n\r\n".repeat(limits::PARTS + 1) + "--B--";
    assert_eq!(whole(parts.as_bytes()), Err(MultipartError::Parts));
}

#[test]
fn folded_headers_are_joined_and_kept_raw() {
    let mut reader = Reader::new("B").unwrap();
    reader.feed(Bytes::from_static(
        b"--B\r\nContent-Type: Text/XML;\r\n\tcharset=\"UTF-8\"\r\n\r\n",
    ));
    let Some(Event::Headers(headers)) = reader.next_event().unwrap() else {
        panic!("no headers")
    };
    assert_eq!(headers.content_type().essence(), "text/xml");
    assert_eq!(headers.content_type().parameter("charset"), Some("UTF-8"));
    assert_eq!(
        headers.raw(),
        "Content-Type: Text/XML;\r\n\tcharset=\"UTF-8\"\r\n"
    );
}

#[test]
fn content_types_are_read_with_quotes_and_refused_when_broken() {
    let parse = |text| ContentType::parse(text);
    let boundary = |text| parse(text).and_then(|t| t.parameter("boundary").map(str::to_owned));
    assert_eq!(
        boundary("multipart/mixed; charset=UTF-8; Boundary=xtop"),
        Some("xtop".into())
    );
    assert_eq!(
        boundary("multipart/mixed; boundary=\"a; \\\"b\" ; x=y"),
        Some("a; \"b".into())
    );
    for bad in ["", "text", "/", "a/b; c", "a/b; c=\"d", "a/b; c=\"d\"e"] {
        assert_eq!(parse(bad), None, "{bad}");
    }
}

#[test]
fn boundaries_that_no_line_can_hold_are_refused() {
    for bad in ["", "a\r\nb", "ä", "x ", &"x".repeat(limits::BOUNDARY + 1)] {
        assert!(matches!(Reader::new(bad), Err(MultipartError::Boundary)), "{bad}");
    }
}

#[test]
fn data_of_a_large_piece_are_slices_of_it() {
    let piece = Bytes::from([&b"--B\r\n\r\n"[..], &[7; 100_000]].concat());
    let mut reader = Reader::new("B").unwrap();
    reader.feed(piece.clone());
    assert!(matches!(reader.next_event(), Ok(Some(Event::Headers(_)))));
    let Ok(Some(Event::Data(data))) = reader.next_event() else {
        panic!("no data")
    };
    assert_eq!(data.as_ptr(), piece[7..].as_ptr());
    assert_eq!(data.len(), 100_000);
}

/// Content that is likely to look like boundaries.
fn content() -> impl Strategy<Value = Vec<u8>> {
    const TOKENS: [&str; 11] = [
        "\r", "\n", "\r\n", "-", "--", "--B", "\r\n--", "B", " ", "x", "\r\n--Bx",
    ];
    proptest::collection::vec(proptest::sample::select(&TOKENS[..]), 0..12)
        .prop_map(|tokens| tokens.concat().into_bytes())
        // What is a whole boundary line cannot be content.
        .prop_filter("no boundary inside", |content| {
            let padded = [&b"\r\n"[..], content, b"\r\n"].concat();
            memchr::memmem::find_iter(&padded, b"\r\n--B")
                .all(|at| !matches!(padded[at + 5], b' ' | b'\r' | b'-'))
        })
}

fn pieces<'a>(body: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut rest = body;
    let mut out = Vec::new();
    for cut in cuts {
        let (piece, tail) = rest.split_at(cut % (rest.len() + 1));
        out.push(piece);
        rest = tail;
    }
    out.push(rest);
    out
}

proptest! {
    #[test]
    fn what_is_written_is_read_again_wherever_it_is_cut(
        parts in proptest::collection::vec(("[a-z]{1,5}", content()), 1..5),
        cuts in proptest::collection::vec(0usize..40, 0..40),
    ) {
        let mut writer = Writer::new("B");
        for (value, content) in &parts {
            writer.part(&[("a", value)], content);
        }
        writer.close();
        let body = writer.take();
        let expected: Vec<Part> = parts.iter().map(|(value, content)| part(value, content)).collect();
        prop_assert_eq!(whole(&body), Ok(expected.clone()));
        prop_assert_eq!(read("B", pieces(&body, &cuts)), Ok(expected.clone()));
        prop_assert_eq!(read("B", body.chunks(1)), Ok(expected));
    }

    #[test]
    fn where_arbitrary_bytes_are_cut_does_not_matter(
        tokens in proptest::collection::vec(
            proptest::sample::select(&["--B", "\r\n", "\r\n--B", "\r\n\r\n", "a:b\r\n", "--", "\r", "\n", "x", " "][..]),
            0..30,
        ),
        cuts in proptest::collection::vec(0usize..20, 0..20),
    ) {
        let body = tokens.concat().into_bytes();
        prop_assert_eq!(read("B", pieces(&body, &cuts)), whole(&body));
    }

    #[test]
    fn arbitrary_content_types_never_panic(text in "\\PC*|[a/;=\"\\\\ ]{0,20}") {
        let _ = ContentType::parse(&text);
    }
}
