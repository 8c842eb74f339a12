/** The tabs of a first visit: a walk from signing in to the bill. Field names are those of schema.graphql. */

const EVENTS = `
    __typename
    messageId
    sequence
    ... on MessageSnapshot {
      message {
        id
        status
        text
      }
    }
    ... on TextDelta {
      partIndex
      text
    }
    ... on ReasoningDelta {
      partIndex
      text
    }
    ... on MessageFinished {
      finishReason
      message {
        id
        status
        text
        generation {
          id
          charge {
            creditsCharged
          }
        }
      }
      creditBalance {
        available
        held
      }
    }
    ... on MessageFailed {
      error {
        code
        message
      }
      isRetryable
      message {
        id
        status
        text
      }
    }`;

function streamOperation(name: string): string {
  return `subscription ${name}($messageId: ID!, $after: Int) {
  messageStream(messageId: $messageId, after: $after) {${EVENTS}
  }
}
`;
}

/** Follows a reply when no tab does. */
export const FOLLOW = streamOperation('Follow');

const WHO_AM_I = `# 1. Who am I?
#
# Sign in at the top right, then press play
# (Ctrl+Enter). The viewer is you; the account owns
# your conversations and pays for them.
query WhoAmI {
  viewer {
    user {
      id
      name
      email
    }
    account {
      id
      name
      kind
      plan {
        key
        name
      }
      creditBalance {
        available
        held
      }
    }
    session {
      id
      expiresAt
    }
  }
}
`;

const SEND_MESSAGE = `# 2. Send a message.
#
# The call returns at once; the answer is written in
# the background, watched or not. Next: tab WatchIt.
#
# "auto" in the variables below becomes a new
# idempotency key for each run. Write your own key and
# run twice: it never sends, or charges, twice.
#
# The model "echo" needs no API key. It understands
# /words 200 and /pace 20ms.
mutation SendMessage($input: SendMessageInput!) {
  sendMessage(input: $input) {
    conversation {
      id
      title
    }
    userMessage {
      id
      text
    }
    assistantMessage {
      id
      status
      streamSequence
      generation {
        id
        charge {
          creditsHeld
          creditsCharged
        }
      }
    }
    creditBalance {
      available
      held
    }
    userErrors {
      code
      message
      field
      ... on InsufficientCreditsError {
        required
        available
      }
    }
  }
}
`;

const WATCH_IT = `# 3. Watch it.
#
# "auto" is the answer to your last SendMessage. The
# result shows the newest event, the streamed reply
# below it all of them joined. Press stop half-way or
# reload the page: the answer goes on without you.
${streamOperation('WatchIt')}`;

const RESUME = `# 4. Resume.
#
# Send, watch, stop half-way, then run this: "after"
# asks only for what you missed. -1 stands for the
# last sequence you have seen.
${streamOperation('Resume')}`;

const WHAT_DID_IT_COST = `# 5. What did it cost?
#
# Credits are held before the model runs and settled
# to what it used. The ledger shows both.
query WhatDidItCost($messageId: ID!) {
  message(id: $messageId) {
    id
    status
    generation {
      id
      charge {
        creditsHeld
        creditsCharged
      }
    }
  }
  viewer {
    account {
      creditBalance {
        available
        held
      }
      ledger(first: 10) {
        nodes {
          id
          kind
          amount
          balanceAfter
          description
          createdAt
        }
        pageInfo {
          hasNextPage
          endCursor
        }
      }
    }
  }
}
`;

const json = (value: unknown): string => JSON.stringify(value, null, 2);

export const DEFAULT_TABS = [
  { query: WHO_AM_I },
  {
    query: SEND_MESSAGE,
    variables: json({
      input: {
        parts: [{ text: 'Tell me about the sea. /words 200 /pace 20ms' }],
        model: 'echo',
        options: { maxOutputTokens: 400 },
        idempotencyKey: 'auto',
      },
    }),
  },
  { query: WATCH_IT, variables: json({ messageId: 'auto' }) },
  { query: RESUME, variables: json({ messageId: 'auto', after: -1 }) },
  { query: WHAT_DID_IT_COST, variables: json({ messageId: 'auto' }) },
];
