"""Python's websockets: many connections, with messages in parts, several at a time, and pings; none is opened again."""

import asyncio
import random
import sys

from websockets.asyncio.client import connect

address, last, connections = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
newest, said, answered, pings = [0] * connections, 0, 0, 0


def parts(text):
    return [text[i : i + len(text) // 3 + 1] for i in range(0, len(text), len(text) // 3 + 1)]


async def talk(number):
    global said, answered, pings
    count = 0
    async with connect(f"ws://{address}/") as socket:
        while min(newest) < last:
            texts = ["x" * random.choice([1, 20, 200, 50_000]) for _ in range(random.randint(1, 3))]
            for text in texts:
                await socket.send(parts(text) if random.random() < 0.3 else text)
            if random.random() < 0.2:
                # It is answered with what it says.
                await asyncio.wait_for(await socket.ping(), 20)
                pings += 1
            for text in texts:
                count += 1
                generation, rest = (await asyncio.wait_for(socket.recv(), 20)).split(" ", 1)
                assert rest == f"{count} {text}", f"connection {number}: {rest:.60} for {count} {text:.60}"
                assert int(generation) >= newest[number], f"connection {number}: an older process answers"
                newest[number] = int(generation)
                answered += 1
            while said < min(newest):
                said += 1
                print(f"generation {said} answers", flush=True)
            await asyncio.sleep(random.random() / 50)


async def main():
    async with asyncio.TaskGroup() as group:
        for number in range(connections):
            group.create_task(talk(number))
    print(f"answered={answered} pings={pings}")


asyncio.run(main())
