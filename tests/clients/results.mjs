// The result of an operation in one form for all clients: of an error, its message and its code.
export function plain({ data, errors }) {
  return { data, errors: errors?.map(({ message, extensions }) => ({ message, code: extensions?.code })) };
}
