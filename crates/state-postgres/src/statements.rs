//! The statements that are asked again and again, in one place, so that a test can look at the plan of each.
//!
//! Every parameter is cast where it is first used, and a NULL moment stands for the server's own clock.

/// The server's clock in microseconds since the Unix epoch, unless this parameter says otherwise.
macro_rules! now {
    ($parameter:literal) => {
        concat!(
            "COALESCE(",
            $parameter,
            "::int8, (extract(epoch FROM clock_timestamp()) * 1000000)::int8)"
        )
    };
}

/// The same in whole seconds.
macro_rules! now_seconds {
    ($parameter:literal) => {
        concat!(
            "COALESCE(",
            $parameter,
            "::int8, floor(extract(epoch FROM clock_timestamp()))::int8)"
        )
    };
}

/// The server's incarnation: what was committed under it without waiting for the disk is there. NULL: it has none yet.
macro_rules! incarnation {
    () => {
        "(SELECT id::text FROM pipepost.incarnations)"
    };
}

/// Asks for the server's incarnation.
pub(crate) const INCARNATION: &str = concat!("SELECT ", incarnation!());

/// Gives the server an incarnation, if it has none, and returns the one that it has.
pub(crate) const INCARNATE: &str = "INSERT INTO pipepost.incarnations AS i (id) VALUES (gen_random_uuid())
    ON CONFLICT (single) DO UPDATE SET id = i.id RETURNING i.id::text";

/// Whether a worker lives: its last sign is younger than its lease, or the server itself is: then nobody could give one.
macro_rules! alive {
    ($worker:literal) => {
        concat!(
            "EXISTS (SELECT 1 FROM pipepost.workers w WHERE w.id = ",
            $worker,
            " AND w.seen > '-infinity'
               AND GREATEST(w.seen, pg_postmaster_start_time()) >= clock_timestamp() - w.lease * interval '1 microsecond')"
        )
    };
}

/// A sign of life. It need not outlive a crash of the server, which gives everybody a new lease; it is synced for the sake of
/// what was noted before it.
///
/// $1 the worker, $2 its machine, $3 its process, $4 its lease, $5 `synchronous_commit`.
pub(crate) const SIGN: &str = concat!(
    "WITH sign AS (
      INSERT INTO pipepost.workers AS w (id, host, process, lease, seen)
      VALUES ($1::text, $2::text, $3::int8, $4::int8, clock_timestamp())
      ON CONFLICT (id) DO UPDATE SET seen = excluded.seen, lease = excluded.lease
    )
    SELECT set_config('synchronous_commit', $5::text, true), ",
    incarnation!()
);

/// Takes executions that nobody alive has. The first time makes the execution, with the epoch 1. Whoever performs the run of
/// this key takes it from everybody: a worker that was silent for too long lost the run, and may be back.
///
/// $1 their keys, $2 the worker, $3 seconds, $4 `synchronous_commit`.
pub(crate) const OPEN: &str = concat!(
    "WITH taken AS (
      INSERT INTO pipepost.executions AS e (key, owner, epoch, begun, changed)
      SELECT w.key, $2::text, 1, t.now, t.now
      FROM unnest($1::text[]) AS w (key), (SELECT ",
    now_seconds!("$3"),
    " AS now) t ORDER BY w.key
      ON CONFLICT (key) DO UPDATE SET
        owner = excluded.owner, epoch = e.epoch + 1, begun = excluded.begun, changed = excluded.changed
      WHERE e.owner IS NULL OR e.owner = excluded.owner OR NOT ",
    alive!("e.owner"),
    "
        OR EXISTS (
          SELECT 1 FROM pipepost.runs r WHERE r.key = e.key AND r.state = 'running' AND r.owner = excluded.owner)
      RETURNING key, epoch, begun
    )
    SELECT key, epoch, begun, set_config('synchronous_commit', $4::text, true), ",
    incarnation!(),
    " FROM taken"
);

/// What an earlier owner claimed and did not settle is uncertain for the next one, under the epoch of whom only a
/// confirmation is taken from the earlier one.
///
/// $1 executions, $2 their epochs, $3 `synchronous_commit`.
pub(crate) const TAKE_OVER: &str = "WITH doubtful AS (
      UPDATE pipepost.parts p SET state = 'uncertain', epoch = e.epoch
      FROM unnest($1::text[], $2::int8[]) AS e (execution, epoch), pipepost.messages m
      WHERE m.execution = e.execution AND p.message = m.key AND p.state = 'claimed' AND p.epoch < e.epoch
    )
    SELECT set_config('synchronous_commit', $3::text, true)";

/// Claims parts for executions: each claim as a whole, or nothing of it.
///
/// `held` is the fence: only whoever owns the execution in the epoch that it names may claim, and the row stays as it is
/// until the claim is committed. A part that this owner claimed in this epoch before is claimed anew: the answer was
/// lost. It is written once more, so that the commit waits for the standbys again. Where another transaction came in
/// between, the division by zero takes everything back.
///
/// $1 executions, $2 epochs, $3 the number of the claim, $4 keys, $5 numbers, $6 digests, $7 what to report while in
/// doubt, $8 whether uncertain parts no longer count, $9 the worker, $10 seconds, $11 `synchronous_commit`.
pub(crate) const CLAIM: &str = concat!(
    "WITH wanted AS MATERIALIZED (
      SELECT * FROM unnest($1::text[], $2::int8[], $3::int4[], $4::text[], $5::int4[], $6::text[], $7::text[], $8::bool[])
        AS w (execution, epoch, claim, key, number, digest, in_doubt, reopened)
    ), held AS MATERIALIZED (
      SELECT e.key, e.epoch FROM pipepost.executions e WHERE e.key = ANY ($1::text[]) AND e.owner = $9::text FOR SHARE
    ), lost AS MATERIALIZED (
      SELECT w.claim FROM wanted w
      WHERE NOT EXISTS (SELECT 1 FROM held h WHERE h.key = w.execution AND h.epoch = w.epoch)
    ), taken AS MATERIALIZED (
      SELECT w.claim FROM wanted w JOIN pipepost.parts p ON p.message = w.key AND p.number = w.number
      WHERE p.state = 'confirmed' OR NOT (w.reopened OR p.state = 'claimed' AND p.epoch = w.epoch)
      UNION ALL
      SELECT w.claim FROM wanted w JOIN pipepost.messages m ON m.key = w.key WHERE m.execution <> w.execution
    ), granted AS MATERIALIZED (
      SELECT * FROM wanted w
      WHERE w.claim NOT IN (SELECT claim FROM lost) AND w.claim NOT IN (SELECT claim FROM taken)
    ), said AS (
      INSERT INTO pipepost.messages AS m (key, execution, digest, changed, in_doubt)
      SELECT DISTINCT ON (g.key) g.key, g.execution, g.digest, ",
    now_seconds!("$10"),
    ", g.in_doubt
      FROM granted g ORDER BY g.key, g.in_doubt IS NULL
      ON CONFLICT (key) DO UPDATE SET
        digest = excluded.digest, changed = excluded.changed, outcome = NULL, output = NULL, remainder = NULL,
        decided = false, in_doubt = COALESCE(excluded.in_doubt, m.in_doubt)
      WHERE m.execution = excluded.execution
      RETURNING 1
    ), left_out AS (
      DELETE FROM pipepost.parts p USING (SELECT DISTINCT key FROM granted WHERE reopened) r
      WHERE p.message = r.key AND p.state <> 'confirmed'
        AND NOT EXISTS (SELECT 1 FROM granted g WHERE g.key = p.message AND g.number = p.number)
    ), claimed AS (
      INSERT INTO pipepost.parts AS p (message, number, state, epoch)
      SELECT g.key, g.number, 'claimed', g.epoch FROM granted g
      ON CONFLICT (message, number) DO UPDATE SET state = 'claimed', epoch = excluded.epoch, output = NULL
      WHERE p.state <> 'confirmed'
      RETURNING 1
    )
    SELECT v.claim, v.claim IN (SELECT claim FROM lost) AS lost, v.claim IN (SELECT claim FROM taken) AS taken,
      1 / (CASE WHEN (SELECT count(*) FROM claimed) = (SELECT count(*) FROM granted)
        AND (SELECT count(*) FROM said) = (SELECT count(DISTINCT key) FROM granted) THEN 1 ELSE 0 END) AS whole,
      set_config('synchronous_commit', $11::text, true), ",
    incarnation!(),
    " FROM (SELECT DISTINCT claim FROM wanted) v"
);

/// Settles parts and records messages. A confirmation counts from whoever has it; anything else only from the owner in
/// whose epoch the part was claimed. What is known to be sent stays so.
///
/// $1 keys, $2 numbers, $3 executions, $4 epochs, $5 states, $6 outputs of parts that ended; $7 keys, $8 numbers, $9 epochs
/// of parts that were not committed; $10 keys, $11 executions, $12 epochs, $13 digests, $14 outcomes, $15 outputs, $16
/// remainders of messages that ended; $17 seconds, $18 `synchronous_commit`.
pub(crate) const NOTE: &str = concat!(
    "WITH settled AS MATERIALIZED (
      SELECT * FROM unnest($1::text[], $2::int4[], $3::text[], $4::int8[], $5::text[], $6::text[])
        AS s (key, number, execution, epoch, state, output)
    ), uncommitted AS MATERIALIZED (
      SELECT * FROM unnest($7::text[], $8::int4[], $9::int8[]) AS u (key, number, epoch)
    ), ended AS MATERIALIZED (
      SELECT * FROM unnest($10::text[], $11::text[], $12::int8[], $13::text[], $14::text[], $15::text[], $16::text[])
        AS r (key, execution, epoch, digest, outcome, output, remainder)
    ), made AS (
      INSERT INTO pipepost.messages (key, execution, digest, changed)
      SELECT DISTINCT ON (s.key) s.key, s.execution, '', ",
    now_seconds!("$17"),
    " FROM settled s
      WHERE s.key NOT IN (SELECT key FROM ended) AND NOT EXISTS (SELECT 1 FROM pipepost.messages m WHERE m.key = s.key)
      ORDER BY s.key
      ON CONFLICT (key) DO NOTHING
    ), remembered AS (
      -- A standby that took over may never have had the execution. Its next owner has to find what is said here.
      INSERT INTO pipepost.executions (key, owner, epoch, begun, changed)
      SELECT DISTINCT ON (n.execution) n.execution, NULL, n.epoch, t.now, t.now
      FROM (SELECT execution, epoch FROM settled UNION ALL SELECT execution, epoch FROM ended) n, (SELECT ",
    now_seconds!("$17"),
    " AS now) t
      WHERE NOT EXISTS (SELECT 1 FROM pipepost.executions e WHERE e.key = n.execution)
      ORDER BY n.execution, n.epoch DESC
      ON CONFLICT (key) DO NOTHING
    ), noted AS (
      INSERT INTO pipepost.parts AS p (message, number, state, output, epoch)
      SELECT s.key, s.number, s.state, s.output, s.epoch FROM settled s ORDER BY s.key, s.number
      ON CONFLICT (message, number) DO UPDATE SET state = excluded.state, output = excluded.output
      WHERE excluded.state = 'confirmed' OR p.epoch = excluded.epoch AND p.state <> 'confirmed'
    ), freed AS (
      DELETE FROM pipepost.parts p USING uncommitted u
      WHERE p.message = u.key AND p.number = u.number AND p.epoch = u.epoch AND p.state <> 'confirmed'
      RETURNING p.message, p.number
    ), unsaid AS (
      DELETE FROM pipepost.messages m USING (SELECT DISTINCT message FROM freed) f
      WHERE m.key = f.message AND m.outcome IS NULL
        AND NOT EXISTS (
          SELECT 1 FROM pipepost.parts p WHERE p.message = m.key
          AND NOT EXISTS (SELECT 1 FROM freed g WHERE g.message = p.message AND g.number = p.number))
        AND m.key NOT IN (SELECT key FROM settled) AND m.key NOT IN (SELECT key FROM ended)
    ), recorded AS (
      INSERT INTO pipepost.messages AS m (key, execution, digest, outcome, output, remainder, changed)
      SELECT r.key, r.execution, r.digest, r.outcome, r.output, r.remainder, ",
    now_seconds!("$17"),
    " FROM ended r
      WHERE r.outcome = 'sent'
        OR NOT EXISTS (SELECT 1 FROM pipepost.executions e WHERE e.key = r.execution AND e.epoch <> r.epoch)
      ORDER BY r.key
      ON CONFLICT (key) DO UPDATE SET
        digest = excluded.digest, outcome = excluded.outcome, output = excluded.output, remainder = excluded.remainder,
        decided = false, changed = excluded.changed, in_doubt = NULL
      WHERE excluded.outcome = 'sent' OR m.outcome IS DISTINCT FROM 'sent'
    ), emptied AS (
      UPDATE pipepost.parts p SET output = NULL FROM ended r
      WHERE p.message = r.key AND p.output IS NOT NULL
        AND NOT EXISTS (SELECT 1 FROM settled s WHERE s.key = p.message AND s.number = p.number)
        AND NOT EXISTS (SELECT 1 FROM uncommitted u WHERE u.key = p.message AND u.number = p.number)
    )
    SELECT set_config('synchronous_commit', $18::text, true), ",
    incarnation!()
);

/// Gives executions up, in the epoch in which this worker has them.
///
/// $1 executions, $2 epochs, $3 the worker, $4 seconds, $5 `synchronous_commit`.
pub(crate) const CLOSE: &str = concat!(
    "WITH closed AS (
      UPDATE pipepost.executions e SET owner = NULL, changed = ",
    now_seconds!("$4"),
    " FROM unnest($1::text[], $2::int8[]) AS c (key, epoch)
      WHERE e.key = c.key AND e.epoch = c.epoch AND e.owner = $3::text
      RETURNING 1
    )
    SELECT set_config('synchronous_commit', $5::text, true), (SELECT count(*) FROM closed), ",
    incarnation!()
);

/// Gives up what this worker owns and does not run: it was taken, and the answer was lost.
///
/// $1 the worker, $2 the executions that it runs or takes, $3 microseconds.
pub(crate) const GIVE_UP: &str = "WITH stray AS (
      UPDATE pipepost.executions e SET owner = NULL
      WHERE e.owner = $1::text AND e.key <> ALL ($2::text[])
        AND e.begun < floor(extract(epoch FROM clock_timestamp()) - $3::int8 / 1000000)::int8
    )
    SELECT set_config('synchronous_commit', 'off', true)";

/// Those that run executions which could not be taken.
///
/// $1 keys.
pub(crate) const HOLDERS: &str = "SELECT e.key, e.begun, w.host, w.process
    FROM pipepost.executions e LEFT JOIN pipepost.workers w ON w.id = e.owner WHERE e.key = ANY ($1::text[])";

/// What is selected of messages with their parts, in the order of the messages' making.
macro_rules! entries {
    ($which:literal) => {
        concat!(
            "SELECT m.key, m.execution, m.digest, m.outcome, m.output, m.remainder, m.in_doubt, m.decided, m.changed,
               p.number, p.state, p.output, ",
            "EXISTS (SELECT 1 FROM pipepost.executions e WHERE e.key = m.execution AND ",
            alive!("e.owner"),
            ") AS running
             FROM pipepost.messages m LEFT JOIN pipepost.parts p ON p.message = m.key
             WHERE ",
            $which,
            " ORDER BY m.execution, m.number, p.number"
        )
    };
}

/// Everything in the ledger.
pub(crate) const ENTRIES: &str = entries!("true");
/// $1 executions.
pub(crate) const ENTRIES_OF: &str = entries!("m.execution = ANY ($1::text[])");
/// What an earlier owner was at. $1 executions.
pub(crate) const ENTRIES_BEGUN: &str =
    entries!("m.execution = ANY ($1::text[]) AND m.outcome IS NULL AND m.outcome IS DISTINCT FROM 'sent'");
/// $1 keys, $2 executions.
pub(crate) const ENTRIES_NAMED: &str = entries!("m.key = ANY ($1::text[]) AND m.execution = ANY ($2::text[])");
/// The messages that are not known to be sent.
pub(crate) const ENTRIES_OPEN: &str = entries!("m.outcome IS DISTINCT FROM 'sent'");
/// A page of all messages. $1 the key that it comes after, or NULL; $2 how many.
pub(crate) const PAGE: &str = entries!(
    "m.key IN (SELECT q.key FROM pipepost.messages q
        WHERE (q.execution, q.number) > (
            coalesce((SELECT o.execution FROM pipepost.messages o WHERE o.key = $1::text),
              CASE WHEN $1::text IS NULL THEN '' END),
            coalesce((SELECT o.number FROM pipepost.messages o WHERE o.key = $1::text),
              CASE WHEN $1::text IS NULL THEN -1 END))
        ORDER BY q.execution, q.number LIMIT $2::int8)"
);
/// A page of one execution's messages. $1 the key that it comes after, or NULL; $2 how many, $3 the execution.
pub(crate) const PAGE_OF: &str = entries!(
    "m.key IN (SELECT q.key FROM pipepost.messages q
        WHERE q.execution = $3::text AND q.number >
            coalesce((SELECT o.number FROM pipepost.messages o WHERE o.key = $1::text),
              CASE WHEN $1::text IS NULL THEN -1 END)
        ORDER BY q.execution, q.number LIMIT $2::int8)"
);
/// $1 a key.
pub(crate) const ENTRY: &str = entries!("m.key = $1::text");

/// Locks an account's row, which is made where there is none, and returns its pause. $1 the account, $2 its label.
pub(crate) const LOCK_ACCOUNT: &str = "INSERT INTO pipepost.quota_accounts AS a (account, label)
    VALUES ($1::text, $2::text) ON CONFLICT (account) DO UPDATE SET label = excluded.label
    RETURNING a.begun, a.until, a.kind, a.why";

/// What is known of an account's transactions, and numbers for new ones. $1 the account, $2 the worker, $3 how many numbers,
/// $4 microseconds.
pub(crate) const ADMISSIONS: &str = concat!(
    "SELECT ",
    now!("$4"),
    ", ARRAY(SELECT id FROM pipepost.admissions WHERE account = $1::text AND ended IS NULL) AS under_way,
      ARRAY(SELECT a.id FROM pipepost.admissions a WHERE a.account = $1::text AND a.ended IS NULL
        AND a.owner <> $2::text AND NOT ",
    alive!("a.owner"),
    ") AS dead,
      ARRAY(SELECT ended FROM pipepost.admissions WHERE account = $1::text AND ended IS NOT NULL ORDER BY ended) AS ended,
      ARRAY(SELECT nextval('pipepost.admissions_id_seq') FROM generate_series(1, $3::int8)) AS fresh"
);

/// Writes what the rules changed. $1 the account, $2 the worker, $3 new admissions, $4 those of workers that are gone, and $5
/// when they ended, $6 the moment after which none has ended, $7 the moment until which ends are forgotten.
pub(crate) const ADMIT: &str = "WITH added AS (
      INSERT INTO pipepost.admissions (id, account, owner) SELECT n, $1::text, $2::text FROM unnest($3::int8[]) n
    ), buried AS (
      UPDATE pipepost.admissions SET ended = $5::int8
      WHERE id = ANY ($4::int8[]) AND ended IS NULL AND $5::int8 IS NOT NULL
    ), brought_back AS (
      UPDATE pipepost.admissions SET ended = $6::int8 WHERE account = $1::text AND ended > $6::int8
    )
    DELETE FROM pipepost.admissions WHERE account = $1::text AND ended <= $7::int8";

/// $1 the account, $2 microseconds.
pub(crate) const PAUSE: &str = concat!(
    "SELECT begun, until, kind, why, ",
    now!("$2"),
    " FROM pipepost.quota_accounts WHERE account = $1::text"
);

/// $1 the account, $2 when it began, $3 until when, $4 the kind, $5 why.
pub(crate) const SET_PAUSE: &str = "UPDATE pipepost.quota_accounts
    SET begun = $2::int8, until = $3::int8, kind = $4::text, why = $5::text WHERE account = $1::text";

/// Ends the pauses of a label, and returns those that were in force. $1 the label, $2 microseconds.
pub(crate) const RESUME: &str = concat!(
    "WITH paused AS MATERIALIZED (
      SELECT account, label, until, why FROM pipepost.quota_accounts
      WHERE label = $1::text AND until IS NOT NULL ORDER BY account FOR UPDATE
    ), over AS (
      UPDATE pipepost.quota_accounts a SET begun = NULL, until = NULL, kind = NULL, why = NULL
      FROM paused p WHERE a.account = p.account
    )
    SELECT label, until, why FROM paused, set_config('synchronous_commit', 'on', true) WHERE until > ",
    now!("$2")
);

/// The columns of a run, of this table or alias.
macro_rules! run {
    ($of:literal) => {
        concat!(
            $of,
            ".id, ",
            $of,
            ".pipeline, ",
            $of,
            ".document, ",
            $of,
            ".key, ",
            $of,
            ".digest, ",
            $of,
            ".origin, ",
            $of,
            ".message, ",
            $of,
            ".shown, ",
            $of,
            ".globals, ",
            $of,
            ".state, ",
            $of,
            ".due, ",
            $of,
            ".expires, ",
            $of,
            ".retries, ",
            $of,
            ".attempt, ",
            $of,
            ".deaths, ",
            $of,
            ".allow_redelivery, ",
            $of,
            ".redelivery, ",
            $of,
            ".owner, ",
            $of,
            ".epoch, ",
            $of,
            ".accepted, ",
            $of,
            ".begun, ",
            $of,
            ".ended, ",
            $of,
            ".output, ",
            $of,
            ".kind, ",
            $of,
            ".failure, ",
            $of,
            ".sent, ",
            $of,
            ".failed, ",
            $of,
            ".uncertain, ",
            $of,
            ".trace_parent, ",
            $of,
            ".trace_state"
        )
    };
}

/// The pipelines of which something waits, each found by one look into the index.
macro_rules! waiting {
    () => {
        "waiting (pipeline) AS (
          (SELECT r.pipeline FROM pipepost.runs r WHERE r.state = 'queued' ORDER BY r.pipeline LIMIT 1)
          UNION ALL
          SELECT (SELECT r.pipeline FROM pipepost.runs r WHERE r.state = 'queued' AND r.pipeline > waiting.pipeline
            ORDER BY r.pipeline LIMIT 1)
          FROM waiting WHERE waiting.pipeline IS NOT NULL
        ), unpaused AS (
          SELECT w.pipeline FROM waiting w WHERE w.pipeline IS NOT NULL
            AND NOT EXISTS (SELECT 1 FROM pipepost.schedules s WHERE s.pipeline = w.pipeline AND s.paused)
        )"
    };
}

/// Writes a run down, unless its key is known, or another run waits and it allows no second one.
///
/// $1 id, $2 pipeline, $3 the document's digest, $4 key, $5 digest, $6 origin, $7 message, $8 shown, $9 globals, $10 due,
/// $11 how long after it is due it may begin, $12 retries, $13 whether it may begin again after a death, $14 whether it is
/// dropped while another one waits, $15 whether it begins, $16 the worker, $17 microseconds, $18 the document's text unless
/// it is there, $19 its files, $20 and $21 the trace,
/// $22 how many of the pipeline may be under way.
pub(crate) const ACCEPT: &str = concat!(
    "WITH t AS MATERIALIZED (
      SELECT ",
    now!("$17"),
    " AS now, $15::bool AND NOT EXISTS (SELECT 1 FROM pipepost.schedules s WHERE s.pipeline = $2::text AND s.paused)
        AND ($22::int8 IS NULL OR $22::int8 > (
          SELECT count(*) FROM pipepost.runs u WHERE u.state = 'running' AND u.pipeline = $2::text))
          AS begins
    ), pinned AS (
      INSERT INTO pipepost.documents (digest, pipeline, text, files, seen)
      SELECT $3::text, $2::text, $18::text, $19::text, t.now FROM t WHERE $18::text IS NOT NULL
      ON CONFLICT (digest) DO UPDATE SET seen = excluded.seen
    ), made AS (
      INSERT INTO pipepost.runs AS r (id, pipeline, document, key, digest, origin, message, shown, globals, state, due,
        expires, retries, attempt, deaths, allow_redelivery, redelivery, owner, epoch, accepted, begun, sent, failed,
        uncertain, trace_parent, trace_state)
      SELECT $1::text, $2::text, $3::text, $4::text, $5::text, $6::text, $7::text, $8::text, $9::text,
        CASE WHEN t.begins THEN 'running' ELSE 'queued' END, COALESCE($10::int8, t.now),
        GREATEST(COALESCE($10::int8, t.now), t.now) + $11::int8, $12::int8, t.begins::int4, 0, $13::bool, false,
        CASE WHEN t.begins THEN $16::text END, t.begins::int4, t.now, CASE WHEN t.begins THEN t.now END, 0, 0, 0,
        $20::text, $21::text
      FROM t
      WHERE NOT ($14::bool AND EXISTS (
        SELECT 1 FROM pipepost.runs q WHERE q.state = 'queued' AND q.pipeline = $2::text))
      ON CONFLICT (key) DO NOTHING
      RETURNING ",
    run!("r"),
    "
    )
    SELECT ",
    run!("made"),
    ", set_config('synchronous_commit', 'on', true) FROM made"
);

/// Finds a run that was written down before. $1 its key.
pub(crate) const KNOWN: &str = concat!(
    "SELECT ",
    run!("r"),
    ", set_config('synchronous_commit', 'on', true) FROM pipepost.runs r WHERE r.key = $1::text FOR SHARE OF r"
);

/// Takes what is due, in turn by pipeline, and leaves out what another worker is about to take.
///
/// $1 the worker, $2 microseconds, $3 how many in all, $4 pipelines with $5 how many of each, $6 how many of each other one,
/// $7 pipelines with $8 how many of each may be under way over all workers: their rows are locked then.
pub(crate) const TAKE: &str = concat!(
    "WITH RECURSIVE t AS MATERIALIZED (SELECT ",
    now!("$2"),
    " AS now), ",
    waiting!(),
    ", due AS MATERIALIZED (
      SELECT c.id, u.pipeline, row_number() OVER (PARTITION BY u.pipeline ORDER BY c.due, c.id) AS turn
      FROM unpaused u
      LEFT JOIN unnest($4::text[], $5::int8[]) AS room (pipeline, most) ON room.pipeline = u.pipeline
      LEFT JOIN unnest($7::text[], $8::int8[]) AS shared (pipeline, most) ON shared.pipeline = u.pipeline
      CROSS JOIN LATERAL (
        SELECT r.id, r.due FROM pipepost.runs r
        WHERE r.state = 'queued' AND r.pipeline = u.pipeline AND r.due <= (SELECT now FROM t)
        ORDER BY r.due, r.id LIMIT LEAST(COALESCE(room.most, $6::int8), $3::int8, CASE WHEN shared.most IS NOT NULL
          THEN GREATEST(0, shared.most - (
            SELECT count(*) FROM pipepost.runs n WHERE n.state = 'running' AND n.pipeline = shared.pipeline)) END)
        FOR UPDATE SKIP LOCKED
      ) c
    ), chosen AS MATERIALIZED (
      SELECT id FROM due ORDER BY turn, pipeline LIMIT $3::int8
    ), begun AS (
      UPDATE pipepost.runs r SET state = 'running', owner = $1::text, epoch = r.epoch + 1, attempt = r.attempt + 1,
        begun = t.now, ended = NULL
      FROM t WHERE r.id = ANY (ARRAY(SELECT id FROM chosen)) AND r.state = 'queued'
      RETURNING ",
    run!("r"),
    "
    )
    SELECT ",
    run!("begun"),
    ", set_config('synchronous_commit', 'on', true) FROM begun"
);

/// Makes the rows of pipelines whose runs are limited over all workers. $1 the pipelines.
pub(crate) const MAKE_PIPELINES: &str = "INSERT INTO pipepost.schedules (pipeline)
    SELECT p FROM unnest($1::text[]) p ORDER BY p ON CONFLICT (pipeline) DO NOTHING";

/// Locks them, so that nobody else counts meanwhile. $1 the pipelines.
pub(crate) const LOCK_PIPELINES: &str = "SELECT s.pipeline FROM pipepost.schedules s
    WHERE s.pipeline = ANY ($1::text[]) ORDER BY s.pipeline FOR UPDATE";

/// Writes down how a run goes on, if it is still the performer's; and says whether it stands there already.
///
/// $1 id, $2 epoch, $3 the worker, $4 state, $5 how long it waits (NULL: it has ended), $6 retries, $7 output, $8 kind, $9
/// failure, $10 to $12 counts, $13 the message in place of the one that is there, $14 whether nothing else is shown any
/// more, $15 microseconds.
pub(crate) const FINISH: &str = concat!(
    "WITH written AS (
      UPDATE pipepost.runs r SET state = $4::text, owner = NULL,
        due = CASE WHEN $5::int8 IS NULL THEN r.due ELSE ",
    now!("$15"),
    " + $5::int8 END,
        ended = CASE WHEN $5::int8 IS NULL THEN ",
    now!("$15"),
    " END,
        retries = $6::int8, output = $7::text, kind = $8::text, failure = $9::text, sent = $10::int8, failed = $11::int8,
        uncertain = $12::int8, message = COALESCE($13::text, r.message),
        shown = CASE WHEN $14::bool THEN NULL ELSE r.shown END
      WHERE r.id = $1::text AND r.state = 'running' AND r.epoch = $2::int8 AND r.owner = $3::text
      RETURNING 1
    )
    SELECT EXISTS (SELECT 1 FROM written) AS written,
      EXISTS (SELECT 1 FROM pipepost.runs r WHERE r.id = $1::text AND r.epoch = $2::int8 AND r.state = $4::text) AS found,
      set_config('synchronous_commit', 'on', true)"
);

/// Finds runs whose performer is gone. With a worker that was silent for too long, only a worker decides that was not so
/// itself. Runs of one's own that nobody performs were taken, and the answer was lost.
///
/// $1 the worker, $2 microseconds, $3 whether this worker was never silent for too long, $4 the runs that it performs, $5
/// how many microseconds after their beginning.
pub(crate) const RECOVER: &str = concat!(
    "SELECT ",
    run!("r"),
    ", t.now, COALESCE(r.owner = $1::text, false) AS own
    FROM pipepost.runs r, (SELECT ",
    now!("$2"),
    " AS now) t
    WHERE r.state = 'running' AND CASE
        WHEN r.owner = $1::text THEN r.id <> ALL ($4::text[]) AND r.begun < t.now - $5::int8
        ELSE NOT ",
    alive!("r.owner"),
    " AND ($3::bool OR NOT EXISTS (
            SELECT 1 FROM pipepost.workers w WHERE w.id = r.owner AND w.seen > '-infinity'))
      END
    ORDER BY r.id LIMIT 500 FOR UPDATE OF r SKIP LOCKED"
);

/// Forgets workers that are dead for longer than an hour: whoever was killed does not do it himself.
pub(crate) const FORGET_WORKERS: &str = concat!(
    "DELETE FROM pipepost.workers WHERE id = ANY (ARRAY(
      SELECT d.id FROM pipepost.workers d WHERE d.seen < clock_timestamp() - interval '1 hour' AND NOT ",
    alive!("d.id"),
    " FOR UPDATE SKIP LOCKED))"
);

/// The server's time, in microseconds. $1 what it is instead.
pub(crate) const NOW: &str = concat!("SELECT ", now!("$1"));

/// Locks runs that wait and were written down while the clock was ahead of this moment. Asked for only where the clock went
/// back: it looks at all that waits.
///
/// $1 the moment, in microseconds.
pub(crate) const AHEAD: &str = concat!(
    "SELECT ",
    run!("r"),
    " FROM pipepost.runs r
    WHERE r.state = 'queued' AND (r.accepted > $1::int8 OR r.begun > $1::int8)
    ORDER BY r.id LIMIT 500 FOR UPDATE OF r SKIP LOCKED"
);

/// $1 a run, $2 when it was accepted.
pub(crate) const ACCEPTED: &str = "UPDATE pipepost.runs SET accepted = $2::int8 WHERE id = $1::text";

/// Gives each worker that signed while the clock was ahead a lease from now on: one that is dead would live until the old
/// time comes again.
pub(crate) const SIGNS_AHEAD: &str =
    "UPDATE pipepost.workers SET seen = clock_timestamp() WHERE seen > clock_timestamp()";

/// $1 an id.
pub(crate) const BY_ID: &str = concat!("SELECT ", run!("r"), " FROM pipepost.runs r WHERE r.id = $1::text");
/// $1 a key.
pub(crate) const BY_KEY: &str = concat!("SELECT ", run!("r"), " FROM pipepost.runs r WHERE r.key = $1::text");
/// Locks a run. $1 its id, $2 microseconds.
pub(crate) const BY_ID_TO_CHANGE: &str = concat!(
    "SELECT ",
    run!("r"),
    ", ",
    now!("$2"),
    " FROM pipepost.runs r WHERE r.id = $1::text FOR UPDATE"
);
/// Without its conditions.
pub(crate) const LIST: &str = concat!("SELECT ", run!("r"), " FROM pipepost.runs r");

/// Writes what can change in a run.
pub(crate) const UPDATE: &str = "UPDATE pipepost.runs SET message = $2::text, shown = $3::text, globals = $4::text,
    state = $5::text, due = $6::int8, expires = $7::int8, retries = $8::int8, attempt = $9::int8, deaths = $10::int8,
    redelivery = $11::bool, owner = $12::text, epoch = $13::int8, begun = $14::int8, ended = $15::int8,
    output = $16::text, kind = $17::text, failure = $18::text, sent = $19::int8, failed = $20::int8,
    uncertain = $21::int8
    WHERE id = $1::text";

/// How full the queue is. $1 microseconds.
pub(crate) const LENGTH: &str = concat!(
    "WITH RECURSIVE ",
    waiting!(),
    "
    SELECT (SELECT count(*) FROM pipepost.runs WHERE state = 'queued'),
      (SELECT count(*) FROM pipepost.runs WHERE state = 'running'),
      (SELECT min(f.due) FROM unpaused u CROSS JOIN LATERAL (
        SELECT r.due FROM pipepost.runs r WHERE r.state = 'queued' AND r.pipeline = u.pipeline
        ORDER BY r.due, r.id LIMIT 1) f),
      ",
    now!("$1")
);

/// Has runs that wait for an account due now, and counts them. $1 the account's label, $2 what helps them, $3 microseconds.
pub(crate) const ACCOUNT_GOES_ON: &str = concat!(
    "WITH t AS MATERIALIZED (SELECT ",
    now!("$3"),
    " AS now), hastened AS (
      UPDATE pipepost.runs r SET due = t.now, retries = r.retries + 1 FROM t
      WHERE r.state = 'queued' AND r.due > t.now AND r.failure IS NOT NULL
        AND r.failure::jsonb #>> '{remedy,kind}' = $2::text AND r.failure::jsonb #>> '{remedy,account}' = $1::text
      RETURNING r.id
    )
    SELECT count(*), set_config('synchronous_commit', 'on', true) FROM hastened"
);

/// $1 a digest.
pub(crate) const DOCUMENT: &str =
    "SELECT digest, pipeline, text, files FROM pipepost.documents WHERE digest = $1::text";

/// Forgets runs that ended before $1, at most $2 of them.
pub(crate) const FORGET_RUNS: &str = "DELETE FROM pipepost.runs WHERE id = ANY (ARRAY(
    SELECT id FROM pipepost.runs WHERE ended IS NOT NULL AND ended < $1::int8 AND state <> 'uncertain'
    ORDER BY ended LIMIT $2::int8))";

/// Forgets messages and outputs of runs that ended before $1, of at most $2 runs.
pub(crate) const FORGET_PAYLOADS: &str =
    "UPDATE pipepost.runs SET message = NULL, shown = NULL, globals = NULL, output = NULL
    WHERE id = ANY (ARRAY(
      SELECT id FROM pipepost.runs
      WHERE ended IS NOT NULL AND ended < $1::int8 AND state <> 'uncertain' AND message IS NOT NULL
      ORDER BY ended LIMIT $2::int8))";

/// Forgets documents that no run needs, and that no server has named for $2 microseconds. $1 microseconds.
pub(crate) const FORGET_DOCUMENTS: &str = concat!(
    "DELETE FROM pipepost.documents d WHERE d.seen < ",
    now!("$1"),
    " - $2::int8 AND NOT EXISTS (SELECT 1 FROM pipepost.runs r WHERE r.document = d.digest)"
);

/// What is known of each pipeline's schedule.
pub(crate) const SCHEDULES: &str = "SELECT pipeline, last, paused, missed, skipped FROM pipepost.schedules
    WHERE last IS NOT NULL OR paused ORDER BY pipeline";

/// Writes a run as an order does, for as long as nobody looks: where the disk is full, it cannot be written.
pub(crate) const PROBE_RUN: &str = "INSERT INTO pipepost.runs (id, pipeline, document, key, digest, origin, message, state,
      due, retries, attempt, deaths, allow_redelivery, redelivery, epoch, accepted, sent, failed, uncertain)
    SELECT p.id, 'probe', 'probe', p.id, 'probe', 'api', repeat('x', 1500), 'done', 0, 0, 0, 0, false, false, 0, 0, 0, 0, 0
    FROM (SELECT 'probe/' || gen_random_uuid() AS id) p";

/// $1 seconds.
pub(crate) const PROBE: &str = concat!(
    "INSERT INTO pipepost.upkeep (name, at) VALUES ('probe', ",
    now_seconds!("$1"),
    ") ON CONFLICT (name) DO UPDATE SET at = excluded.at"
);

/// $1 pipeline, $2 the time, $3 and $4 what to add. Returns a row, as the next one does: what is answered is synced.
pub(crate) const NOTE_SCHEDULE: &str = "INSERT INTO pipepost.schedules AS s (pipeline, last, missed, skipped)
    VALUES ($1::text, $2::int8, $3::int8, $4::int8)
    ON CONFLICT (pipeline) DO UPDATE SET last = GREATEST(s.last, excluded.last), missed = s.missed + excluded.missed,
      skipped = s.skipped + excluded.skipped
    RETURNING set_config('synchronous_commit', 'on', true)";

/// $1 pipeline, $2 whether it pauses.
pub(crate) const PAUSE_PIPELINE: &str = "INSERT INTO pipepost.schedules (pipeline, paused) VALUES ($1::text, $2::bool)
    ON CONFLICT (pipeline) DO UPDATE SET paused = excluded.paused
    RETURNING set_config('synchronous_commit', 'on', true)";

/// Locks a pipeline's row, which is made where there is none. $1 pipeline.
pub(crate) const LOCK_PIPELINE: &str = "INSERT INTO pipepost.schedules AS s (pipeline) VALUES ($1::text)
    ON CONFLICT (pipeline) DO UPDATE SET paused = s.paused";

/// Returns a row if it is time to forget what is old, which nobody else does then. $1 seconds, $2 how often.
pub(crate) const UPKEEP: &str = concat!(
    "INSERT INTO pipepost.upkeep AS u (name, at) VALUES ('forget', ",
    now_seconds!("$1"),
    ") ON CONFLICT (name) DO UPDATE SET at = excluded.at
     WHERE excluded.at - u.at >= $2::int8 OR excluded.at < u.at
     RETURNING at"
);

/// Forgets executions of which everything is known to be sent, and was so for long enough, with their messages.
///
/// $1 seconds, $2 how long they are kept, $3 how many.
pub(crate) const FORGET_EXECUTIONS: &str = concat!(
    "WITH t AS MATERIALIZED (SELECT ",
    now_seconds!("$1"),
    " - $2::int8 AS before), old AS MATERIALIZED (
      SELECT e.key FROM pipepost.executions e
      WHERE e.changed < (SELECT before FROM t) AND NOT (e.owner IS NOT NULL AND ",
    alive!("e.owner"),
    ") AND NOT EXISTS (
          SELECT 1 FROM pipepost.messages m
          WHERE m.execution = e.key AND (m.outcome IS DISTINCT FROM 'sent' OR m.changed >= (SELECT before FROM t)))
      ORDER BY e.changed LIMIT $3::int8 FOR UPDATE SKIP LOCKED
    ), unsaid AS (
      DELETE FROM pipepost.messages m USING old WHERE m.execution = old.key RETURNING m.key
    ), unclaimed AS (
      DELETE FROM pipepost.parts p USING unsaid u WHERE p.message = u.key
    )
    DELETE FROM pipepost.executions e USING old WHERE e.key = old.key"
);

pub(crate) use alive;
pub(crate) use now;
pub(crate) use now_seconds;

/// The statements of a run and of a claim, by name, for a test that looks at their plans.
#[doc(hidden)]
pub const HOT: &[(&str, &str)] = &[
    ("sign", SIGN),
    ("open", OPEN),
    ("take over", TAKE_OVER),
    ("claim", CLAIM),
    ("note", NOTE),
    ("close", CLOSE),
    ("give up", GIVE_UP),
    ("entries of an execution", ENTRIES_OF),
    ("entries begun", ENTRIES_BEGUN),
    ("entries named", ENTRIES_NAMED),
    ("entries in doubt", ENTRIES_OPEN),
    ("page of messages", PAGE),
    ("page of an execution", PAGE_OF),
    ("entry", ENTRY),
    ("lock account", LOCK_ACCOUNT),
    ("admissions", ADMISSIONS),
    ("admit", ADMIT),
    ("pause", PAUSE),
    ("accept", ACCEPT),
    ("known", KNOWN),
    ("take", TAKE),
    ("lock pipelines", LOCK_PIPELINES),
    ("finish", FINISH),
    ("recover", RECOVER),
    ("ahead of the clock", AHEAD),
    ("run", BY_ID),
    ("run by key", BY_KEY),
    ("length", LENGTH),
    ("account goes on", ACCOUNT_GOES_ON),
    ("document", DOCUMENT),
    ("forget runs", FORGET_RUNS),
    ("forget payloads", FORGET_PAYLOADS),
    ("forget documents", FORGET_DOCUMENTS),
    ("forget executions", FORGET_EXECUTIONS),
];
