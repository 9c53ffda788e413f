//! The words of the cover sheet, in each language. They are HTML: written here, never taken from evidence.

use super::Language;

pub(super) struct Words {
    pub(super) code: &'static str,
    pub(super) title: &'static str,
    pub(super) purpose: &'static str,
    pub(super) test: &'static str,
    pub(super) created: &'static str,
    pub(super) issuer: &'static str,
    pub(super) messages: &'static str,
    pub(super) message: &'static str,
    pub(super) result: &'static str,
    pub(super) because: &'static str,
    pub(super) valid: &'static str,
    pub(super) incomplete: &'static str,
    pub(super) undecided: &'static str,
    pub(super) invalid: &'static str,
    pub(super) kind: &'static str,
    pub(super) request: &'static str,
    pub(super) response: &'static str,
    pub(super) sender: &'static str,
    pub(super) receiver: &'static str,
    pub(super) query_id: &'static str,
    pub(super) signer: &'static str,
    pub(super) signing_time: &'static str,
    pub(super) existed: &'static str,
    pub(super) no_time_stamp: &'static str,
    pub(super) unknown_authority: &'static str,
    pub(super) covered: &'static str,
    pub(super) not_covered: &'static str,
    pub(super) not_there: &'static str,
    pub(super) log: &'static str,
    pub(super) entry: &'static str,
    pub(super) inclusion: &'static str,
    pub(super) certificate: &'static str,
    pub(super) issued_by: &'static str,
    pub(super) file: &'static str,
    pub(super) deleted_messages: &'static str,
    pub(super) deleted_message: &'static str,
    pub(super) logged: &'static str,
    pub(super) rule: &'static str,
    pub(super) head_deleted: &'static str,
    pub(super) body_deleted: &'static str,
    pub(super) evidence_deleted: &'static str,
    pub(super) left: &'static str,
    pub(super) left_digests: &'static str,
    pub(super) left_leaf: &'static str,
    pub(super) left_nothing: &'static str,
    pub(super) check: &'static str,
    pub(super) check_kontor: &'static str,
    pub(super) check_trust: &'static str,
    pub(super) check_tools: &'static str,
    pub(super) check_more: &'static str,
}

impl Words {
    pub(super) fn of(language: Language) -> &'static Self {
        match language {
            Language::English => &ENGLISH,
            Language::German => &GERMAN,
        }
    }
}

const ENGLISH: Words = Words {
    code: "en",
    title: "Evidence of exchanged messages",
    purpose: "This sheet says which messages are in this package, who signed them and when they existed. It is a summary \
              made by the program that exported the package: it proves nothing by itself. What proves are the files beside \
              it; how to check them is said at the end.",
    test: "Made with test keys: it proves nothing about real bodies.",
    created: "Package made at",
    issuer: "Made by",
    messages: "Messages",
    message: "Message",
    result: "Result of the check",
    because: "Reason",
    valid: "valid: everything is there and fits",
    incomplete: "incomplete: what is there fits, but something is missing",
    undecided: "undecided: the configuration does not know an authority that the evidence rests on",
    invalid: "invalid: the evidence contradicts itself or was changed",
    kind: "Kind",
    request: "Request",
    response: "Response",
    sender: "Sent by",
    receiver: "Sent to",
    query_id: "Message id",
    signer: "Signed by",
    signing_time: "Signed at (signer's clock)",
    existed: "Existed at (time-stamp)",
    no_time_stamp: "no time-stamp: nobody but the signer says when",
    unknown_authority: "an authority that is not approved",
    covered: "bytes, covered by the signature",
    not_covered: "bytes, not covered by the signature",
    not_there: "covered by the signature, not in the package",
    log: "Message log",
    entry: "entry",
    inclusion: "Proven to be in a log of this many entries",
    certificate: "Certificate",
    issued_by: "issued by",
    file: "File",
    deleted_messages: "Messages whose content is gone",
    deleted_message: "Message without content",
    logged: "Logged at (clock of the log)",
    rule: "rule",
    head_deleted: "Head deleted at",
    body_deleted: "Body deleted at",
    evidence_deleted: "Evidence deleted at",
    left: "What can still be shown",
    left_digests: "that a message with given bytes, shown by anyone who still has it, is this one",
    left_leaf: "that an exchange of this kind between these parties existed in that second and that its content was deleted; \
                not what it was, nor that a counterparty's copy belongs to it",
    left_nothing: "nothing: the statement contradicts itself",
    check: "How to check it",
    check_kontor: "With Kontor, without any network:",
    check_trust: "The directory after <code>--trust</code> is the global configuration that you decide to believe: take it \
                  from the authority of the federation, not from this package. The configuration in the package shows only \
                  that all of it fits together.",
    check_tools: "With standard tools, container by container. <code>ca.pem</code> is made of the certificates in \
                  <code>shared-params.xml</code> of the configuration, <code>signer.pem</code> of the element \
                  <code>ds:X509Certificate</code> in <code>signatures.xml</code>; SECONDS is the number behind the instant of the \
                  time-stamp:",
    check_more: "A container without <code>timestamp.tst</code> has its time-stamp as <code>EncapsulatedTimeStamp</code> in \
                 <code>signatures.xml</code>, over the decoded <code>SignatureValue</code>. A signature without hash chain \
                 refers to <code>/message.xml</code>. The SHA-256 of every file stands in <code>manifest.json</code>.",
};

const GERMAN: Words = Words {
    code: "de",
    title: "Nachweis ausgetauschter Nachrichten",
    purpose: "Dieses Blatt sagt, welche Nachrichten in diesem Paket sind, wer sie signiert hat und wann sie vorlagen. Es ist \
              eine Zusammenfassung des Programms, das das Paket erstellt hat, und beweist selbst nichts. Beweiskraft haben \
              die beiliegenden Dateien; wie sie geprüft werden, steht am Ende.",
    test: "Mit Testschlüsseln erstellt: kein Nachweis über wirkliche Stellen.",
    created: "Paket erstellt am",
    issuer: "Erstellt von",
    messages: "Nachrichten",
    message: "Nachricht",
    result: "Ergebnis der Prüfung",
    because: "Grund (englisch)",
    valid: "gültig: alles ist vorhanden und passt zusammen",
    incomplete: "unvollständig: was vorhanden ist, passt; etwas fehlt",
    undecided: "unentschieden: die Konfiguration kennt eine Stelle nicht, auf die sich der Nachweis stützt",
    invalid: "ungültig: der Nachweis widerspricht sich oder wurde verändert",
    kind: "Art",
    request: "Anfrage",
    response: "Antwort",
    sender: "Absender",
    receiver: "Empfänger",
    query_id: "Nachrichtenkennung",
    signer: "Signiert von",
    signing_time: "Signiert am (Uhr des Signierenden)",
    existed: "Lag vor am (Zeitstempel)",
    no_time_stamp: "kein Zeitstempel: nur der Signierende sagt, wann",
    unknown_authority: "eine nicht zugelassene Stelle",
    covered: "Byte, von der Signatur umfasst",
    not_covered: "Byte, von der Signatur nicht umfasst",
    not_there: "von der Signatur umfasst, nicht im Paket",
    log: "Nachrichtenprotokoll",
    entry: "Eintrag",
    inclusion: "Nachgewiesen in einem Protokoll mit so vielen Einträgen",
    certificate: "Zertifikat",
    issued_by: "ausgestellt von",
    file: "Datei",
    deleted_messages: "Nachrichten ohne Inhalt",
    deleted_message: "Nachricht ohne Inhalt",
    logged: "Protokolliert am (Uhr des Protokolls)",
    rule: "Regel",
    head_deleted: "Kopf gelöscht am",
    body_deleted: "Inhalt gelöscht am",
    evidence_deleted: "Nachweise gelöscht am",
    left: "Was noch gezeigt werden kann",
    left_digests: "dass eine Nachricht mit bestimmten Bytes, die jemand noch hat und vorlegt, diese ist",
    left_leaf: "dass ein Austausch dieser Art zwischen diesen Beteiligten in dieser Sekunde stattfand und sein Inhalt gelöscht \
                wurde; nicht, was er war, und nicht, dass eine Kopie der Gegenseite dazu gehört",
    left_nothing: "nichts: die Angaben widersprechen sich",
    check: "So wird geprüft",
    check_kontor: "Mit Kontor, ohne Netz:",
    check_trust: "Das Verzeichnis hinter <code>--trust</code> ist die globale Konfiguration, der Sie vertrauen: Beziehen Sie sie \
                  von der Betreiberstelle des Verbunds, nicht aus diesem Paket. Die Konfiguration im Paket zeigt nur, dass \
                  alles zueinander passt.",
    check_tools: "Mit üblichen Werkzeugen, je Container. <code>ca.pem</code> besteht aus den Zertifikaten in \
                  <code>shared-params.xml</code> der Konfiguration, <code>signer.pem</code> aus dem Element \
                  <code>ds:X509Certificate</code> in <code>signatures.xml</code>; SECONDS ist die Zahl hinter dem Zeitpunkt des \
                  Zeitstempels:",
    check_more: "Ein Container ohne <code>timestamp.tst</code> enthält seinen Zeitstempel als <code>EncapsulatedTimeStamp</code> in \
                 <code>signatures.xml</code>, über dem dekodierten <code>SignatureValue</code>. Eine Signatur ohne Hashkette \
                 verweist auf <code>/message.xml</code>. Die SHA-256-Werte aller Dateien stehen in <code>manifest.json</code>.",
};
