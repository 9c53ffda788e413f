//! The list of fault codes with both spellings (wire 10.2).
//!
//! Where no recorded code shows the older spelling it is the mechanical conversion of the newer one.

/// One line a code: documentation, variant, the element from 7.8 on, the element up to 7.7.
macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident => $snake:literal, $camel:literal;)*) => {
        /// One element of a fault code: a cause or a prefix.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum FaultCode {
            $($(#[$doc])* $variant,)*
        }

        impl FaultCode {
            /// Every code, in the order of the wire digest.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The spelling from 7.8 on, for example `access_denied`; also the label in logs and metrics.
            #[must_use]
            pub const fn snake(self) -> &'static str {
                match self {
                    $(Self::$variant => $snake,)*
                }
            }

            /// The spelling up to 7.7, for example `AccessDenied`.
            #[must_use]
            pub const fn camel(self) -> &'static str {
                match self {
                    $(Self::$variant => $camel,)*
                }
            }

            /// The code with this element as its name, in either spelling.
            #[must_use]
            pub fn from_element(element: &str) -> Option<Self> {
                match element {
                    $($snake | $camel => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

codes! {
    // --- Prefixes (wire 10.1)
    #[doc = "Prefix: the consumer server, for what its information system sent."]
    Client => "client", "Client";
    #[doc = "Prefix: the consumer server, all other own errors."]
    ClientProxy => "server.clientproxy", "Server.ClientProxy";
    #[doc = "Prefix: the provider server, all its errors."]
    ServerProxy => "server.serverproxy", "Server.ServerProxy";
    #[doc = "Prefix: the monitoring daemon of a provider."]
    OpMonitor => "server.serverproxy.opmonitor", "Server.ServerProxy.OpMonitor";
    #[doc = "Prefix: reading a multipart message, or the call of the service."]
    ServiceFailed => "service_failed", "ServiceFailed";
    #[doc = "Prefix: the signature check of a message."]
    SignatureVerification => "signature_verification", "SignatureVerification";
    #[doc = "Prefix: certificate path or OCSP."]
    InvalidCertPath => "invalid_cert_path", "InvalidCertPath";
    #[doc = "Prefix: chain building."]
    CannotCreateCertPath => "cannot_create_cert_path", "CannotCreateCertPath";
    #[doc = "Prefix: the component that signs."]
    Signer => "signer", "Signer";
    #[doc = "Prefix: the message log component."]
    Mlog => "mlog", "Mlog";
    // --- General
    #[doc = "Read or write failure, also a connection cut in mid-message."]
    IoError => "io_error", "IOError";
    #[doc = "No address of the peer can be reached."]
    NetworkError => "network_error", "NetworkError";
    #[doc = "The host of a service URL cannot be resolved (7.8)."]
    UnknownHost => "unknown_host", "UnknownHost";
    #[doc = "Anything unexpected: missing `x-hash-algorithm`, malformed REST message, issuer not approved."]
    InternalError => "internal_error", "InternalError";
    #[doc = "A peer or service answered with a status other than 200 or 500."]
    HttpError => "http_error", "HttpError";
    #[doc = "Parameters of a download are wrong."]
    BadRequest => "bad_request", "BadRequest";
    #[doc = "Nothing found for a download."]
    NotFound => "not_found", "NotFound";
    #[doc = "Content of a metadata, monitoring or management request."]
    InvalidRequest => "invalid_request", "InvalidRequest";
    #[doc = "Configuration or log database."]
    DatabaseError => "database_error", "DatabaseError";
    // --- Message
    #[doc = "Not POST where POST is required."]
    InvalidHttpMethod => "invalid_http_method", "InvalidHttpMethod";
    #[doc = "Unknown outer or part type, missing boundary, something else instead of the signature."]
    InvalidContentType => "invalid_content_type", "InvalidContentType";
    #[doc = "Malformed SOAPAction."]
    InvalidSoapAction => "invalid_soap_action", "InvalidSoapAction";
    #[doc = "A part after the signature, a message where a fault was expected, no message from the service."]
    InvalidMessage => "invalid_message", "InvalidMessage";
    #[doc = "Broken MIME."]
    MimeParsingFailed => "mime_parsing_failed", "MimeParsingFailed";
    #[doc = "XML that is not well-formed."]
    InvalidXml => "invalid_xml", "InvalidXml";
    #[doc = "Not a SOAP envelope, or one with broken identifiers."]
    InvalidSoap => "invalid_soap", "InvalidSoap";
    #[doc = "SOAP header absent."]
    MissingHeader => "missing_header", "MissingHeader";
    #[doc = "A required SOAP header field absent."]
    MissingHeaderField => "missing_header_field", "MissingHeaderField";
    #[doc = "A SOAP header field occurs twice."]
    DuplicateHeaderField => "duplicate_header_field", "DuplicateHeaderField";
    #[doc = "SOAP body absent."]
    MissingBody => "missing_body", "MissingBody";
    #[doc = "SOAP body without exactly one element."]
    InvalidBody => "invalid_body", "InvalidBody";
    #[doc = "The body element does not begin with the service code."]
    InconsistentHeaders => "inconsistent_headers", "InconsistentHeaders";
    #[doc = "Fields or request hash of a response differ from the request."]
    InconsistentResponse => "inconsistent_response", "InconsistentResponse";
    #[doc = "No SOAP message part."]
    MissingSoap => "missing_soap", "MissingSoap";
    #[doc = "No REST message part."]
    MissingRest => "missing_rest", "MissingRest";
    #[doc = "No signature part."]
    MissingSignature => "missing_signature", "MissingSignature";
    #[doc = "A SOAP protocol version other than 4.x."]
    InvalidProtocolVersion => "invalid_protocol_version", "InvalidProtocolVersion";
    #[doc = "Client missing or malformed."]
    InvalidClientIdentifier => "invalid_client_identifier", "InvalidClientIdentifier";
    #[doc = "Requested server unknown, not serving the provider, or not the one addressed."]
    InvalidSecurityServer => "invalid_security_server", "InvalidSecurityServer";
    #[doc = "`x-proxy-version` too low."]
    ClientProxyVersionNotSupported => "client_proxy_version_not_supported", "ClientProxyVersionNotSupported";
    // --- Routing and access
    #[doc = "Client or provider not registered here, or no address for the provider."]
    UnknownMember => "unknown_member", "UnknownMember";
    #[doc = "Service code unknown."]
    UnknownService => "unknown_service", "UnknownService";
    #[doc = "REST call of a WSDL service or the reverse."]
    ServiceType => "service_type", "ServiceType";
    #[doc = "No right, or `..` in the path."]
    AccessDenied => "access_denied", "AccessDenied";
    #[doc = "Service disabled, with a notice."]
    ServiceDisabled => "service_disabled", "ServiceDisabled";
    #[doc = "Service without a URL."]
    ServiceMissingUrl => "service_missing_url", "ServiceMissingUrl";
    #[doc = "Service with a malformed URL."]
    ServiceMalformedUrl => "service_malformed_url", "ServiceMalformedUrl";
    #[doc = "Every candidate server is in maintenance."]
    MaintenanceMode => "maintenance_mode", "MaintenanceMode";
    #[doc = "TLS authentication of an information system or a peer; also a prefix."]
    SslAuthenticationFailed => "ssl_authentication_failed", "SslAuthenticationFailed";
    // --- Signature and certificates
    #[doc = "Schema, missing elements, no OCSP values, imprint mismatch; also a prefix."]
    MalformedSignature => "malformed_signature", "MalformedSignature";
    #[doc = "Signature value or reference digest wrong."]
    InvalidSignatureValue => "invalid_signature_value", "InvalidSignatureValue";
    #[doc = "The chain does not yield the result."]
    InvalidHashChain => "invalid_hash_chain", "InvalidHashChain";
    #[doc = "Schema or step reference of a hash chain."]
    MalformedHashChain => "malformed_hash_chain", "MalformedHashChain";
    #[doc = "A data digest of a hash chain is wrong."]
    InvalidHashChainRef => "invalid_hash_chain_ref", "InvalidHashChainRef";
    #[doc = "A part is not covered by the hash chain."]
    HashChainUnusedInputs => "hashchain_unused_inputs", "HashChainUnusedInputs";
    #[doc = "A reference that leads nowhere."]
    InvalidReference => "invalid_reference", "InvalidReference";
    #[doc = "The subject is not the expected member, or the certificate is malformed."]
    IncorrectCertificate => "incorrect_certificate", "IncorrectCertificate";
    #[doc = "OCSP missing or not good."]
    CertValidation => "cert_validation", "CertValidation";
    #[doc = "OCSP too old, for another certificate, or from somebody not authorised."]
    IncorrectValidationInfo => "incorrect_validation_info", "IncorrectValidationInfo";
    #[doc = "No usable signing key, certificate or OCSP response; also a prefix."]
    CannotCreateSignature => "cannot_create_signature", "CannotCreateSignature";
    // --- Configuration
    #[doc = "The own global configuration has expired."]
    GlobalConfOutdated => "global_conf_outdated", "OutdatedGlobalConf";
    #[doc = "Unreadable global configuration."]
    MalformedGlobalConf => "malformed_global_conf", "MalformedGlobalConf";
    #[doc = "Unreadable server configuration."]
    MalformedServerConf => "malformed_server_conf", "MalformedServerConf";
    #[doc = "Unreadable list of optional configuration parts."]
    MalformedOptionalPartsConf => "malformed_optional_parts_conf", "MalformedOptionalPartsConf";
    #[doc = "Unreadable configuration anchor."]
    MalformedAnchor => "malformed_anchor", "MalformedAnchor";
    #[doc = "No configuration anchor."]
    AnchorFileNotFound => "anchor_file_not_found", "AnchorFileNotFound";
    #[doc = "A hardware module does not work."]
    HsmNonOperational => "hsm_non_operational", "HSMNonOperational";
    // --- Signer
    #[doc = "No such key."]
    KeyNotFound => "key_not_found", "KeyNotFound";
    #[doc = "The key cannot be used now."]
    KeyNotAvailable => "key_not_available", "KeyNotAvailable";
    #[doc = "No such certificate."]
    CertNotFound => "cert_not_found", "CertNotFound";
    #[doc = "No such certificate request."]
    CsrNotFound => "csr_not_found", "CsrNotFound";
    #[doc = "No such token."]
    TokenNotFound => "token_not_found", "TokenNotFound";
    #[doc = "The token is not logged in."]
    TokenNotActive => "token_not_active", "TokenNotActive";
    #[doc = "The token is not initialised."]
    TokenNotInitialized => "token_not_initialized", "TokenNotInitialized";
    #[doc = "The token is not connected."]
    TokenNotAvailable => "token_not_available", "TokenNotAvailable";
    #[doc = "The token is read-only."]
    TokenReadonly => "token_readonly", "TokenReadOnly";
    #[doc = "Signing failed."]
    CannotSign => "cannot_sign", "CannotSign";
    #[doc = "The key cannot sign with this algorithm."]
    UnsupportedSignAlgorithm => "unsupported_sign_algorithm", "UnsupportedSignAlgorithm";
    #[doc = "The certificate is there already."]
    CertExists => "cert_exists", "CertExists";
    #[doc = "A certificate of the other usage."]
    WrongCertUsage => "wrong_cert_usage", "WrongCertUsage";
    #[doc = "Login to a token failed."]
    LoginFailed => "login_failed", "LoginFailed";
    #[doc = "Logout from a token failed."]
    LogoutFailed => "logout_failed", "LogoutFailed";
    #[doc = "Wrong PIN."]
    PinIncorrect => "pin_incorrect", "PinIncorrect";
    #[doc = "A certificate could not be imported."]
    CertImportFailed => "cert_import_failed", "CertImportFailed";
    #[doc = "The PIN does not satisfy the policy."]
    TokenPinPolicyFailure => "token_pin_policy_failure", "TokenPinPolicyFailure";
    #[doc = "Key generation failed."]
    FailedToGeneratePrivateKey => "failed_to_generate_private_key", "FailedToGeneratePrivateKey";
    // --- Message log
    #[doc = "The message could not be recorded; also a prefix."]
    LoggingFailed => "logging_failed", "LoggingFailed";
    #[doc = "Time-stamping failed; also a prefix."]
    TimestampingFailed => "timestamping_failed", "TimestampingFailed";
    #[doc = "The time-stamping component failed."]
    TimestamperFailed => "timestamper_failed", "TimestamperFailed";
    #[doc = "No time-stamping service is configured."]
    NoTimestampingProviderFound => "no_timestamping_provider_found", "NoTimestampingProviderFound";
    #[doc = "The message log is not running."]
    LogManagerUnavailable => "log_manager_unavailable", "LogManagerUnavailable";
    #[doc = "The certificate of a time-stamp authority is unknown."]
    TspCertificateNotFound => "tsp_certificate_not_found", "TspCertificateNotFound";
    #[doc = "The signer of a time-stamp is not approved."]
    TimestampSignerVerificationFailed => "timestamp_signer_verification_failed", "TimestampSignerVerificationFailed";
    #[doc = "A time-stamp response is malformed."]
    TimestampResponseValidationFailed => "timestamp_response_validation_failed", "TimestampResponseValidationFailed";
    #[doc = "A time-stamp was not granted."]
    TimestampNonGrantedResponse => "timestamp_non_granted_response", "TimestampNonGrantedResponse";
    #[doc = "A time-stamp authority answered with an HTTP error."]
    TimestampingNonOkResponse => "timestamping_non_ok_response", "TimestampingNonOkResponse";
    #[doc = "A time-stamp authority cannot be reached."]
    TimestampProviderConnectionFailed => "timestamp_provider_connection_failed", "TimestampProviderConnectionFailed";
    #[doc = "No such record in the message log."]
    MessageLogRecordNotFound => "message_log_record_not_found", "MessageLogRecordNotFound";
    // --- ASiC
    #[doc = "Container without mimetype."]
    AsicMimeTypeNotFound => "asic_mime_type_not_found", "AsicMimeTypeNotFound";
    #[doc = "Container with a wrong mimetype."]
    AsicInvalidMimeType => "asic_invalid_mime_type", "AsicInvalidMimeType";
    #[doc = "Container without message."]
    AsicMessageNotFound => "asic_message_not_found", "AsicMessageNotFound";
    #[doc = "Container without signature."]
    AsicSignatureNotFound => "asic_signature_not_found", "AsicSignatureNotFound";
    #[doc = "Container without hash chain result."]
    AsicHashChainResultNotFound => "asic_hash_chain_result_not_found", "AsicHashChainResultNotFound";
    #[doc = "Container without hash chain."]
    AsicHashChainNotFound => "asic_hash_chain_not_found", "AsicHashChainNotFound";
    #[doc = "Container without time-stamp."]
    AsicTimestampNotFound => "asic_timestamp_not_found", "AsicTimestampNotFound";
    #[doc = "Container without manifest."]
    AsicManifestNotFound => "asic_manifest_not_found", "AsicManifestNotFound";
}
