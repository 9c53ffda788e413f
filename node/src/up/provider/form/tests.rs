//! The form reader against bodies as curl and browsers write them, and against anything else.

use proptest::prelude::*;

use super::*;

const KIND: &str = "multipart/form-data; boundary=----x";

fn read(kind: &str, pieces: &[&[u8]]) -> Result<Vec<(PartHead, Vec<u8>)>, FormError> {
    let mut reader = FormReader::new(kind)?;
    let mut parts: Vec<(PartHead, Vec<u8>)> = Vec::new();
    for piece in pieces {
        reader.feed(piece);
        while let Some(event) = reader.next_event()? {
            match event {
                Event::Part(head) => parts.push((head, Vec::new())),
                Event::Data(data) => parts.last_mut().unwrap().1.extend_from_slice(&data),
                Event::End => {}
            }
        }
    }
    reader.finish()?;
    Ok(parts)
}

fn write(parts: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, data) in parts {
        out.extend_from_slice(
            format!("------x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n").as_bytes(),
        );
        out.extend_from_slice(data);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"------x--\r\n");
    out
}

#[test]
fn names_types_and_bytes_of_the_parts_are_found() {
    let body = "preamble\r\n------x\r\nContent-Disposition: form-data; name=\"formData\"; filename=\"formData.json\"\r\n\
                Content-Type: application/json\r\n\r\n{\r\n}\r\n------x\t \r\ncontent-disposition: form-data; \
                name=attachment; filename=\"..\\Pläne\\A & \\\"B\\\".pdf\"\r\n\r\n\r\n------x--\r\nepilogue";
    let parts = read(KIND, &[body.as_bytes()]).unwrap();
    assert_eq!(parts.len(), 2);
    assert_eq!(parts[0].0.name, "formData");
    assert_eq!(parts[0].0.media_type.as_deref(), Some("application/json"));
    assert_eq!(parts[0].1, b"{\r\n}");
    assert_eq!(parts[1].0.file_name.as_deref(), Some("..\\Pläne\\A & \"B\".pdf"));
    assert_eq!(parts[1].1, b"");
}

#[test]
fn a_file_name_that_ends_in_a_backslash_does_not_swallow_the_form() {
    let body =
        b"------x\r\nContent-Disposition: form-data; name=\"a\"; filename=\"C:\\\"\r\n\r\n1\r\n------x--";
    assert_eq!(
        read(KIND, &[body]).unwrap()[0].0.file_name.as_deref(),
        Some("C:\\")
    );
}

#[test]
fn a_body_without_its_closing_boundary_is_refused() {
    let body = b"------x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n------x\r\n";
    assert_eq!(read(KIND, &[body]), Err(FormError::Truncated));
}

#[test]
fn what_is_no_form_is_refused_by_its_type() {
    for kind in [
        "application/json",
        "multipart/mixed; boundary=a",
        "multipart/form-data; charset=utf-8",
    ] {
        assert_eq!(
            FormReader::new(kind).unwrap_err(),
            FormError::ContentType,
            "{kind}"
        );
    }
}

#[test]
fn a_head_without_end_is_refused_before_it_fills_memory() {
    let mut body = b"------x\r\nA: ".to_vec();
    body.resize(9000, b'a');
    assert_eq!(read(KIND, &[&body]), Err(FormError::Head));
}

#[test]
fn more_than_200_parts_are_refused() {
    let parts: Vec<_> = (0..201).map(|n| (format!("p{n}"), Vec::new())).collect();
    assert_eq!(read(KIND, &[&write(&parts)]), Err(FormError::TooManyParts));
}

proptest! {
    #[test]
    fn where_the_body_is_cut_does_not_matter(
        parts in proptest::collection::vec(("[a-z]{1,8}", proptest::collection::vec(any::<u8>(), 0..40)), 0..5),
        cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..4),
    ) {
        let body = write(&parts);
        let mut at: Vec<_> = cuts.iter().map(|c| c.index(body.len())).collect();
        at.extend([0, body.len()]);
        at.sort_unstable();
        let pieces: Vec<_> = at.windows(2).map(|w| &body[w[0]..w[1]]).collect();
        let read: Vec<_> = read(KIND, &pieces).unwrap().into_iter().map(|(head, data)| (head.name, data)).collect();
        prop_assert_eq!(read, parts);
    }

    #[test]
    fn anything_is_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300), kind in "\\PC{0,60}") {
        let _ = read(&kind, &[&bytes]);
        let _ = read(KIND, &[b"------x\r\n", &bytes]);
    }
}
