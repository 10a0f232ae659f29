/** Tables for terminals. */

/** Rows with aligned cells; numbers stand at the right. */
export const table = (rows: readonly (readonly string[])[], right: readonly number[]): readonly string[] => {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length))); // a head is there
  return rows.map((row) => `  ${row.map((cell, column) => (right.includes(column) ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!))).join('  ').trimEnd()}`);
};
