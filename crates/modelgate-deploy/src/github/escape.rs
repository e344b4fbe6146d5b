//! Text that has to fit somewhere.

/// Returns at most `room` characters of Markdown: whole lines, what was open closed, and `more` as the last sentence.
pub(super) fn cut(text: &str, room: usize, more: &str) -> String {
    if text.chars().count() <= room {
        return text.to_owned();
    }
    let end = format!("\n\n*It does not fit here; {more}.*\n");
    // What may have to be closed: a few blocks.
    let room = room.saturating_sub(end.chars().count() + 200);
    let mut kept = String::new();
    let (mut length, mut details, mut fence) = (0, 0_usize, None::<&str>);
    for line in text.split_inclusive('\n') {
        let characters = line.chars().count();
        if length + characters > room {
            break;
        }
        length += characters;
        kept.push_str(line);
        let line = line.trim_start();
        match fence {
            Some(mark) if line.starts_with(mark) => fence = None,
            Some(_) => {}
            None => {
                fence = ["```", "~~~"].into_iter().find(|mark| line.starts_with(mark));
                details += line.matches("<details").count();
                details = details.saturating_sub(line.matches("</details>").count());
            }
        }
    }
    if kept.is_empty() {
        // One line alone is too long.
        kept = text.chars().take(room).collect();
    }
    if let Some(mark) = fence {
        kept.push_str(&format!("\n{mark}\n"));
    }
    for _ in 0..details.min(10) {
        kept.push_str("\n</details>\n");
    }
    kept + &end
}

/// Escapes the text of a workflow command.
pub(super) fn message(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Escapes a property of a workflow command.
pub(super) fn property(text: &str) -> String {
    message(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_ends_well_and_fits() {
        let table = "| a | b |\n".repeat(10_000);
        let text = format!("# Title\n\n<details><summary>x</summary>\n\n```\n{table}```\n</details>\n");
        let short = cut(&text, 2000, "see elsewhere");
        assert!(short.chars().count() <= 2000, "{}", short.len());
        assert!(short.starts_with("# Title") && short.ends_with("see elsewhere.*\n"));
        assert_eq!(short.matches("```").count(), 2);
        assert_eq!(short.matches("<details").count(), short.matches("</details>").count());
        assert_eq!(cut("short", 10, ""), "short");
        assert!(cut(&"é".repeat(5000), 1000, "m").chars().count() <= 1000);
    }

    #[test]
    fn a_workflow_command_holds_one_line() {
        assert_eq!(message("50% of\r\nrows"), "50%25 of%0D%0Arows");
        assert_eq!(property("a:b,c"), "a%3Ab%2Cc");
    }
}
