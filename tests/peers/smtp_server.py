"""An aiosmtpd server that writes down what it receives.

Its one argument is a JSON object:

    directory    where each message goes, as N.eml with its envelope in N.json
    tls          "starttls", "implicit" or "none"
    certificate  PEM, with `key`; not read when tls is "none"
    users        {name: password}; null offers no AUTH
    mechanisms   the AUTH mechanisms to offer
    refuse       recipients to refuse with 550 5.1.1
    size         the limit to announce as SIZE, in bytes
    echo         true: final replies repeat what the client has just said, as some appliances do

On stdout it writes one JSON object a line: {"event": "listening", "port": N}, then {"event": "command", "line": TEXT}
for each command line (without the secrets in AUTH), and {"event": "message", "number": N} once a message is on disk and
before the client is told so. It ends when its stdin does.
"""

import asyncio
import json
import logging
import pathlib
import re
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword


def tell(event, **facts):
    print(json.dumps({"event": event, **facts}), flush=True)


class CommandLines(logging.Handler):
    """aiosmtpd logs each command line as `peer >> line`, after removing secrets."""

    def emit(self, record):
        if record.msg == "%r >> %r":
            verb, space, rest = record.args[1].decode("utf-8", "backslashreplace").partition(" ")
            tell("command", line=verb.upper() + space + rest)


class Mailbox:
    def __init__(self, directory, refuse):
        self.directory = pathlib.Path(directory)
        self.refuse = refuse
        self.count = 0

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address in self.refuse:
            return "550 5.1.1 No such user here"
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.append(options)
        return "250 2.1.5 Recipient fine"

    async def handle_DATA(self, server, session, envelope):
        self.count += 1
        login = session.login_data
        facts = {
            "sender": envelope.mail_from,
            "recipients": envelope.rcpt_tos,
            "user": login.decode() if login else None,
            "hello": session.host_name,
        }
        (self.directory / f"{self.count}.eml").write_bytes(envelope.content)
        (self.directory / f"{self.count}.json").write_text(json.dumps(facts))
        tell("message", number=self.count)
        return f"250 2.0.0 Kept as {self.count}"


class Server(SMTP):
    """With what the options ask for beyond aiosmtpd's own."""

    echo = False

    def _cb_client_connected(self, reader, writer):
        super()._cb_client_connected(reader, writer)
        self.heard = []
        read = reader.readuntil

        async def remember(*arguments):
            line = await read(*arguments)
            self.heard.append(line.decode("utf-8", "replace").strip())
            return line

        reader.readuntil = remember

    async def push(self, status):
        text = status if isinstance(status, str) else status.decode()
        if self.echo and re.fullmatch("[245][0-9][0-9] .*", text):
            said = " ".join(self.heard[-3:])
            text = f"{text} (you said: {said})"
        if not text.startswith("3"):
            self.heard = []
        await super().push(text)


def authenticator(users):
    def check(server, session, envelope, mechanism, data):
        known = isinstance(data, LoginPassword) and users.get(data.login.decode()) == data.password.decode()
        return AuthResult(success=known, handled=False, auth_data=data)

    return check


async def serve(options):
    context = None
    if options["tls"] != "none":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(options["certificate"], options["key"])
    implicit = options["tls"] == "implicit"
    users = options.get("users")
    unwanted = {"PLAIN", "LOGIN"} - set(options.get("mechanisms", ["PLAIN", "LOGIN"]))
    mailbox = Mailbox(options["directory"], options.get("refuse", []))
    Server.echo = options.get("echo", False)
    Server.line_length_limit = 65536

    def session():
        return Server(
            mailbox,
            hostname="aiosmtpd.example",
            data_size_limit=options.get("size", 1 << 25),
            enable_SMTPUTF8=True,
            tls_context=None if implicit else context,
            # aiosmtpd knows of the TLS that STARTTLS began, and of no other.
            auth_require_tls=options["tls"] == "starttls",
            auth_exclude_mechanism=unwanted if users is not None else {"PLAIN", "LOGIN"},
            authenticator=authenticator(users or {}),
        )

    loop = asyncio.get_running_loop()
    server = await loop.create_server(session, "127.0.0.1", 0, ssl=context if implicit else None)
    tell("listening", port=server.sockets[0].getsockname()[1])
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    logger = logging.getLogger("mail.log")
    logger.setLevel(logging.INFO)
    logger.addHandler(CommandLines())
    logger.propagate = False
    asyncio.run(serve(json.loads(sys.argv[1])))
