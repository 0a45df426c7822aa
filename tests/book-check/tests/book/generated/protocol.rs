//! The protocol between generations, for the page on which it is driven: the table, the words, the puzzles, a story.
//!
//! The invariant: the page decides nothing by itself. What a process does comes from `next`, what must be true from
//! `INVARIANTS`, and a puzzle is as hard as the search says.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::sync::LazyLock;

use graceful_upgrade::lifecycle::{Action, EVENTS, Event, Life, MOST_GENERATIONS, STATES, State, next};
use protocol::connection::{Connection, Step as Client};
use protocol::explore::explore;
use protocol::invariants::{INVARIANTS, Invariant, SUPERVISED};
use protocol::model::{Limits, Message, Process, Socket, Step, World};
use protocol::rules::Rules;
use protocol::search::Explored;
use serde_json::{Value, json};

/// What the world may do on the page; the reader chooses how many processes there are.
pub(crate) const LIMITS: Limits = Limits { generations: 3, crashes: 2, stops: 1, rejections: 1, clients: 1 };

/// The actions of a transition one by one are many more worlds, and no other story.
pub(crate) const AT_ONCE: Rules = Rules { at_once: true, ..Rules::REAL };

/// Something for the reader to bring about. The page asks the same of its own worlds, under the same name.
struct Puzzle {
    name: &'static str,
    asks: &'static str,
    /// None if an invariant says that it is impossible.
    is_solved: Option<fn(&World) -> bool>,
}

const PUZZLES: [Puzzle; 4] = [
    Puzzle {
        name: "lose",
        asks: "Lose a request. Before any stop is asked for, a client gets no answer.",
        is_solved: Some(is_lost),
    },
    Puzzle {
        name: "loseWithoutCrash",
        asks: "Lose a request, and kill no process.",
        is_solved: Some(|world| is_lost(world) && world.left.crashes == LIMITS.crashes),
    },
    Puzzle {
        name: "outage",
        asks: "Find the outage that two crashes make. A client is refused, although an old process still drains.",
        is_solved: Some(|world| {
            let drains = |it: &Process| it.is_alive() && it.life.state == State::Committed && !it.failed;
            let refused = world.connection == Connection::Refused && !world.past.asked;
            refused && world.left.crashes == 0 && world.processes.iter().any(drains)
        }),
    },
    Puzzle { name: "two", asks: "Make two processes accept at the same time.", is_solved: None },
];

/// What can be reached within the limits of the page.
static EXPLORED: LazyLock<Explored<Step>> = LazyLock::new(|| explored_by(LIMITS, &AT_ONCE));

fn explored_by(limits: Limits, rules: &Rules) -> Explored<Step> {
    let explored = explore(limits, rules);
    assert!(explored.broken.is_none(), "in {limits:?}: {:?}", explored.broken);
    explored
}

fn is_lost(world: &World) -> bool {
    use Connection::{Cut, Dropped, Lost, Refused, Reset};
    matches!(world.connection, Lost | Cut | Reset | Dropped | Refused) && !world.past.asked
}

/// A step, as the page writes it: its name, and mostly a process.
pub(crate) fn name(step: Step) -> String {
    let name = format!("{step:?}");
    let name = name.strip_prefix("Client(").map_or(name.as_str(), |it| &it[..it.len() - 1]);
    name.replace(['(', ')'], "")
}

/// All events, with every number that a message carries.
fn events() -> Vec<Event> {
    let others = EVENTS.into_iter().filter(|event| !matches!(event, Event::Older(_)));
    others.chain((1..=MOST_GENERATIONS).map(Event::Older)).collect()
}

/// Every life, the state first, so that the page can compute its place.
fn lives() -> Vec<Life> {
    let mut lives = Vec::new();
    for state in STATES {
        for older in 0..MOST_GENERATIONS {
            for drained in [false, true] {
                lives.extend([false, true].map(|replaced| Life { state, older, drained, replaced }));
            }
        }
    }
    lives
}

/// What the page's script works with.
pub(crate) fn script() -> String {
    let (events, lives) = (events(), lives());
    let mut actions: Vec<&[Action]> = vec![&[]];
    let mut rows = Vec::new();
    for life in &lives {
        let mut entry = |event: &Event| {
            let (to, asked) = next(*life, *event);
            if to == *life && asked.is_empty() {
                return Value::from(0);
            }
            let known = actions.iter().position(|it| *it == asked).unwrap_or(actions.len());
            if known == actions.len() {
                actions.push(asked);
            }
            json!([lives.iter().position(|it| *it == to), known])
        };
        rows.push(Value::from(events.iter().map(&mut entry).collect::<Vec<_>>()));
    }
    let debug = |it: &dyn std::fmt::Debug| format!("{it:?}");
    let timeouts =
        lives.iter().filter(|life| life.timeout().is_some() && **life == Life { state: life.state, ..lives[0] });
    let actions: Vec<Vec<_>> = actions.iter().map(|all| all.iter().map(|it| action(*it)).collect()).collect();
    let words: BTreeMap<_, _> = WORDS.into_iter().collect();
    let mut script =
        "// Written by a test from the table that the server runs: `book/bless`.\nconst PROTOCOL = {\n".to_owned();
    let mut part = |name: &str, value: Value| {
        let _ = writeln!(script, "{}: {value},", json!(name));
    };
    part("states", STATES.iter().map(|it| debug(it)).collect());
    part("older", MOST_GENERATIONS.into());
    part("events", events.iter().map(|it| debug(it)).collect());
    part("timeouts", timeouts.map(|life| debug(&life.state)).collect());
    part("invariants", INVARIANTS.iter().map(|it| it.says).collect());
    part("limits", limits(LIMITS));
    part("words", json!(words));
    part("puzzles", PUZZLES.iter().map(puzzle).collect());
    part("actions", json!(actions));
    // A line for each life: so a difference says which one.
    let rows: Vec<_> = rows.iter().map(Value::to_string).collect();
    script + "\"next\": [\n" + &rows.join(",\n") + "\n]};\n"
}

/// As in the script.
pub(crate) fn limits(limits: Limits) -> Value {
    let Limits { generations, crashes, stops, rejections, clients } = limits;
    json!({ "generations": generations, "crashes": crashes, "stops": stops, "rejections": rejections, "clients": clients })
}

fn action(action: Action) -> String {
    match action {
        Action::Refuse(sentence) => format!("Refuse: {sentence}"),
        other => format!("{other:?}"),
    }
}

fn puzzle(Puzzle { name, is_solved, .. }: &Puzzle) -> Value {
    let way = is_solved.map(|is_solved| answer(is_solved).into_iter().map(self::name).collect::<Vec<_>>());
    json!({ "name": name, "way": way })
}

/// The puzzles and their answers, for the page.
pub(crate) fn puzzles() -> String {
    let mut page = String::new();
    for Puzzle { name, asks, is_solved } in &PUZZLES {
        let _ = writeln!(page, "<div data-puzzle=\"{name}\">\n\n{asks}\n\n<details>\n<summary>Answer</summary>\n");
        if let Some(is_solved) = is_solved {
            let mut world = World::new(LIMITS, &AT_ONCE);
            for step in answer(*is_solved) {
                let _ = writeln!(page, "1. {}", words(step, &world));
                world = world.after(step, &AT_ONCE);
            }
        } else {
            let worlds = thousands(EXPLORED.worlds);
            let _ = writeln!(page, "It is impossible: none of the {worlds} worlds within these limits is like that.");
        }
        page += "\n</details>\n</div>\n\n";
    }
    page
}

fn answer(is_solved: fn(&World) -> bool) -> Vec<Step> {
    shortest(LIMITS, is_solved, |_| true).expect("the puzzle can be solved")
}

/// The shortest way to such a world by these steps.
fn shortest(limits: Limits, is_reached: fn(&World) -> bool, is_taken: fn(&Step) -> bool) -> Option<Vec<Step>> {
    let first = World::new(limits, &AT_ONCE);
    let mut from: HashMap<World, Option<(World, Step)>> = HashMap::from([(first, None)]);
    let mut layer = vec![first];
    while !layer.is_empty() {
        let mut next_layer = Vec::new();
        for world in layer {
            if is_reached(&world) {
                let mut way = Vec::new();
                let mut at = world;
                while let Some((before, step)) = from[&at] {
                    way.push(step);
                    at = before;
                }
                way.reverse();
                return Some(way);
            }
            for step in world.steps(&AT_ONCE).into_iter().filter(is_taken) {
                let after = world.after(step, &AT_ONCE);
                from.entry(after).or_insert_with(|| {
                    next_layer.push(after);
                    Some((world, step))
                });
            }
        }
        layer = next_layer;
    }
    None
}

/// The invariants, as lists in Markdown.
pub(crate) fn invariants() -> String {
    let list = |text: String, it: &Invariant| text + "1. " + &capital(it.says) + ".\n";
    let text = INVARIANTS.iter().fold(String::new(), list);
    let text = text
        + "\nWith an [init supervisor](in-production.md#process-1), which is not on this page, these are true, too:\n\n";
    SUPERVISED.iter().fold(text, list)
}

/// What was explored, as a table in Markdown.
pub(crate) fn explored() -> String {
    let mut table = "| processes | crashes | stops | failed health checks | clients | worlds | steps |\n".to_owned();
    table += "| ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n";
    let four = Limits { generations: 4, crashes: 1, stops: 0, rejections: 0, clients: 0 };
    let supervised = Limits { crashes: 1, clients: 0, ..LIMITS };
    let with_supervisor = explored_by(supervised, &Rules { supervised: true, ..AT_ONCE });
    let all = [
        (LIMITS, "", &*EXPLORED),
        (four, "", &explored_by(four, &AT_ONCE)),
        (supervised, " and an init supervisor", &with_supervisor),
    ];
    for (limits, beside, found) in all {
        let Limits { generations, crashes, stops, rejections, clients } = limits;
        let (worlds, steps) = (thousands(found.worlds), thousands(found.steps));
        let _ = writeln!(
            table,
            "| {generations}{beside} | {crashes} | {stops} | {rejections} | {clients} | {worlds} | {steps} |"
        );
    }
    table
}

fn thousands(number: usize) -> String {
    match number {
        0..1000 => number.to_string(),
        _ => format!("{},{:03}", thousands(number / 1000), number % 1000),
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// The shortest story of an upgrade, as a table in Markdown.
pub(crate) fn story() -> String {
    let limits = Limits { generations: 2, crashes: 0, stops: 0, rejections: 0, clients: 0 };
    let is_over = |world: &World| {
        let successor = world.process(1);
        !world.process(0).is_alive() && successor.is_alive() && successor.predecessor.is_none()
    };
    let is_help = |step: &Step| step.is_internal() || matches!(step, Step::Upgrade(_));
    let way = shortest(limits, is_over, is_help).expect("an upgrade comes to an end");
    let mut world = World::new(limits, &AT_ONCE);
    let mut table = "| what happens | process 0 | process 1 | on the way |\n| --- | --- | --- | --- |\n".to_owned();
    table += &row("the first process accepts", &world);
    for step in way {
        let what = words(step, &world);
        world = world.after(step, &AT_ONCE);
        table += &row(&what, &world);
    }
    table
}

fn row(what: &str, world: &World) -> String {
    let sent = |queue: Vec<Message>, to: u8| queue.into_iter().map(move |message| format!("`{message:?}` to {to}"));
    let successor = world.process(1);
    let sent: Vec<_> =
        sent(successor.outbox.iter().collect(), 0).chain(sent(successor.inbox.iter().collect(), 1)).collect();
    format!("| {what} | {} | {} | {} |\n", place(world.process(0)), place(successor), sent.join(", "))
}

fn place(process: &Process) -> String {
    use protocol::model::Phase::{Gone, NotStarted, Running, Starting};
    let accepts = if process.socket == Socket::Accepts { ", accepts" } else { "" };
    match process.phase {
        NotStarted => "–".to_owned(),
        Starting => "starting".to_owned(),
        Running => format!("{:?}{accepts}", process.life.state),
        Gone => "gone".to_owned(),
    }
}

/// A step in words, with the process that takes it, and what it reads or performs.
fn words(step: Step, world: &World) -> String {
    let name = name(step);
    let (name, id) = name.split_at(name.trim_end_matches(|it: char| it.is_ascii_digit()).len());
    let words = WORDS.into_iter().find(|(it, _)| *it == name).map_or(name, |(_, words)| words);
    let told = |message: Option<Message>| message.map_or(": end of file".to_owned(), |it| format!(": `{it:?}`"));
    let more = match step {
        Step::ReadPredecessor(id) => told(world.process(id).inbox.iter().next()),
        Step::ReadSuccessor(id) => {
            told(world.process(id).successor.and_then(|it| world.process(it).outbox.iter().next()))
        }
        Step::Perform(id) => {
            world.process(id).action(&AT_ONCE).map(|it| format!(" `{}`", action(it))).unwrap_or_default()
        }
        _ => String::new(),
    };
    let who = match (step, world.connection) {
        (Step::Client(Client::Connect), _) => "the client".to_owned(),
        (Step::Client(Client::Take | Client::Decline), Connection::Offered(_, to))
        | (Step::Client(Client::Answer), Connection::Taken(_, to)) => format!("process {to}"),
        (Step::Client(Client::Accept(id)), _) => format!("process {id}"),
        (Step::Client(_), Connection::With(by) | Connection::Offered(by, _) | Connection::Taken(by, _)) => {
            format!("process {by}")
        }
        _ => format!("process {id}"),
    };
    format!("{who}: {words}{more}")
}

/// Every step by its name, as it stands on a button.
const WORDS: [(&str, &str); 23] = [
    ("Upgrade", "upgrade (SIGUSR2)"),
    ("Terminate", "stop (SIGTERM)"),
    ("Crash", "crash (SIGKILL)"),
    ("FailToAccept", "fail to accept"),
    ("Reject", "reject the successor"),
    ("TimeOut", "time passes: the timeout"),
    ("Start", "start, and say ready"),
    ("Perform", "perform"),
    ("Kill", "wait no longer: kill the successor"),
    ("ReadPredecessor", "read from the predecessor"),
    ("ReadSuccessor", "read from the successor"),
    ("Trust", "end the successor’s probation"),
    ("Drain", "notice that nothing is owed"),
    ("Close", "close the socket, its queue is empty"),
    ("Exit", "exit"),
    ("Connect", "connect"),
    ("Accept", "accept the client"),
    ("Answer", "answer the client"),
    ("Offer", "offer the connection to the successor"),
    ("Take", "take the connection"),
    ("Decline", "decline the connection"),
    ("Recall", "take the connection back"),
    ("Settle", "read that the connection is taken"),
];

#[test]
fn every_step_has_words() {
    let steps = [Step::Start(0), Step::Trust(1), Step::Client(Client::Connect), Step::Client(Client::Offer(2))];
    assert_eq!(steps.map(name), ["Start0", "Trust1", "Connect", "Offer2"]);
}
