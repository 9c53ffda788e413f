//! What a node has to do: identifier, clause and sentence of each requirement that the suite has a case for.
//!
//! Owns the words; cases refer to them. "wire N" is a section of the X-Road 7 wire digest, "architecture N" of Kontor's own
//! decisions where they are stricter than X-Road. Refuses requirements without a clause.

/// One requirement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// `room.what`, stable: gap lists and reports name it.
    pub id: &'static str,
    pub clause: &'static str,
    pub sentence: &'static str,
}

macro_rules! requirements {
    ($($name:ident = $id:literal, $clause:literal, $sentence:literal;)*) => {
        $(pub static $name: Requirement = Requirement { id: $id, clause: $clause, sentence: $sentence };)*
        /// All of them, in the order of the papers.
        pub static ALL: &[&Requirement] = &[$(&$name),*];
    };
}

requirements! {
    MESSAGE_GET = "message.get", "wire 2.3, 2.6", "a GET reaches the service and its answer the information system";
    MESSAGE_POST = "message.post", "wire 2.4", "a body arrives at the service and comes back unchanged";
    MESSAGE_EMPTY_BODY = "message.empty-body", "wire 2.4 rule 5", "a body of no bytes is no body";
    MESSAGE_HEAD = "message.head", "wire 2.3", "HEAD is answered without a body";
    MESSAGE_LARGE = "message.large", "architecture 1.6", "a body of 16 MiB passes in both directions";
    MESSAGE_SERVICE_STATUS = "message.service-status", "wire 2.8 end", "an error of the service is a normal response, not an X-Road error";
    MESSAGE_RAW_TARGET = "message.raw-target", "wire 2.4 rule 1, 2.5", "path and query reach the service as they were sent, not decoded";
    MESSAGE_HEADERS = "message.headers", "wire 2.3", "local headers are taken out, the others reach the service in order";
    MESSAGE_REQUEST_ID = "message.request-id", "wire 2.3", "the request id of the information system is replaced by a fresh one";
    MESSAGE_ID_GENERATED = "message.id-generated", "wire 2.3", "a missing message id is made and comes back";
    MESSAGE_RESPONSE_HEADERS = "message.response-headers", "wire 2.6", "the answer carries the five headers that name client, service and request";
    MESSAGE_SECOND_MEMBER = "message.second-member", "wire 1.2", "a second member of a server sends and serves under its own name and key";
    MESSAGE_BOTH_DIRECTIONS = "message.both-directions", "wire 0.1", "each node is consumer and provider at the same time";
    MESSAGE_REDIRECT = "message.redirect", "wire 2.5", "a redirect of the service is handed back, not followed";
    MESSAGE_BODY_ON_GET = "message.body-on-get", "wire 2.5, trap 13", "a body on GET is signed but not delivered";

    CLIENT_MISSING = "client.missing", "wire 2.2", "a request without client is refused";
    CLIENT_MALFORMED = "client.malformed", "wire 1.3", "a malformed client identifier is refused";
    CLIENT_UNKNOWN = "client.unknown", "wire 2.2", "a client that is not registered at the node is refused";
    CLIENT_TLS_REQUIRED = "client.tls-required", "wire 2.2", "a client of mode SSLNOAUTH is refused over plain HTTP";
    CLIENT_TLS = "client.tls", "wire 2.2", "a client of mode SSLNOAUTH is served over HTTPS without a certificate";
    CLIENT_CERTIFICATE = "client.certificate", "wire 2.2", "a client of mode SSLAUTH is served with a registered certificate";
    CLIENT_CERTIFICATE_FOREIGN = "client.certificate-foreign", "wire 2.2", "a client of mode SSLAUTH is refused with any other certificate, and without one";
    CLIENT_TARGET_MALFORMED = "client.target-malformed", "wire 1.3", "a malformed service path is refused before anything is sent";
    CLIENT_HEADERS_BOUNDED = "client.headers-bounded", "wire trap 42", "headers beyond every bound are refused and the node stays";
    CLIENT_SOAP = "client.soap", "architecture 1.1", "a SOAP message gets a clear fault";
    CLIENT_CLOSES_EARLY = "client.closes-early", "wire 10.2", "an information system that closes in mid-request leaves no call and a living node";
    CLIENT_STALLS = "client.stalls", "architecture 6", "an information system that stalls is given up on";
    CLIENT_BUSY = "client.busy", "operation", "a client with too many exchanges under way is told to come again, and the others are served";
    CLIENT_ERROR_XML = "client.error-xml", "wire 2.8", "an error is XML for an information system that asks for XML";
    ROUTE_UNKNOWN_PROVIDER = "route.unknown-provider", "wire 3.2", "a provider that nobody serves is refused";
    ROUTE_UNREACHABLE = "route.unreachable", "wire 3.2, 10.2", "a provider whose server cannot be reached gives a network fault";
    ROUTE_COMES_BACK = "route.comes-back", "wire 3.2, 10.2", "a provider's server that was stopped or killed gives network faults, and is served by again as soon as it is back";

    ACCESS_NO_RIGHT = "access.no-right", "wire 2.10", "a client without a right is refused";
    ACCESS_UNKNOWN_SERVICE = "access.unknown-service", "wire 2.10", "an unknown service is refused";
    ACCESS_DISABLED = "access.disabled", "wire 2.10", "a disabled service is refused with its notice";
    ACCESS_NARROW = "access.narrow", "wire 2.10", "a right for one method and path pattern covers that and nothing else";
    ACCESS_ENCODED = "access.encoded", "wire 2.10, trap 26", "encoded slashes, dots and double slashes do not widen a narrow right";
    ACCESS_GROUP = "access.group", "wire 2.10", "a right of a global group is its members' and nobody else's";
    ACCESS_MEMBER_NOT_SUBSYSTEM = "access.member-not-subsystem", "wire 2.10", "a right of the member is not its subsystem's";

    METHODS_LISTED = "methods.listed", "wire 9.3", "listMethods names the services of a provider and their endpoints to everybody, without a right";
    METHODS_ALLOWED = "methods.allowed", "wire 9.3", "allowedMethods names what the caller has a right to and nothing else";
    METHODS_DESCRIBED = "methods.described", "wire 9.3", "getOpenAPI hands out the document of a service without the addresses within the house";
    METHODS_FLOODED = "methods.flooded", "wire 9.3", "a member that asks what a provider offers without end is refused, and others are answered";
    METHODS_REFUSED = "methods.refused", "wire 9.3", "a question that names no described service, another verb, another provider, or a broken signature is refused";

    INSTANCES_ADMITTED = "instances.admitted", "wire 7.9", "members of two instances that trust and admit each other exchange, with rights and without them as at home";
    INSTANCES_REFUSED = "instances.refused", "wire 7.9", "a member of another instance is unknown where that is not admitted, not trusted any more, or expired";

    SEVERAL_FAIL_OVER = "several.fail-over", "wire 3.2", "of several servers of a provider those that are there share the calls, and one that is not costs none";
    SEVERAL_ONE_LEFT = "several.one-left", "wire 3.2", "a provider is served by its last server while the others are away, and by one that comes back";
    SEVERAL_NAMED = "several.named", "wire 3.2", "a consumer that names one of several servers gets that one or a fault";
    SEVERAL_SENT_ONCE = "several.sent-once", "wire 3.2", "a request that was sent to a server is never sent to another one";

    LEGACY_CONSUMER = "legacy.consumer", "wire 3.1", "a consumer that speaks X-Road's CBC suites only, by openssl, is served";
    LEGACY_PROVIDER = "legacy.provider", "wire 3.1", "a provider that speaks X-Road's CBC suites only, by openssl, is called";
    LEGACY_JDK_CONSUMER = "legacy.jdk-consumer", "wire 3.1", "a consumer that speaks X-Road's CBC suites only, by a JDK, is served";
    LEGACY_JDK_PROVIDER = "legacy.jdk-provider", "wire 3.1", "a provider that speaks X-Road's CBC suites only, by a JDK, is called";
    LEGACY_PREFERENCE = "legacy.preference", "architecture 1.3", "AES-GCM is taken where a peer offers both";
    LEGACY_RESUMED = "legacy.resumed", "wire 3.1", "sessions with X-Road's CBC suites are resumed, as Java servers do that open a connection for each exchange";
    LEGACY_NOT_NAMED = "legacy.not-named", "architecture 1.3", "a peer that is not named for the CBC suites is refused before its request, and not called by them";

    RELOAD_WITHDRAWN = "reload.withdrawn", "wire 2.10", "a right that is withdrawn is gone within a second, also on a kept connection";
    RELOAD_WHILE_RECEIVED = "reload.while-received", "wire 2.10", "a right that is withdrawn while a long body comes in is judged again, and the refusal says so";
    RELOAD_MISTAKE = "reload.mistake", "operation", "a configuration file with a mistake changes nothing, and health says why";

    TRANSPORT_GOOD = "transport.good", "wire 11.3", "a foreign consumer's request is served and the answer names it";
    TRANSPORT_BATCH = "transport.batch", "wire 4.2, trap 16", "a message signed in a batch with another is accepted";
    TRANSPORT_KEEP_ALIVE = "transport.keep-alive", "wire 3.2", "a second request on the same connection is served";
    TRANSPORT_TLS12 = "transport.tls12", "architecture 1.3", "TLS 1.2 with GCM is spoken where it is enabled";
    TRANSPORT_METHOD = "transport.method", "wire 3.5", "anything but POST is refused";
    TRANSPORT_HASH_ALGORITHM = "transport.hash-algorithm", "wire 3.5", "a request without hash algorithm is refused";
    TRANSPORT_SOAP = "transport.soap", "architecture 1.1", "a SOAP transport message gets a clear fault";
    TRANSPORT_CONTENT_TYPE = "transport.content-type", "wire 3.6", "a request that is not multipart is refused";
    TRANSPORT_NO_MESSAGE = "transport.no-message", "wire 3.7", "a request without message part is refused";
    TRANSPORT_NO_SIGNATURE = "transport.no-signature", "wire 3.7", "a request without signature is refused";
    TRANSPORT_ORDER = "transport.order", "wire 3.6", "parts in another order are refused";
    TRANSPORT_HALF_CHAIN = "transport.half-chain", "wire 3.6", "a chain result without its chain is refused";
    TRANSPORT_AFTER_SIGNATURE = "transport.after-signature", "wire 3.6", "a part after the signature is refused";
    TRANSPORT_CUT = "transport.cut", "wire annex C", "a message without closing boundary is refused";
    TRANSPORT_LONG_HEADER = "transport.long-header", "wire 3.6, trap 42", "a part header beyond the line limit is refused";
    TRANSPORT_BOUNDS = "transport.bounds", "wire trap 42", "parts beyond their bound are refused and do not grow the node";
    TRANSPORT_IDLE = "transport.idle", "wire 3.11", "many connections that say nothing do not keep others out";
    TRANSPORT_BUSY = "transport.busy", "wire 3.11, architecture 6", "a peer with too many messages under way waits, the others do not, and its places come back";
    TRANSPORT_FORBIDDEN_HEADER = "transport.forbidden-header", "wire 2.3, trap 9", "a REST part with a local header is refused";
    TRANSPORT_CLOSES_EARLY = "transport.closes-early", "wire 3.11, 10.2", "a consumer that closes in mid-message leaves no call and a living node";
    TRANSPORT_STALLS = "transport.stalls", "architecture 6", "a consumer that stalls is given up on";
    TRANSPORT_TRICKLES = "transport.trickles", "architecture 6", "a consumer below the least speed is given up on";
    TRANSPORT_NOISE = "transport.noise", "wire 3.11, 10.2", "bytes that are no HTTP do not disturb the node";

    SIGNATURE_JAVA_FORM = "signature.java-form", "wire 4.6", "a document with line breaks in digests and between elements verifies";
    SIGNATURE_EIGHT = "signature.x-road-8", "wire 0", "a document in the manner of X-Road 8 verifies, and covers each part by itself";
    SIGNATURE_ALGORITHMS = "signature.algorithms", "wire 4.1", "signatures by P-256, P-384 and RSA keys verify, by RSASSA-PSS too, and ECDSA values of Java's shortest length";
    SIGNATURE_HEAD = "signature.head", "wire 4.7", "one changed byte in the message part is refused";
    SIGNATURE_BODY_FIRST = "signature.body-first", "wire 4.7", "a changed first byte of the body is refused";
    SIGNATURE_BODY_MIDDLE = "signature.body-middle", "wire 4.7", "a changed middle byte of the body is refused";
    SIGNATURE_BODY_LAST = "signature.body-last", "wire 4.7", "a changed last byte of the body is refused";
    SIGNATURE_VALUE = "signature.value", "wire 4.7", "a changed signature value is refused";
    SIGNATURE_PROPERTIES = "signature.properties", "wire 4.7", "a changed signed property is refused";
    SIGNATURE_CHAIN = "signature.chain", "wire 4.5", "a changed chain is refused";
    SIGNATURE_UNCOVERED = "signature.uncovered", "wire 4.7 gaps", "a body that the signature does not cover is refused";
    SIGNATURE_UNCOVERED_CHAIN = "signature.uncovered-chain", "wire 4.5", "a body that the chain does not name is refused";
    SIGNATURE_WRONG_SIGNER = "signature.wrong-signer", "wire 4.7", "a signature of another member is refused";
    SIGNATURE_EXPIRED = "signature.expired", "wire 4.7", "an expired signing certificate is refused";
    SIGNATURE_REVOKED = "signature.revoked", "wire 8.5", "a revoked signing certificate is refused";
    SIGNATURE_OCSP_STALE = "signature.ocsp-stale", "wire 8.5", "a stale OCSP response in the signature is refused";
    SIGNATURE_OCSP_FUTURE = "signature.ocsp-future", "wire 4.7 gaps", "an OCSP response from the future is refused";
    SIGNATURE_OCSP_MISSING = "signature.ocsp-missing", "wire 4.6", "a signature without OCSP response is refused";
    SIGNATURE_FOREIGN_CA = "signature.foreign-ca", "wire 4.7", "a signing certificate of a foreign CA is refused";
    SIGNATURE_AUTH_KEY = "signature.auth-key", "wire 8.3", "a signature with an authentication certificate is refused";
    SIGNATURE_SECOND = "signature.second", "architecture 1.2", "a second signature in the document is refused";
    SIGNATURE_DUPLICATE_ID = "signature.duplicate-id", "architecture 1.2", "a duplicate Id in the document is refused";
    SIGNATURE_EXTRA_REFERENCE = "signature.extra-reference", "architecture 1.2", "one reference too many is refused";
    SIGNATURE_SHA1 = "signature.sha1", "wire 4.7 gaps", "a SHA-1 signature algorithm is refused";
    SIGNATURE_DTD = "signature.dtd", "wire 4.7 gaps", "a document type declaration is refused";
    SIGNATURE_CYCLE = "signature.cycle", "wire 4.5", "a chain that runs in a circle is refused";
    SIGNATURE_DEPTH = "signature.depth", "wire 4.5", "a chain deeper than the bound is refused";

    TRUST_INTERMEDIATE = "trust.intermediate", "wire 3.1, trap 2", "certificates below an intermediate authority are sent with it, never with the root, and believed";
    TRUST_AUTH_UNREGISTERED = "trust.auth-unregistered", "wire 3.7 step 0", "a connection without certificate or with an unregistered one gets no answer";
    TRUST_AUTH_NOT_OF_CLIENT = "trust.auth-not-of-client", "wire 3.7 step 6f", "a server that does not serve the client is refused";
    TRUST_AUTH_OCSP_MISSING = "trust.auth-ocsp-missing", "wire 3.7 step 6d", "a request without OCSP part is refused";
    TRUST_AUTH_REVOKED = "trust.auth-revoked", "wire 3.7 step 6f", "a revoked authentication certificate is refused";
    TRUST_AUTH_OCSP_STALE = "trust.auth-ocsp-stale", "wire 8.5", "a stale OCSP response about the authentication certificate is refused";
    TRUST_AUTH_EXPIRED = "trust.auth-expired", "wire 3.7 step 6f", "an expired authentication certificate is refused";
    TRUST_OCSP_RENEWED = "trust.ocsp-renewed", "wire 8.5", "OCSP responses are renewed before they are stale, without a failed exchange";
    TRUST_OWN_SIGNER_REVOKED = "trust.own-signer-revoked", "wire 4.8 step 2", "a node whose signing certificate is revoked refuses to sign";
    TRUST_PEER_REVOKED = "trust.peer-revoked", "performance 3", "a peer revoked in mid-life gets no more requests once its last good response is stale";
    TRUST_RESUMED = "trust.resumed", "wire 3.1", "a session of TLS 1.2 can be resumed, and what comes on a resumed one is judged like everything else";
    TRUST_REVOKED_IN_TIME = "trust.revoked-in-time", "wire 8.5", "a certificate revoked in mid-life is worth nothing once the last good response is older than the freshness, both ways and on kept connections";
    TRUST_CONFIGURATION_EXPIRED = "trust.configuration-expired", "wire 7.9", "with an expired configuration both sides refuse everything";
    TRUST_CONFIGURATION_FORGED = "trust.configuration-forged", "wire 7.4, 7.9", "a forged configuration is not taken, the previous one stays";
    TRUST_REGISTRATION_REMOVED = "trust.registration-removed", "wire 7.6", "a client taken out of the configuration is refused at the next refresh";

    RESPONSE_GOOD = "response.good", "wire 11.2", "a foreign provider's answer reaches the information system";
    RESPONSE_CLOSE = "response.close", "wire 3.2", "a provider that closes after each answer is tolerated";
    RESPONSE_REQUEST_FORM = "response.request-form", "wire 3.5, 3.6, 11.2", "the node's own request has the form that wire 11.2 asks for";
    RESPONSE_FAULT = "response.fault", "wire 3.9", "a fault of the peer reaches the information system unchanged";
    RESPONSE_FAULT_FOR_SIGNATURE = "response.fault-for-signature", "wire 3.9", "a fault in place of the signature leaves nothing of the body to the information system";
    RESPONSE_HEAD = "response.head", "wire 3.10", "one changed byte in the response part is refused";
    RESPONSE_BODY = "response.body", "wire 3.10", "one changed byte in the response body is refused and no byte of it handed out";
    RESPONSE_SIGNATURE = "response.signature", "wire 3.10", "a changed signature of a response is refused";
    RESPONSE_UNCOVERED = "response.uncovered", "wire 4.7 gaps", "a response body that the signature does not cover is refused";
    RESPONSE_AFTER_SIGNATURE = "response.after-signature", "wire 3.6", "a part after the response's signature is refused";
    RESPONSE_WRONG_SIGNER = "response.wrong-signer", "wire 3.10", "a response signed by another member is refused";
    RESPONSE_INCONSISTENT = "response.inconsistent", "wire 3.10", "a response with another id, client, service, request id or hash is refused";
    RESPONSE_NO_SIGNATURE = "response.no-signature", "wire 3.10", "a response without signature is refused";
    RESPONSE_CUT = "response.cut", "wire annex C", "a response without closing boundary is refused";
    RESPONSE_STATUS = "response.status", "wire 3.8", "a peer's HTTP status other than 200 and 500 is a fault";
    RESPONSE_CLOSES_EARLY = "response.closes-early", "wire 10.2", "a provider that closes in mid-answer gives a fault";
    RESPONSE_STALLS = "response.stalls", "architecture 6", "a provider that stalls in mid-answer is given up on";
    RESPONSE_PEER_REVOKED = "response.peer-revoked", "wire 3.3", "a provider whose authentication certificate is revoked gets no request";
    RESPONSE_SIGNER_STALE = "response.signer-stale", "wire 8.5", "a stale OCSP response in a response's signature is refused";

    SERVICE_UNREACHABLE = "service.unreachable", "wire 3.7 step 11", "a service that cannot be reached gives a service_failed fault";
    SERVICE_SLOW = "service.slow", "wire 2.5", "a service that exceeds its timeout gives a fault";
    SERVICE_CLOSES = "service.closes", "wire 3.9", "a service that closes without an answer gives a fault";
    SERVICE_HALF = "service.half", "wire 3.9", "a service that breaks off leaves nothing of its answer to the information system";

    OCSP_HAND_OUT = "ocsp.hand-out", "wire 3.4", "the OCSP response about the authentication certificate is handed out by its SHA-1, good and fresh";
    OCSP_HAND_OUT_UNKNOWN = "ocsp.hand-out-unknown", "wire 3.4", "an unknown certificate hash gets status 500";
    OCSP_FLOODED = "ocsp.flooded", "architecture 6", "a flood of connections and questions on 5577 keeps neither others' questions nor exchanges waiting";
    OCSP_UNUSABLE = "ocsp.unusable", "wire 8.5", "a responder that is slow, huge or lies stops nothing while the last response lasts, the alarm rises, and it ends by itself";
    OCSP_OUTAGE = "ocsp.outage", "wire 8.5", "without a responder exchanges go on until the last response is too old, are refused then, and come back without a restart";

    DOWNLOAD_ASIC = "download.asic", "wire 6.7", "an information system gets the containers of its exchanges, which verify, and each look is an entry of the log";
    DOWNLOAD_REFUSED = "download.refused", "wire 6.7", "evidence of others, of nothing, or asked for wrongly is refused with status and sentence";
    DOWNLOAD_IDENTITY = "download.identity", "wire 6.7, 2.2", "evidence is given only to the information system of the client that is named";
    DOWNLOAD_CONFIGURATION = "download.configuration", "wire 6.7, 7.8", "the configuration that is handed out for verification is enough for it, and holds nothing private";
    DOWNLOAD_PACKAGE = "download.package", "evidence 4", "a package of evidence holds all it takes to judge it but the reader's own trust, and nothing private";

    LOG_EVIDENCE = "log.evidence", "wire 6.5, evidence 1", "both nodes export evidence of request and response that verifies";
    LOG_TAMPERED = "log.tampered", "architecture 6", "a changed byte in exported evidence is never called valid with other content";
    LOG_REFUSED = "log.refused", "architecture 1.6", "a request that failed verification leaves no received message in the log";
    LOG_RECEIPT_FIRST = "log.receipt-first", "architecture 1.4", "with a full disk nothing is released and nothing acknowledged";
    LEDGER_REFUSALS = "ledger.refusals", "evidence 5", "a witness refuses logs of other servers, keys that nobody bound or that were exchanged, old checkpoints, proofs that do not hold, and what is malformed or too large";
    LEDGER_FORK = "ledger.fork", "evidence 5", "a peer's forked log is noticed, the proof is kept, and the operator is told until it is settled";
    LEDGER_NEW_LOG = "ledger.new-log", "evidence 5", "a peer that begins a new log is noticed";
    LEDGER_QUOTA = "ledger.quota", "evidence 5", "a member that asks too often waits, and others are served meanwhile";
    LEDGER_WITHOUT = "ledger.without", "evidence 5", "a peer without the service is asked once and left alone";
    RECONCILE_LIES = "reconcile.lies", "evidence 5", "entries that a peer forges, leaves out, changes or cannot prove are named";
    RECONCILE_SILENT = "reconcile.silent", "evidence 5", "a peer that is down or has no ledger gets a clear sentence";
    TAMPERING_EVIDENCE = "tampering.evidence", "evidence 5", "evidence of both sides is proven to be in their logs, and co-signed by the other";
    TAMPERING_CHECK = "tampering.check", "evidence 5", "deleted and rewritten entries are found by `kontor log check`, an older copy once a peer has told what it saw";
    TAMPERING_PEER = "tampering.peer", "evidence 5", "a log that lost or changed what a peer has seen becomes read-only, and says so to its operator and its peers";
    TAMPERING_RECONCILE = "tampering.reconcile", "evidence 5", "deleted and rewritten entries and an older copy are found by `kontor log reconcile` of a peer";
    TAMPERING_LOST = "tampering.lost", "evidence 5", "a log that was lost is missed by its peers";
    STAMPING_OUTAGE = "stamping.outage", "wire 5.5", "without time-stamps messages flow, the alarm rises, they are refused after the acceptable period, and nothing stays unstamped afterwards";
    STAMPING_IN_TURN = "stamping.in-turn", "wire 5.3", "an authority that is dead, slow, huge or lies costs one try, and the next one is asked";
    LEDGER_RENEWED = "ledger.renewed", "evidence 5", "after a renewal of the member's signing key the key of its log is bound anew, and peers take it";
    TRANSFER_WHOLE = "transfer.whole", "casework 1, 3", "an application is offered without personal data, accepted, pulled, taken over and closed in six exchanges, with nothing lost";
    TRANSFER_EXITS = "transfer.exits", "domain 3.2", "an offer is withdrawn, refused, disputed and recalled, and every illegal command is refused with the legal ones";
    TRANSFER_LATE = "transfer.late", "domain 3.2 step 10", "what comes after the take-over is relayed and lies in the case";

    TRANSFER_INSTANCE = "transfer.instance", "casework 3", "what was taken over is written into the own instance with the applicant's tree unchanged below a group that says where it came from, and an unclear outcome is never repeated by itself";
    TRANSFER_FINDINGS = "transfer.findings", "casework 3", "an infected file and an identification number open the case and hold its release back until a second person has decided";
    TRANSFER_STATES = "transfer.states", "domain 3.2", "each state of a transfer is reached on both sides and left where it has an exit, and every command that is not possible in it is refused with those that are";
    TRANSFER_CASE_STATES = "transfer.case-states", "domain 2.2", "each of a case's states is reached and left, and every command that is not possible in it is refused with those that are";
    TRANSFER_DOSSIER = "transfer.dossier", "domain 3.3", "messages, questions, decisions, payment, history, references and comments that may go arrive as they were, nothing else does, and the offer says only that they are there";
    TRANSFER_RETURN = "transfer.return", "domain 3.2 undo", "what was taken over goes back in a transfer of its own, whole, and what is still there is not sent again";
    TRANSFER_PERSONS = "transfer.persons", "casework 2", "what is kept names pseudonyms; whom one stands for is sealed, and told to the data-protection officer only";
    TRANSFER_KEYS = "transfer.keys", "casework 2", "a key that is taken away opens nothing within a second, without a restart, and what follows events with it ends; one that is added opens";
    TRANSFER_TOKENS = "transfer.tokens", "casework 2", "a token of an issuer lets its person in while it holds, with the roles and units of its claims; keys of the issuer are fetched once and anew when it has others, and feeds end with token and issuer";
    TRANSFER_TOKENS_REFUSED = "transfer.tokens-refused", "casework 2", "a token that is forged, over, of or for somebody else, bound, or without role or unit opens nothing and says why; without its issuer nobody can say, and nobody can make the node ask it often";
    TRANSFER_REFUSALS = "transfer.refusals", "casework 3", "what cannot be read, found, stored or done is refused with a code, a sentence and what is possible, and the intake refuses nothing else";
    TRANSFER_MESSAGES = "transfer.messages", "casework 1", "a message that comes again gets its answer again; other bytes, a gap, a stranger, another kind and what cannot be read are refused and settle nothing";
    TRANSFER_CLOCKS = "transfer.clocks", "domain 3.2", "an offer that nobody answers and a package that nobody takes over end by themselves on both sides, content is deleted after the grace time and that is told";
    TRANSFER_SAMPLES = "transfer.samples", "casework 3, domain 2.1", "the sample applications go through intake, transfer and the intake of another instance with nothing lost, and none of their content lies unsealed at either node";
    TRANSFER_WEBHOOKS = "transfer.webhooks", "casework 2", "events are posted to a receiver as they stand in the feed, signed, in their order, and from where it was after a kill with the receiver down";
    TRANSFER_CRASH = "transfer.crash", "casework 5", "with either node killed at random every transfer ends in the same legal state on both sides, and nothing acknowledged is lost";
    PARTICIPATION_FOLDER = "participation.folder", "domain 1.3, 1.7, 4.4; casework 3, 4", "a chamber whose procedure calls no interface gets what it is asked as files and answers with files; what is taken back is deleted there before that is said";
    PARTICIPATION_WHOLE = "participation.whole", "domain 4, casework 4", "a chamber with a node, a guest and an own unit are asked in one round; each sees what is disclosed to it, answers or is silent, and is told the outcome";
    PARTICIPATION_STATES = "participation.states", "domain 4.3", "each state of a round and of a request is reached on both sides and left where it has an exit, and every command that is not possible in it is refused with those that are, or with what has to come first";
    PARTICIPATION_REFUSALS = "participation.refusals", "domain 4.2 to 4.5, casework 4", "what cannot be asked, shown, said, weighed or opened is refused with a code, a sentence and where it stands; silence means nothing without a proven delivery, and what is late is taken as late";
    PARTICIPATION_MESSAGES = "participation.messages", "casework 1, domain 4.6", "each kind of message is taken once, whoever says it again gets its answer again; other bytes, a gap, a stranger, the wrong side and what cannot be read settle nothing; bundles are pulled by their peer alone, and one that is not what was announced is noticed";
    PARTICIPATION_SECRECY = "participation.secrecy", "domain 4.4, casework 4", "whoever is asked comes across nothing that was not disclosed, nor anything of others who are asked; what is taken back is gone there, and a copy that was made before is stated";
    PARTICIPATION_MOVED = "participation.moved", "domain 3.2, casework 3", "with a case its open rounds go over: who took it over asks from then on, everybody who is asked is told and goes on with it, and evidence says since when";
    PARTICIPATION_RETURNED = "participation.returned", "domain 3.2, casework 3", "a round that went with its case comes back with it, and who is asked goes along both times";
    PARTICIPATION_RENEWED = "participation.renewed", "domain 4.3, casework 4", "a suspended round moves its deadline by the days on which it stood, a round renews another with fewer topics, and a cancelled one takes back what it showed";
    PARTICIPATION_TIME = "participation.time", "domain 4.3, 4.5; casework 4", "a recorded delivery, a supplement with which the period begins anew, more time, reminders and an expiry that nobody answered each succeed, and leave both sides with the same";
    PARTICIPATION_ASSIGNMENT = "participation.assignment", "domain 4.4", "a specialist sees and works on what is with it or its unit, and nothing else; coordinators see all, assign, and speak for the house";
    LOG_CRASH = "log.crash", "architecture 1.4", "no acknowledged exchange is missing from either log after kill -9";
    MEMORY_BOUNDED = "memory.bounded", "performance 8", "a large body does not grow the node";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_requirements_share_an_id() {
        let mut ids: Vec<_> = ALL.iter().map(|requirement| requirement.id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), ALL.len());
    }
}
