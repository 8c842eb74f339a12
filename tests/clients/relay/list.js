// A list as a component of Relay declares it: a fragment that pages through a connection, refetched by the id of its owner.
import { graphql } from 'relay-runtime';

export const list = graphql`
  fragment list_account on Account
  @refetchable(queryName: "listPageQuery")
  @argumentDefinitions(count: { type: "Int", defaultValue: 3 }, cursor: { type: "String" }) {
    name
    conversations(first: $count, after: $cursor) @connection(key: "list_conversations") {
      edges {
        node {
          id
          title
        }
      }
    }
  }
`;

export const start = graphql`
  query listStartQuery {
    viewer {
      account {
        id
        ...list_account
      }
    }
  }
`;

// What useRefetchableFragment makes of a message.
export const message = graphql`
  fragment list_message on Message @refetchable(queryName: "listMessageRefetchQuery") {
    id
    status
    text
  }
`;
