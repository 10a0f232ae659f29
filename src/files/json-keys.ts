/** Finds a key that stands twice in a JSON object, which JSON.parse hides (the last one wins): two readers could then see two different files. */

/** The first key that an object of the text has twice, or undefined; the text must be valid JSON. */
export const repeatedKey = (text: string): string | undefined => {
  const open: Set<string>[] = [];
  const tokens = /"(?:[^"\\]|\\.)*"(\s*:)?|[{}]/gs;
  for (const { 0: token, 1: colon } of text.matchAll(tokens)) {
    if (token === '{') open.push(new Set());
    else if (token === '}') open.pop();
    else if (colon !== undefined) {
      const key: string = JSON.parse(token.slice(0, token.length - colon.length));
      if (open.at(-1)?.has(key)) return key;
      open.at(-1)?.add(key);
    }
  }
  return undefined;
};
