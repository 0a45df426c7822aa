//! A script: what is typed on which terminal, and what is awaited there.
//!
//! The invariant: a script is understood as a whole before its first step is taken, or refused with a sentence that
//! names the line.

use regex::Regex;

/// As many terminals as a person can follow.
const TERMINALS: usize = 4;

/// A script, understood.
#[derive(Debug)]
pub(crate) struct Script {
    /// The name of its file, without the extension.
    pub(crate) name: String,
    /// What it says.
    text: String,
    /// Programs it cannot do without.
    pub(crate) needs: Vec<Need>,
    /// What is volatile in what it shows, besides the usual.
    pub(crate) redactions: Vec<Redaction>,
    /// In order.
    pub(crate) steps: Vec<Step>,
}

/// A program, and the Debian package that has it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Need {
    pub(crate) program: String,
    pub(crate) package: String,
}

/// What is shown in place of what.
#[derive(Debug)]
pub(crate) struct Redaction {
    pub(crate) what: Regex,
    pub(crate) replacement: String,
}

/// One line of a script.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// As it is written, for messages.
    pub(crate) text: String,
    /// The number of its line, from 1.
    pub(crate) line: usize,
    /// The number of its terminal, from 1.
    pub(crate) terminal: usize,
    /// Whether the reader does not see it.
    pub(crate) hidden: bool,
    pub(crate) action: Action,
}

/// What a person at a terminal does.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Waits for the prompt, types a command and presses Enter.
    Run(String),
    /// Types a line for the program that runs.
    Type(String),
    /// Presses Ctrl and this letter.
    Press(char),
    /// Waits for a line that contains this, for each of these.
    AwaitLines(Vec<String>),
    /// Waits for the prompt.
    AwaitPrompt,
}

impl Script {
    /// Understands a script.
    ///
    /// # Errors
    /// A sentence about the first line that is not understood.
    pub(crate) fn parse(name: &str, text: &str) -> Result<Script, String> {
        let mut script =
            Script { name: name.to_owned(), text: text.to_owned(), needs: vec![], redactions: vec![], steps: vec![] };
        for (line, number) in text.lines().zip(1..) {
            script.read(line.trim_end(), number).map_err(|what| format!("{name}.txt, line {number}: {what}"))?;
        }
        if script.steps.is_empty() {
            return Err(format!("{name}.txt has no step"));
        }
        Ok(script)
    }

    /// The numbers of the terminals it uses are 1 to this.
    pub(crate) fn terminals(&self) -> usize {
        self.steps.iter().map(|step| step.terminal).max().unwrap_or(0)
    }

    /// Whether it says `word`, say `48567` or `1.5s`, as a word of its own.
    pub(crate) fn names(&self, word: &str) -> bool {
        self.text
            .split(|character: char| !character.is_alphanumeric() && character != '.')
            .any(|its| its.trim_matches('.') == word)
    }

    fn read(&mut self, line: &str, number: usize) -> Result<(), String> {
        if line.is_empty() || line.starts_with('#') {
        } else if let Some(need) = line.strip_prefix("need: ") {
            self.needs.push(parse_need(need)?);
        } else if let Some(redaction) = line.strip_prefix("redact: ") {
            self.redactions.push(parse_redaction(redaction)?);
        } else {
            self.steps.push(parse_step(line, number)?);
        }
        Ok(())
    }
}

fn parse_need(text: &str) -> Result<Need, String> {
    let (program, package) = text.trim().split_once(' ').ok_or("write `need: PROGRAM PACKAGE`")?;
    Ok(Need { program: program.to_owned(), package: package.to_owned() })
}

fn parse_redaction(text: &str) -> Result<Redaction, String> {
    let (what, replacement) = text.split_once(" =>").ok_or("write `redact: REGEX => REPLACEMENT`")?;
    let what = Regex::new(what.trim()).map_err(|error| format!("{error}"))?;
    Ok(Redaction { what, replacement: replacement.trim().to_owned() })
}

fn parse_step(line: &str, number: usize) -> Result<Step, String> {
    let (hidden, visible) = line.strip_prefix("hide ").map_or((false, line), |rest| (true, rest));
    let (terminal, action) = visible.split_once(' ').unwrap_or((visible, ""));
    let Ok(terminal @ 1..=TERMINALS) = terminal.parse() else {
        return Err(format!("a step begins with the number of a terminal, 1 to {TERMINALS}, not {terminal:?}"));
    };
    let Some(action) = parse_action(action) else {
        return Err(format!("{action:?} is none of `$ COMMAND`, `~ PART OF A LINE`, `.`, `^C`, `< A LINE`"));
    };
    Ok(Step { text: line.to_owned(), line: number, terminal, hidden, action })
}

fn parse_action(text: &str) -> Option<Action> {
    let (verb, object) = text.split_once(' ').unwrap_or((text, ""));
    match (verb, object) {
        ("$", command) if !command.is_empty() => Some(Action::Run(command.to_owned())),
        ("<", line) => Some(Action::Type(line.to_owned())),
        ("~", parts) if !parts.is_empty() => Some(Action::AwaitLines(parts.split(" | ").map(str::to_owned).collect())),
        (".", "") => Some(Action::AwaitPrompt),
        (key, "") => {
            let key = key.strip_prefix('^')?.parse().ok()?;
            matches!(key, 'A'..='Z' | '\\').then_some(Action::Press(key))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_what_it_says() {
        let text = "# two terminals\nneed: ss iproute2\nredact: \\d+ ms => … ms\nredact: noise =>\n\n\
                    1 $ cat\nhide 2 $ true\n1 < a line\n1 ~ a line | more\n1 ^C\n2 .\n";
        let script = Script::parse("name", text).expect("the script is right");
        let ss = Need { program: "ss".to_owned(), package: "iproute2".to_owned() };
        assert_eq!(script.needs, [ss]);
        let redactions: Vec<_> = script.redactions.iter().map(|it| (it.what.as_str(), &*it.replacement)).collect();
        assert_eq!(redactions, [(r"\d+ ms", "… ms"), ("noise", "")]);
        let steps: Vec<_> = script.steps.iter().map(|step| (step.line, step.terminal, step.hidden)).collect();
        assert_eq!(steps, [(6, 1, false), (7, 2, true), (8, 1, false), (9, 1, false), (10, 1, false), (11, 2, false)]);
        let actions: Vec<_> = script.steps.into_iter().map(|step| step.action).collect();
        let [run, hidden, line] = ["cat", "true", "a line"].map(str::to_owned);
        let expected = [
            Action::Run(run),
            Action::Run(hidden),
            Action::Type(line.clone()),
            Action::AwaitLines(vec![line, "more".to_owned()]),
            Action::Press('C'),
            Action::AwaitPrompt,
        ];
        assert_eq!(actions, expected);
    }

    #[test]
    fn a_line_that_is_not_understood_is_named_and_answered_with_what_would_be() {
        for (line, answer) in [
            ("5 $ true", "name.txt, line 2: a step begins with the number of a terminal, 1 to 4, not \"5\""),
            ("$ true", "a step begins with the number of a terminal, 1 to 4, not \"$\""),
            ("1 kill", "\"kill\" is none of `$ COMMAND`, `~ PART OF A LINE`, `.`, `^C`, `< A LINE`"),
            ("1 ~", "\"~\" is none of"),
            ("1 . .", "\". .\" is none of"),
            ("1 ^c", "\"^c\" is none of"),
            ("need: strace", "write `need: PROGRAM PACKAGE`"),
            ("redact: a -> b", "write `redact: REGEX => REPLACEMENT`"),
            ("redact: ( => b", "unclosed group"),
        ] {
            let refusal = Script::parse("name", &format!("1 $ true\n{line}\n")).expect_err(line);
            assert!(refusal.contains(answer) && refusal.starts_with("name.txt, line 2: "), "{line}: {refusal}");
        }
        assert_eq!(Script::parse("name", "# nothing\n").expect_err("there is nothing to do"), "name.txt has no step");
    }
}
