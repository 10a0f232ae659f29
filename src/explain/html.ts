/** HTML by a tagged template. Invariant: whatever is put in is escaped, unless it is HTML already; labels and scopes come from models. */

export interface Html {
  readonly html: string;
}
export type Part = string | number | Html | undefined | readonly Part[];

const ESCAPES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
const escape = (text: string): string => text.replace(/[&<>"']/g, (sign) => ESCAPES[sign]!); // the pattern has the table's keys

const partText = (part: Part): string =>
  part === undefined ? '' : typeof part === 'string' ? escape(part) : typeof part === 'number' ? String(part) : 'html' in part ? part.html : part.map(partText).join('');

/** `` html`<b>${name}</b>` ``: the name is escaped; lists are joined. Works for SVG too. */
export const html = (strings: TemplateStringsArray, ...parts: readonly Part[]): Html =>
  ({ html: strings.map((text, i) => text + (i < parts.length ? partText(parts[i]) : '')).join('') });

/** Text that is HTML already, such as a style sheet. */
export const raw = (text: string): Html => ({ html: text });

/** Data for a script on the page: JSON in which nothing can end the element. */
export const jsonScript = (id: string, value: unknown): Html =>
  raw(`<script type="application/json" id="${escape(id)}">${JSON.stringify(value).replaceAll('<', '\\u003c')}</script>`);
