//! A connection that can be slowed down to one byte at a time, status line and headers included.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use crate::lock;

/// How long a connection waits between two bytes; `None` at first: not at all.
#[derive(Debug, Clone, Default)]
pub(super) struct Pace(Arc<Mutex<Option<Duration>>>);

impl Pace {
    /// From now on one byte each time `every` passes.
    pub(super) fn slow_down(&self, every: Duration) {
        *lock(&self.0) = Some(every);
    }

    fn get(&self) -> Option<Duration> {
        *lock(&self.0)
    }
}

/// A stream that writes at its pace.
pub(super) struct Paced<T> {
    io: T,
    pace: Pace,
    wait: Option<Pin<Box<Sleep>>>,
}

impl<T> Paced<T> {
    pub(super) fn new(io: T, pace: Pace) -> Self {
        Self { io, pace, wait: None }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Paced<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Paced<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let Some(every) = self.pace.get() else {
            return Pin::new(&mut self.io).poll_write(cx, buf);
        };
        if let Some(wait) = &mut self.wait {
            ready!(wait.as_mut().poll(cx));
            self.wait = None;
        }
        let byte = &buf[..buf.len().min(1)];
        let written = ready!(Pin::new(&mut self.io).poll_write(cx, byte))?;
        self.wait = Some(Box::pin(sleep(every)));
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
