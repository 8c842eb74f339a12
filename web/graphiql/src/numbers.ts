/** Credits for reading, with at most four decimals; the API keeps every digit. */
export function shownCredits(amount: string): string {
  return Number(amount).toLocaleString('en', { maximumFractionDigits: 4 });
}
