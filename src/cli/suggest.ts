/** "Did you mean": the known word that is nearest to a mistyped one. */

/** How many letters must be inserted, left out, replaced or exchanged with their neighbour. */
export const editDistance = (a: string, b: string): number => {
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, j) => j)];
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = rows[i - 1]![j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1] ? rows[i - 2]![j - 2]! + 1 : Infinity;
      row.push(Math.min(replaced, rows[i - 1]![j]! + 1, row[j - 1]! + 1, swapped));
    }
    rows.push(row);
  }
  return rows[a.length]![b.length]!;
};

/** The nearest known word, if it is near enough to be meant. */
export const nearest = (word: string, known: readonly string[]): string | undefined => {
  const lower = word.toLowerCase();
  const scored = known.map((candidate) => ({
    candidate,
    distance: lower.length > 2 && candidate.startsWith(lower) ? 1 : editDistance(lower, candidate),
  }));
  const [best] = scored.sort((a, b) => a.distance - b.distance);
  return best !== undefined && best.distance <= Math.max(1, Math.floor(word.length / 2.5)) ? best.candidate : undefined;
};

/** The end of a message: `; did you mean --steps?`, or the list of what there is. */
export const suggestion = (word: string, known: readonly string[], show: (word: string) => string = (text) => text): string => {
  const meant = nearest(word, known);
  return meant === undefined ? `; known are ${known.map(show).join(', ')}` : `; did you mean ${show(meant)}?`;
};
