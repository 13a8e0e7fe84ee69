//! What the process gives up before it reads anything: its core file, its readability for others of the same user, and
//! files that others may read.

/// Sees to it that a crash leaves no core file (which would hold passwords), that no other process of the same user may
/// look into this one's memory, and that whatever this process creates is its owner's alone.
///
/// What the system refuses is left as it is: it is a second wall, not the first.
#[cfg(unix)]
pub(super) fn harden() {
    use rustix::fs::Mode;
    use rustix::process::{Resource, Rlimit, setrlimit, umask};

    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    let _ = setrlimit(Resource::Core, none);
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    }
    umask(Mode::RWXG | Mode::RWXO);
}

/// There is nothing of the kind to give up here.
#[cfg(not(unix))]
pub(super) fn harden() {}
