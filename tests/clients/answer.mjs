// The whole rule by which a client joins an answer: a snapshot replaces, what is not newer was resent, the rest appends.
export class Answer {
  sequence = 0;
  text = '';
  // The sequence of every event that came, in the order in which they came.
  sequences = [];
  // Events that came twice, as after a library's own retry.
  resent = 0;
  end = null;

  take(event) {
    this.sequences.push(event.sequence);
    if (event.__typename === 'MessageSnapshot') {
      this.text = event.message.text;
      this.sequence = event.sequence;
      return;
    }
    if (event.sequence <= this.sequence) {
      this.resent += 1;
      return;
    }
    if (event.sequence !== this.sequence + 1) throw new Error(`a gap: ${event.sequence} after ${this.sequence}`);
    this.sequence = event.sequence;
    if (event.__typename === 'TextDelta') this.text += event.text;
    else this.end = event;
  }
}

export const words = (text) => text.split(/\s+/).filter(Boolean).length;
