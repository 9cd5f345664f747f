//! Texts with columns in braces, the one notation in which a mapping file names cells.
//!
//! `"{InvoiceNo}"` is the cell of a column, `"USD"` a constant, `"{customer_id}-{row}"` a text made of both. `{{` and
//! `}}` stand for the braces themselves, `{row:6}` fills with zeroes up to six characters.

use serde::Deserialize;

/// A text as a mapping file writes it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Template {
    /// The text in pieces, in order.
    pub parts: Vec<Part>,
}

/// One piece of a [`Template`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Taken as it stands.
    Text(String),
    /// The cell of a column.
    Column {
        /// The column's name, or `join.column`.
        name: String,
        /// Filled with zeroes on the left up to this many characters; 0 leaves the cell as it is.
        width: usize,
    },
}

impl TryFrom<String> for Template {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

impl Template {
    /// Reads the notation that the module describes.
    ///
    /// # Errors
    /// A sentence about the brace that has no partner or the name that is missing.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(position) = rest.find(['{', '}']) {
            literal.push_str(&rest[..position]);
            let brace = &rest[position..=position];
            rest = &rest[position + 1..];
            if let Some(after) = rest.strip_prefix(brace) {
                literal.push_str(brace);
                rest = after;
                continue;
            }
            let end = rest.find('}').filter(|_| brace == "{");
            let end = end.ok_or_else(|| {
                format!("`{text}` has a brace without its partner; write {brace}{brace} for the brace itself")
            })?;
            if !literal.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut literal)));
            }
            parts.push(column(&rest[..end]).ok_or_else(|| format!("`{text}` has braces without a column's name"))?);
            rest = &rest[end + 1..];
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Text(literal));
        }
        Ok(Self { parts })
    }
}

/// The piece between two braces: a name, and after a colon a width where that is a number.
fn column(inside: &str) -> Option<Part> {
    let (name, width) = match inside.rsplit_once(':') {
        Some((name, width)) if width.len() <= 2 => match width.parse() {
            Ok(width) => (name, width),
            Err(_) => (inside, 0),
        },
        _ => (inside, 0),
    };
    (!name.is_empty()).then(|| Part::Column { name: name.to_owned(), width })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(name: &str, width: usize) -> Part {
        Part::Column { name: name.to_owned(), width }
    }

    #[test]
    fn columns_constants_and_braces_are_told_apart() {
        let template = Template::parse("a{b}-{c d:4}{{x}}").expect("well-formed");
        let text = |text: &str| Part::Text(text.to_owned());
        assert_eq!(template.parts, [text("a"), cell("b", 0), text("-"), cell("c d", 4), text("{x}")]);
        assert_eq!(Template::parse("").expect("well-formed").parts, []);
        assert_eq!(Template::parse("{a:b}").expect("well-formed").parts, [cell("a:b", 0)]);
    }

    #[test]
    fn a_brace_without_its_partner_is_an_error_that_shows_the_text() {
        for bad in ["{a", "a}", "{}", "{:3}"] {
            let error = Template::parse(bad).expect_err(bad);
            assert!(error.contains(bad), "{error}");
        }
    }
}
