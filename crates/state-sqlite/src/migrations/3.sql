-- JSON: what is told of a message from its claim until its end is recorded. NULL: nothing, or `output` tells it.
ALTER TABLE messages ADD COLUMN in_doubt TEXT;
