//! A guest's own refusal, for the log: its texts may be of any length, and are cut before anything is made of them.

use wasmtime_wasi_http::p2::bindings::http::types::ErrorCode;

/// How much of a text is shown.
const TEXT_CHARS_MAX: usize = 200;

/// The name of what it is, and what it carries.
pub(super) fn shown(mut code: ErrorCode) -> String {
    if let Some(text) = text_of(&mut code) {
        cut(text);
    }
    format!("{code:?}")
}

fn cut(text: &mut String) {
    if let Some((end, _)) = text.char_indices().nth(TEXT_CHARS_MAX) {
        text.truncate(end);
        text.push('…');
    }
}

/// The one text of those that carry any.
fn text_of(code: &mut ErrorCode) -> Option<&mut String> {
    use ErrorCode as Code;
    match code {
        Code::InternalError(text)
        | Code::HttpResponseTransferCoding(text)
        | Code::HttpResponseContentCoding(text) => text.as_mut(),
        Code::DnsError(dns) => dns.rcode.as_mut(),
        Code::TlsAlertReceived(alert) => alert.alert_message.as_mut(),
        Code::HttpRequestHeaderSize(field) => field.as_mut()?.field_name.as_mut(),
        Code::HttpRequestTrailerSize(field)
        | Code::HttpResponseHeaderSize(field)
        | Code::HttpResponseTrailerSize(field) => field.field_name.as_mut(),
        Code::DnsTimeout
        | Code::DestinationNotFound
        | Code::DestinationUnavailable
        | Code::DestinationIpProhibited
        | Code::DestinationIpUnroutable
        | Code::ConnectionRefused
        | Code::ConnectionTerminated
        | Code::ConnectionTimeout
        | Code::ConnectionReadTimeout
        | Code::ConnectionWriteTimeout
        | Code::ConnectionLimitReached
        | Code::TlsProtocolError
        | Code::TlsCertificateError
        | Code::HttpRequestDenied
        | Code::HttpRequestLengthRequired
        | Code::HttpRequestBodySize(_)
        | Code::HttpRequestMethodInvalid
        | Code::HttpRequestUriInvalid
        | Code::HttpRequestUriTooLong
        | Code::HttpRequestHeaderSectionSize(_)
        | Code::HttpRequestTrailerSectionSize(_)
        | Code::HttpResponseIncomplete
        | Code::HttpResponseHeaderSectionSize(_)
        | Code::HttpResponseBodySize(_)
        | Code::HttpResponseTrailerSectionSize(_)
        | Code::HttpResponseTimeout
        | Code::HttpUpgradeFailed
        | Code::HttpProtocolError
        | Code::LoopDetected
        | Code::ConfigurationError => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_and_the_name_stays() {
        let shown = shown(ErrorCode::InternalError(Some("ä".repeat(1 << 20))));
        assert!(shown.contains("InternalError"), "{shown}");
        assert!(shown.chars().count() < TEXT_CHARS_MAX + 100, "{shown}");
    }

    #[test]
    fn control_characters_are_escaped() {
        let shown = shown(ErrorCode::InternalError(Some("a\u{1b}\nb".to_owned())));
        assert!(shown.contains("a\\u{1b}\\nb"), "{shown}");
    }
}
