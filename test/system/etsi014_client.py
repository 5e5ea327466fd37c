"""A client of ETSI GS QKD 014 V1.1.1, written from the text of the standard alone, with Python's standard library.

It runs as an SAE and takes one command a line on standard input, as JSON, and answers each with one line of JSON:

    {"call": "status", "sae": "bob"}
    {"call": "enc_keys", "sae": "bob", "number": 2, "size": 512}
    {"call": "dec_keys", "sae": "alice", "ids": ["..."]}

The answer has the status and the body as the KME sent it, or the fault that this client found against the standard.
"""

import argparse
import base64
import http.client
import json
import re
import ssl
import sys
import urllib.parse
import uuid

STATUS_TEXTS = ("source_KME_ID", "target_KME_ID", "master_SAE_ID", "slave_SAE_ID")
STATUS_NUMBERS = (
    "key_size",
    "stored_key_count",
    "max_key_count",
    "max_key_per_request",
    "max_key_size",
    "min_key_size",
    "max_SAE_ID_count",
)


class Deviation(Exception):
    """The KME answered against the standard."""


def require(condition, words):
    if not condition:
        raise Deviation(words)


class Kme:
    """One KME, with the three methods of clause 5 (table 2)."""

    def __init__(self, host, port, cert, key, ca, kme_id):
        # Clause 5.1: TLS 1.2 or higher, both sides verified; the SAE confirms the KME ID from the certificate.
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=ca)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(cert, key)
        self.connection = http.client.HTTPSConnection(host, port, context=context, timeout=10)
        self.connection.connect()
        subject = self.connection.sock.getpeercert()["subject"]
        names = [value for rdn in subject for name, value in rdn if name == "commonName"]
        require(kme_id in names, "the certificate is not that of %s but of %s" % (kme_id, names))

    def request(self, method, path, body=None):
        headers = {"Accept": "application/json"}
        if body is not None:
            body = json.dumps(body).encode("utf-8")
            headers["Content-Type"] = "application/json"
        self.connection.request(method, path, body=body, headers=headers)
        response = self.connection.getresponse()
        text = response.read().decode("utf-8")
        require(response.getheader("Content-Type", "").split(";")[0] == "application/json", "not JSON: %r" % text[:80])
        model = json.loads(text)
        if response.status == 200:
            return response.status, model
        require(response.status in (400, 401, 503), "status %d is not of the standard" % response.status)
        # Clause 6.5, table 13.
        require(isinstance(model.get("message"), str), "an error without a message")
        require(all(isinstance(detail, dict) for detail in model.get("details", [])), "details is not a list of objects")
        return response.status, model

    def path(self, sae, method):
        return "/api/v1/keys/%s/%s" % (urllib.parse.quote(sae, safe=""), method)

    def status(self, sae):
        """Clause 5.3, table 9."""
        status, model = self.request("GET", self.path(sae, "status"))
        if status == 200:
            for name in STATUS_TEXTS:
                require(isinstance(model.get(name), str), "%s is not text" % name)
            for name in STATUS_NUMBERS:
                require(type(model.get(name)) is int, "%s is not an integer" % name)
            require(model["slave_SAE_ID"] == sae, "slave_SAE_ID is not the SAE of the path")
        return status, model

    def enc_keys(self, sae, number=None, size=None):
        """Clause 5.4: GET for what fits a query string, POST for the same in a body; both in turn, to try both."""
        wishes = {name: value for name, value in (("number", number), ("size", size)) if value is not None}
        if number == 1:
            query = "?" + urllib.parse.urlencode(wishes)
            status, model = self.request("GET", self.path(sae, "enc_keys") + query)
        else:
            status, model = self.request("POST", self.path(sae, "enc_keys"), wishes)
        if status == 200:
            self.check_container(model, number or 1, size)
        return status, model

    def dec_keys(self, sae, ids):
        """Clause 5.5: one ID may stand in the query string, more have to come in a body."""
        if len(ids) == 1:
            query = "?" + urllib.parse.urlencode({"key_ID": ids[0]})
            status, model = self.request("GET", self.path(sae, "dec_keys") + query)
        else:
            body = {"key_IDs": [{"key_ID": key_id} for key_id in ids]}
            status, model = self.request("POST", self.path(sae, "dec_keys"), body)
        if status == 200:
            self.check_container(model, len(ids), None)
            require({key["key_ID"].lower() for key in model["keys"]} == {i.lower() for i in ids}, "other IDs came back")
        return status, model

    def check_container(self, model, number, size):
        """Clause 6.3, table 11; key_ID is a UUID (RFC 4122), key is base64 (RFC 4648, section 4)."""
        keys = model.get("keys")
        require(isinstance(keys, list) and len(keys) == number, "not %d keys" % number)
        for key in keys:
            require(str(uuid.UUID(key["key_ID"])) == key["key_ID"].lower(), "key_ID is not a UUID")
            require(re.fullmatch(r"[A-Za-z0-9+/]+={0,2}", key["key"]), "key is not base64")
            octets = base64.b64decode(key["key"], validate=True)
            require(size is None or len(octets) * 8 == size, "the key has another size")


def main():
    parser = argparse.ArgumentParser()
    for name in ("host", "port", "cert", "key", "ca", "kme-id"):
        parser.add_argument("--" + name, required=True)
    arguments = parser.parse_args()
    kme = Kme(arguments.host, int(arguments.port), arguments.cert, arguments.key, arguments.ca, arguments.kme_id)
    for line in sys.stdin:
        command = json.loads(line)
        call = command.pop("call")
        try:
            status, model = getattr(kme, call)(**command)
            answer = {"status": status, "body": model}
        except Deviation as deviation:
            answer = {"deviation": str(deviation)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
