//! What a page includes.
//!
//! The invariant: a reader sees the terminals in the order in which they were used, and which one each line was on.

use std::fmt::Write as _;

use super::replay::Stretch;

/// Stretches as Markdown: a block for each change of terminal, headed if there is more than one.
pub(crate) fn render(stretches: Vec<Stretch>) -> String {
    let blocks = join(stretches);
    let several = blocks.iter().any(|block| block.terminal != blocks[0].terminal);
    let mut markdown = String::new();
    for Stretch { terminal, text } in blocks {
        if !markdown.is_empty() {
            markdown.push('\n');
        }
        if several {
            let _ = writeln!(markdown, "<p class=\"terminal\">Terminal {terminal}</p>\n");
        }
        let lines: Vec<_> = text.trim_end().lines().map(str::trim_end).collect();
        let _ = writeln!(markdown, "```console\n{}\n```", lines.join("\n"));
    }
    markdown
}

/// One stretch for each time the eye moves to another terminal; none without anything to see.
fn join(stretches: Vec<Stretch>) -> Vec<Stretch> {
    let mut blocks: Vec<Stretch> = Vec::new();
    for stretch in stretches {
        match blocks.last_mut() {
            Some(last) if last.terminal == stretch.terminal => last.text += &stretch.text,
            _ if stretch.text.trim().is_empty() => {}
            _ => blocks.push(stretch),
        }
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stretches(shown: &[(usize, &str)]) -> Vec<Stretch> {
        shown.iter().map(|(terminal, text)| Stretch { terminal: *terminal, text: (*text).to_owned() }).collect()
    }

    #[test]
    fn one_terminal_is_one_block_without_a_head() {
        let shown = stretches(&[(1, "$ echo a\n"), (1, "a\n"), (1, "$ true\n"), (1, "")]);
        assert_eq!(render(shown), "```console\n$ echo a\na\n$ true\n```\n");
    }

    #[test]
    fn each_change_of_terminal_is_a_block_with_a_head() {
        let shown = stretches(&[(1, "$ cat\n"), (2, ""), (1, "^C"), (2, "$ true\n"), (1, "\n"), (2, "$ false\n")]);
        let page = "<p class=\"terminal\">Terminal 1</p>\n\n```console\n$ cat\n^C\n```\n\n\
                    <p class=\"terminal\">Terminal 2</p>\n\n```console\n$ true\n$ false\n```\n";
        assert_eq!(render(shown), page);
    }
}
