"""A small Hugging Face Hub on 127.0.0.1: repositories in memory, and faults on demand.

It answers what huggingface_hub asks: the commit of a revision, the list of files, and each file with its checksum.
Files with weights or tables have the sha256 of their content, as in Git LFS; the others git's sha1.
"""

import hashlib
import json
import re
import socket
import struct
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import unquote, urlsplit

Name = Literal["gated", "status", "slow", "silent", "cut", "reset", "wrong", "xet"]
LARGE = (".safetensors", ".parquet")
GATED = "Access to model {name} is restricted and you are not in the authorized list."


@dataclass
class Fault:
    """A fault of every answer whose path matches."""

    name: Name
    match: str = "."
    code: int = 502
    """For status: the answer, with an HTML page for a body."""
    seconds: float = 0
    """For slow: the wait before the answer."""
    times: int = 1_000_000
    """The number of answers that it spoils."""


def checksum(path: str, content: bytes) -> str:
    if path.endswith(LARGE):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@dataclass
class HubServer:
    """The server, as a context manager. `asked` holds the path of each request."""

    files: dict[tuple[str, str], dict[str, bytes]] = field(default_factory=dict)
    fault: Fault | None = None
    asked: list[str] = field(default_factory=list)

    def __enter__(self) -> Self:
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"hub": self}))
        self.server.daemon_threads = True
        self.closing = threading.Event()
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self.server.shutdown()
        self.server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def add(self, kind: Literal["models", "datasets"], name: str, files: dict[str, bytes] | Path) -> str:
        """Add a repository, and return its commit."""
        if isinstance(files, Path):
            found = sorted(file for file in files.rglob("*") if file.is_file())
            files = {file.relative_to(files).as_posix(): file.read_bytes() for file in found}
        self.files[kind, name] = files
        return self.commit(kind, name)

    def commit(self, kind: str, name: str) -> str:
        content = self.files[kind, name]
        return hashlib.sha1("".join(checksum(path, content[path]) for path in sorted(content)).encode()).hexdigest()

    def take_fault(self, path: str, *names: Name) -> Fault | None:
        """Return the fault when it is one of these and spoils this answer."""
        fault = self.fault
        if fault is None or fault.name not in names or not re.search(fault.match, path) or fault.times < 1:
            return None
        fault.times -= 1
        return fault


class Handler(BaseHTTPRequestHandler):
    hub: HubServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        return

    def do_GET(self) -> None:
        url = urlsplit(self.path)  # of a proxy's request, the path alone counts
        path = unquote(url.path)
        self.hub.asked.append(path)
        if self.hub.take_fault(path, "silent"):
            self.hub.closing.wait()
            self.close_connection = True
            return
        if fault := self.hub.take_fault(path, "slow"):
            time.sleep(fault.seconds)
        if fault := self.hub.take_fault(path, "status"):
            self.answer(fault.code, b"<html><title>a proxy's page</title></html>", {})
        elif self.headers.get("Authorization") == "Bearer hf_invalid":
            self.refuse(401, "", "Invalid credentials in Authorization header")
        elif found := re.fullmatch(r"/api/(models|datasets)/([^/]+/[^/]+)(?:/(revision|tree)/([^/]+))?", path):
            self.describe(found[1], found[2], found[3], found[4] or "main")
        elif found := re.fullmatch(r"/api/(models|datasets)/([^/]+/[^/]+)/xet-read-token/.+", path):
            token = {"casUrl": self.hub.url, "accessToken": "token", "exp": int(time.time()) + 900}
            names = {"casUrl": "X-Xet-Cas-Url", "accessToken": "X-Xet-Access-Token", "exp": "X-Xet-Token-Expiration"}
            self.answer(200, json.dumps(token).encode(), {names[key]: str(value) for key, value in token.items()})
        elif found := re.fullmatch(r"/(?:(datasets)/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            self.resolve(found[1] or "models", found[2], found[3], found[4])
        else:
            self.refuse(404, "", "no such page")

    do_HEAD = do_GET

    def describe(self, kind: str, name: str, what: str | None, revision: str) -> None:
        if not self.knows(kind, name, revision):
            return
        files, body = self.hub.files[kind, name], {}
        if what == "tree":
            self.answer(200, json.dumps([self.entry(path, content) for path, content in files.items()]).encode(), {})
            return
        body = {"id": name, "sha": self.hub.commit(kind, name), "siblings": [{"rfilename": path} for path in files]}
        self.answer(200, json.dumps(body).encode(), {})

    def entry(self, path: str, content: bytes) -> dict[str, Any]:
        oid = checksum(path, content)
        found: dict[str, Any] = {"type": "file", "oid": oid[:40], "size": len(content), "path": path}
        if path.endswith(LARGE):
            found["lfs"] = {"oid": oid, "size": len(content), "pointerSize": 134}
            if self.hub.take_fault(path, "xet"):
                found["xetHash"] = oid
        return found

    def knows(self, kind: str, name: str, revision: str) -> bool:
        if (kind, name) not in self.hub.files:
            self.refuse(401, "RepoNotFound", "Repository not found")
            return False
        if revision not in {"main", self.hub.commit(kind, name)}:
            self.refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
            return False
        return True

    def resolve(self, kind: str, name: str, revision: str, path: str) -> None:
        if not self.knows(kind, name, revision):
            return
        commit, content = self.hub.commit(kind, name), self.hub.files[kind, name].get(path)
        if self.hub.take_fault(self.path, "gated"):
            self.refuse(403 if "Authorization" in self.headers else 401, "GatedRepo", GATED.format(name=name))
            return
        if content is None:
            self.refuse(404, "EntryNotFound", "Entry not found", {"X-Repo-Commit": commit})
            return
        headers = {"X-Repo-Commit": commit, "ETag": f'"{checksum(path, content)}"', "Accept-Ranges": "bytes"}
        if path.endswith(LARGE) and self.hub.take_fault(self.path, "xet"):
            headers["X-Xet-Hash"] = checksum(path, content)
            headers["Link"] = f'<{self.hub.url}/api/{kind}/{name}/xet-read-token/{commit}>; rel="xet-auth"'
        status = 200
        if wanted := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or ""):
            status, start, total = 206, int(wanted[1]), len(content)
            headers["Content-Range"], content = f"bytes {start}-{total - 1}/{total}", content[start:]
        self.answer(status, content, headers)

    def refuse(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        said = {"X-Error-Code": code, "X-Error-Message": message} | (headers or {})
        self.answer(status, json.dumps({"error": message}).encode(), said)

    def answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if self.hub.take_fault(self.path, "wrong"):
            body = bytes(byte ^ 255 for byte in body)
        if fault := self.hub.take_fault(self.path, "cut", "reset"):
            self.wfile.write(body[: len(body) // 2])
            self.wfile.flush()
            time.sleep(0.1)  # what was written arrives first
            if fault.name == "reset":
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RD if fault.name == "reset" else socket.SHUT_RDWR)
            self.connection.close()
            return
        self.wfile.write(body)
