use std::future::pending;
use std::io;
use std::net::SocketAddr;

use socket2::{SockFilter, SockRef};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::error::{Because, Result};
use crate::port::Port;

/// A TCP proxy on loopback in front of a server, with a switch. Takes the server away from one client only.
///
/// Its tasks run on the runtime that opened it: don't block that runtime's only thread while traffic must flow.
/// Dropping it closes the port and every connection.
pub struct Gate {
    addr: SocketAddr,
    wanted: watch::Sender<Switch>,
    reached: watch::Receiver<Switch>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Switch {
    Open,
    Hanging,
    Forgetting,
    Cut,
}

impl Gate {
    /// A gate on a free port in front of `to`; open. Call within a tokio runtime.
    ///
    /// Fails when no port can be had.
    pub fn open(to: SocketAddr) -> Result<Self> {
        let tried = "the gate got no port";
        let port = Port::reserve().because(tried)?;
        let listener = port.listen().because(tried)?;
        let (wanted, orders) = watch::channel(Switch::Open);
        let (done, reached) = watch::channel(Switch::Open);
        let addr = port.addr();
        tokio::spawn(async move {
            if let Err(cause) = keep(&port, listener, to, orders, done).await {
                eprintln!("the gate at {addr} closed for good: {cause}");
            }
        });
        Ok(Self { addr, wanted, reached })
    }

    /// Where the client finds the server.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Refuses new connections and resets those that exist, as when the server dies.
    pub async fn cut(&self) {
        self.switch(Switch::Cut).await;
    }

    /// Takes connections and carries nothing on new or old ones, as when packets are lost.
    pub async fn hang(&self) {
        self.switch(Switch::Hanging).await;
    }

    /// Carries everything again; what hung goes on where it stopped.
    pub async fn restore(&self) {
        self.switch(Switch::Open).await;
    }

    /// Loses what arrives on the connections that are open, without a word to the client, as a router does that has forgotten them. New ones
    /// are carried, also where the gate hung or was cut.
    pub async fn forget(&self) {
        self.switch(Switch::Forgetting).await;
        self.switch(Switch::Open).await;
    }

    async fn switch(&self, to: Switch) {
        self.wanted.send_replace(to);
        let mut reached = self.reached.clone();
        reached.wait_for(|now| *now == to).await.expect("the gate's task lives as long as the gate");
    }
}

/// Runs until the gate is dropped.
async fn keep(
    port: &Port,
    mut listener: TcpListener,
    to: SocketAddr,
    mut orders: watch::Receiver<Switch>,
    done: watch::Sender<Switch>,
) -> io::Result<()> {
    let mut connections = JoinSet::new();
    // Tells the connections that have a receiver of it that they are forgotten. They let go of it then.
    let (mut known, _) = watch::channel(());
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (client, _) = accepted?;
                connections.spawn(carry(client, to, orders.clone(), known.subscribe()));
            }
            Some(_) = connections.join_next() => {}
            changed = orders.changed() => {
                if changed.is_err() {
                    return Ok(());
                }
                let wanted = *orders.borrow_and_update();
                if wanted == Switch::Forgetting {
                    known.send_replace(());
                    known.closed().await;
                    known = watch::channel(()).0;
                }
                if wanted != Switch::Cut {
                    done.send_replace(wanted);
                    continue;
                }
                drop(listener);
                while connections.join_next().await.is_some() {}
                done.send_replace(Switch::Cut);
                let Ok(wanted) = orders.wait_for(|now| *now != Switch::Cut).await.map(|now| *now) else {
                    return Ok(());
                };
                listener = port.listen()?;
                done.send_replace(wanted);
            }
        }
    }
}

/// Carries one connection to its end, or resets it.
async fn carry(
    mut client: TcpStream,
    to: SocketAddr,
    orders: watch::Receiver<Switch>,
    mut forgotten: watch::Receiver<()>,
) {
    let mut cut = orders.clone();
    let carried = async {
        tokio::select! {
            ended = relay(&mut client, to, orders) => ended,
            _ = forgotten.changed() => {
                lose_what_arrives(&client).expect("Linux takes a filter for any socket");
                drop(forgotten);
                pending().await
            }
        }
    };
    let ended = tokio::select! {
        ended = carried => ended,
        _ = cut.wait_for(|now| *now == Switch::Cut) => Err(io::ErrorKind::ConnectionReset.into()),
    };
    if ended.is_err() {
        // Makes the close that follows a reset. It fails only where the client has gone already.
        let _ = client.set_zero_linger();
    }
}

/// Has the kernel drop what comes for this socket before TCP sees it, so that nothing is acknowledged.
fn lose_what_arrives(socket: &TcpStream) -> io::Result<()> {
    // In the words of the classic BPF: return 0, the number of bytes to keep.
    let nothing = SockFilter::new(0x06, 0, 0, 0);
    SockRef::from(socket).attach_filter(&[nothing])
}

async fn relay(client: &mut TcpStream, to: SocketAddr, mut orders: watch::Receiver<Switch>) -> io::Result<()> {
    opened(&mut orders).await?;
    let mut server = TcpStream::connect(to).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    tokio::try_join!(pump(from_client, to_server, orders.clone()), pump(from_server, to_client, orders))?;
    Ok(())
}

/// One direction, until its end.
async fn pump(mut from: ReadHalf<'_>, mut to: WriteHalf<'_>, mut orders: watch::Receiver<Switch>) -> io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = from.read(&mut buffer).await?;
        // Looked at between read and write: what arrives while the gate hangs stays here.
        opened(&mut orders).await?;
        if read == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..read]).await?;
    }
}

/// Waits until the gate is open. An error when it is gone.
async fn opened(orders: &mut watch::Receiver<Switch>) -> io::Result<()> {
    match orders.wait_for(|now| *now == Switch::Open).await {
        Ok(_) => Ok(()),
        Err(_) => Err(io::ErrorKind::ConnectionReset.into()),
    }
}
