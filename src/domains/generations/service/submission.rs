//! What moderation judges of a turn: all that the model would be sent, before it is fitted to the model.

use uuid::Uuid;

use super::TurnRequest;
use crate::domains::{
    accounts::Viewer,
    generations::repo::{Context, Follows},
    moderation::{Passage, Submission},
};

/// What the caller brings has its place in the input; what was stored before has none, as it may be of another day.
pub fn submission<'a>(
    viewer: Viewer,
    account_id: Uuid,
    new: &'a TurnRequest,
    context: &'a Context,
) -> Submission<'a> {
    let mut passages = match &new.one_shot {
        Some(one_shot) => {
            let instructions = one_shot.system_prompt.iter();
            let instructions = instructions.map(|text| passage(Some("systemPrompt".to_owned()), text));
            instructions.chain(one_shot.texts().map(|(path, text)| passage(Some(path), text))).collect()
        }
        None => stored(new, context),
    };
    let path = new.parts_path();
    let parts = new.parts.iter().enumerate();
    passages.extend(parts.map(|(index, text)| passage(Some(format!("{path}.{index}.text")), text)));
    Submission { account_id, user_id: viewer.user_id, passages }
}

/// The instructions of the conversation and its branch. A message that is answered again is named in the input.
fn stored<'a>(new: &TurnRequest, context: &'a Context) -> Vec<Passage<'a>> {
    let instructions = context.conversation.as_ref().and_then(|known| known.system_prompt.as_deref());
    let asked = match new.follows {
        Follows::SameAs(_) => context.history.len().checked_sub(1),
        Follows::Head | Follows::Message(_) | Follows::Nothing => None,
    };
    let history = context.history.iter().enumerate().flat_map(|(place, turn)| {
        let path = (asked == Some(place)).then(|| "messageId".to_owned());
        turn.texts().map(move |text| passage(path.clone(), text))
    });
    instructions.map(|text| passage(None, text)).into_iter().chain(history).collect()
}

fn passage(path: Option<String>, text: &str) -> Passage<'_> {
    Passage { path, text }
}
