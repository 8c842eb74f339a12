//! How a socket ends: who is told what, and how long it may take.

use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use tokio::time::{Instant, sleep, timeout_at};
use tokio_tungstenite::tungstenite::{Error as ReadError, error::ProtocolError};
use tokio_util::sync::CancellationToken;

use super::frames::CloseCode;

/// How long a socket that we close may take for all that is still said, the goodbye included.
pub const GOODBYE: Duration = Duration::from_secs(2);

/// After a message that we stopped reading: closing at once would reset the connection, and the client would never
/// see why.
const LINGER: Duration = Duration::from_secs(1);

/// How long mutations that run may take to answer before a close that is not the client's fault.
pub const SETTLING: Duration = Duration::from_secs(1);

/// How a socket ends.
pub enum End {
    /// The client has gone, or takes nothing any more: nobody is there to tell.
    Gone,
    /// We end it, and say why.
    Close(CloseCode),
    /// As before, and what the client still sends cannot be read.
    Unreadable(CloseCode),
}

/// One step of a socket, or its end.
pub type Step = Result<(), End>;

impl End {
    /// What a read that failed means. A connection that breaks is no fault of the client.
    pub fn of_read(error: axum::Error) -> Self {
        match error.into_inner().downcast_ref() {
            None
            | Some(
                ReadError::Io(_)
                | ReadError::ConnectionClosed
                | ReadError::AlreadyClosed
                | ReadError::Protocol(ProtocolError::ResetWithoutClosingHandshake),
            ) => Self::Gone,
            Some(_) => Self::Unreadable(CloseCode::Malformed("The message cannot be read or is too long")),
        }
    }

    /// The close code, as it is counted.
    pub fn label(&self) -> String {
        match self {
            Self::Gone => "gone".to_owned(),
            Self::Close(code) | Self::Unreadable(code) => CloseFrame::from(*code).code.to_string(),
        }
    }

    /// True when the client did nothing wrong: what it has set off is still answered.
    pub fn is_orderly(&self) -> bool {
        matches!(self, Self::Close(CloseCode::Restart | CloseCode::Forbidden))
    }
}

/// Sends the close frame and waits, until the deadline at most, for the client to see it.
pub async fn say_goodbye(socket: &mut WebSocket, code: CloseCode, is_unreadable: bool, deadline: Instant) {
    let goodbye = async {
        if socket.send(Message::Close(Some(code.into()))).await.is_err() {
            return;
        }
        while let Some(Ok(_)) = socket.recv().await {}
        if is_unreadable {
            sleep(LINGER).await;
        }
    };
    // Late is as good as never here.
    let _ = timeout_at(deadline, goodbye).await;
}

/// Ends when the server has been stopping for so long that a socket which has not noticed is stuck in a question to the
/// database.
pub async fn overdue(closing: CancellationToken) {
    closing.cancelled().await;
    sleep(GOODBYE).await;
}

#[cfg(test)]
mod tests {
    use std::io;

    use tokio_tungstenite::tungstenite::error::CapacityError;

    use super::*;

    #[test]
    fn a_connection_that_breaks_is_gone_and_what_cannot_be_read_is_malformed() {
        let reset = ReadError::Protocol(ProtocolError::ResetWithoutClosingHandshake);
        for error in [ReadError::Io(io::ErrorKind::ConnectionReset.into()), ReadError::AlreadyClosed, reset] {
            assert_eq!(End::of_read(axum::Error::new(error)).label(), "gone");
        }
        for error in [
            ReadError::Capacity(CapacityError::MessageTooLong { size: 2, max_size: 1 }),
            ReadError::Protocol(ProtocolError::UnmaskedFrameFromClient),
            ReadError::Utf8("a byte".to_owned()),
        ] {
            assert_eq!(End::of_read(axum::Error::new(error)).label(), "4400");
        }
    }
}
