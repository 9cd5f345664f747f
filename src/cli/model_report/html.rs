//! One page that needs nothing else: no script, no file, no network. It reads in light and dark, on paper, and aloud.

use std::fmt::Write as _;

/// How the page looks. Colours of segments are those of Okabe and Ito, which also colour-blind people tell apart; no
/// meaning rests on a colour alone.
const STYLE: &str = include_str!("style.css");

/// A text as the page may hold it: what came from data is never taken for markup.
pub(super) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

/// The whole page around the reports of some models.
pub(super) fn page(title: &str, body: &str) -> String {
    let title = escaped(title);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n\
         <body>\n<main>\n{body}</main>\n</body>\n</html>\n"
    )
}

/// A part of a report under a heading, with a sentence that says how to read it.
pub(super) fn section(heading: &str, lead: &str, content: &str) -> String {
    format!("<section>\n<h3>{}</h3>\n<p class=\"lead\">{}</p>\n{content}</section>\n", escaped(heading), escaped(lead))
}

/// A picture under a caption, with its figures as a table for whoever does not see it.
pub(super) fn figure(picture: &str, caption: &str, figures: &str) -> String {
    let details = if figures.is_empty() {
        String::new()
    } else {
        format!("<details><summary>The figures</summary>\n{figures}</details>\n")
    };
    format!("<figure>\n{picture}<figcaption>{}</figcaption>\n{details}</figure>\n", escaped(caption))
}

/// Pictures side by side where there is room.
pub(super) fn side_by_side(figures: &[String]) -> String {
    format!("<div class=\"figures\">\n{}</div>\n", figures.concat())
}

/// Facts as pairs of a name and a value; those without a value are left out.
pub(super) fn facts(pairs: &[(&str, String)]) -> String {
    let mut list = String::from("<dl>\n");
    for (name, value) in pairs.iter().filter(|(_, value)| !value.is_empty()) {
        let _written = writeln!(list, "<div><dt>{}</dt><dd>{}</dd></div>", escaped(name), escaped(value));
    }
    list + "</dl>\n"
}

/// The few figures that are looked at first.
pub(super) fn tiles(tiles: &[(&str, String, String)]) -> String {
    let mut html = String::from("<ul class=\"tiles\">\n");
    for (name, value, note) in tiles.iter().filter(|tile| !tile.1.is_empty()) {
        let (name, value, note) = (escaped(name), escaped(value), escaped(note));
        let _written = writeln!(
            html,
            "<li><span class=\"name\">{name}</span><span class=\"value\">{value}</span><span class=\"note\">{note}</span></li>"
        );
    }
    html + "</ul>\n"
}

/// A cell of a table.
pub(super) enum Cell {
    /// Words.
    Text(String),
    /// A figure, aligned to the right.
    Number(String),
    /// A bar of so many hundredths of its cell, beside its figure.
    Bar(f64, String),
    /// A picture of our own.
    Picture(String),
}

/// A table; the first cell of each row names it.
pub(super) fn table(caption: &str, header: &[&str], rows: Vec<Vec<Cell>>) -> String {
    let mut html = format!("<div class=\"wide\"><table>\n<caption>{}</caption>\n<thead><tr>", escaped(caption));
    let numbers: Vec<bool> = (0..header.len())
        .map(|column| rows.first().and_then(|row| row.get(column)).is_some_and(|cell| matches!(cell, Cell::Number(_))))
        .collect();
    for (name, is_number) in header.iter().zip(numbers) {
        let class = if is_number { " class=\"number\"" } else { "" };
        let _written = write!(html, "<th scope=\"col\"{class}>{}</th>", escaped(name));
    }
    html.push_str("</tr></thead>\n<tbody>\n");
    for row in rows {
        html.push_str("<tr>");
        for (column, cell) in row.into_iter().enumerate() {
            html.push_str(&self::cell(column, cell));
        }
        html.push_str("</tr>\n");
    }
    html + "</tbody></table></div>\n"
}

fn cell(column: usize, cell: Cell) -> String {
    match cell {
        Cell::Text(text) if column == 0 => format!("<th scope=\"row\">{}</th>", escaped(&text)),
        Cell::Text(text) => format!("<td>{}</td>", escaped(&text)),
        Cell::Number(text) => format!("<td class=\"number\">{}</td>", escaped(&text)),
        Cell::Bar(hundredths, text) => format!(
            "<td class=\"bar\"><span style=\"width:{:.1}%\"></span><b>{}</b></td>",
            // The rest of the cell is for the figure.
            hundredths.clamp(0.0, 100.0) * 0.65,
            escaped(&text)
        ),
        Cell::Picture(picture) => format!("<td>{picture}</td>"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_from_data_is_never_markup() {
        let evil = "<script>alert('\"&')</script>";
        let safe = "&lt;script&gt;alert(&#39;&quot;&amp;&#39;)&lt;/script&gt;";
        assert_eq!(escaped(evil), safe);
        let cells =
            || vec![Cell::Text(evil.to_owned()), Cell::Number(evil.to_owned()), Cell::Bar(5.0, evil.to_owned())];
        let made = [
            page(evil, ""),
            section(evil, evil, ""),
            figure("", evil, ""),
            facts(&[(evil, evil.to_owned())]),
            tiles(&[(evil, evil.to_owned(), evil.to_owned())]),
            table(evil, &[evil; 3], vec![cells(), cells()]),
        ];
        for html in made {
            assert!(html.contains(safe) && !html.contains("<script"), "{html}");
        }
    }
}
