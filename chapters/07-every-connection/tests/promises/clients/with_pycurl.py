"""libcurl, and below it nghttp2: six requests at a time on one connection."""

import io
import sys

import pycurl

address, last = sys.argv[1], int(sys.argv[2])
asked = answered = newest = connections = 0
multi = pycurl.CurlMulti()
multi.setopt(pycurl.M_PIPELINING, pycurl.PIPE_MULTIPLEX)
multi.setopt(pycurl.M_MAX_HOST_CONNECTIONS, 1)


def ask(curl):
    global asked
    number, asked = asked, asked + 1
    body = b"x" * (number * 7919 % 60_000) if number % 3 == 2 else None
    # The server answers at once, and leaves the body unread.
    unread = body is not None and number % 4 == 3
    curl.reset()
    curl.number, curl.body, curl.unread, curl.got, curl.head = number, body, unread, io.BytesIO(), io.BytesIO()
    curl.setopt(pycurl.URL, f"http://{address}{'/echo' if body is not None and not unread else '/'}")
    curl.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE)
    curl.setopt(pycurl.PIPEWAIT, 1)
    curl.setopt(pycurl.TIMEOUT, 10)
    curl.setopt(pycurl.WRITEDATA, curl.got)
    curl.setopt(pycurl.HEADERFUNCTION, curl.head.write)
    if body is not None:
        curl.setopt(pycurl.POST, 1)
        curl.setopt(pycurl.POSTFIELDSIZE, len(body))
        curl.setopt(pycurl.READDATA, io.BytesIO(body))
    multi.add_handle(curl)


def check(curl):
    global answered, newest, connections
    status, got = curl.getinfo(pycurl.RESPONSE_CODE), curl.got.getvalue()
    right = status == 405 if curl.unread else status == 200 and (curl.body is None or got == curl.body)
    assert right, f"request {curl.number}: {status} {len(got)}"
    answered += 1
    connections += curl.getinfo(pycurl.NUM_CONNECTS)
    assert connections == 1, f"request {curl.number} had a connection of its own"
    lines = curl.head.getvalue().decode().splitlines()
    generation = next(int(line.split(":")[1]) for line in lines if line.startswith("x-generation:"))
    if generation > newest:
        newest = generation
        print(f"generation {newest} answers", flush=True)


# The first one alone: it opens the connection.
ask(pycurl.Curl())
under_way = 1
while under_way:
    multi.perform()
    _, ended, failed = multi.info_read()
    assert not failed, f"{failed[0][0].number}: {failed[0][1:]}"
    for curl in ended:
        multi.remove_handle(curl)
        check(curl)
        under_way -= 1
        while newest < last and under_way < 6:
            ask(curl)
            curl = pycurl.Curl()
            under_way += 1
    multi.select(1.0)
print(f"answered={answered}")
