"""gRPC's C core: four threads with unary calls on one channel, which never leaves the state READY."""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import grpc

address, last = sys.argv[1], int(sys.argv[2])
numbers, lock, states, newest = count(), threading.Lock(), [], 0


def message(body):
    """google.protobuf.BytesValue"""
    length, size = len(body), b""
    while length > 127:
        size, length = size + bytes([length & 127 | 128]), length >> 7
    return b"\n" + size + bytes([length]) + body if body else b""


def ask(call):
    global newest
    answered = 0
    while newest < last:
        number = next(numbers)
        asked = message(b"x" * (number * 7919 % 30_000 if number % 4 == 0 else number % 100))
        answer, details = call.with_call(asked, timeout=10)
        assert answer == asked, f"call {number}: {len(answer)} bytes for {len(asked)}"
        answered += 1
        generation = int(dict(details.initial_metadata())["x-generation"])
        with lock:
            if generation > newest:
                newest = generation
                print(f"generation {newest} answers", flush=True)
    return answered


with grpc.insecure_channel(address) as channel:
    grpc.channel_ready_future(channel).result(10)
    channel.subscribe(states.append)
    call = channel.unary_unary("/echo.Echo/Echo")
    with ThreadPoolExecutor(4) as threads:
        answered = sum(threads.map(ask, [call] * 4))
    assert set(states) <= {grpc.ChannelConnectivity.READY}, states
print(f"answered={answered}")
