//! Phone numbers, brought to the one form in which equal numbers are equal texts.

use phonenumber::country;

/// A country or region by its ISO 3166-1 alpha-2 code, for numbers that are written without their country code.
pub fn is_region(code: &str) -> bool {
    code.bytes().all(|b| b.is_ascii_uppercase()) && code.parse::<country::Id>().is_ok()
}

/// The number in the form of E.164 (ITU-T), such as `+491701234567`; `None` for what is no valid number. A number
/// without its country code is read as one of `region`, and is none where that is empty.
pub fn to_e164(written: &str, region: &str) -> Option<String> {
    // The library is made for people's typing and finds numbers in words too; an identifier is a number and no more.
    let plain = |c: char| c.is_ascii_digit() || c.is_whitespace() || "+-./()".contains(c);
    if written.len() > 64 || !written.chars().all(plain) {
        return None;
    }
    if !written.starts_with('+') {
        return valid(region.parse().ok(), written);
    }
    // Germans and others write the zero that only their own country dials, +49 (0)170 1234567, and Italians one that
    // belongs to the number. Where either reading is a number, nobody can say which is meant.
    match (valid(None, &written.replace("(0)", "")), valid(None, written)) {
        (Some(without), Some(with)) => (without == with).then_some(without),
        (without, with) => without.or(with),
    }
}

/// The number, if it is a valid one. With its country code it is read without a region: the library would take the
/// prefix of that region away from a number of another country.
fn valid(region: Option<country::Id>, written: &str) -> Option<String> {
    let number = phonenumber::parse(region, written).ok().filter(|number| number.is_valid())?;
    Some(number.format().mode(phonenumber::Mode::E164).to_string())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_number_is_the_same_however_it_is_written() {
        for written in ["+49 170 1234567", "0170 1234567", "0170/123 45-67", "+49 (0)170 1234567"] {
            assert_eq!(to_e164(written, "DE").as_deref(), Some("+491701234567"), "{written}");
        }
        assert_eq!(to_e164("+49 170 1234567", "US"), to_e164("+491701234567", ""));
    }

    #[test]
    fn a_zero_in_parentheses_is_kept_where_it_belongs_to_the_number() {
        assert_eq!(to_e164("+39 (0)6 6982 1234", ""), to_e164("+39 06 6982 1234", ""));
        assert!(to_e164("+39 06 6982 1234", "").is_some());
    }

    #[test]
    fn a_national_number_needs_its_region() {
        assert_eq!(to_e164("0170 1234567", ""), None);
        assert_ne!(to_e164("0170 1234567", "US"), Some("+491701234567".to_owned()));
    }

    #[test]
    fn what_is_no_number_is_none() {
        for written in ["", "+", "+1", "call me", "+49x1701234567", "+1234567890123456", "+999 123 456 789"] {
            assert_eq!(to_e164(written, "DE"), None, "{written}");
        }
    }

    #[test]
    fn a_region_is_an_iso_code() {
        assert!(is_region("DE") && is_region("US"));
        assert!(!is_region("") && !is_region("XX") && !is_region("Germany"));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[-+0-9 ()./]{0,40}", region in "(DE|US|IT|AR|BR|)") {
            let number = to_e164(&text, &region);
            prop_assert!(number.is_none_or(|number| to_e164(&number, "") == Some(number)));
        }
    }
}
