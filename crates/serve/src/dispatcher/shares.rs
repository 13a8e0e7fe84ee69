//! How the places are shared: a pipeline takes at most as many places as it leaves free, and so do all pipelines of an account
//! together. So whatever a provider does, those who have nothing to do with it find places, and the more of them are slow, the
//! less each takes. A pipeline that is alone, and an account that all pipelines have, may take all.

use std::collections::HashMap;

use super::room::{Rooms, Usage};
use super::{DEFAULT_CONSUMERS, consumers};
use crate::pipelines::Directory;

/// The places that are taken and free at a moment, and by whom.
#[derive(Debug)]
pub(super) struct Shares<'d> {
    directory: &'d Directory,
    usage: Usage,
    /// Taken by all pipelines of these accounts together.
    by_account: HashMap<&'d str, usize>,
}

impl<'d> Shares<'d> {
    /// Those of this moment, among the pipelines that are served.
    pub(super) fn now(rooms: &Rooms, directory: &'d Directory) -> Self {
        let usage = rooms.usage();
        let mut by_account = HashMap::new();
        for (pipeline, count) in &usage.placed {
            let served = directory.pipelines.get(pipeline);
            for account in served.iter().flat_map(|served| &served.accounts) {
                *by_account.entry(account.as_str()).or_default() += count;
            }
        }
        Self {
            directory,
            usage,
            by_account,
        }
    }

    /// The pipelines of which runs are under way.
    pub(super) fn under_way(&self) -> impl Iterator<Item = &String> {
        self.usage.runs.keys()
    }

    /// How many more runs of this pipeline may begin.
    pub(super) fn left(&self, pipeline: &str) -> usize {
        let served = self.directory.pipelines.get(pipeline);
        let most = served.map_or(DEFAULT_CONSUMERS, |served| consumers(&served.trigger));
        let of = |counts: &HashMap<String, usize>| counts.get(pipeline).copied().unwrap_or_default();
        let mut left = most.saturating_sub(of(&self.usage.runs)).min(self.usage.free);
        if self.directory.pipelines.keys().any(|other| other != pipeline) {
            left = left.min(self.share(of(&self.usage.placed)));
        }
        let accounts = served.iter().flat_map(|served| &served.accounts);
        for account in accounts.filter(|account| !self.directory.accounts_of_all.contains(*account)) {
            let taken = self.by_account.get(account.as_str()).copied().unwrap_or_default();
            left = left.min(self.share(taken));
        }
        left
    }

    /// How many runs may begin in one look, of whichever pipelines. Some places stay free for the next look, which knows who
    /// took these.
    pub(super) fn at_once(&self) -> usize {
        match self.directory.pipelines.len() {
            0 | 1 => self.usage.free,
            _ => self.share(0),
        }
    }

    /// How many more places somebody takes who has taken so many, if each is taken only while more are free.
    fn share(&self, taken: usize) -> usize {
        self.usage.free.saturating_sub(taken).div_ceil(2)
    }
}
