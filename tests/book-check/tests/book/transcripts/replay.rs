//! A script, played.
//!
//! The invariant: every step ends within its timeout, and one that does not says what every terminal showed.

use std::fmt::Write as _;
use std::time::Duration;

use super::lines::in_order;
use super::sandbox::Sandbox;
use super::script::{Action, Script, Step};
use super::terminal::Terminal;

/// What one terminal showed without a break.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stretch {
    pub(crate) terminal: usize,
    pub(crate) text: String,
}

/// Takes every step of `script`, each within `timeout`, and returns what was shown.
///
/// # Errors
/// Which step failed, why, and what the terminals showed until then.
pub(crate) fn replay(script: &Script, timeout: Duration) -> Result<Vec<Stretch>, String> {
    let mut sandbox = Sandbox::new(script.terminals())?;
    let mut shown = Vec::new();
    for step in &script.steps {
        let terminal = &mut sandbox.terminals[step.terminal - 1];
        let text = take_step(terminal, step, timeout).map_err(|why| failure(script, step, &why, &sandbox))?;
        if !step.hidden {
            shown.push(Stretch { terminal: step.terminal, text });
        }
    }
    Ok(shown)
}

fn take_step(terminal: &mut Terminal, step: &Step, timeout: Duration) -> Result<String, String> {
    match &step.action {
        Action::Run(command) => {
            terminal.await_prompt(timeout)?;
            let end = terminal.press(&format!("{command}\n"), &format!("$ {command}\n"))?;
            // A hidden command is over before the next step, or that would show what it says.
            let end = if step.hidden { terminal.await_prompt(timeout)? } else { end };
            Ok(terminal.take(end))
        }
        Action::Type(line) => {
            let line = format!("{line}\n");
            let end = terminal.press(&line, &line)?;
            Ok(terminal.take(end))
        }
        Action::Press(letter) => {
            let end = terminal.press(&control(*letter).to_string(), &echo(*letter))?;
            Ok(terminal.take(end))
        }
        Action::AwaitLines(parts) => {
            let end = terminal.await_lines(parts, timeout)?;
            Ok(in_order(&terminal.take(end), parts))
        }
        Action::AwaitPrompt => {
            let end = terminal.await_prompt(timeout)?;
            Ok(terminal.take(end))
        }
    }
}

/// What a keyboard sends for Ctrl and a letter: the last five bits of it.
fn control(letter: char) -> char {
    char::from(letter as u8 & 0x1f)
}

/// What a terminal shows for Ctrl and a letter: for Ctrl-D, the end of the input, nothing.
fn echo(letter: char) -> String {
    if letter == 'D' { String::new() } else { format!("^{letter}") }
}

fn failure(script: &Script, step: &Step, why: &str, sandbox: &Sandbox) -> String {
    let mut message = format!("{}.txt, line {}, `{}`: {why}", script.name, step.line, step.text);
    for (terminal, number) in sandbox.terminals.iter().zip(1..) {
        let _ = write!(message, "\n--- terminal {number} ---\n{}", terminal.everything());
    }
    message
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::sandbox;
    use super::super::terminal::PROMPT;
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(20);

    /// What a script shows, on whatever terminal, where scripts can be played at all.
    fn play(text: &str, timeout: Duration) -> Option<Result<String, String>> {
        let script = Script::parse("name", text).expect("the script is right");
        let shown = || Ok(replay(&script, timeout)?.into_iter().map(|it| it.text.replace(PROMPT, "")).collect());
        sandbox::allowed().then(shown)
    }

    #[test]
    fn ctrl_c_goes_through_the_terminal_and_ends_what_runs() {
        let Some(shown) = play("1 $ cat\n1 < echoed\n1 ~ echoed\n1 ^C\n1 .\n1 $ echo $?\n1 .\n", TIMEOUT) else {
            return;
        };
        let shown = shown.expect("every step succeeds");
        assert_eq!(shown, "$ cat\nechoed\nechoed\n^C\n$ echo $?\n130\n");
    }

    #[test]
    fn one_terminal_sees_what_another_does() {
        let text = "1 $ sleep infinity\nhide 2 $ until pgrep -P $(pgrep -o bash) sleep; do :; done\n\
                    2 $ pkill -HUP -P $(pgrep -o bash) sleep\n1 .\n1 $ ip -br link\n1 .\n";
        let Some(shown) = play(text, TIMEOUT) else { return };
        let shown = shown.expect("every step succeeds");
        assert!(shown.contains("Hangup"), "{shown}");
        assert_eq!(shown.matches("LOOPBACK").count(), 1, "a device is there that is not the sandbox's own: {shown}");
    }

    #[test]
    fn a_line_that_never_comes_is_named_with_what_came_instead() {
        let Some(shown) = play("1 $ echo this\n2 $ echo that\n2 .\n1 ~ something else\n", Duration::from_millis(500))
        else {
            return;
        };
        let failure = shown.expect_err("no program says something else");
        let expected = "name.txt, line 4, `1 ~ something else`: no line with [\"something else\"] came\n\
                        --- terminal 1 ---\n$ echo this\nthis\n\n--- terminal 2 ---\n$ echo that\nthat\n";
        assert_eq!(failure, expected);
    }

    #[test]
    fn nothing_outlives_the_script_that_started_it() {
        let Some(shown) = play("1 $ setsid nohup sleep 86397 </dev/null >/dev/null 2>&1 &\n1 .\n", TIMEOUT) else {
            return;
        };
        shown.expect("every step succeeds");
        let commands = fs::read_dir("/proc").expect("proc is there").flatten();
        let commands = commands.filter_map(|process| fs::read_to_string(process.path().join("cmdline")).ok());
        assert_eq!(commands.filter(|command| command.contains("86397")).count(), 0);
    }
}
