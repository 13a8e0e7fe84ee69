//! What was put together to be written, and the replies that are owed.

use std::collections::VecDeque;
use std::time::Duration;

use crate::config::Timeouts;
use crate::outcome::{Id, Stage};

/// A reply that is owed. They come in the order of the commands (RFC 2920, section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expect {
    Greeting,
    Ehlo,
    Helo,
    StartTls,
    /// To an RSET that tries a connection after a long rest.
    Probe,
    /// To a second EHLO, which shows whether the replies before it were counted right.
    Fence,
    Reset,
    Sender,
    Recipient,
    Data,
    /// To a lone dot, where nobody was accepted and DATA was all the same.
    Lone,
    /// To a BDAT that is not the last of its message.
    Chunk,
    Content,
}

impl Expect {
    pub(super) fn stage(self) -> Stage {
        match self {
            Self::Greeting => Stage::Greeting,
            Self::Ehlo | Self::Helo | Self::Fence => Stage::Hello,
            Self::StartTls => Stage::StartTls,
            Self::Probe | Self::Reset => Stage::Reset,
            Self::Sender => Stage::Sender,
            Self::Recipient => Stage::Recipient,
            Self::Data => Stage::Data,
            Self::Lone | Self::Chunk | Self::Content => Stage::Content,
        }
    }

    fn timeout(self, timeouts: &Timeouts) -> Duration {
        match self {
            Self::Greeting => timeouts.greeting,
            Self::Ehlo | Self::Helo | Self::StartTls | Self::Probe | Self::Fence | Self::Reset => timeouts.command,
            Self::Sender => timeouts.mail,
            Self::Recipient => timeouts.rcpt,
            Self::Data => timeouts.data,
            Self::Lone | Self::Chunk | Self::Content => timeouts.finish,
        }
    }
}

/// Where in the order of replies one stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// To what it is taken to be.
    pub(super) expect: Expect,
    /// To what the reply before it was taken to be.
    pub(super) before: Option<Expect>,
    /// What was written behind it and is unanswered.
    pub(super) after: Option<Expect>,
}

/// A point in what is not written yet, to go back to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mark {
    out: usize,
    unwritten: usize,
}

#[derive(Debug, Default)]
pub(super) struct Pipeline {
    out: Vec<u8>,
    /// The transactions whose last byte is in `out`.
    commits: Vec<Id>,
    /// `out` was given to the owner and may be on its way.
    handed: bool,
    expects: VecDeque<Expect>,
    /// To what the last reply was.
    last: Option<Expect>,
    /// How many of the last `expects` are for commands in `out`.
    unwritten: usize,
    /// Bytes came since the last deadline was given, and no reply was whole.
    trickling: bool,
}

impl Pipeline {
    pub(super) fn put(&mut self, parts: &[&str]) {
        parts
            .iter()
            .for_each(|part| self.out.extend_from_slice(part.as_bytes()));
    }

    /// Where content is copied to.
    pub(super) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    pub(super) fn len(&self) -> usize {
        self.out.len()
    }

    /// A reply to a command that was put.
    pub(super) fn expect(&mut self, expect: Expect) {
        self.expects.push_back(expect);
        self.unwritten += 1;
    }

    /// A reply to nothing that is written.
    pub(super) fn expect_unasked(&mut self, expect: Expect) {
        self.expects.push_back(expect);
    }

    /// The end of this transaction was put.
    pub(super) fn commit(&mut self, id: Id) {
        self.commits.push(id);
        self.expect(Expect::Content);
    }

    pub(super) fn commits(&self) -> &[Id] {
        &self.commits
    }

    pub(super) fn mark(&self) -> Mark {
        Mark {
            out: self.out.len(),
            unwritten: self.unwritten,
        }
    }

    /// Takes back what was put since `mark`, in which nothing commits.
    pub(super) fn rewind(&mut self, mark: Mark) {
        debug_assert!(
            mark.out <= self.out.len() && mark.unwritten <= self.unwritten,
            "a mark lies behind"
        );
        debug_assert!(self.unwritten <= self.expects.len(), "what is unwritten is expected");
        self.out.truncate(mark.out);
        self.expects
            .truncate(self.expects.len() - (self.unwritten - mark.unwritten));
        self.unwritten = mark.unwritten;
    }

    /// Takes back everything that was not written.
    pub(super) fn discard(&mut self) {
        self.rewind(Mark::default());
        self.commits.clear();
        self.handed = false;
    }

    pub(super) fn hand_out(&mut self) -> (&[u8], &[Id]) {
        self.handed = true;
        (&self.out, &self.commits)
    }

    pub(super) fn is_handed(&self) -> bool {
        self.handed
    }

    pub(super) fn written(&mut self) {
        self.out.clear();
        self.commits.clear();
        (self.handed, self.unwritten, self.trickling) = (false, 0, false);
    }

    /// The reply that is owed next has come: to what is it? None when none was.
    pub(super) fn answered(&mut self) -> Option<Place> {
        if !self.is_waiting() {
            return None;
        }
        self.trickling = false;
        let expect = self.expects.pop_front()?;
        let before = self.last.replace(expect);
        let after = self.next_expected();
        Some(Place { expect, before, after })
    }

    /// The reply that is owed next, to something that was written.
    pub(super) fn next_expected(&self) -> Option<Expect> {
        self.expects.front().copied().filter(|_| self.is_waiting())
    }

    /// Bytes have come.
    pub(super) fn received(&mut self) {
        self.trickling = true;
    }

    /// True when a reply is owed to something that was written.
    pub(super) fn is_waiting(&self) -> bool {
        self.awaited() > 0
    }

    /// How many replies are owed to what was written.
    pub(super) fn awaited(&self) -> usize {
        self.expects.len() - self.unwritten
    }

    /// How many replies are owed, or will be once `out` is written.
    pub(super) fn owed(&self) -> usize {
        self.expects.len()
    }

    pub(super) fn is_idle(&self) -> bool {
        self.out.is_empty() && self.expects.is_empty()
    }

    /// The deadline of a read, if it is a new one.
    ///
    /// A server may keep all replies of a group back until it has done the last of its commands (RFC 2920, section 3.2),
    /// so the longest of the waits counts.
    pub(super) fn wait(&self, timeouts: &Timeouts) -> Option<Duration> {
        if self.trickling {
            return None;
        }
        self.expects.iter().map(|expect| expect.timeout(timeouts)).max()
    }
}
