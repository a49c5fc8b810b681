"""A load generator: clients that each keep a connection and are told by a generator what to send."""

import json
import selectors
import socket


class Reply:
    def __init__(self, head, body):
        self.status = int(head[9:12])
        self.head, self.body = head, body

    def json(self):
        return json.loads(self.body)

    def cookies(self):
        lines = self.head.decode().split("\r\n")
        values = [line.partition(":")[2].split(";")[0].strip() for line in lines if line.lower().startswith("set-cookie:")]
        return "; ".join(values)


def request(port, method, path, body=None, kind="application/json", headers=""):
    """The bytes of a request; a dictionary is sent as JSON or as a form."""
    if isinstance(body, dict):
        body = json.dumps(body) if kind == "application/json" else form(body)
    body = (body or "").encode()
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{headers}"
    if method == "POST":
        head += f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


def form(parameters):
    escape = {"+": "%2B", " ": "+", ":": "%3A", "/": "%2F"}
    return "&".join(f"{name}={''.join(escape.get(one, one) for one in value)}" for name, value in parameters.items())


def drive(port, scripts):
    """Runs each script on a connection of its own: it yields requests and is sent the replies."""
    with selectors.DefaultSelector() as selector:
        for script in scripts:
            first = next(script, None)
            if first is not None:
                connection = socket.create_connection(("127.0.0.1", port), timeout=60)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connection.sendall(first)
                selector.register(connection, selectors.EVENT_READ, [script, b""])
        while selector.get_map():
            for key, _ in selector.select():
                step(selector, key)


def step(selector, key):
    connection, state = key.fileobj, key.data
    received = connection.recv(65536)
    if not received:
        raise ConnectionError("the server hung up")
    state[1] += received
    reply = parse(state[1])
    if reply is None:
        return
    state[1] = b""
    try:
        connection.sendall(state[0].send(reply))
    except StopIteration:
        selector.unregister(connection)
        connection.close()


def parse(received):
    """The reply, once it is complete."""
    head, end, body = received.partition(b"\r\n\r\n")
    if not end:
        return None
    lower = head.lower()
    if b"transfer-encoding: chunked" in lower:
        return Reply(head, dechunk(body)) if body.endswith(b"0\r\n\r\n") else None
    _, found, length = lower.partition(b"content-length:")
    length = int(length.split(b"\r\n", 1)[0]) if found else 0
    return Reply(head, body) if len(body) >= length else None


def dechunk(body):
    whole = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        whole, body = whole + body[: int(size, 16)], body[int(size, 16) + 2 :]
    return whole
