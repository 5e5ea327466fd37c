"""Derives every key of hybrid-keys.json and level-keys.json from the text of the construction (docs/levels.md).

Shares no line with the toolkit. Prints both files with the results put in; `--write` puts them into the files.
"""
import hashlib
import hmac
import json
import pathlib
import sys

HERE = pathlib.Path(__file__).parent
CELL, PAYLOAD, BLOCK, PART = 32, 998, 32_000, 250


def lp(*fields):
    raw = [f.encode() if isinstance(f, str) else f for f in fields]
    return b"".join(len(f).to_bytes(2, "big") + f for f in raw)


def u64(number):
    return int(number).to_bytes(8, "big")


def mac(key, data):
    return hmac.new(key, data, hashlib.sha512).digest()


def expand(key, info, size):
    out, last, n = b"", b"", 1
    while len(out) < size:
        last = mac(key, last + info + bytes([n]))
        out, n = out + last, n + 1
    return out[:size]


def context(doc, v):
    return lp(
        "qkdkit/1", bytes([v["suite"]]), lp(*doc["siteIds"]), doc["issuer"], u64(v["block"]),
        v["offset"].to_bytes(2, "big"), v["sizeBytes"].to_bytes(4, "big"), doc["master"], doc["slave"], v["trustClass"],
    )


def hybrid(doc, v):
    pool, size = lp(*doc["siteIds"]), v["sizeBytes"]
    pb = mac(bytes.fromhex(doc["root"]), lp("pq block", pool, u64(v["block"]), v["trustClass"], u64(v["epoch"])))
    kctx, cells = context(doc, v), bytes.fromhex(v["cells"])
    if v["suite"] == 3:
        mask = expand(pb, lp("pq mask") + kctx, size)
        key = bytes(a ^ b for a, b in zip(cells, mask))
    else:
        whole = cells[: -(-size // CELL) * CELL]
        prk = mac(whole, b"\x01" + pb + hashlib.sha512(kctx).digest())
        key = expand(prk, b"hybrid-kdf" + kctx, size)
    return {**v, "blockSecret": pb.hex(), "key": key.hex()}


def virtual_cells(doc, b):
    pool, cells = lp(*doc["siteIds"]), b["cells"]
    named = [pool, u64(b["block"]), b["trustClass"], u64(cells)]
    if b["kind"] == "expanded":
        seed = b["seed"]
        prk = mac(bytes.fromhex(seed["cell"]), lp("qkdkit/1 expanded", *named, u64(seed["block"]), u64(seed["offset"])))
    else:
        prk = mac(bytes.fromhex(doc["root"]), lp("qkdkit/1 post-quantum", *named, u64(b["epoch"])))
    made = b"".join(
        expand(prk, lp("qkdkit/1 cells", u64(done)), min(PART, cells - done) * CELL) for done in range(0, cells, PART)
    )
    before = (PAYLOAD - cells) * CELL
    return bytes(before) + made + bytes(BLOCK - before - len(made))


def levels(doc):
    blocks = []
    for b in doc["blocks"]:
        block = bytes.fromhex(b["bytes"]) if b["kind"] == "network" else virtual_cells(doc, b)
        keys = []
        for k in b["keys"]:
            start = (k["offset"] - b.get("firstCell", 0)) * CELL
            keys.append({**k, "key": block[start : start + k["sizeBytes"]].hex()})
        blocks.append({**b, "digest": hashlib.sha256(block).hexdigest(), "keys": keys})
    return {**doc, "blocks": blocks}


def main():
    results = {}
    for name, derive in (
        ("hybrid-keys.json", lambda doc: {**doc, "keys": [hybrid(doc, v) for v in doc["keys"]]}),
        ("level-keys.json", levels),
    ):
        results[name] = derive(json.loads((HERE / name).read_text()))
        if "--write" in sys.argv:
            (HERE / name).write_text(json.dumps(results[name], indent=1) + "\n")
    print(json.dumps(results))


main()
