//! What the connections of one server have in common.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use crate::script::{Play, Scene, Script};
use crate::session::Session;
use crate::settings::{Security, Settings};

/// A server without its sockets: it numbers connections and makes their [`Session`]s.
#[derive(Debug)]
pub struct Service {
    settings: Arc<Settings>,
    play: RwLock<Arc<Play>>,
    connections: AtomicU64,
}

impl Service {
    /// Makes a server with these settings, without a script.
    pub fn new(settings: Settings) -> Self {
        Self::with_script(settings, Script::default())
    }

    /// A server that misbehaves as the script says.
    pub fn with_script(settings: Settings, script: Script) -> Self {
        Self {
            settings: Arc::new(settings),
            play: RwLock::new(Arc::new(Play::new(script))),
            connections: AtomicU64::new(0),
        }
    }

    /// Returns the settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Another script, with all its counts at nought, for the connections that are still to come. They are counted on.
    pub fn set_script(&self, script: Script) {
        *self.play.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(Play::new(script));
    }

    /// Begins the next connection. With [`Security::Implicit`] it says nothing before [`Session::handle_tls`].
    pub fn session(&self, security: Security) -> Session {
        let connection = self.connections.fetch_add(1, Ordering::Relaxed) + 1;
        let play = self.play.read().unwrap_or_else(PoisonError::into_inner).clone();
        Session::new(
            self.settings.clone(),
            Scene::new(play, connection),
            connection,
            security,
        )
    }

    /// Returns the number of connections so far.
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }
}
