//! Who is at the other end of a socket, by the kernel's word, and what that allows.

use std::collections::BTreeMap;
use std::os::fd::AsFd;

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::unistd::Uid;
use nn_tensor::{Code, Fault, Tenant};

/// The process that connected, at the moment it did. Decisions go by uid: a pid may be reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) pid: u32,
    pub(crate) uid: u32,
}

/// Which uids may act for which tenant.
#[derive(Debug)]
pub(crate) struct Tenants(pub(crate) BTreeMap<Tenant, Vec<u32>>);

impl Peer {
    /// Asks the kernel (SO_PEERCRED).
    pub(crate) fn of(socket: &impl AsFd) -> std::io::Result<Self> {
        let credentials = getsockopt(&socket.as_fd(), PeerCredentials)?;
        Ok(Self {
            pid: u32::try_from(credentials.pid()).unwrap_or(0),
            uid: credentials.uid(),
        })
    }

    /// Administration is for the daemon's own uid and root.
    pub(crate) fn may_administer(self) -> Result<(), Fault> {
        let own = Uid::effective().as_raw();
        if self.uid == 0 || self.uid == own {
            return Ok(());
        }
        let expected = if own == 0 {
            "uid 0".to_owned()
        } else {
            format!("uid {own} or 0")
        };
        Err(
            Fault::new(Code::Security, "this peer may not administer the daemon")
                .expected(expected)
                .got(format!("uid {}", self.uid))
                .hint("run the command as the daemon's user or as root"),
        )
    }
}

impl Tenants {
    /// Whether a peer may act for a tenant.
    pub(crate) fn allow(&self, peer: Peer, tenant: &Tenant) -> Result<(), Fault> {
        let listed = self
            .0
            .get(tenant)
            .is_some_and(|uids| uids.contains(&peer.uid));
        if self.0.is_empty() || listed {
            return Ok(());
        }
        Err(
            Fault::new(Code::Security, "this peer may not act for this tenant")
                .got(format!("uid {} for tenant {tenant}", peer.uid))
                .hint("the operator lists uids under [tenants] of the daemon's configuration"),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unlisted_uid_is_refused_and_an_empty_list_refuses_nobody() {
        let tenant = Tenant::default();
        let listed = Tenants(BTreeMap::from([(tenant.clone(), vec![7])]));
        let peer = |uid| Peer { pid: 1, uid };
        assert!(listed.allow(peer(7), &tenant).is_ok());
        assert_eq!(
            listed.allow(peer(8), &tenant).unwrap_err().code,
            Code::Security
        );
        assert!(Tenants(BTreeMap::new()).allow(peer(8), &tenant).is_ok());
    }
}
