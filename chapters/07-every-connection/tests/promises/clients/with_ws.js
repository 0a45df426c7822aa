// Node's ws: many connections, with messages in parts, several at a time, and pings; none is opened again.
const WebSocket = require("ws");
const [address, last, connections] = process.argv.slice(2);
const newest = Array(Number(connections)).fill(0);
let said = 0, answered = 0, pings = 0, open = Number(connections);

function below(most) {
    return Math.floor(Math.random() * most);
}

function talk(number) {
    const socket = new WebSocket(`ws://${address}/`);
    let count = 0, texts = [], pinged;
    function say() {
        if (Math.min(...newest) >= last) return socket.close(1000);
        texts = Array.from({ length: 1 + below(3) }, () => "x".repeat([1, 20, 200, 50000][below(4)]));
        for (const text of texts) {
            const parts = Math.random() < 0.3 ? [text.slice(0, text.length / 2), text.slice(text.length / 2)] : [text];
            parts.forEach((part, i) => socket.send(part, { fin: i + 1 === parts.length }));
        }
        if (Math.random() < 0.2) socket.ping(pinged = String(count));
    }
    function next() {
        if (!texts.length && pinged === undefined) setTimeout(say, below(20));
    }
    socket.on("open", say);
    socket.on("pong", (bytes) => {
        if (String(bytes) !== pinged) throw new Error(`connection ${number}: a pong for ${bytes}`);
        pinged = undefined;
        pings++;
        next();
    });
    socket.on("message", (bytes) => {
        const [generation, ...rest] = String(bytes).split(" ");
        const expected = `${++count} ${texts.shift()}`;
        const right = rest.join(" ") === expected && generation >= newest[number];
        if (!right) throw new Error(`connection ${number}: ${bytes} for ${expected}`);
        newest[number] = Number(generation);
        answered++;
        while (said < Math.min(...newest)) console.log(`generation ${++said} answers`);
        next();
    });
    socket.on("close", (code) => {
        if (code !== 1000) throw new Error(`connection ${number}: closed with ${code}`);
        if (!--open) console.log(`answered=${answered} pings=${pings}`);
    });
}
for (let number = 0; number < connections; number++) talk(number);
