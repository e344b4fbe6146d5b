//! Text that came from data, made harmless for the form it stands in.

/// Marks that change the direction of what follows them; a name with one could reorder a report.
fn is_direction_mark(letter: char) -> bool {
    matches!(letter, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn is_right_to_left(letter: char) -> bool {
    matches!(letter, '\u{0590}'..='\u{08ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{feff}' | '\u{10800}'..='\u{10fff}' | '\u{1e800}'..='\u{1efff}')
}

/// Drops control characters and direction marks.
pub(crate) fn plain(text: &str) -> String {
    text.chars()
        .filter(|letter| !is_direction_mark(*letter) && !matches!(letter, '\u{fffe}' | '\u{ffff}'))
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect()
}

/// Cuts a text after so many letters, and shows that it was.
pub(crate) fn short(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// Returns text for HTML, in an element or a quoted attribute; right-to-left text is kept to itself.
pub(crate) fn html(text: &str) -> String {
    let text = plain(text);
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    if text.chars().any(is_right_to_left) { format!("<bdi>{escaped}</bdi>") } else { escaped }
}

/// Returns text for an XML element or attribute.
pub(crate) fn xml(text: &str) -> String {
    html(&plain(text)).replace("<bdi>", "").replace("</bdi>", "")
}

/// Returns text for Markdown, in a paragraph or a cell of a table.
pub(crate) fn markdown(text: &str) -> String {
    let text = plain(text);
    let mut escaped = String::with_capacity(text.len());
    escape_markdown(&text, &mut escaped);
    in_one_line(&text, &escaped)
}

/// Returns whether a text can be code as it stands: without what would end a cell of a table there too, or would be markup to
/// who does not know it for code.
fn is_plain_code(text: &str) -> bool {
    !text.trim().is_empty() && !text.contains(['|', '<', '>', '&', '[', ']', '@'])
}

/// Returns a sentence for Markdown: what stands between two backticks is code, unless it holds what could be more than that.
pub(crate) fn markdown_of_sentence(said: &str) -> String {
    let said = plain(said);
    let mut escaped = String::with_capacity(said.len());
    let mut parts = said.split('`');
    escape_markdown(parts.next().unwrap_or_default(), &mut escaped);
    while let Some(inside) = parts.next() {
        let behind = parts.next();
        // One that has no other is a letter, and so are two without anything between them.
        if behind.is_some() && is_plain_code(inside) {
            if escaped.ends_with('`') {
                // Two side by side would neither end one code nor begin another.
                escaped.push('\u{200b}');
            }
            escaped.extend(["`", inside, "`"]);
        } else {
            escaped.push_str("\\`");
            escape_markdown(inside, &mut escaped);
            escaped.push_str(if behind.is_some() { "\\`" } else { "" });
        }
        escape_markdown(behind.unwrap_or_default(), &mut escaped);
    }
    in_one_line(&said, &escaped)
}

fn escape_markdown(text: &str, escaped: &mut String) {
    let mut before = ' ';
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            // Inside a word it says nothing, and names are full of it.
            '_' if before.is_alphanumeric() && letters.peek().is_some_and(|next| next.is_alphanumeric()) => {
                escaped.push('_');
            }
            '_' => escaped.push_str("\\_"),
            // GitHub takes what stands between two of them for a formula, and a backslash for no escape.
            '$' => escaped.push_str("<span>$</span>"),
            '|' | '\\' | '`' | '*' | '[' | ']' | '~' => {
                escaped.push('\\');
                escaped.push(letter);
            }
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            // A zero-width space keeps a name from calling a person or an issue.
            '@' | '#' => {
                escaped.push(letter);
                escaped.push('\u{200b}');
            }
            other => escaped.push(other),
        }
        before = letter;
    }
}

/// Returns what became of `text`, in one line of its direction.
fn in_one_line(text: &str, escaped: &str) -> String {
    let words: Vec<&str> = escaped.split_whitespace().collect();
    let joined = words.join(" ");
    // First strong isolate: the rest of the line keeps its direction.
    if text.chars().any(is_right_to_left) { format!("\u{2068}{joined}\u{2069}") } else { joined }
}

/// Returns the HTML of a sentence: what stands between two backticks is code, as in Markdown.
pub(super) fn html_of_sentence(said: &str) -> String {
    let escaped = html(said);
    let mut parts = escaped.split('`');
    let mut text = parts.next().unwrap_or_default().to_owned();
    while let Some(inside) = parts.next() {
        // One that has no other is a letter.
        match parts.next() {
            Some(behind) => text.push_str(&format!("<code>{inside}</code>{behind}")),
            None => text.push_str(&format!("`{inside}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_from_data_stay_in_their_cell() {
        assert_eq!(markdown("a|b\n<script>x</script> `c`"), "a\\|b &lt;script&gt;x&lt;/script&gt; \\`c\\`");
        assert_eq!(html("<b a=\"1\" c='2'>&"), "&lt;b a=&quot;1&quot; c=&#39;2&#39;&gt;&amp;");
        assert_eq!(xml("a\u{0}b<"), "a b&lt;");
        assert_eq!(markdown("_i_ a_b __c__ snake_case_9"), "\\_i\\_ a_b \\_\\_c\\_\\_ snake_case_9");
        assert_eq!(markdown("$x^2$"), "<span>$</span>x^2<span>$</span>");
        assert_eq!((short("عربي", 4), short("عربي", 2)), ("عربي".to_owned(), "عر…".to_owned()));
    }

    #[test]
    fn right_to_left_text_is_isolated_and_overrides_are_dropped() {
        assert_eq!(markdown("عربي"), "\u{2068}عربي\u{2069}");
        assert_eq!(html("עברית"), "<bdi>עברית</bdi>");
        assert_eq!(markdown("safe\u{202e}exe.gpj"), "safeexe.gpj");
    }

    #[test]
    fn what_stands_between_backticks_is_code() {
        assert_eq!(
            html_of_sentence("`a<b` was `1` and is 2"),
            "<code>a&lt;b</code> was <code>1</code> and is 2"
        );
        assert_eq!(html_of_sentence("none, and one `left"), "none, and one `left");
        assert_eq!(
            markdown_of_sentence("`train.n_x` was `1*` and is 2_"),
            "`train.n_x` was `1*` and is 2\\_"
        );
        assert_eq!(markdown_of_sentence("none, and one `left_"), "none, and one \\`left\\_");
        // What a name has of it ends no code that it is not in, and no cell of a table.
        assert_eq!(markdown_of_sentence("`<b>` and `a`"), "\\`&lt;b&gt;\\` and `a`");
        assert_eq!(markdown_of_sentence("`a`<i>`_b` of @c"), "`a`&lt;i&gt;`_b` of @\u{200b}c");
        assert_eq!(markdown_of_sentence("`a|b` and ``"), "\\`a\\|b\\` and \\`\\`");
        assert_eq!(markdown_of_sentence("`a``b`"), "`a`\u{200b}`b`");
    }
}
