//! The page on which the protocol is driven.
//!
//! The invariant: its script and the model that was explored agree on every walk: what is possible, what is, and what holds.

use fantoccini::error::CmdError;
use graceful_upgrade::lifecycle::{Life, STATES};
use protocol::connection::Connection;
use protocol::explore::explore;
use protocol::invariants::INVARIANTS;
use protocol::model::{Limits, Message, Phase, Process, Socket, Step, World};
use protocol::rules::{Duty, Mutant, Rules};
use serde_json::{Value, json};

use super::browser::Tab;
use crate::generated::protocol::{AT_ONCE, LIMITS, limits, name};

/// How many walks are compared, and how many steps each has.
const WALKS: u64 = 200;
const STEPS: usize = 40;

/// What is left out in some of the walks, so that invariants are broken in them; the page offers most of these.
const DUTIES: [Duty; 9] = [
    Duty::CloseTheSocket,
    Duty::EmptyTheQueue,
    Duty::Reap,
    Duty::HearTheDismissed,
    Duty::StayInProbation,
    Duty::WaitForArrivals,
    Duty::TakeBackOnlyOurs,
    Duty::Send(Message::Committed),
    Duty::Send(Message::Stop),
];

/// Walks through the model, and what the page's script makes of the same steps.
pub(crate) async fn differences(tab: &Tab) -> Result<Vec<String>, CmdError> {
    let mut differences = Vec::new();
    for seed in 0..WALKS {
        let (limits, rules, walk) = walk(seed);
        let mut world = World::new(limits, &rules);
        let mut model = vec![look(&world, &rules)];
        for step in &walk {
            world = world.after(*step, &rules);
            model.push(look(&world, &rules));
        }
        let page = replay(tab, limits, &rules, &walk).await?;
        let page = page.as_array().map(Vec::as_slice).unwrap_or_default();
        if let Some(place) = (0..model.len()).find(|it| page.get(*it) != Some(&model[*it])) {
            let before: Vec<_> = walk[..place].iter().map(|step| name(*step)).collect();
            let page = page.get(place).unwrap_or(&Value::Null);
            differences.push(format!("{rules:?}, after {before:?}:\nmodel {}\npage  {page}", model[place]));
        }
    }
    Ok(differences)
}

/// What the page's script says of each invariant, in worlds that no walk comes to; and which of them were broken in some.
pub(crate) async fn lamps(tab: &Tab) -> Result<(Vec<String>, Vec<bool>), CmdError> {
    let (mut differences, mut broken) = (Vec::new(), vec![false; INVARIANTS.len()]);
    for seed in 0..WALKS {
        let mut random = fastrand::Rng::with_seed(seed);
        let (limits, _, walk) = walk(seed);
        let mut world = World::new(limits, &AT_ONCE);
        for step in &walk {
            if world.steps(&AT_ONCE).contains(step) {
                world = world.after(*step, &AT_ONCE);
            }
        }
        spoil(&mut world, &mut random);
        let settled = random.bool();
        let model: Vec<_> = INVARIANTS.iter().map(|it| (it.holds)(&world, settled, &AT_ONCE)).collect();
        let script = format!("arguments[0](protocol.lamps({}, {settled}))", view(&world));
        let page = tab.ask(&script).await?;
        broken.iter_mut().zip(&model).for_each(|(broken, holds)| *broken |= !holds);
        if page != json!(model) {
            differences.push(format!("{}, settled: {settled}:\nmodel {model:?}\npage  {page}", view(&world)));
        }
    }
    Ok((differences, broken))
}

/// The trace of a counterexample in a model that leaves this out, and what the page's lamps say at its end.
pub(crate) async fn counterexample(tab: &Tab, duty: Duty) -> Result<(&'static str, Value), CmdError> {
    let rules = Rules { mutant: Some(Mutant::Neglects(duty)), ..AT_ONCE };
    let (says, walk) = explore(LIMITS, &rules).broken.expect("the duty is needed");
    let seen = replay(tab, LIMITS, &rules, &walk).await?;
    let place = INVARIANTS.iter().position(|it| it.says == says);
    Ok((says, seen[walk.len()]["lamps"][place.unwrap_or_default()].clone()))
}

async fn replay(tab: &Tab, limits: Limits, rules: &Rules, walk: &[Step]) -> Result<Value, CmdError> {
    let neglects = match rules.mutant {
        Some(Mutant::Neglects(duty)) => format!("{duty:?}"),
        _ => String::new(),
    };
    let Rules { probation, handover, at_once, .. } = *rules;
    let rules = json!({ "probation": probation, "handover": handover, "atOnce": at_once, "neglects": neglects });
    let walk: Vec<_> = walk.iter().map(|step| name(*step)).collect();
    let limits = self::limits(limits);
    tab.ask(&format!("arguments[0](protocol.replay({limits}, {rules}, {}))", json!(walk))).await
}

/// A walk, which is the same one for the same seed.
fn walk(seed: u64) -> (Limits, Rules, Vec<Step>) {
    let mut random = fastrand::Rng::with_seed(seed);
    let limits = Limits {
        generations: random.u8(2..=4),
        crashes: random.u8(0..=2),
        stops: random.u8(0..=2),
        rejections: random.u8(0..=1),
        clients: random.u8(0..=3),
    };
    let (probation, handover, at_once) = (random.u8(0..4) > 0, random.u8(0..4) > 0, random.bool());
    let mutant = random.bool().then(|| Mutant::Neglects(DUTIES[random.usize(0..DUTIES.len())]));
    let rules = Rules { probation, handover, at_once, mutant, ..Rules::REAL };
    let mut world = World::new(limits, &rules);
    let mut walk = Vec::new();
    while walk.len() < STEPS {
        // What goes wrong comes last: it would end most walks before they have begun.
        let (steps, rare): (Vec<_>, Vec<_>) = world.steps(&rules).into_iter().partition(|step| {
            !matches!(step, Step::Crash(_) | Step::Terminate(_) | Step::TimeOut(_) | Step::FailToAccept(_))
        });
        let steps = if steps.is_empty() || random.u8(0..8) == 0 { rare } else { steps };
        match random.choice(steps) {
            Some(step) => {
                world = world.after(step, &rules);
                walk.push(step);
            }
            None if world.steps(&rules).is_empty() => break,
            None => {}
        }
    }
    (limits, rules, walk)
}

/// Changes what no step changes like that.
fn spoil(world: &mut World, random: &mut fastrand::Rng) {
    let connections = [
        Connection::None,
        Connection::Queued,
        Connection::Late,
        Connection::With(0),
        Connection::WithBoth(0, 1),
        Connection::Lost,
        Connection::Refused,
        Connection::Reset,
        Connection::Dropped,
    ];
    world.connection = connections[random.usize(0..connections.len())];
    for process in &mut world.processes[..3] {
        process.phase = [Phase::Running, Phase::Starting, Phase::Gone][random.usize(0..3)];
        process.socket = [Socket::Holds, Socket::Accepts, Socket::Empties, Socket::Closed][random.usize(0..4)];
        process.life.state = STATES[random.usize(0..STATES.len())];
        process.life.older = random.u8(0..=4);
    }
    let past = &mut world.past;
    for fact in [&mut past.asked, &mut past.told, &mut past.cut, &mut past.lost, &mut past.unguarded] {
        *fact = random.u8(0..4) == 0;
    }
}

fn look(world: &World, rules: &Rules) -> Value {
    let steps = world.steps(rules);
    let settled = !steps.iter().any(|step| step.is_internal() && world.after(*step, rules) != *world);
    let lamps: Vec<_> = INVARIANTS.iter().map(|it| (it.holds)(world, settled, rules)).collect();
    let steps: Vec<_> = steps.into_iter().map(name).collect();
    json!({ "steps": steps, "world": view(world), "settled": settled, "lamps": lamps })
}

/// A world as the page's script has it. Each field is named, so that a new one is not forgotten.
fn view(world: &World) -> Value {
    let World { processes, connection, left, past, .. } = world;
    let protocol::model::Past { asked, told, cut, lost, unguarded } = *past;
    let past = json!({ "asked": asked, "told": told, "cut": cut, "lost": lost, "unguarded": unguarded });
    let processes: Vec<_> = processes.iter().map(view_of_process).collect();
    let connection = match *connection {
        Connection::With(by) => json!({ "is": "With", "by": by, "to": null }),
        Connection::Offered(by, to) => json!({ "is": "Offered", "by": by, "to": to }),
        Connection::Taken(by, to) => json!({ "is": "Taken", "by": by, "to": to }),
        Connection::WithBoth(by, to) => json!({ "is": "WithBoth", "by": by, "to": to }),
        other => json!({ "is": format!("{other:?}"), "by": null, "to": null }),
    };
    json!({ "processes": processes, "connection": connection, "left": limits(*left), "past": past })
}

fn view_of_process(process: &Process) -> Value {
    let Process {
        phase,
        life,
        performing,
        predecessor,
        successor,
        inbox,
        outbox,
        socket,
        hands_over,
        reaping,
        failed,
        caused,
        trusts,
    } = *process;
    let messages = |queue: protocol::queue::Queue| queue.iter().map(|it| format!("{it:?}")).collect::<Vec<_>>();
    json!({
        "phase": format!("{phase:?}"),
        "life": view_of_life(life),
        "performing": performing.map(|(from, event, done)| {
            json!({ "from": view_of_life(from), "event": format!("{event:?}"), "done": done })
        }),
        "predecessor": predecessor,
        "successor": successor,
        "inbox": messages(inbox),
        "outbox": messages(outbox),
        "socket": format!("{socket:?}"),
        "handsOver": hands_over,
        "reaping": reaping,
        "failed": failed,
        "caused": caused.map(|event| format!("{event:?}")),
        "trusts": trusts,
    })
}

fn view_of_life(Life { state, older, drained, replaced }: Life) -> Value {
    json!({ "state": format!("{state:?}"), "older": older, "drained": drained, "replaced": replaced })
}
