// What people build in an afternoon: express takes a request, nodemailer's pool sends its message, and the answer says so.
// Nothing is written down. Settings come as JSON; the port goes to standard output.
import { readFileSync } from 'node:fs';
import express from 'express';
import nodemailer from 'nodemailer';

const { port, connections, letter } = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const transport = nodemailer.createTransport({
  host: '127.0.0.1',
  port,
  secure: false,
  ignoreTLS: true,
  pool: true,
  maxConnections: connections,
  maxMessages: Infinity,
});
const app = express();
app.use(express.json({ limit: '5mb' }));
app.post('/pipeline/invoice', async (request, response) => {
  const { subject, text, html } = request.body;
  const sent = await transport.sendMail({ from: letter.from, to: letter.to, subject, text, html });
  response.json({ success: true, messageId: sent.messageId, accepted: sent.accepted });
});
const server = app.listen(0, '127.0.0.1', () => console.log(`ready ${server.address().port}`));
