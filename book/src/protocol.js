'use strict';

// The protocol between generations, to be driven. The first half is tests/protocol/src/{model,connection,invariants}.rs once
// more: what each process decides comes from the table that the server runs, which a test writes to gen/protocol/table.js. The
// second half shows it. `cargo test -p book-check protocol` compares the first half with the Rust, a step at a time.

const protocol = (() => {
    const MOST = 5;
    const STATES = PROTOCOL.states;
    const OLDER = PROTOCOL.older;

    // ---- The table ----

    const numberOf = ({ state, older, drained, replaced }) =>
        ((STATES.indexOf(state) * OLDER + older) * 2 + drained) * 2 + replaced;

    const lifeOf = number => ({
        state: STATES[Math.floor(number / (4 * OLDER))],
        older: Math.floor(number / 4) % OLDER,
        drained: (number & 2) !== 0,
        replaced: (number & 1) !== 0,
    });

    // The life after an event, and the actions. A row has an entry for what changes something.
    const next = (life, event) => {
        const entry = PROTOCOL.next[numberOf(life)][PROTOCOL.events.indexOf(event)];
        return entry ? [lifeOf(entry[0]), PROTOCOL.actions[entry[1]]] : [life, []];
    };

    const hasTimeout = life => PROTOCOL.timeouts.includes(life.state);

    // ---- The world ----

    const notStarted = () => ({
        phase: 'NotStarted',
        life: { state: 'Standby', older: 0, drained: false, replaced: false },
        performing: null,
        predecessor: null,
        successor: null,
        inbox: [],
        outbox: [],
        socket: 'Closed',
        handsOver: false,
        reaping: false,
        failed: false,
        caused: null,
        trusts: false,
    });

    const connection = (is, by = null, to = null) => ({ is, by, to });

    const isAlive = process => process.phase === 'Starting' || process.phase === 'Running';
    const actionOf = process => {
        if (!process.performing) {
            return undefined;
        }
        const { from, event, done } = process.performing;
        return next(from, event)[1][done];
    };
    const isListening = world => world.processes.some(it => it.socket !== 'Closed');
    const isQueued = ({ is }) => is === 'Queued' || is === 'Late';
    const isHeld = ({ is }) => ['With', 'Offered', 'Taken', 'WithBoth'].includes(is);
    const isWith = ({ is, by, to }, id) => {
        const one = (is === 'With' || is === 'Offered') && by === id;
        return one || (is === 'Taken' || is === 'WithBoth') && (by === id || to === id);
    };
    const meansTheService = ({ state, replaced }) =>
        ['Standby', 'Called', 'Serving', 'Upgrading'].includes(state) || state === 'Retiring' && !replaced;

    // A step is written as its name and, mostly, the process: `Upgrade0`, `Connect`.
    const parse = step => {
        const [, name, id] = /^([A-Za-z]+)(\d?)$/.exec(step);
        return [name, id === '' ? null : Number(id)];
    };

    // What happens without help from outside, sooner or later.
    const EXTERNAL = ['Upgrade', 'Terminate', 'Crash', 'FailToAccept', 'Reject', 'TimeOut', 'Connect', 'Answer', 'Decline', 'Recall'];
    const isInternal = step => !EXTERNAL.includes(parse(step)[0]);

    // One process, which accepts.
    const begin = (limits, rules) => {
        const past = { asked: false, told: false, cut: false, lost: false, unguarded: false };
        const processes = Array.from({ length: MOST }, notStarted);
        const world = { processes, connection: connection('None'), left: { ...limits }, past };
        start(world, null, 0);
        processes[0].phase = 'Running';
        enter(world, 0, 'Activated', rules);
        perform(world, 0, rules);
        return world;
    };

    // ---- Everything that can happen now ----

    const keeps = (rules, duty) => rules.neglects !== duty;

    const steps = (world, rules) => {
        const all = world.processes.flatMap((process, id) => stepsOf(world, id, process, rules));
        return [...all, ...stepsOfTheConnection(world, rules)];
    };

    const stepsOf = (world, id, process, rules) => {
        const found = [];
        const may = (name, possible) => possible && found.push(`${name}${id}`);
        const { life, predecessor, successor } = process;
        const { left } = world;
        const isGone = other => !isAlive(world.processes[other]);
        if (!isAlive(process)) {
            return found;
        }
        const action = actionOf(process);
        may('Crash', left.crashes > 0);
        if (process.phase === 'Starting') {
            may('Start', true);
        } else if (action) {
            const waits = process.reaping && successor !== null && !isGone(successor);
            may('Kill', waits);
            may('Perform', !waits);
            may('FailToAccept', action === 'Accept' && left.crashes > 0);
        } else if (life.state === 'Ended') {
            may('Exit', true);
        } else {
            may('Upgrade', life.state === 'Serving' && left.generations > 0);
            may('Terminate', left.stops > 0);
            const fromPredecessor = predecessor !== null && (process.inbox.length > 0 || isGone(predecessor));
            const fromSuccessor =
                successor !== null && (world.processes[successor].outbox.length > 0 || isGone(successor));
            may('ReadPredecessor', fromPredecessor);
            may('ReadSuccessor', fromSuccessor);
            // The runner reads what is there first.
            const hasRead = !fromPredecessor && !fromSuccessor;
            may('TimeOut', hasRead && hasTimeout(life));
            const onProbation = rules.probation && life.state === 'Retiring' && !process.trusts;
            may('Trust', hasRead && onProbation && life.replaced);
            may('Reject', onProbation && life.replaced && left.rejections > 0);
            const drains = ['Retiring', 'Committed', 'Stopping'].includes(life.state) && !life.drained;
            // Connections may still come from the predecessor.
            const adopts =
                process.handsOver && keeps(rules, 'WaitForArrivals') && predecessor !== null && !isGone(predecessor);
            const stays = onProbation && keeps(rules, 'StayInProbation');
            const owes = stays || adopts || process.socket === 'Empties' || isWith(world.connection, id);
            const isEmpty = !isQueued(world.connection) || !keeps(rules, 'EmptyTheQueue');
            may('Drain', hasRead && drains && !owes);
            may('Close', process.socket === 'Empties' && isEmpty);
        }
        return found;
    };

    const stepsOfTheConnection = (world, rules) => {
        const { is, by, to } = world.connection;
        const found = [];
        const may = (step, possible) => possible && found.push(step);
        const runs = id => world.processes[id].phase === 'Running';
        if (is === 'None') {
            may('Connect', world.left.clients > 0);
        } else if (isQueued(world.connection)) {
            world.processes.forEach(({ socket }, id) => {
                may(`Accept${id}`, (socket === 'Accepts' || socket === 'Empties') && runs(id));
            });
        } else if (is === 'With') {
            may('Answer', runs(by));
            const { handsOver, successor } = world.processes[by];
            const hasPeer = successor !== null && handsOver && runs(by) && isAlive(world.processes[successor]);
            may(`Offer${successor}`, hasPeer);
        } else if (is === 'Offered') {
            const { socket, handsOver } = world.processes[to];
            const serves = socket === 'Accepts' || handsOver;
            may('Take', runs(to) && serves);
            may('Decline', runs(to) && serves);
            may('Recall', runs(by) && keeps(rules, 'TakeBack'));
        } else if (is === 'Taken') {
            may('Answer', runs(to));
            may('Settle', runs(by));
            may('Recall', runs(by) && !keeps(rules, 'TakeBackOnlyOurs'));
        }
        return found;
    };

    // ---- A step ----

    const FROM_PREDECESSOR = { Activate: 'Activated', Stop: 'StopPassedOn' };
    const FROM_SUCCESSOR = {
        Ready: 'SuccessorReady',
        Accepting: 'SuccessorAccepts',
        Committed: 'SuccessorCommitted',
        Stop: 'StopPassedOn',
    };

    // The world after this step.
    const after = (before, step, rules) => {
        const world = structuredClone(before);
        const [name, id] = parse(step);
        const process = world.processes[id];
        const taken = {
            Upgrade: () => enter(world, id, 'UpgradeAsked', rules),
            Terminate: () => {
                world.left.stops -= 1;
                world.past.asked ||= meansTheService(process.life);
                enter(world, id, 'StopAsked', rules);
            },
            Crash: () => {
                crash(world, id);
                end(world, id, 'Lost');
            },
            FailToAccept: () => {
                crash(world, id);
                process.failed = true;
                perform(world, id, rules);
            },
            Reject: () => {
                world.left.rejections -= 1;
                enter(world, id, 'SuccessorRejected', rules);
            },
            TimeOut: () => enter(world, id, 'DeadlinePassed', rules),
            Start: () => {
                process.phase = 'Running';
                tellPredecessor(world, id, 'Ready', rules);
            },
            Perform: () => perform(world, id, rules),
            Kill: () => end(world, process.successor, 'Dropped'),
            ReadPredecessor: () => {
                const message = process.inbox.shift();
                if (message === undefined) {
                    process.predecessor = null;
                    enter(world, id, 'PredecessorGone', rules);
                } else if (FROM_PREDECESSOR[message] || message.startsWith('Older')) {
                    enter(world, id, FROM_PREDECESSOR[message] ?? message, rules);
                }
            },
            ReadSuccessor: () => {
                const message = world.processes[process.successor].outbox.shift();
                if (message === undefined || FROM_SUCCESSOR[message]) {
                    enter(world, id, FROM_SUCCESSOR[message] ?? 'SuccessorGone', rules);
                }
            },
            Trust: () => process.trusts = true,
            Drain: () => enter(world, id, 'Drained', rules),
            Close: () => process.socket = 'Closed',
            Exit: () => end(world, id, 'Dropped'),
        }[name];
        if (taken) {
            taken();
        } else {
            takeOfTheConnection(world, name, id);
        }
        if (!isListening(world)) {
            queueIsGone(world);
        }
        return world;
    };

    // What the runner does with an event: it asks the table, and begins to perform the actions.
    const enter = (world, id, event, rules) => {
        const process = world.processes[id];
        const from = process.life;
        const [to] = next(from, event);
        const retires = from.state === 'Retiring' && event !== 'SuccessorGone';
        const givesUp = retires && (to.state === 'Ended' || event === 'StopAsked');
        world.past.unguarded ||= givesUp && !anotherCanTakeOver(world, id);
        process.life = to;
        process.performing = { from, event, done: 0 };
        if (!actionOf(process)) {
            performed(world, id, rules);
        } else if (rules.atOnce) {
            perform(world, id, rules);
        }
    };

    const perform = (world, id, rules) => {
        const process = world.processes[id];
        const action = actionOf(process);
        if (!action) {
            return;
        }
        const { life } = process;
        const actions = {
            StartSuccessor: () => start(world, id, life.older + 1),
            Accept: () => {
                if (!process.failed) {
                    [process.socket, process.handsOver] = ['Accepts', false];
                }
            },
            Retire: () => {
                if (keeps(rules, 'CloseTheSocket')) {
                    [process.socket, process.handsOver] = ['Holds', rules.handover];
                }
            },
            ActivateSuccessor: () => tellSuccessor(world, id, 'Activate', rules),
            TellOlder: () => tellSuccessor(world, id, `Older(${life.older + 1})`, rules),
            CommitToPredecessor: () => tellPredecessor(world, id, 'Committed', rules),
            StopPredecessor: () => tellPredecessor(world, id, 'Stop', rules),
            StopSuccessor: () => tellSuccessor(world, id, 'Stop', rules),
            KillSuccessor: () => {
                if (process.successor !== null) {
                    world.past.unguarded ||= !anotherCanTakeOver(world, process.successor);
                    end(world, process.successor, 'Lost');
                }
            },
            Stop: () => {
                process.socket = process.socket === 'Accepts' ? 'Empties' : 'Closed';
                process.handsOver = false;
            },
            GiveUpListeners: () => {
                if (process.socket !== 'Empties') {
                    process.socket = 'Closed';
                }
            },
            Cut: () => {
                process.handsOver = false;
                if (process.socket === 'Empties') {
                    process.socket = 'Closed';
                }
                world.past.cut ||= life.older > 0;
                holderEnds(world, id, 'Cut');
                if (isQueued(world.connection) && !isListening(world)) {
                    world.connection = connection('Cut');
                }
            },
        };
        if (action === 'DismissSuccessor' || action === 'EndSuccessor') {
            if (!process.reaping && process.successor !== null && keeps(rules, 'Reap')) {
                process.reaping = true;
                tellSuccessor(world, id, 'Stop', rules);
                return;
            }
            // What it has said still counts.
            const said = process.successor === null ? [] : world.processes[process.successor].outbox;
            process.successor = null;
            if (action === 'DismissSuccessor' && keeps(rules, 'HearTheDismissed') && said.includes('Stop')) {
                process.caused = 'StopPassedOn';
            }
            process.reaping = false;
        } else {
            // A refusal is a sentence in the log.
            actions[action]?.();
        }
        process.performing.done += 1;
        if (!actionOf(process)) {
            performed(world, id, rules);
        } else if (rules.atOnce && actionOf(process) !== 'Accept') {
            perform(world, id, rules);
        }
    };

    // What the runner does when the last action of a transition is performed.
    const performed = (world, id, rules) => {
        const process = world.processes[id];
        const { from, event } = process.performing;
        process.performing = null;
        if (event === 'SuccessorGone') {
            process.successor = null;
        }
        world.past.told ||= event === 'StopAsked' && meansTheService(from);
        if (event === 'SuccessorAccepts') {
            tellSuccessor(world, id, 'Replaced', rules);
        }
        if (next(from, event)[1].includes('Accept')) {
            if (process.failed) {
                process.caused = 'CannotAccept';
            } else {
                tellPredecessor(world, id, 'Accepting', rules);
            }
        }
        const { caused } = process;
        process.caused = null;
        if (caused) {
            enter(world, id, caused, rules);
        }
    };

    const start = (world, predecessor, older) => {
        const id = world.processes.findIndex(it => it.phase === 'NotStarted');
        if (id < 0) {
            return;
        }
        world.left.generations -= 1;
        const life = { state: 'Standby', older, drained: false, replaced: false };
        world.processes[id] = { ...notStarted(), phase: 'Starting', life, socket: 'Holds', predecessor };
        if (predecessor !== null) {
            world.processes[predecessor].successor = id;
            world.processes[predecessor].trusts = false;
        }
    };

    const crash = (world, id) => {
        world.left.crashes -= 1;
        world.past.cut = true;
        world.past.unguarded ||= !anotherCanTakeOver(world, id);
        // A stop that it has not passed on is lost with it.
        const event = world.processes[id].performing?.event;
        world.past.lost ||= event === 'StopAsked' || event === 'StopPassedOn';
    };

    // The kernel closes what it held. Its predecessor can still read what it has said.
    const end = (world, id, held) => {
        world.past.cut ||= held === 'Lost';
        const { inbox, outbox } = world.processes[id];
        world.past.lost ||= inbox.includes('Stop') && hasALaterProcess(world, id);
        const isRead = world.processes.some(it => isAlive(it) && it.successor === id);
        world.processes[id] = { ...notStarted(), phase: 'Gone', outbox: isRead ? outbox : [] };
        holderEnds(world, id, held);
    };

    const anotherCanTakeOver = (world, id) => {
        const isCommitted = ({ successor }) =>
            successor !== null && world.processes[successor].outbox.includes('Committed');
        const canTakeOver = it =>
            isAlive(it) && !it.failed && !it.inbox.includes('Stop')
            && ['Standby', 'Serving', 'Upgrading', 'Retiring'].includes(it.life.state);
        return world.processes.some((it, other) => other !== id && canTakeOver(it) && !isCommitted(it));
    };

    const tellPredecessor = (world, id, message, rules) => {
        const { predecessor, outbox } = world.processes[id];
        if (predecessor !== null && isAlive(world.processes[predecessor]) && keeps(rules, `Send(${message})`)) {
            outbox.push(message);
        }
    };

    const tellSuccessor = (world, id, message, rules) => {
        const { successor } = world.processes[id];
        if (successor === null || !isAlive(world.processes[successor])) {
            world.past.lost ||= message === 'Stop' && hasALaterProcess(world, id);
        } else if (keeps(rules, `Send(${message})`)) {
            world.processes[successor].inbox.push(message);
        }
    };

    const hasALaterProcess = (world, id) => world.processes.some((it, other) => other > id && isAlive(it));

    // ---- The connection ----

    const takeOfTheConnection = (world, name, id) => {
        const { by, to } = world.connection;
        if (name === 'Connect') {
            world.left.clients -= 1;
            const connected = world.past.asked ? 'Late' : 'Queued';
            world.connection = connection(isListening(world) ? connected : 'Refused');
            return;
        }
        world.connection = {
            Accept: () => connection('With', id),
            Answer: () => connection('None'),
            Offer: () => connection('Offered', by, id),
            Take: () => connection('Taken', by, to),
            Decline: () => connection('With', by),
            Recall: () => world.connection.is === 'Offered' ? connection('With', by) : connection('WithBoth', by, to),
            Settle: () => connection('With', to),
        }[name]();
    };

    const holderEnds = (world, id, held) => {
        const { is, by, to } = world.connection;
        if (is === 'With' && by === id || is === 'Offered' && by === id || is === 'Taken' && to === id) {
            world.connection = connection(held);
        } else if (is === 'Offered' && to === id) {
            world.connection = connection('With', by);
        } else if (is === 'Taken' && by === id) {
            world.connection = connection('With', to);
        }
    };

    const queueIsGone = world => {
        if (isQueued(world.connection)) {
            world.connection = connection(world.connection.is === 'Late' ? 'Refused' : 'Reset');
        }
    };

    // ---- What must be true, in the order of PROTOCOL.invariants ----

    // Nothing more happens without help from outside.
    const isSettled = (world, rules) => {
        const changes = step => JSON.stringify(after(world, step, rules)) !== JSON.stringify(world);
        return !steps(world, rules).some(step => isInternal(step) && changes(step));
    };

    const lamps = (world, settled) => {
        const { processes, past } = world;
        const { is } = world.connection;
        const accepts = it => it.socket === 'Accepts';
        const alive = processes.filter(isAlive);
        const mayDrain = state => state === 'Stopping' || state === 'Committed' && past.cut;
        const isAnswered = ({ life }) => {
            const [, asked] = next(life, 'UpgradeAsked');
            const isHeeded = !hasTimeout(life) || numberOf(next(life, 'DeadlinePassed')[0]) !== numberOf(life);
            return (asked.length === 1 && asked[0].startsWith('Refuse') || asked.includes('StartSuccessor')) && isHeeded;
        };
        return [
            processes.filter(accepts).length <= 1,
            !settled || past.asked || past.unguarded
                || processes.some(it => accepts(it) && it.life.state === 'Serving'),
            !settled || !past.told || past.lost || !alive.some(it => !mayDrain(it.life.state)),
            !settled || processes.some(accepts) || processes.every(it => it.socket === 'Closed'),
            is !== 'WithBoth',
            is !== 'Dropped',
            is !== 'Refused' || past.asked || past.unguarded,
            is === 'Reset' ? past.cut : !isQueued(world.connection) || !settled,
            !settled || isHeld(world.connection) || alive.every(accepts),
            !settled || past.cut || processes.filter(accepts).every(it => it.life.older + 1 === alive.length),
            processes.filter(it => it.phase === 'Running' && it.life.state !== 'Ended').every(isAnswered),
        ];
    };

    // What a test compares: what is possible, what is, and what holds, at first and after each of these steps.
    const replay = (limits, rules, walk) => {
        const look = world => {
            const settled = isSettled(world, rules);
            return { steps: steps(world, rules), world, settled, lamps: lamps(world, settled) };
        };
        const seen = [look(begin(limits, rules))];
        for (const step of walk) {
            seen.push(look(after(seen[seen.length - 1].world, step, rules)));
        }
        return seen;
    };

    return { begin, steps, after, parse, next, actionOf, isAlive, isSettled, lamps, replay };
})();

// ---- The page ----

(() => {
    const root = document.getElementById('drive');
    if (!root) {
        return;
    }

    const NEGLECTED = {
        '': 'nothing',
        'CloseTheSocket': 'to stop accepting before it drains',
        'EmptyTheQueue': 'to answer the clients in the queue before it closes the socket',
        'Reap': 'to wait for the end of a successor that it dismisses',
        'Send(Committed)': 'to tell its predecessor not to come back',
        'Send(Stop)': 'to pass a stop on',
        'TakeBackOnlyOurs': 'to ask whether a connection was taken before it takes it back',
    };
    const CLIENT = {
        None: () => 'no connection',
        Queued: () => 'in the queue of the listening socket',
        Late: () => 'in the queue of the listening socket, since after the stop',
        With: (by, _) => `with process ${by}`,
        Offered: (by, to) => `on its way from process ${by} to process ${to}`,
        Taken: (by, to) => `with process ${to}, and process ${by} has not read that`,
        WithBoth: (by, to) => `served by process ${by} and by process ${to}`,
        Lost: () => 'lost with a process that was killed',
        Cut: () => 'cut, since the time was up',
        Refused: () => 'refused, since no process listens',
        Reset: () => 'reset, since the last listener was closed with the client in its queue',
        Dropped: () => 'dropped by a process that ended',
    };
    const SOCKET = { Holds: 'holds the socket', Accepts: 'accepts', Empties: 'empties its queue', Closed: 'has closed the socket' };
    // What the puzzles ask for; the generator asks the same.
    const isLost = ({ connection: { is }, past }) =>
        ['Lost', 'Cut', 'Reset', 'Dropped', 'Refused'].includes(is) && !past.asked;
    const isSolved = {
        lose: isLost,
        loseWithoutCrash: world => isLost(world) && world.left.crashes === PROTOCOL.limits.crashes,
        outage: world => world.connection.is === 'Refused' && !world.past.asked && world.left.crashes === 0
            && world.processes.some(it => protocol.isAlive(it) && it.life.state === 'Committed' && !it.failed),
        two: world => world.processes.filter(it => it.socket === 'Accepts').length > 1,
    };

    let generations, eachAction, neglects, trace, worlds;
    const now = () => worlds[worlds.length - 1];
    const rules = () => ({ probation: true, handover: true, atOnce: !eachAction, neglects });

    const beginAnew = () => {
        trace = [];
        worlds = [protocol.begin({ ...PROTOCOL.limits, generations }, rules())];
    };

    const take = step => {
        worlds.push(protocol.after(now(), step, rules()));
        trace.push(step);
    };

    // ---- The trace in the address: #drive/3/each,Reap/Upgrade0.Start1 ----

    const address = () => {
        const options = [eachAction ? 'each' : '', neglects].filter(Boolean).join(',') || '-';
        return `#drive/${generations}/${options}/${trace.join('.')}`;
    };

    // What is wrong with the address, if something is.
    const readAddress = () => {
        const [, processes, options = '', walk = ''] = decodeURIComponent(location.hash).split('/');
        const words = options.split(',');
        generations = /^[234]$/.test(processes) ? Number(processes) : PROTOCOL.limits.generations;
        eachAction = words.includes('each');
        neglects = words.find(it => it && Object.hasOwn(NEGLECTED, it)) ?? '';
        beginAnew();
        for (const step of walk.split('.').filter(Boolean)) {
            if (!protocol.steps(now(), rules()).includes(step)) {
                return `The trace in the address ends here: its next step, ${step}, is not possible.`;
            }
            take(step);
        }
        return '';
    };

    // ---- Words ----

    const nameOf = step => protocol.parse(step)[0];

    // The process whose step it is; none for the client's.
    const ownerOf = (step, world) => {
        const [name, id] = protocol.parse(step);
        const { is, by, to } = world.connection;
        switch (name) {
            case 'Connect': return null;
            case 'Offer': case 'Recall': case 'Settle': return by;
            case 'Take': case 'Decline': return to;
            case 'Answer': return is === 'Taken' ? to : by;
            default: return id;
        }
    };

    const wordsOf = (step, world) => {
        const [name, id] = protocol.parse(step);
        const process = world.processes[id];
        const more = {
            Perform: () => ` ${protocol.actionOf(process)}`,
            ReadPredecessor: () => `: ${process.inbox[0] ?? 'end of file'}`,
            ReadSuccessor: () => `: ${world.processes[process.successor].outbox[0] ?? 'end of file'}`,
        }[name];
        return PROTOCOL.words[name] + (more?.() ?? '');
    };

    const who = (step, world) => ownerOf(step, world) === null ? 'The client' : `Process ${ownerOf(step, world)}`;

    const placeOf = process => {
        const { phase, life, socket, failed } = process;
        if (phase === 'NotStarted') {
            return 'not started yet';
        }
        if (phase === 'Gone') {
            return 'gone';
        }
        const facts = [phase === 'Starting' ? 'starting' : life.state, SOCKET[socket]];
        facts.push(...[life.older > 0 && `${life.older} older`, life.drained && 'drained', life.replaced && 'replaced', failed && 'cannot accept']);
        return facts.filter(Boolean).join(', ');
    };

    // What is on its way: from, to, messages. The end of a channel comes after everything that was sent.
    const channels = world => world.processes.flatMap((process, id) => {
        const gone = (other, messages) => [...messages, ...protocol.isAlive(world.processes[other]) ? [] : ['end of file']];
        const found = [];
        if (protocol.isAlive(process) && process.predecessor !== null) {
            found.push([process.predecessor, id, gone(process.predecessor, process.inbox)]);
        }
        if (protocol.isAlive(process) && process.successor !== null) {
            found.push([process.successor, id, gone(process.successor, world.processes[process.successor].outbox)]);
        }
        return found;
    }).sort(([a, b], [c, d]) => a - c || b - d);

    // ---- Elements ----

    const make = (tag, { text, ...attributes } = {}, ...children) => {
        const element = document.createElement(tag);
        for (const [name, value] of Object.entries(attributes)) {
            element.setAttribute(name, value);
        }
        element.append(...text === undefined ? [] : [text], ...children);
        return element;
    };
    const button = (text, action) => {
        const element = make('button', { type: 'button', text });
        element.addEventListener('click', action);
        return element;
    };
    const choice = (text, options, onChange) => {
        const select = make('select', {}, ...Object.entries(options).map(([value, text]) => make('option', { value, text })));
        select.addEventListener('change', () => onChange(select.value));
        return [make('label', { text }, ' ', select), select];
    };

    const status = make('p', { class: 'drive-status', role: 'status' });
    const cards = make('div', { class: 'drive-cards' });
    const way = make('ul');
    const lit = make('ol', { class: 'drive-lamps' });
    const broken = make('p', { class: 'drive-broken' });
    const steps = make('ol');
    const count = make('summary');
    const undo = button('Undo', () => {
        if (trace.length > 0) {
            const step = trace.pop();
            worlds.pop();
            show(`Undone: ${wordsOf(step, now())}.`);
        }
    });
    const again = button('Begin anew', () => {
        beginAnew();
        show('Process 0 accepts.');
    });
    const [processes, processesField] = choice('Processes', { 2: 'two', 3: 'three', 4: 'four' }, value => {
        generations = Number(value);
        beginAnew();
        show(`There are up to ${value} processes.`);
    });
    const [neglect, neglectField] = choice('Each process forgets', NEGLECTED, value => {
        neglects = value;
        beginAnew();
        show(`Each process forgets ${NEGLECTED[value]}.`);
    });
    const eachField = make('input', { type: 'checkbox' });
    eachField.addEventListener('change', () => {
        eachAction = eachField.checked;
        beginAnew();
        show(eachAction ? 'Each action is a step.' : 'The actions of a transition are one step.');
    });
    const each = make('label', {}, eachField, ' each action is a step');
    const puzzles = Array.from(document.querySelectorAll('[data-puzzle]'), element => {
        const mark = make('p', { class: 'drive-solved' });
        element.append(mark);
        const { way } = PROTOCOL.puzzles.find(it => it.name === element.dataset.puzzle);
        if (way) {
            element.querySelector('details').append(button('Drive it there', () => {
                [generations, eachAction, neglects] = [PROTOCOL.limits.generations, false, ''];
                beginAnew();
                way.forEach(take);
                show('This is the answer. “Undo” walks back.');
                root.scrollIntoView();
            }));
        }
        return { name: element.dataset.puzzle, mark };
    });

    const buttons = (list, world) => {
        const row = make('div', { class: 'drive-buttons' });
        for (const step of list) {
            const element = button(wordsOf(step, world), () => {
                const before = now();
                take(step);
                const owner = ownerOf(step, before);
                const result = owner === null ? CLIENT[now().connection.is]() : placeOf(now().processes[owner]);
                show(`${who(step, before)}: ${wordsOf(step, before)}. Now: ${result}.`, step);
            });
            element.dataset.drive = step;
            row.append(element);
        }
        return list.length > 0 ? [row] : [];
    };

    const OUTSIDE = ['Upgrade', 'Terminate', 'Crash', 'FailToAccept', 'Reject', 'TimeOut'];

    const card = (name, place, mine, world, ...more) => {
        const outside = mine.filter(step => OUTSIDE.includes(nameOf(step)));
        const inside = mine.filter(step => !OUTSIDE.includes(nameOf(step)));
        const head = make('p', {}, make('strong', { text: name }), `: ${place}`);
        return make('div', { role: 'group', 'aria-label': name }, head, ...more, ...buttons(inside, world), ...buttons(outside, world));
    };

    const show = (says, step) => {
        const world = now();
        const possible = protocol.steps(world, rules());
        const owned = id => possible.filter(it => ownerOf(it, world) === id);
        const { is, by, to } = world.connection;
        const shown = world.processes.slice(0, generations).map((process, id) => {
            const list = process.performing ? protocol.next(process.performing.from, process.performing.event)[1] : [];
            const left = list.slice(process.performing?.done);
            const performs = left.length > 0 ? [make('p', { text: `performs ${left.join(', ')}` })] : [];
            return card(`Process ${id}`, placeOf(process), owned(id), world, ...performs);
        });
        cards.replaceChildren(...shown, card('Client', CLIENT[is](by, to), owned(null), world));

        const open = channels(world).map(([from, to, messages]) => {
            const words = messages.length > 0 ? messages.map(text => make('code', { text })) : ['nothing'];
            return make('li', { text: `${from} → ${to}: ` }, ...words.flatMap((word, place) => place > 0 ? [', ', word] : [word]));
        });
        way.replaceChildren(...open.length > 0 ? open : [make('li', { text: 'no channel is open' })]);

        const settled = protocol.isSettled(world, rules());
        const holds = protocol.lamps(world, settled);
        lit.replaceChildren(...holds.map((it, place) => {
            const text = `${place + 1} ${it ? 'holds' : 'broken'}`;
            return make('li', { text, class: it ? 'lit' : 'out', title: PROTOCOL.invariants[place] });
        }));
        const sentences = PROTOCOL.invariants.filter((_, place) => !holds[place]);
        broken.textContent = sentences.length > 0 ? `Broken: ${sentences.join('; ')}.` : '';

        steps.replaceChildren(...trace.map((it, place) => make('li', { text: `${who(it, worlds[place])}: ${wordsOf(it, worlds[place])}` })));
        count.textContent = `The trace: ${trace.length} ${trace.length === 1 ? 'step' : 'steps'}`;
        undo.setAttribute('aria-disabled', trace.length === 0);
        [processesField.value, neglectField.value, eachField.checked] = [generations, neglects, eachAction];
        const solved = puzzles.filter(({ name, mark }) => {
            const here = isSolved[name](world);
            if (here) {
                mark.textContent = neglects ? 'Solved, with a duty forgotten.' : `Solved in ${trace.length} steps.`;
            }
            return here;
        });
        const quiet = settled ? ' Nothing more happens without help from outside.' : '';
        status.textContent = `${says}${quiet} ${broken.textContent}${solved.length > 0 ? ' A puzzle is solved.' : ''}`.trim();
        history.replaceState(null, '', trace.length > 0 || step ? address() : location.pathname + location.search + keptHash());
        focusAgain(step, world);
    };

    // Without a trace, the address is that of the page, or of the place in it that the reader came to.
    const keptHash = () => location.hash.startsWith('#drive/') ? address() : location.hash;

    // The button that was pressed may be gone: the next one of its process takes the focus.
    const focusAgain = (step, before) => {
        if (!step) {
            return;
        }
        const find = selector => root.querySelector(selector);
        const owner = ownerOf(step, worlds[worlds.length - 2] ?? before);
        const group = owner === null ? 'Client' : `Process ${owner}`;
        (find(`[data-drive="${step}"]`) ?? find(`[aria-label="${group}"] button`) ?? undo).focus();
    };

    // mdBook turns the page at the arrow keys, which a list of choices needs.
    root.addEventListener('keydown', event => event.stopPropagation());
    window.addEventListener('hashchange', () => {
        if (location.hash.startsWith('#drive/')) {
            show(readAddress() || 'The trace in the address is shown.');
        }
    });

    root.append(
        make('div', { class: 'drive-bar' }, processes, neglect, each),
        cards,
        make('p', { text: 'On the way:' }), way,
        make('p', {}, 'The invariants:'), lit, broken,
        status,
        make('div', { class: 'drive-bar' }, undo, again),
        make('details', {}, count, steps),
    );
    root.hidden = false;
    const complaint = readAddress();
    show(complaint || 'Process 0 accepts.');
    if (location.hash.startsWith('#drive/')) {
        root.scrollIntoView();
    }
})();
