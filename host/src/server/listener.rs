//! The socket that the host listens on: its own, or one that the service manager keeps open across restarts.

use std::io;
use std::net::{IpAddr, SocketAddr};

use listenfd::ListenFd;
use tokio::net::{TcpListener, TcpStream};

use crate::config::{At as _, ConfigError};

/// A socket that accepts connections.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: TcpListener,
    is_inherited: bool,
}

impl Listener {
    /// Takes the socket that the service manager passed (`LISTEN_FDS`). Otherwise listens at `listen`.
    pub(crate) async fn open(listen: SocketAddr) -> Result<Self, ConfigError> {
        let place = "listen";
        match ListenFd::from_env().take_tcp_listener(0).at(place)? {
            Some(socket) => {
                socket.set_nonblocking(true).at(place)?;
                Ok(Self { socket: TcpListener::from_std(socket).at(place)?, is_inherited: true })
            }
            None => {
                let socket = TcpListener::bind(listen).await.at(place).map_err(ConfigError::that_can_pass)?;
                Ok(Self { socket, is_inherited: false })
            }
        }
    }

    pub(crate) fn address(&self) -> Result<SocketAddr, ConfigError> {
        self.socket.local_addr().at("listen")
    }

    pub(super) async fn accept(&self) -> io::Result<(TcpStream, IpAddr)> {
        self.socket.accept().await.map(|(stream, peer)| (stream, peer.ip()))
    }

    /// Lets no client begin another connection, so that the socket can be closed without losing one.
    ///
    /// The kernel completes a connection before the host accepts it. If the socket were closed at that moment, the
    /// client would lose a request that it has sent already. With the filter, the kernel drops the first packet of a
    /// connection. The client repeats it after a second, and is then refused before it has sent a request.
    ///
    /// The connections of an inherited socket wait for the next process.
    pub(super) fn refuse(&self) {
        #[cfg(target_os = "linux")]
        if !self.is_inherited
            && let Err(error) = socket2::SockRef::from(&self.socket).attach_filter(&filter::WITHOUT_SYN)
        {
            tracing::warn!(%error, "a connection that begins now can be lost");
        }
    }
}

/// A program of the kernel's packet filter. It sees a packet from its TCP header on.
#[cfg(target_os = "linux")]
mod filter {
    use socket2::SockFilter;

    /// Drops the first packet of a connection: the one with SYN and without ACK.
    pub(super) const WITHOUT_SYN: [SockFilter; 5] = [
        SockFilter::new(LOAD_BYTE, 0, 0, FLAGS_AT),
        SockFilter::new(AND, 0, 0, SYN | ACK),
        SockFilter::new(JUMP_IF_EQUAL, 0, 1, SYN),
        SockFilter::new(RETURN, 0, 0, NOTHING),
        SockFilter::new(RETURN, 0, 0, WHOLE_PACKET),
    ];

    const LOAD_BYTE: u16 = 0x30;
    const AND: u16 = 0x54;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    const FLAGS_AT: u32 = 13;
    const SYN: u32 = 0x02;
    const ACK: u32 = 0x10;
    const NOTHING: u32 = 0;
    const WHOLE_PACKET: u32 = u32::MAX;
}
