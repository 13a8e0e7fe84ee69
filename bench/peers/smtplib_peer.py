"""Sends N messages over one connection of Python's smtplib. Settings come as JSON."""

import json
import smtplib
import ssl
import sys
import time
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

settings = json.load(open(sys.argv[1], encoding="utf-8"))
letter = settings["letter"]
began = time.perf_counter()
if settings["ca"]:
    context = ssl.create_default_context(cafile=settings["ca"])
    client = smtplib.SMTP_SSL("localhost", settings["port"], local_hostname="bench.example", context=context)
else:
    client = smtplib.SMTP("127.0.0.1", settings["port"], local_hostname="bench.example")
for number in range(settings["messages"]):
    message = EmailMessage()
    message["From"] = letter["from"]
    message["To"] = letter["to"]
    message["Subject"] = str(number).join(letter["subject"])
    message["Date"] = formatdate()
    message["Message-ID"] = make_msgid(domain="bench.example")
    message.set_content(str(number).join(letter["text"]))
    message.add_alternative(str(number).join(letter["html"]), subtype="html")
    if settings["attachment"]:
        with open(settings["attachment"], "rb") as file:
            message.add_attachment(file.read(), maintype="application", subtype="octet-stream", filename="big.bin")
    client.send_message(message)
client.quit()
print("sending", time.perf_counter() - began)
