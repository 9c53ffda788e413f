use proptest::prelude::*;

use super::*;

const BOUNDS: Bounds = Bounds {
    bytes: 10_000,
    nodes: 1000,
    depth: 8,
    attributes: 4,
    namespaces: 6,
};

fn refusal(xml: &str) -> XmlError {
    match scan(xml.as_bytes(), &BOUNDS) {
        Ok(text) => text.tree().expect_err(xml),
        Err(error) => error,
    }
}

fn text_of(xml: &str) -> String {
    let text = scan(xml.as_bytes(), &BOUNDS).unwrap();
    text.tree()
        .unwrap()
        .root_element()
        .text()
        .unwrap_or_default()
        .to_owned()
}

#[test]
fn declarations_that_java_writes_are_read() {
    for declaration in [
        "",
        "\u{FEFF}",
        "<?xml version=\"1.0\"?>",
        "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"no\"?>",
        "<?xml\tversion = '1.0'\r\n encoding='utf-8'  ?>\r\n",
        "<!-- first --><?pi?>",
    ] {
        assert_eq!(text_of(&format!("{declaration}<a>b</a>")), "b", "{declaration}");
    }
}

#[test]
fn other_encodings_and_versions_are_refused() {
    for declaration in [
        "<?xml version=\"1.1\"?>",
        "<?xml version=\"1.0\" encoding=\"UTF-16\"?>",
    ] {
        assert!(
            matches!(refusal(&format!("{declaration}<a/>")), XmlError::Encoding(_)),
            "{declaration}"
        );
    }
    assert!(matches!(
        scan(b"<a>\xFF</a>", &BOUNDS),
        Err(XmlError::Encoding(_))
    ));
    let utf16: Vec<u8> = "\u{FEFF}<a/>".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert!(matches!(scan(&utf16, &BOUNDS), Err(XmlError::Encoding(_))));
}

#[test]
fn a_document_type_declaration_is_refused() {
    assert_eq!(refusal("<!DOCTYPE a><a/>"), XmlError::Doctype);
    assert_eq!(
        refusal("<?xml version='1.0'?>\n<!-- - --><!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>"),
        XmlError::Doctype
    );
}

#[test]
fn documents_that_are_not_well_formed_are_refused() {
    for xml in [
        "",
        " ",
        "<a>",
        "<a></b>",
        "<a/><a/>",
        "<a b='1' b='2'/>",
        "<a xmlns='u' xmlns='v'/>",
        "<a xmlns:p=''/>",
        "<p:a/>",
        "<:a/>",
        "<a :b=''/>",
        "<a>&#xD800;</a>",
        "<a>&#x110000;</a>",
        "<a b='&#0;'/>",
        "<a>&nothing;</a>",
        "<a>]]></a>",
        "<a><?xml version='1.0'?></a>",
        "<a><?XML\tb?></a>",
        "<?xml?><a/>",
        "<?xml version='1.0' version='1.0'?><a/>",
        "<?xml version='1.0' standalone='perhaps'?><a/>",
        "<?xml version='1.0'encoding='UTF-8'?><a/>",
    ] {
        assert!(
            matches!(refusal(xml), XmlError::Malformed(_)),
            "{xml}: {:?}",
            refusal(xml)
        );
    }
}

#[test]
fn references_inside_comments_and_cdata_are_text() {
    assert_eq!(
        text_of("<a><![CDATA[&#xD800; <b c=d e=f>]]></a>"),
        "&#xD800; <b c=d e=f>"
    );
    assert_eq!(text_of("<a><!-- &#xD800; <!DOCTYPE > --></a>"), "");
}

#[test]
fn line_ends_are_normalised_before_references_are_read() {
    assert_eq!(
        text_of("<a>1\r\n2\r3&#13;\r\n4&#13;\n5&#xD;\r</a>"),
        "1\n2\n3\r\n4\r\n5\r\n"
    );
}

#[test]
fn bounds_hold_before_a_tree_is_built() {
    let deep = format!("{}{}", "<a>".repeat(9), "</a>".repeat(9));
    assert_eq!(refusal(&deep), XmlError::Bound("elements inside each other", 8));
    let just_deep_enough = format!("{}<b/>{}", "<a>".repeat(8), "</a>".repeat(8));
    assert!(scan(just_deep_enough.as_bytes(), &BOUNDS).unwrap().tree().is_ok());
    assert_eq!(
        refusal("<a b='' c='' d='' e='' f=''/>"),
        XmlError::Bound("attributes of an element", 4)
    );
    assert_eq!(
        refusal("<a b=\">'\" c='>' d='/>' e='\"' f=''/>"),
        XmlError::Bound("attributes of an element", 4)
    );
    let declarations: String = (0..7).map(|n| format!("<b xmlns:n{n}='u'/>")).collect();
    assert_eq!(
        refusal(&format!("<a>{declarations}</a>")),
        XmlError::Bound("namespace declarations", 6)
    );
    assert_eq!(
        refusal(&format!("<a>{}</a>", "<b/>".repeat(1000))),
        XmlError::Bound("nodes", 1000)
    );
    assert_eq!(refusal(&" ".repeat(10_001)), XmlError::Bound("octets", 10_000));
}

proptest! {
    #[test]
    fn arbitrary_octets_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(text) = scan(&bytes, &BOUNDS) {
            let _ = text.tree();
        }
    }

    #[test]
    fn arbitrary_markup_never_panics(xml in "(<|</|/>|>|<!--|-->|<!\\[CDATA\\[|\\]\\]>|<\\?xml |\\?>|&#|x|;|=|'|\"|a|xmlns|:| |\r|\n|é){0,40}") {
        if let Ok(text) = scan(xml.as_bytes(), &BOUNDS) {
            let _ = text.tree();
        }
    }
}
