// Observables, which most clients speak, as async iterables, which the story is told with.

// `subscribe` gets an observer and returns what ends it.
export async function* events(subscribe) {
  const waiting = [];
  let wake = () => {};
  const say = (item) => {
    waiting.push(item);
    wake();
  };
  const end = subscribe({
    next: (value) => say({ value }),
    error: (error) => say({ error }),
    complete: () => say({ isDone: true }),
  });
  try {
    for (;;) {
      while (waiting.length > 0) {
        const { value, error, isDone } = waiting.shift();
        if (error) throw error;
        if (isDone) return;
        yield value;
      }
      await new Promise((resolve) => (wake = resolve));
    }
  } finally {
    end();
  }
}
