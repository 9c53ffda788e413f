use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kontor_pki::crypto::{DigestAlgorithm, sha512};
use proptest::prelude::*;

use super::*;

const H_A: &str = "IbT0vZ5k7TVcPrZ2oo6+2vbY8XvcNlmVsxkJcVMEQIBRa9CDv8zmYSGjByZGmUyEMMw4K43FQ+hIgBg7+FbP9Q==";

fn parts(names: &[&str]) -> Vec<PartDigest> {
    names
        .iter()
        .enumerate()
        .map(|(at, text)| match at {
            0 => PartDigest::message(sha512(text.as_bytes())),
            number => PartDigest::attachment(number, sha512(text.as_bytes())),
        })
        .collect()
}

fn root(batch: &Batch) -> String {
    STANDARD.encode(batch.root)
}

fn text(xml: &[u8]) -> &str {
    std::str::from_utf8(xml).unwrap()
}

fn check(batch: &Batch, chain: usize, inputs: &[PartDigest]) -> Result<(), ChainError> {
    evaluate(&batch.result_xml, &batch.chains[chain], SIGNATURE_CHAIN, inputs)
}

fn chain(steps: &str) -> Vec<u8> {
    format!(
        "<hc:HashChain xmlns:hc=\"http://cyber.ee/hashchain\" xmlns=\"http://www.w3.org/2000/09/xmldsig#\">\
         <hc:DefaultDigestMethod Algorithm=\"http://www.w3.org/2001/04/xmlenc#sha512\"/>{steps}</hc:HashChain>"
    )
    .into_bytes()
}

fn evaluate_steps(steps: &str) -> ChainError {
    let batch = build_batch(&[parts(&["A"])]);
    evaluate(&batch.result_xml, &chain(steps), SIGNATURE_CHAIN, &[]).unwrap_err()
}

#[test]
fn a_digest_list_has_the_octets_of_the_wire_paper() {
    let mut list = DigestList::new();
    list.push(DigestAlgorithm::Sha512, &[0xAB; 64]);
    let der = list.der();
    assert_eq!(der[..2], [0x30, 0x6F]);
    assert_eq!(der[2..6], [0x30, 0x6D, 0x04, 0x40]);
    assert_eq!(der[6 + 64..6 + 64 + 2], [0x0C, 0x27]);
    assert_eq!(der[der.len() - 2..], [0x30, 0x00]);
    list.push(DigestAlgorithm::Sha512, &[0xAB; 64]);
    let der = list.der();
    assert_eq!((der.len(), &der[..3]), (225, &[0x30, 0x81, 0xDE][..]));
    list.push(DigestAlgorithm::Sha512, &[0xAB; 64]);
    let der = list.der();
    assert_eq!((der.len(), &der[..4]), (337, &[0x30, 0x82, 0x01, 0x4D][..]));
    let mut long = DigestList::new();
    long.push(DigestAlgorithm::Sha256, &[1; 70_000]);
    assert_eq!(long.der()[..5], [0x30, 0x83, 0x01, 0x11, 0xA5]);
}

#[test]
fn the_worked_examples_of_the_wire_paper_come_out() {
    let one = build_batch(&[parts(&["A", "B"])]);
    assert_eq!(
        root(&one),
        "ZCj9okoflXEqFmkSzyQ2lFObp6IlDzLaVoNXKo4P7N5a5ZI8oo1D4UxnP6uMVau1igtWazoTXqT4XPYy2fIeDA=="
    );
    let three_parts = build_batch(&[parts(&["A", "B", "C"])]);
    assert_eq!(
        root(&three_parts),
        "DVBkhOC6DDODo/d20C9a+gIwWy4Hib+8B+C8v2+PHXGclX/Ytczw6GijV2JSEhWARavIIBXBHZJXXjLbd7AemQ=="
    );
    let batch = build_batch(&[parts(&["A"]), parts(&["B"]), parts(&["C"])]);
    assert_eq!(
        root(&batch),
        "xLV3ZeH+7qKbUELETXRbkJBAbMBRVs+BXFErCyPtzqxrG3Gx7I7N9cYaaVg9NBBp1fx5NfgcP8wICThtKs6BEw=="
    );
    assert_eq!(
        text(&one.chains[0]),
        format!(
            "<hc:HashChain xmlns:hc=\"http://cyber.ee/hashchain\" xmlns=\"http://www.w3.org/2000/09/xmldsig#\">\
             <hc:DefaultDigestMethod Algorithm=\"http://www.w3.org/2001/04/xmlenc#sha512\"/><hc:HashStep id=\"STEP0\">\
             <hc:DataRef URI=\"/message.xml\"><DigestValue>{H_A}</DigestValue></hc:DataRef>\
             <hc:DataRef URI=\"/attachment1\"><DigestValue>{}</DigestValue></hc:DataRef></hc:HashStep></hc:HashChain>",
            STANDARD.encode(sha512(b"B"))
        )
    );
    let chain_of_c = text(&batch.chains[2]);
    assert_eq!(chain_of_c.matches("<hc:HashStep").count(), 1);
    assert!(chain_of_c.find("HashValue").unwrap() < chain_of_c.find("DataRef").unwrap());
    let chain_of_a = text(&batch.chains[0]);
    assert_eq!(chain_of_a.matches("<hc:HashStep").count(), 2);
    assert!(chain_of_a.contains("<hc:HashStep id=\"STEP0\"><hc:StepRef URI=\"#STEP1\"/><hc:HashValue>"));
    assert!(chain_of_a.contains(&format!(
        "<hc:HashStep id=\"STEP1\"><hc:DataRef URI=\"/message.xml\"><DigestValue>{H_A}<"
    )));
}

#[test]
fn a_single_part_alone_still_has_a_step_that_lists_it() {
    let batch = build_batch(&[parts(&["A"])]);
    check(&batch, 0, &parts(&["A"])).unwrap();
    assert_eq!(check(&batch, 0, &parts(&["B"])), Err(ChainError::Mismatch));
}

#[test]
fn chains_of_other_names_are_built_for_time_stamps() {
    let signatures = |text: &[u8]| {
        vec![PartDigest {
            name: SIGNATURES.into(),
            digest: sha512(text),
        }]
    };
    let tree = Tree::of_leaves(vec![sha512(b"1"), sha512(b"2")]);
    let batch = Batch {
        result_xml: tree.result(TIMESTAMP_CHAIN),
        chains: vec![tree.chain(0, &signatures(b"1")), tree.chain(1, &signatures(b"2"))],
        root: tree.root(),
    };
    assert!(text(&batch.result_xml).contains("URI=\"/ts-hashchain.xml#STEP0\""));
    evaluate(
        &batch.result_xml,
        &batch.chains[1],
        TIMESTAMP_CHAIN,
        &signatures(b"2"),
    )
    .unwrap();
    // Under the name of the signature chain it is not found.
    assert_eq!(
        evaluate(
            &batch.result_xml,
            &batch.chains[1],
            SIGNATURE_CHAIN,
            &signatures(b"2")
        ),
        Err(ChainError::Unresolvable(TIMESTAMP_CHAIN.to_owned()))
    );
}

#[test]
fn a_step_below_itself_is_refused() {
    let error = evaluate_steps("<hc:HashStep id=\"STEP0\"><hc:StepRef URI=\"#STEP0\"/></hc:HashStep>");
    assert_eq!(error.code(), FaultCode::MalformedHashChain);
    let error = evaluate_steps(
        "<hc:HashStep id=\"STEP0\"><hc:StepRef URI=\"#B\"/></hc:HashStep>\
         <hc:HashStep id=\"B\"><hc:StepRef URI=\"/sig-hashchain.xml#STEP0\"/></hc:HashStep>",
    );
    assert_eq!(error, ChainError::Malformed("a step refers to itself".to_owned()));
}

#[test]
fn depth_is_bounded_and_shared_steps_cost_once() {
    let nested = |depth: usize, references: usize| -> String {
        let steps: String = (0..depth - 1)
            .map(|at| {
                let reference = format!("<hc:StepRef URI=\"#STEP{}\"/>", at + 1);
                format!(
                    "<hc:HashStep id=\"STEP{at}\">{}</hc:HashStep>",
                    reference.repeat(references)
                )
            })
            .collect();
        format!(
            "{steps}<hc:HashStep id=\"STEP{}\"><hc:HashValue><DigestValue>AA==</DigestValue></hc:HashValue></hc:HashStep>",
            depth - 1
        )
    };
    assert_eq!(evaluate_steps(&nested(64, 1)), ChainError::Mismatch);
    // 8^64 evaluations, were each reference followed anew.
    assert_eq!(evaluate_steps(&nested(64, 8)), ChainError::Mismatch);
    assert_eq!(
        evaluate_steps(&nested(65, 1)),
        ChainError::Malformed("too many steps below each other".to_owned())
    );
    let items = "<hc:HashValue><DigestValue/></hc:HashValue>".repeat(1001);
    assert_eq!(
        evaluate_steps(&format!("<hc:HashStep id=\"STEP0\">{items}</hc:HashStep>")),
        ChainError::Malformed("too many digests".to_owned())
    );
}

#[test]
fn what_the_schema_forbids_is_refused() {
    let value = "<hc:HashValue><DigestValue>AA==</DigestValue></hc:HashValue>";
    let sha1 = "<DigestMethod Algorithm=\"http://www.w3.org/2000/09/xmldsig#sha1\"/>";
    for steps in [
        String::new(),
        "text".to_owned(),
        "<hc:HashStep id=\"STEP0\"/>".to_owned(),
        format!("<hc:HashStep>{value}</hc:HashStep>"),
        format!("<HashStep id=\"STEP0\">{value}</HashStep>"),
        format!("<hc:HashStep id=\"STEP0\">{value}text</hc:HashStep>"),
        format!("<hc:HashStep id=\"STEP0\" other=\"\">{value}</hc:HashStep>"),
        format!("<hc:HashStep id=\"STEP0\">{value}</hc:HashStep><hc:HashStep id=\"STEP0\">{value}</hc:HashStep>"),
        format!("<hc:HashStep id=\"STEP0\">{value}</hc:HashStep><hc:Other/>"),
        "<hc:HashStep id=\"STEP0\"><hc:HashValue/></hc:HashStep>".to_owned(),
        "<hc:HashStep id=\"STEP0\"><hc:HashValue><DigestValue>!</DigestValue></hc:HashValue></hc:HashStep>".to_owned(),
        "<hc:HashStep id=\"STEP0\"><hc:HashValue><DigestValue><a/></DigestValue></hc:HashValue></hc:HashStep>".to_owned(),
        "<hc:HashStep id=\"STEP0\"><hc:HashValue><DigestValue/><DigestValue/></hc:HashValue></hc:HashStep>".to_owned(),
        format!("<hc:HashStep id=\"STEP0\"><hc:HashValue>{sha1}<DigestValue/></hc:HashValue></hc:HashStep>"),
        "<hc:HashStep id=\"STEP0\"><hc:StepRef/></hc:HashStep>".to_owned(),
        "<hc:HashStep id=\"STEP0\"><hc:StepRef URI=\"STEP0\"/></hc:HashStep>".to_owned(),
        "<hc:HashStep id=\"STEP0\"><hc:StepRef URI=\"#\"/></hc:HashStep>".to_owned(),
        "<hc:HashStep id=\"STEP0\"><hc:StepRef URI=\"#STEP1\"/></hc:HashStep>".to_owned(),
        "<hc:HashStep id=\"STEP0\"><hc:StepRef URI=\"#STEP0\"><DigestValue/></hc:StepRef></hc:HashStep>".to_owned(),
        "<hc:HashStep id=\"STEP0\"><hc:DataRef><DigestValue/></hc:DataRef></hc:HashStep>".to_owned(),
    ] {
        assert_eq!(evaluate_steps(&steps).code(), FaultCode::MalformedHashChain, "{steps}");
    }
    let doctype = [
        b"<!DOCTYPE a>".as_slice(),
        &chain(&format!("<hc:HashStep id=\"STEP0\">{value}</hc:HashStep>")),
    ]
    .concat();
    let batch = build_batch(&[parts(&["A"])]);
    let error = evaluate(&batch.result_xml, &doctype, SIGNATURE_CHAIN, &[]).unwrap_err();
    assert_eq!(error.code(), FaultCode::MalformedHashChain);
}

#[test]
fn data_that_was_not_received_is_refused() {
    let batch = build_batch(&[parts(&["A", "B"])]);
    assert_eq!(
        check(&batch, 0, &parts(&["A"])),
        Err(ChainError::Unresolvable("/attachment1".to_owned()))
    );
    assert_eq!(
        check(&batch, 0, &parts(&["A", "B", "C"])),
        Err(ChainError::Unused("/attachment2".to_owned()))
    );
    let twice = [parts(&["A", "B"]), parts(&["A"])].concat();
    assert_eq!(
        check(&batch, 0, &twice),
        Err(ChainError::Unused(MESSAGE.to_owned()))
    );
}

#[test]
fn data_that_is_not_at_hand_is_reported() {
    let batch = build_batch(&[parts(&["A", "B"])]);
    let message = sha512(b"A");
    let inputs = [Input {
        name: MESSAGE,
        digest: Some((DigestAlgorithm::Sha512, &message)),
    }];
    let resolve = |name: &str| match name {
        SIGNATURE_CHAIN => Resolved::Octets(&batch.chains[0]),
        "/attachment1" => Resolved::NotAtHand,
        _ => Resolved::Unknown,
    };
    let evaluated = evaluate_with(&batch.result_xml, &inputs, &resolve).unwrap();
    assert_eq!(evaluated.not_at_hand, ["/attachment1"]);
}

/// A change to a document that often leaves it readable.
#[derive(Debug, Clone)]
struct Edit {
    at: prop::sample::Index,
    remove: usize,
    insert: &'static str,
}

impl Edit {
    fn apply(&self, document: &mut Vec<u8>) {
        let at = self.at.index(document.len());
        let end = (at + self.remove).min(document.len());
        document.splice(at..end, self.insert.bytes());
    }
}

fn edit() -> impl Strategy<Value = Edit> {
    let insert = prop::sample::select(vec![
        "",
        " ",
        "\n",
        "A",
        "=",
        "\"",
        "'",
        "/",
        "#",
        "&amp;",
        "&#65;",
        "<!---->",
        "<?a?>",
        "STEP0",
        "\u{e9}",
        "<hc:HashStep id=\"STEP9\">",
        "</hc:HashStep>",
        "<hc:StepRef URI=\"#STEP0\"/>",
        "<hc:HashValue><DigestValue>AAAA</DigestValue></hc:HashValue>",
    ]);
    (any::<prop::sample::Index>(), 0_usize..3, insert).prop_map(|(at, remove, insert)| Edit {
        at,
        remove,
        insert,
    })
}

fn arbitrary_batch() -> impl Strategy<Value = Vec<Vec<PartDigest>>> {
    let request = (1_usize..4, any::<u64>()).prop_map(|(count, seed)| {
        let texts: Vec<_> = (0..count).map(|at| format!("{seed} {at}")).collect();
        parts(&texts.iter().map(String::as_str).collect::<Vec<_>>())
    });
    proptest::collection::vec(request, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn every_chain_of_a_batch_leads_from_its_parts_and_no_others_to_the_root(requests in arbitrary_batch()) {
        let batch = build_batch(&requests);
        for (at, request) in requests.iter().enumerate() {
            prop_assert_eq!(check(&batch, at, request), Ok(()));
            let mut changed = request.clone();
            changed[0].digest[63] ^= 1;
            prop_assert_eq!(check(&batch, at, &changed), Err(ChainError::Mismatch));
            let mut more = request.clone();
            more.push(PartDigest::attachment(request.len(), [7; 64]));
            prop_assert_eq!(check(&batch, at, &more).unwrap_err().code(), FaultCode::HashChainUnusedInputs);
            prop_assert!(request.len() == 1 || check(&batch, at, &request[1..]).is_err());
        }
    }

    #[test]
    fn changed_documents_never_panic_and_never_prove_other_parts(
        requests in arbitrary_batch(), position in any::<prop::sample::Index>(), octet in any::<u8>(), result in any::<bool>(),
    ) {
        let mut batch = build_batch(&requests);
        let other = parts(&["another message"]);
        let document = if result { &mut batch.result_xml } else { &mut batch.chains[0] };
        let at = position.index(document.len());
        document[at] = octet;
        prop_assert!(check(&batch, 0, &other).is_err());
        let _ = check(&batch, 0, &requests[0]);
    }

    #[test]
    fn the_reader_of_our_form_reads_nothing_otherwise(
        requests in arbitrary_batch(), edits in proptest::collection::vec(edit(), 0..3), result in any::<bool>(),
    ) {
        let batch = build_batch(&requests);
        let mut document = if result { batch.result_xml } else { batch.chains[0].clone() };
        for edit in &edits {
            edit.apply(&mut document);
        }
        if result {
            if let Some(fast) = template::chain_result(&document) {
                prop_assert_eq!(Ok(fast), read::chain_result(&document));
            } else {
                prop_assert!(!edits.is_empty());
            }
        } else if let Some(fast) = template::chain(&document) {
            prop_assert_eq!(Ok(fast), read::chain(&document));
        } else {
            prop_assert!(!edits.is_empty());
        }
    }

    #[test]
    fn arbitrary_octets_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(evaluate(&bytes, &bytes, SIGNATURE_CHAIN, &[]).is_err());
    }
}
