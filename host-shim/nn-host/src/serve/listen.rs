//! The listening socket: one that the service manager opened, else one of our own.

use std::net::{SocketAddr, TcpListener as StdListener};

use nix::sys::socket::{
    AddressFamily, SockType, SockaddrLike, SockaddrStorage, getsockname, getsockopt, sockopt,
};
use nn_service::Inherited;
use std::os::fd::AsRawFd;
use tokio::net::{TcpListener, TcpSocket};

use crate::serve::error::ServeError;

/// Connections that wait to be accepted.
const BACKLOG: u32 = 1024;

/// The socket that the service manager opened for this process, if it did. To be called before there are
/// threads.
pub(crate) fn inherited() -> Result<Option<StdListener>, ServeError> {
    let mut given = nn_service::inherited()?;
    if given.len() > 1 {
        return Err(ServeError::TooMany(given.len()));
    }
    let Some(inherited) = given.pop() else {
        return Ok(None);
    };
    if !listens(&inherited) {
        return Err(ServeError::NotListening {
            name: inherited.name,
        });
    }
    Ok(Some(StdListener::from(inherited.fd)))
}

fn listens(inherited: &Inherited) -> bool {
    let fd = &inherited.fd;
    let stream = getsockopt(fd, sockopt::SockType) == Ok(SockType::Stream);
    let accepts = getsockopt(fd, sockopt::AcceptConn) == Ok(true);
    let family = getsockname::<SockaddrStorage>(fd.as_raw_fd()).map(|address| address.family());
    let tcp = matches!(family, Ok(Some(AddressFamily::Inet | AddressFamily::Inet6)));
    stream && accepts && tcp
}

/// Listens. What was inherited goes before the address.
pub(crate) fn listen(
    address: Option<SocketAddr>,
    inherited: Option<StdListener>,
) -> Result<TcpListener, ServeError> {
    if let Some(inherited) = inherited {
        let taken = inherited
            .set_nonblocking(true)
            .and_then(|()| TcpListener::from_std(inherited));
        return taken.map_err(|_| ServeError::NotListening {
            name: "unknown".to_owned(),
        });
    }
    let address = address.ok_or(ServeError::NoAddress)?;
    let bound = || {
        let socket = if address.is_ipv4() {
            TcpSocket::new_v4()?
        } else {
            TcpSocket::new_v6()?
        };
        // A restart need not wait until the last connections of the one before are forgotten.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    bound().map_err(|source| ServeError::Listen { address, source })
}
