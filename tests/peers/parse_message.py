"""Reads a message on stdin as Python's `email` package understands it, and writes what it understood as JSON."""

import email
import email.policy
import hashlib
import json
import sys


def addresses(message, name):
    header = message[name]
    if header is None:
        return []
    return [{"name": address.display_name, "address": address.addr_spec} for address in header.addresses]


def text_of(part):
    """The body with line ends as `\\n`, and without the last one, which SMTP adds."""
    if part is None:
        return None
    return part.get_content().replace("\r\n", "\n").removesuffix("\n")


def attachment(part):
    payload = part.get_payload(decode=True)
    return {
        "name": part.get_filename(),
        "type": part.get_content_type(),
        "disposition": part.get_content_disposition(),
        "content_id": part["content-id"],
        "size": len(payload),
        "sha256": hashlib.sha256(payload).hexdigest(),
    }


def defects(message):
    found = []
    for part in message.walk():
        found += [repr(defect) for defect in part.defects]
        for name, value in part.items():
            found += [f"{name}: {defect!r}" for defect in value.defects]
    return found


raw = sys.stdin.buffer.read()
message = email.message_from_bytes(raw, policy=email.policy.default)
date = message["date"]
json.dump(
    {
        "headers": [[name, str(value)] for name, value in message.items()],
        "from": addresses(message, "from"),
        "reply_to": addresses(message, "reply-to"),
        "to": addresses(message, "to"),
        "cc": addresses(message, "cc"),
        "bcc": addresses(message, "bcc"),
        "subject": None if message["subject"] is None else str(message["subject"]),
        "date": None if date is None or date.datetime is None else date.datetime.timestamp(),
        "message_id": message["message-id"],
        "type": message.get_content_type(),
        "text": text_of(message.get_body(("plain",))),
        "html": text_of(message.get_body(("html",))),
        "attachments": [
            attachment(part) for part in message.walk()
            if part.get_filename() is not None or part.get_content_disposition() == "attachment"
        ],
        "defects": defects(message),
        "longest_line": max((len(line) for line in raw.replace(b"\r\n", b"\n").split(b"\n")), default=0),
        "ascii": raw.isascii(),
    },
    sys.stdout,
)
