// Sends N messages through nodemailer's pool. Settings come as JSON; what sending took goes to standard output.
import { readFileSync } from 'node:fs';
import nodemailer from 'nodemailer';

const { port, messages, connections, ca, attachment, letter } = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const began = process.hrtime.bigint();
const transport = nodemailer.createTransport({
  host: '127.0.0.1',
  port,
  secure: Boolean(ca),
  ignoreTLS: !ca,
  tls: ca ? { ca: readFileSync(ca), servername: 'localhost' } : undefined,
  pool: true,
  maxConnections: connections,
  maxMessages: Infinity,
});
const fill = ([before, after], number) => before + number + after;
const send = (number) =>
  transport.sendMail({
    from: letter.from,
    to: letter.to,
    subject: letter.subject.length > 1 ? fill(letter.subject, number) : letter.subject[0],
    text: fill(letter.text, number),
    html: fill(letter.html, number),
    attachments: attachment ? [{ path: attachment }] : undefined,
  });
// As many at once as there are connections: the pool is never idle, and messages are built as they are sent.
let next = 0;
const worker = async () => {
  while (next < messages) await send(next++);
};
await Promise.all(Array.from({ length: connections }, worker));
const seconds = Number(process.hrtime.bigint() - began) / 1e9;
transport.close();
console.log(`sending ${seconds}`);
