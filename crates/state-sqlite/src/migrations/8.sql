-- The messages that are not known to be sent: few among all, and asked for again and again.
CREATE INDEX messages_open ON messages (execution) WHERE outcome IS NULL OR outcome <> 'sent';
