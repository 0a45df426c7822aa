"""httpx, and below it h2 for Python: four requests at a time on one connection."""

import asyncio
import sys

import httpx

address, last = sys.argv[1], int(sys.argv[2])
asked = answered = newest = 0


async def ask(client):
    global asked, answered, newest
    while newest < last:
        number, asked = asked, asked + 1
        body = b"x" * (number * 7919 % 60_000)
        if number % 3 == 2:
            answer = await client.post(f"http://{address}/echo", content=body)
            right = answer.status_code == 200 and answer.content == body
        else:
            answer = await client.get(f"http://{address}/")
            right = answer.status_code == 200
        assert right and answer.http_version == "HTTP/2", f"request {number}: {answer} {len(answer.content)}"
        answered += 1
        generation = int(answer.headers["x-generation"])
        if generation > newest:
            newest = generation
            print(f"generation {newest} answers", flush=True)


async def main():
    one = httpx.Limits(max_connections=1)
    async with httpx.AsyncClient(http1=False, http2=True, limits=one, timeout=10) as client:
        await asyncio.gather(*(ask(client) for _ in range(4)))
    print(f"answered={answered}")


asyncio.run(main())
