//! The one normaliser of what people type. Search, create, update, import and the unique index all use it.

use unicode_normalization::UnicodeNormalization;

/// The version of the normaliser. Stores record it; keys made by another version must be made anew before they serve.
pub const NORMALISER_VERSION: u16 = 1;

/// Trims and composes: what is kept for display.
pub(crate) fn display_form(text: &str) -> String {
    text.trim().nfc().collect()
}

/// Folds case by full Unicode folding, recomposed: what is compared.
pub(crate) fn folded(text: &str) -> String {
    let folded = caseless::default_case_fold_str(text);
    folded.nfc().collect()
}

/// Compatibility form and case fold: look-alikes of width and style are one.
pub(crate) fn compatibility_folded(text: &str) -> String {
    let compatible: String = text.trim().nfkc().collect();
    let folded = caseless::default_case_fold_str(&compatible);
    folded.nfkc().collect()
}

/// Whether the character controls the terminal, the layout or the reading direction instead of being read.
pub(crate) fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{00AD}' | '\u{034F}' | '\u{180E}' | '\u{2061}'..='\u{2064}' // shown as nothing
            | '\u{061C}' | '\u{200E}' | '\u{200F}' // marks of direction
            | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' // embeddings, overrides, isolates
            | '\u{2028}' | '\u{2029}' | '\u{FEFF}' | '\u{200B}' | '\u{2060}'
            | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E007F}')
}

/// The text as it may stand in an error message: short, and without what could harm a terminal.
pub(crate) fn quotable(text: &str) -> String {
    text.chars().filter(|c| !is_unprintable(*c)).take(80).collect()
}
