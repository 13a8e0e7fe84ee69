"""An aiosmtpd server that writes down what it receives.

Its one argument is a JSON object:

    directory    where each message goes, as N.eml with its envelope in N.json
    tls          "starttls", "implicit" or "none"
    certificate  PEM, with `key`; not read when tls is "none"
    users        {name: password}; null offers no AUTH
    mechanisms   the AUTH mechanisms to offer: PLAIN, LOGIN, CRAM-MD5, SCRAM-SHA-256, EXTERNAL
    client_authority  PEM: clients must show a certificate that this authority has signed
    tls_version  "1.2" or "1.3": the only version that is spoken
    iterations   the count that SCRAM-SHA-256 asks for
    refuse       recipients to refuse with 550 5.1.1
    size         the limit to announce as SIZE, in bytes
    echo         true: final replies repeat what the client has just said, as some appliances do

On stdout it writes one JSON object a line: {"event": "listening", "port": N}, then {"event": "command", "line": TEXT}
for each command line (without the secrets in AUTH), and {"event": "message", "number": N} once a message is on disk and
before the client is told so. It ends when its stdin does.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import logging
import pathlib
import re
import secrets
import ssl
import sys

from aiosmtpd.smtp import MISSING, SMTP, AuthResult, LoginPassword


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
    users = {}
    iterations = 4096

    async def auth_CRAM__MD5(self, _, args):
        challenge = f"<{secrets.token_hex(8)}@aiosmtpd.example>"
        answer = await self.challenge_auth(challenge)
        if answer is MISSING:
            return AuthResult(success=False)
        user, digest = answer.decode().rsplit(" ", 1)
        password = self.users.get(user, "")
        right = hmac.new(password.encode(), challenge.encode(), "md5").hexdigest()
        known = user in self.users and hmac.compare_digest(digest, right)
        return AuthResult(success=known, handled=False, auth_data=LoginPassword(user.encode(), b""))

    async def auth_SCRAM__SHA__256(self, _, args):
        first = base64.b64decode(args[1]) if len(args) > 1 else await self.challenge_auth("")
        bare = first.decode().removeprefix("n,,")
        name, nonce = re.fullmatch("n=([^,]*),r=([^,]*)", bare).groups()
        user = name.replace("=2C", ",").replace("=3D", "=")
        salt = secrets.token_bytes(16)
        nonce += secrets.token_urlsafe(12)
        challenge = f"r={nonce},s={base64.b64encode(salt).decode()},i={self.iterations}"
        last = await self.challenge_auth(challenge)
        if last is MISSING:
            return AuthResult(success=False, handled=True)
        without_proof, proof = last.decode().rsplit(",p=", 1)
        assert without_proof == f"c=biws,r={nonce}", without_proof
        digest = lambda key, text: hmac.new(key, text, "sha256").digest()
        salted = hashlib.pbkdf2_hmac("sha256", self.users.get(user, "").encode(), salt, self.iterations)
        signed = f"{bare},{challenge},{without_proof}".encode()
        stored = hashlib.sha256(digest(salted, b"Client Key")).digest()
        key = bytes(a ^ b for a, b in zip(base64.b64decode(proof), digest(stored, signed)))
        if user not in self.users or hashlib.sha256(key).digest() != stored:
            return AuthResult(success=False, handled=False)
        signature = digest(digest(salted, b"Server Key"), signed)
        await self.challenge_auth("v=" + base64.b64encode(signature).decode())
        return AuthResult(success=True, handled=False, auth_data=LoginPassword(user.encode(), b""))

    async def auth_EXTERNAL(self, _, args):
        certificate = self.transport.get_extra_info("peercert") or {}
        names = dict(pair for part in certificate.get("subject", ()) for pair in part)
        user = names.get("commonName", "")
        wanted = "" if args[1:] in ([], ["="]) else base64.b64decode(args[1]).decode()
        known = user != "" and wanted in ("", user)
        return AuthResult(success=known, handled=False, auth_data=LoginPassword(user.encode(), b""))

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
        if options.get("client_authority"):
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(options["client_authority"])
        if options.get("tls_version"):
            version = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[options["tls_version"]]
            context.minimum_version = context.maximum_version = version
    implicit = options["tls"] == "implicit"
    users = options.get("users")
    mechanisms = {"PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256", "EXTERNAL"}
    unwanted = mechanisms - set(options.get("mechanisms", ["PLAIN", "LOGIN"]))
    mailbox = Mailbox(options["directory"], options.get("refuse", []))
    Server.echo = options.get("echo", False)
    Server.users = users or {}
    Server.iterations = options.get("iterations", 4096)
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
            auth_exclude_mechanism=unwanted if users is not None else mechanisms,
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
