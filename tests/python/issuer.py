"""An issuer of tokens of another make, for tests: it signs with PyJWT and publishes its keys over HTTP.

Usage: issuer.py. It says its port on standard output, then takes one command in a line of standard input and answers in
one line, both JSON:

    {"do": "token", "claims": {...}, "algorithm": "ES256", "type": "at+jwt"}    the token, signed by the newest key
    {"do": "rotate"}    from now on another key signs; the old ones are published too
    {"do": "stop"}      its keys cannot be fetched any more
    {"do": "start"}     they can, at the same port
    {"do": "fetched"}   how often its keys were fetched

It ends with its standard input.
"""

import http.server
import json
import sys
import threading

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

MAKERS = {
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
    "RS256": lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
}


class Issuer:
    """Its keys, newest last, and the server that publishes them."""

    def __init__(self):
        self.keys = []
        self.fetched = 0
        self.server = None
        self.port = 0
        self.rotate()
        self.start()

    def rotate(self):
        """Another key for each algorithm."""
        serial = len(self.keys)
        for algorithm, make in MAKERS.items():
            self.keys.append((f"{algorithm}-{serial}", algorithm, make()))

    def published(self):
        """The public halves, as a JWK Set."""
        self.fetched += 1
        keys = []
        for name, algorithm, key in self.keys:
            public = jwt.get_algorithm_by_name(algorithm).to_jwk(key.public_key(), as_dict=True)
            keys.append({**public, "kid": name, "alg": algorithm, "use": "sig"})
        return json.dumps({"keys": keys}).encode()

    def token(self, claims, algorithm="ES256", type="at+jwt"):
        """A token with these claims."""
        name, _, key = [one for one in self.keys if one[1] == algorithm][-1]
        return jwt.encode(claims, key, algorithm=algorithm, headers={"kid": name, "typ": type})

    def start(self):
        """Publishes the keys, at the same port as before."""
        issuer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                body = issuer.published()
                self.send_response(200)
                self.send_header("content-type", "application/jwk-set+json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        """Publishes nothing any more."""
        self.server.shutdown()
        self.server.server_close()


def main():
    issuer = Issuer()
    print(issuer.port, flush=True)
    for line in sys.stdin:
        command = json.loads(line)
        match command.pop("do"):
            case "token":
                answer = issuer.token(**command)
            case "fetched":
                answer = issuer.fetched
            case "rotate":
                answer = issuer.rotate()
            case "stop":
                answer = issuer.stop()
            case "start":
                answer = issuer.start()
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
