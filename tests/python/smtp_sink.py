"""An SMTP server that does as the recipient's address says, on loopback.

    smtp_sink.py FOLDER [--security plain|starttls|tls] [--certificate FILE --key FILE] [--login NAME:PASSWORD]
                 [--no-smtputf8]

The first line of output is its port. Each message that it takes becomes FOLDER/<n>.eml, and beside it <n>.json: the
envelope, the number of the connection, and the message as Python's own mail parser reads it. It ends with its input.

The recipient's local part says what happens:

    silent             no answer to RCPT, ever
    reset              the connection is reset after the message
    auth530            530, as if a login were needed
    full552            552, the mailbox is full
    defer451           451, come again later
    refuse550-5.1.1    any code and enhanced code; after `late-` the message is refused instead of the address
    anything else      taken
"""

import argparse
import asyncio
import json
import logging
import re
import socket
import ssl
import struct
import sys
import warnings
from email import policy
from email.header import decode_header, make_header
from email.parser import BytesParser
from email.utils import parseaddr
from pathlib import Path

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

SCRIPTED = {
    "auth530": "530 5.7.0 Authentication required",
    "full552": "552 5.2.2 The mailbox is full",
    "defer451": "451 4.7.1 Greylisted, try again later",
}
WORDS = {"5.1.1": "No such mailbox", "5.7.1": "Rejected by policy"}


def scripted(recipient):
    """The refusal that an address asks for, and whether it comes after the message."""
    local = recipient.rpartition("@")[0]
    late = local.startswith("late-")
    local = local.removeprefix("late-")
    if local in SCRIPTED:
        return SCRIPTED[local], late
    match = re.fullmatch(r"refuse(\d{3})-(\d\.\d+\.\d+)", local)
    if match is None:
        return None, late
    code, enhanced = match.groups()
    return f"{code} {enhanced} {WORDS.get(enhanced, 'Refused')}", late


def decoded(value):
    """A header's value as people read it."""
    return str(make_header(decode_header(value)))


class Sink:
    """Answers as the address says, and keeps what it takes."""

    def __init__(self, folder):
        self.folder = folder
        self.taken = 0

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("silent@"):
            await asyncio.Event().wait()
        refusal, late = scripted(address)
        if refusal and not late:
            return refusal
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 Recipient taken"

    async def handle_DATA(self, server, session, envelope):
        if any(address.startswith("reset@") for address in envelope.rcpt_tos):
            # Closing with a linger of zero sends a reset.
            connection = server.transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            server.transport.abort()
            return "250 never heard"
        for address in envelope.rcpt_tos:
            refusal, _ = scripted(address)
            if refusal:
                return refusal
        self.taken += 1
        self.keep(server, session, envelope)
        return f"250 2.0.0 Queued as {self.taken}"

    def keep(self, server, session, envelope):
        message = BytesParser(policy=policy.default).parsebytes(envelope.original_content)
        # The newer parser puts a space between two encoded words of a name, against RFC 2047; the older one does not.
        headers = BytesParser(policy=policy.compat32).parsebytes(envelope.original_content)
        parts = [
            {"type": part.get_content_type(), "charset": part.get_content_charset(), "text": part.get_content()}
            for part in message.walk()
            if not part.is_multipart()
        ]
        record = {
            "connection": server.number,
            "encrypted": session.ssl is not None or server.transport.get_extra_info("sslcontext") is not None,
            "login": session.auth_data,
            "hello": session.host_name,
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "options": envelope.mail_options,
            "type": message.get_content_type(),
            "defects": [repr(defect) for defect in message.defects],
            "headers": [[name, decoded(value)] for name, value in headers.items()],
            "sender_name": decoded(parseaddr(" ".join(headers["From"].splitlines()))[0]),
            "parts": parts,
        }
        # The record comes last and whole: who sees it finds the message beside it.
        (self.folder / f"{self.taken}.eml").write_bytes(envelope.original_content)
        draft = self.folder / f"{self.taken}.draft"
        draft.write_text(json.dumps(record, ensure_ascii=False), encoding="utf-8")
        draft.rename(self.folder / f"{self.taken}.json")


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--security", choices=["plain", "starttls", "tls"], default="plain")
    parser.add_argument("--certificate")
    parser.add_argument("--key")
    parser.add_argument("--login")
    parser.add_argument("--no-smtputf8", action="store_true")
    return parser.parse_args()


async def serve(args):
    context = None
    if args.security != "plain":
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(args.certificate, args.key)

    def authenticate(server, session, envelope, mechanism, data):
        name, _, password = args.login.partition(":")
        right = isinstance(data, LoginPassword) and (data.login, data.password) == (name.encode(), password.encode())
        return AuthResult(success=right, auth_data=name if right else None, handled=False)

    sink = Sink(args.folder)
    connections = 0

    def connection():
        nonlocal connections
        connections += 1
        server = SMTP(
            sink,
            hostname="sink.example",
            enable_SMTPUTF8=not args.no_smtputf8,
            tls_context=context if args.security == "starttls" else None,
            require_starttls=args.security == "starttls",
            authenticator=authenticate if args.login else None,
            auth_required=args.login is not None,
            # In the clear a login is asked for only where the test wants it so.
            auth_require_tls=args.security == "starttls",
        )
        server.number = connections
        return server

    loop = asyncio.get_running_loop()
    tls = context if args.security == "tls" else None
    server = await loop.create_server(connection, "127.0.0.1", 0, ssl=tls)
    print(server.sockets[0].getsockname()[1], flush=True)
    # Whoever started it holds its input open; it does not outlive them.
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    # The server says at length what the tests do to it on purpose; a fault of its own is its answer to the client.
    logging.disable()
    warnings.simplefilter("ignore")
    try:
        asyncio.run(serve(arguments()))
    except KeyboardInterrupt:
        pass
