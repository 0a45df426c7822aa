// Node's own HTTP/2: eight requests at a time on one session, which it never opens again.
const [address, last] = process.argv.slice(2);
const session = require("http2").connect(`http://${address}`);
session.on("goaway", () => { throw new Error("told to leave"); });
let asked = 0, answered = 0, under_way = 0, newest = 0;

function ask() {
    if (newest === Number(last)) {
        if (!under_way) {
            console.log(`answered=${answered}`);
            session.close();
        }
        return;
    }
    const number = asked++;
    const body = number % 3 === 2 ? Buffer.alloc(number * 7919 % 60000, "x") : undefined;
    // The server answers at once, and leaves the body unread.
    const unread = body && number % 4 === 3;
    const head = body ? { ":method": "POST", ":path": unread ? "/" : "/echo" } : { ":path": "/" };
    const stream = session.request(head, { endStream: !body });
    const got = [];
    let status, generation;
    under_way++;
    stream.on("response", (head) => { status = head[":status"]; generation = Number(head["x-generation"]); });
    stream.on("data", (bytes) => got.push(bytes));
    stream.on("end", () => {
        const all = Buffer.concat(got);
        const right = unread ? status === 405 : status === 200 && (!body || all.equals(body));
        if (!right) throw new Error(`request ${number}: ${status}, ${all.length} bytes`);
        answered++;
        under_way--;
        if (generation > newest) console.log(`generation ${newest = generation} answers`);
        ask();
    });
    stream.end(body);
}
for (let i = 0; i < 8; i++) ask();
