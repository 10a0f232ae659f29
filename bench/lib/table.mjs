/** Markdown tables. */

/** A table of `rows`; a column is `[title, cell of a row, alignment]`, numbers to the right unless it says otherwise. */
export const table = (columns, rows) => [
  `| ${columns.map(([title]) => title).join(' | ')} |`, `|${columns.map(([, , align = '--:']) => align).join('|')}|`,
  ...rows.map((row) => `| ${columns.map(([, cell]) => cell(row) ?? '').join(' | ')} |`),
].join('\n');
