//! Compression of answers, for clients that accept gzip: a page of messages shrinks to a third. Nothing else is
//! compressed. Assets of the explorer are stored compressed, streams of events must not wait in a buffer, and sockets
//! would need a window each.

use tower_http::{
    CompressionLevel,
    compression::{
        CompressionLayer,
        predicate::{And, NotForContentType, Predicate, SizeAbove},
    },
};

/// Below this many bytes an answer fits into one packet either way.
const MIN_BYTES: u16 = 1024;

/// Layer around the routes of the API. Its answers say `Vary: Accept-Encoding`.
///
/// The length of a compressed answer can betray a secret that is in it together with a text of an attacker who makes
/// the same request again and again. Here nobody can: a foreign page cannot send a request with a credential, and
/// tokens are in answers that draw new ones every time.
pub(super) fn layer() -> CompressionLayer<And<SizeAbove, NotForContentType>> {
    // The lowest level does most of the good, and the work is done between other requests of the same thread.
    CompressionLayer::new()
        .quality(CompressionLevel::Fastest)
        .compress_when(SizeAbove::new(MIN_BYTES).and(NotForContentType::SSE))
}
