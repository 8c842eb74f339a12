// What every client asks, by the name of the operation. Each is an ordinary document without anything made for tests.

const TOKENS = 'tokens { accessToken accessTokenExpiresAt refreshToken }';

export const SignUp = `mutation SignUp($input: SignUpInput!) {
  signUp(input: $input) { ${TOKENS} userErrors { code message field } }
}`;

export const SignIn = `mutation SignIn($input: SignInInput!) {
  signIn(input: $input) { viewer { user { id email } } ${TOKENS} userErrors { __typename code message field } }
}`;

export const RefreshSession = `mutation RefreshSession($input: RefreshSessionInput!) {
  refreshSession(input: $input) { ${TOKENS} userErrors { code message field } }
}`;

export const SendMessage = `mutation SendMessage($input: SendMessageInput!) {
  sendMessage(input: $input) {
    conversation { id }
    assistantMessage { id status }
    creditBalance { available held revision }
    userErrors { __typename code message field ... on InsufficientCreditsError { required available } }
  }
}`;

export const CreateConversation = `mutation CreateConversation($input: CreateConversationInput!) {
  createConversation(input: $input) { conversation { id title } userErrors { code message field } }
}`;

export const MessageStream = `subscription MessageStream($messageId: ID!, $after: Int) {
  messageStream(messageId: $messageId, after: $after) {
    __typename
    sequence
    ... on MessageSnapshot { message { id text } }
    ... on TextDelta { text }
    ... on MessageFinished { finishReason message { id text status } }
    ... on MessageFailed { error { code message } }
  }
}`;

export const Message = `query Message($id: ID!) {
  message(id: $id) { id status text streamSequence }
}`;

export const Conversations = `query Conversations($first: Int, $after: String) {
  viewer {
    account {
      id
      conversations(first: $first, after: $after) {
        edges { cursor node { id title } }
        pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
      }
    }
  }
}`;

export const Messages = `query Messages($id: ID!, $first: Int, $after: String, $last: Int, $before: String) {
  conversation(id: $id) {
    id
    messages(first: $first, after: $after, last: $last, before: $before) {
      nodes { id role }
      pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    }
  }
}`;

export const Node = `query Node($id: ID!) {
  node(id: $id) { __typename id ... on Message { status text } ... on Conversation { title messageCount } }
}`;

export const Account = `query Account($id: ID!) {
  account(id: $id) { id name }
}`;
