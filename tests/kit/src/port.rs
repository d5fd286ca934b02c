use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::{TcpListener, TcpSocket};

/// A port that stays ours while nobody listens on it.
///
/// A socket that is bound but does not listen keeps the kernel from giving the port to another, refuses connections, and
/// lets a listener with `SO_REUSEADDR` (Go sets it always) have the port beside it. So a server that is down for a while
/// finds its port free when it comes back.
pub struct Port {
    addr: SocketAddr,
    _reservation: TcpSocket,
}

impl Port {
    /// Takes a free port of loopback.
    pub fn reserve() -> io::Result<Self> {
        Self::reserve_at(Ipv4Addr::LOCALHOST)
    }

    /// Takes a free port of an address of this machine.
    pub fn reserve_at(address: Ipv4Addr) -> io::Result<Self> {
        let reservation = bind((address, 0).into())?;
        Ok(Self { addr: reservation.local_addr()?, _reservation: reservation })
    }

    /// Where it is.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Listens on it; call within a tokio runtime.
    pub fn listen(&self) -> io::Result<TcpListener> {
        bind(self.addr)?.listen(1024)
    }
}

fn bind(addr: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    Ok(socket)
}
