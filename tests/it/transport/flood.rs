//! Clients that take more than their share: of messages, of frames, of connections.
