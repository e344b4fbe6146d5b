//! Letters that the font has no picture of. Whoever looks at an SVG has fonts of their own; a PNG has the one in the binary,
//! and names such a letter by its number.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt::Write as _;

use crate::font::has;

thread_local! {
    /// Whether what this thread draws has no other font.
    static ALONE: Cell<bool> = const { Cell::new(false) };
}

/// Draws with the embedded font alone.
pub(super) fn alone<T>(draw: impl FnOnce() -> T) -> T {
    ALONE.set(true);
    let drawn = draw();
    ALONE.set(false);
    drawn
}

/// Returns text as it can be drawn here: a letter without a picture is `U+` and its number.
pub(super) fn drawable(text: &str) -> Cow<'_, str> {
    if !ALONE.get() || text.chars().all(has) {
        return Cow::Borrowed(text);
    }
    let mut spelled = String::new();
    let mut apart = false;
    for letter in text.chars() {
        if has(letter) {
            spelled.push(letter);
        } else {
            if apart {
                spelled.push(' ');
            }
            let _ = write!(spelled, "U+{:04X}", u32::from(letter));
        }
        apart = !has(letter);
    }
    Cow::Owned(spelled)
}

/// Returns the letters of a drawn SVG that the embedded font has no picture of, once each, in order.
pub(super) fn unknown(svg: &str) -> String {
    let mut found: Vec<char> = svg.chars().filter(|letter| !letter.is_ascii() && !has(*letter)).collect();
    found.sort_unstable();
    found.dedup();
    found.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_without_a_picture_is_named_where_there_is_no_other_font() {
        assert_eq!(drawable("中文 a"), "中文 a");
        assert_eq!(alone(|| drawable("中文 a").into_owned()), "U+4E2D U+6587 a");
        assert_eq!(alone(|| drawable("größe – Ω").into_owned()), "größe – Ω");
        assert_eq!(drawable("中"), "中");
        assert_eq!(unknown("<text>b文中文</text>"), "中文");
    }
}
