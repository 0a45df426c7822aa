//! Every listener that a server was told to serve, wherever it comes from.
//!
//! The invariant: all that can be claimed is claimed before anything is bound. A refusal leaves no socket file behind,
//! and an address is never bound while a descriptor that nobody wants still holds it.

use graceful_shutdown::{Address, BindError, Listener};

use crate::{InheritError, Inherited};

/// Why a server cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// What was handed over is not what was asked for.
    #[error(transparent)]
    Inherit(#[from] InheritError),
    /// What was not handed over cannot be bound.
    #[error(transparent)]
    Bind(#[from] BindError),
}

impl Inherited {
    // ANCHOR: listen
    /// Claims the listeners that were handed over, binds the others, and closes what nobody wants, with a warning.
    ///
    /// # Errors
    /// As [`Inherited::listener`] and [`Address::bind`]; nothing stays open then, and nothing new stays bound.
    pub fn listen<'address>(
        mut self,
        asked: impl IntoIterator<Item = (String, &'address Address)>,
    ) -> Result<Vec<(String, Listener)>, ListenError> {
        let mut claimed = Vec::new();
        for (name, address) in asked {
            let listener = self.listener(&name, address)?;
            claimed.push((name, address, listener));
        }
        for name in self.names() {
            tracing::warn!(name, "closing an inherited descriptor that no --listen asks for");
        }
        drop(self);

        let bound = claimed.into_iter().map(|(name, address, listener)| match listener {
            Some(listener) => Ok((name, listener)),
            None => Ok((name, address.bind()?)),
        });
        bound.collect()
    }
    // ANCHOR_END: listen
}
