//! How many segments a text message takes: what the sender pays and the receiver's phone puts together.

/// The characters of the GSM 7-bit default alphabet (3GPP TS 23.038) beside ASCII letters and digits.
const GSM: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./:;<=>?¡ÄÖÑÜ§¿äöñüà";
/// Those of its extension table; each takes two places.
const GSM_EXTENSION: &str = "\u{c}^{}\\[~]|€";

/// The places a character takes in the GSM alphabet; `None` if it is not in it.
fn gsm_places(c: char) -> Option<usize> {
    if c.is_ascii_alphanumeric() || GSM.contains(c) {
        Some(1)
    } else if GSM_EXTENSION.contains(c) {
        Some(2)
    } else {
        None
    }
}

/// How many segments a text takes: of 160 places in the GSM alphabet or 70 in UTF-16, and of 153 or 67 when there are
/// several, since each then carries its number. No character is split between two.
pub fn segments(text: &str) -> usize {
    let gsm: Option<Vec<usize>> = text.chars().map(gsm_places).collect();
    let (places, one, many) = match gsm {
        Some(places) => (places, 160, 153),
        None => (text.chars().map(char::len_utf16).collect(), 70, 67),
    };
    if places.iter().sum::<usize>() <= one {
        return 1;
    }
    let mut filled = (1, 0);
    for width in places {
        filled = if filled.1 + width > many { (filled.0 + 1, width) } else { (filled.0, filled.1 + width) };
    }
    filled.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_counted_as_phones_count() {
        for (text, count, why) in [
            (String::new(), 1, "nothing is one message"),
            ("a".repeat(160), 1, "160 of the GSM alphabet"),
            ("a".repeat(161), 2, "then each carries its number"),
            ("a".repeat(306), 2, "two of 153"),
            ("a".repeat(307), 3, "and one more"),
            ("Ω".repeat(160), 1, "capital omega is in the alphabet"),
            ("ä".repeat(160), 1, "umlauts are"),
            ("€".repeat(80), 1, "the euro takes two places"),
            ("€".repeat(81), 2, "of which 162 are too many"),
            (
                format!("{}{}", "a".repeat(152), "€".repeat(77)),
                3,
                "an escape is not split: 152, then 76 of 2, then one",
            ),
            ("ő".repeat(70), 1, "70 outside the alphabet"),
            ("ő".repeat(71), 2, "then each carries its number"),
            ("م".repeat(134), 2, "two of 67"),
            ("م".repeat(135), 3, "and one more"),
            ("😀".repeat(35), 1, "an emoji takes two"),
            ("😀".repeat(66), 2, "33 of them in each of two, since none is split"),
            ("😀".repeat(67), 3, "so 67 do not fit in two"),
            (format!("{}á", "a".repeat(70)), 2, "one letter outside changes all"),
        ] {
            assert_eq!(segments(&text), count, "{why}");
        }
    }
}
