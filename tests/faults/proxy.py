"""A proxy on loopback that stands before a server and breaks what is between it and its clients.

It passes bytes on; of PostgreSQL's protocol (without encryption) it follows as much as it takes to know a COMMIT.
"""

import contextlib
import random
import selectors
import socket
import struct
import threading
from collections.abc import Iterator

import sqlalchemy

LOOPBACK = "127.0.0.1"
#: What begins a transaction's writing, in SQL.
WRITING = ("INSERT", "UPDATE", "DELETE", "CREATE", "ALTER", "DROP", "TRUNCATE")
#: Requests for encryption, and to cancel; they come before, or in place of, the message that begins a session.
REQUESTS_BEFORE = (80877103, 80877104, 80877102)
#: Seconds after which those that wait look whether there is still something to wait for.
GLANCE = 0.02


def free_port() -> int:
    """Return a port on which nobody listens.

    It is below those that systems give to outgoing connections. Among them a server that is away could lose its port
    to somebody else, and a client that tries again and again would once be connected with itself.
    """
    for port in random.SystemRandom().sample(range(20000, 32000), 100):
        with contextlib.suppress(OSError), socket.socket() as one:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            one.bind((LOOPBACK, port))
            return port
    raise AssertionError("a hundred ports are taken")


class CuttingProxy:
    """A proxy before a server; within ``with`` it accepts connections.

    Parameters
    ----------
    port : int
        Where the server listens on loopback.
    follows_commits : bool
        Whether it is a PostgreSQL server, so that `drop_replies_after_commit` can be used.
    """

    def __init__(self, port: int, host: str = LOOPBACK, follows_commits: bool = False) -> None:
        self._server = (host, port)
        self._follows = follows_commits
        self._lock = threading.Lock()
        self._connections: list[_Connection] = []
        self._timers: list[threading.Timer] = []
        self._acceptor: threading.Thread | None = None
        self._listening: socket.socket | None = None
        self._refuses = threading.Event()
        self._until_drop = 0
        #: Whether bytes flow.
        self.flowing = threading.Event()
        self.flowing.set()
        #: How many commits of transactions that wrote something have come by, and how many replies were dropped.
        self.commits = self.dropped = 0
        #: Where it listens itself; it stays the same.
        self.port = free_port()

    @classmethod
    def before(cls, url: str) -> "CuttingProxy":
        """Return one that stands before the server of a URL."""
        parsed = sqlalchemy.make_url(url)
        assert parsed.host and parsed.port, "the URL must name a host and a port"
        return cls(parsed.port, parsed.host, parsed.get_backend_name() == "postgresql")

    def url(self, original_url: str) -> str:
        """Return a URL that leads here instead of to the server itself."""
        parsed = sqlalchemy.make_url(original_url).set(host=LOOPBACK, port=self.port)
        return parsed.render_as_string(hide_password=False)

    def __enter__(self) -> "CuttingProxy":
        self.accept()
        return self

    def __exit__(self, *_: object) -> None:
        for timer in self._timers:
            timer.cancel()
            timer.join()
        self.refuse()
        self.cut()
        for connection in self._connections:
            connection.thread.join(10)
            assert not connection.thread.is_alive(), "a connection does not end"

    # --- what can be broken ---

    def cut(self) -> None:
        """Close all connections now; new ones are accepted."""
        with self._lock:
            while (client := self._next_client()) is not None:  # as its client sees it, it is a connection
                client.close()
            for connection in self._connections:
                connection.cut()

    def refuse(self) -> None:
        """Refuse new connections; those that are there go on."""
        if self._acceptor is not None:
            self._refuses.set()
            self._acceptor.join()
            self._acceptor = self._listening = None

    def accept(self) -> None:
        """Accept connections, on the same port as before."""
        if self._acceptor is None:
            self._listening = socket.create_server((LOOPBACK, self.port), backlog=100)
            self._listening.setblocking(False)
            self._refuses.clear()
            self._acceptor = threading.Thread(target=self._take, args=(self._listening,), name="proxy", daemon=True)
            self._acceptor.start()

    @contextlib.contextmanager
    def outage(self) -> Iterator[None]:
        """Be as a server that is away: no connection stays, and none is accepted."""
        self.refuse()
        self.cut()
        try:
            yield
        finally:
            self.accept()

    def away_for(self, seconds: float) -> None:
        """Begin an outage that ends by itself after so many seconds, and go on at once."""
        self.refuse()
        self.cut()
        self._timers.append(threading.Timer(seconds, self.accept))
        self._timers[-1].start()

    def stall(self) -> None:
        """Let no byte pass; connections stay, and new ones are accepted."""
        self.flowing.clear()

    def resume(self) -> None:
        """Let pass what waits, and all that comes."""
        self.flowing.set()

    def drop_replies_after_commit(self, n: int = 1) -> None:
        """Let the n-th COMMIT from now on reach the server, and cut its connection when the server has replied.

        Those of transactions that wrote something count, on all connections.
        """
        assert self._follows, "only the commits of PostgreSQL can be followed"
        with self._lock:
            self._until_drop = n

    # --- connections ---

    def _take(self, listening: socket.socket) -> None:
        with listening, selectors.DefaultSelector() as ready:
            ready.register(listening, selectors.EVENT_READ)
            while not self._refuses.is_set():
                if not ready.select(GLANCE):
                    continue
                with self._lock:
                    client = self._next_client()
                    if client is not None:
                        self._connections = [one for one in self._connections if one.thread.is_alive()]
                        self._connections.append(_Connection(self, client, self._server, self._follows))

    def _next_client(self) -> socket.socket | None:
        """Return a connection that waits to be accepted, if there is one."""
        if self._listening is None:
            return None
        try:
            client, _ = self._listening.accept()
        except OSError:  # nobody waits, or is gone again
            return None
        client.setblocking(True)
        return client

    def counts(self, commits: int) -> bool:
        """Count commits that are about to reach the server, and return whether the reply is to be dropped."""
        with self._lock:
            is_due = 0 < self._until_drop <= commits
            self._until_drop = max(0, self._until_drop - commits)
            self.commits += commits
            self.dropped += is_due
        return is_due


class _Connection:
    """A connection of a client, with its own to the server, and a thread that passes on what comes."""

    def __init__(self, proxy: CuttingProxy, client: socket.socket, server: tuple[str, int], follows: bool) -> None:
        self._proxy = proxy
        self._server = server
        self._sockets = [client]
        self._session = Session() if follows else None
        self._is_cut = self._drops_reply = False
        self.thread = threading.Thread(target=self._run, name="proxied", daemon=True)
        self.thread.start()

    def cut(self) -> None:
        """End it; its thread closes what is open."""
        self._is_cut = True
        for one in list(self._sockets):
            with contextlib.suppress(OSError):  # closed already, or by the other side
                one.shutdown(socket.SHUT_RDWR)

    def _run(self) -> None:
        with contextlib.ExitStack() as opened, contextlib.suppress(OSError):
            client = opened.enter_context(self._sockets[0])
            server = opened.enter_context(socket.create_connection(self._server, timeout=10))
            server.settimeout(None)
            self._sockets.append(server)
            with selectors.DefaultSelector() as ready:
                for one, other in ((client, server), (server, client)):
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    ready.register(one, selectors.EVENT_READ, other)
                while not self._is_cut:
                    for key, _ in ready.select(1.0):
                        if not self._pass_on(key.fileobj, key.data, from_client=key.fileobj is client):
                            return

    def _pass_on(self, source: socket.socket, sink: socket.socket, from_client: bool) -> bool:
        """Pass on what has come, and return whether the connection goes on."""
        data = source.recv(1 << 16)
        while not self._proxy.flowing.wait(GLANCE):
            if self._is_cut:
                return False
        if not data or self._is_cut:
            return False
        if from_client and self._session is not None and self._proxy.counts(self._session.commits_in(data)):
            self._drops_reply = True
        if not from_client and self._drops_reply:
            return False
        sink.sendall(data)
        return True


# --- PostgreSQL -------------------------------------------------------------------------------------------------------


class Session:
    """What a client says in one session with PostgreSQL, as far as writing and committing goes."""

    def __init__(self) -> None:
        self._rest = b""
        self._has_begun = self._wrote = False
        self._prepared: dict[bytes, str] = {}

    def commits_in(self, data: bytes) -> int:
        """Return how many transactions that wrote something are committed by the messages that `data` completes."""
        self._rest += data
        return sum(self._commits(kind, body) for kind, body in self._messages())

    def _messages(self) -> Iterator[tuple[bytes, bytes]]:
        while True:
            head = 1 if self._has_begun else 0  # only the first messages have no letter that says what they are
            if len(self._rest) < head + 4:
                return
            (length,) = struct.unpack_from("!i", self._rest, head)
            if len(self._rest) < head + length:
                return
            kind, body = self._rest[:head], self._rest[head + 4 : head + length]
            self._rest = self._rest[head + length :]
            if head:
                yield kind, body
            else:
                self._has_begun = struct.unpack_from("!i", body)[0] not in REQUESTS_BEFORE

    def _commits(self, kind: bytes, body: bytes) -> bool:
        """Whether a message commits what was written."""
        if kind == b"P":
            name, statement, _ = body.split(b"\0", 2)
            self._prepared[name] = _verb(statement)
        if kind == b"B":
            return self._hears(self._prepared.get(body.split(b"\0", 2)[1], ""))
        return kind == b"Q" and self._hears(_verb(body.rstrip(b"\0")))

    def _hears(self, verb: str) -> bool:
        commits = verb == "COMMIT" and self._wrote
        self._wrote = verb in WRITING or (self._wrote and verb not in ("COMMIT", "ROLLBACK"))
        return commits


def _verb(statement: bytes) -> str:
    words = statement.decode(errors="replace").replace(";", " ").split(None, 1)
    return words[0].upper() if words else ""
