use exercises::ch4_table::{Action, Event, State, next};

/// The world around the table, in which the actions happen.
#[derive(Debug, Clone)]
struct World {
    state: State,
    successors: usize,
    accepts: bool,
    stopped: bool,
    history: Vec<Event>,
}

impl World {
    fn step(&self, event: Event) -> World {
        let mut world = self.clone();
        world.history.push(event);
        world.stopped |= event == Event::StopAsked;
        if event == Event::SuccessorGone {
            world.successors -= 1;
        }
        let (state, actions) = next(world.state, event);
        for action in actions {
            match action {
                Action::Start => world.successors += 1,
                Action::Retire => world.accepts = false,
                Action::Kill => world.successors -= 1,
            }
        }
        world.state = state;
        world
    }

    fn possible(&self) -> impl Iterator<Item = Event> + use<> {
        let has_successor = self.successors > 0;
        let always = [Event::UpgradeAsked, Event::StopAsked].into_iter();
        always.chain([Event::SuccessorReady, Event::SuccessorGone].into_iter().filter(move |_| has_successor))
    }
}

/// Every history of up to six events.
fn explore(check: impl Fn(&World)) {
    let start = World { state: State::Serving, successors: 0, accepts: true, stopped: false, history: vec![] };
    let mut worlds = vec![start];
    for _ in 0..6 {
        worlds = worlds.iter().flat_map(|world| world.possible().map(|event| world.step(event))).collect();
        worlds.iter().for_each(&check);
    }
}

#[test]
fn there_is_never_more_than_one_successor() {
    explore(|world| {
        assert!(world.successors <= 1, "after {:?} two successors run: did you look at the state?", world.history);
    });
}

#[test]
fn who_has_no_successor_and_was_not_stopped_accepts() {
    explore(|world| {
        let alone = world.successors == 0 && !world.stopped && !world.history.contains(&Event::SuccessorReady);
        assert!(!alone || world.accepts, "after {:?} no process accepts", world.history);
    });
}

#[test]
fn a_failed_upgrade_can_be_tried_again() {
    let (state, _) = next(State::Upgrading, Event::SuccessorGone);
    assert_eq!(next(state, Event::UpgradeAsked).1, [Action::Start], "the successor is dead, and you still wait for it");
}

#[test]
fn a_stop_leaves_no_successor_behind_that_was_not_ready() {
    explore(|world| {
        let left = world.stopped && world.successors > 0 && !world.history.contains(&Event::SuccessorReady);
        assert!(!left, "after {:?} we have stopped, and a successor is still starting", world.history);
    });
}
