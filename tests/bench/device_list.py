"""10,000 devices: the first page of 50 with the counts of all, as a browser gets it.

The devices' rows are written into the catalogue while nothing is served: enrolling them is not what is measured.
"""

import gzip
import http.client
import os
import re
import sqlite3
import time
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import msgspec
from doors import Browser, Server, caisey
from figures import Row
from raw_device import FACTS

DEVICES, CLIENTS, ROUNDS, EACH = 10_000, 40, 5, 20
MESHCENTRAL = 121.0  # ms, its list of 10,000; 3.5 MB


def measure(folder: Path) -> list[Row]:
    """Ask for the page again and again."""
    made = caisey("init", "--data", str(folder / "data"))
    link = re.search(r"/sign-in/\S+", made.stdout)
    assert link is not None, made.stderr
    _fill(folder / "data" / "catalogue.db")
    server = Server(folder / "data")
    server.start()
    try:
        browser = Browser(server.url)
        browser.get(link.group())
        browser.post(link.group())
        cookie = "; ".join(f"{name}={value}" for name, value in browser.client.cookies.items())
        parts = urlsplit(server.url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port)
        headers = {"cookie": cookie, "accept": "text/html", "accept-encoding": "gzip"}
        ours, size, whole = [], 0, 0
        for _ in range(ROUNDS):
            took = []
            for _ in range(EACH):
                begun = time.perf_counter()
                connection.request("GET", "/t/my-company/", headers=headers)
                answer = connection.getresponse()
                body = answer.read()
                took.append((time.perf_counter() - begun) * 1000)
                page = gzip.decompress(body)
                assert answer.status == 200
                assert page.count(b"data-item") == 50
                size, whole = len(body), len(page)
            ours.append(median(took))
        connection.close()
    finally:
        server.stop()
    return [
        Row(
            what="10,000 devices: first 50 and counts",
            unit="ms",
            ours=ours,
            reference=[MESHCENTRAL],
            must=0.1,
            aim=0.03,
            against="ms, MeshCentral (figure)",
            note=f"the page is {size / 1000:.1f} kB packed, {whole / 1000:.0f} kB unpacked; MeshCentral sends 3.5 MB",
        )
    ]


def _fill(path: Path) -> None:
    catalogue = sqlite3.connect(path)
    (tenant,) = catalogue.execute("SELECT id FROM tenant").fetchone()
    clients = [str(uuid4()) for _ in range(CLIENTS)]
    installer = str(uuid4())
    catalogue.executemany(
        "INSERT INTO client (id, tenant, name, lower_name, created_at) VALUES (?,?,?,?,0)",
        [(client, tenant, f"Client {number}", f"client {number}") for number, client in enumerate(clients)],
    )
    facts = msgspec.json.encode(FACTS)
    catalogue.executemany(
        "INSERT INTO device (id, tenant, client, name, key, installer, installer_label, enrolled_at, removed_at, "
        "removed_reason, facts, last_seen) VALUES (?,?,?,?,?,?,'Bench',0,NULL,'',?,?)",
        [
            (
                str(UUID(bytes=os.urandom(16), version=4)),
                tenant,
                clients[number % CLIENTS],
                f"PC-{number:05}",
                os.urandom(32),
                installer,
                facts,
                1_760_000_000_000_000,
            )
            for number in range(DEVICES)
        ],
    )
    catalogue.commit()
    catalogue.close()
