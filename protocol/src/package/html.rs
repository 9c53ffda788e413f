//! Text from outside, as it may stand in HTML.

/// Longest value that is shown; identifiers are shorter.
const SHOWN: usize = 500;

/// Text that can neither end an element or attribute nor change how what is around it reads: markup is escaped, control
/// characters and those that turn the direction of writing are replaced, and it is set apart by `bdi`.
pub(super) fn value(text: &str) -> String {
    format!("<bdi>{}</bdi>", escaped(text))
}

/// As [`value`], for attributes and titles.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars().take(SHOWN) {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{FEFF}' => {
                out.push('\u{FFFD}');
            }
            c if c.is_control() => out.push('\u{FFFD}'),
            c => out.push(c),
        }
    }
    if text.chars().nth(SHOWN).is_some() {
        out.push('…');
    }
    out
}
