/**
 * Places of a model: module paths and composites, taken from the scopes of nodes.
 *
 * A scope such as `blocks.0.attn/attention/softmax` is a module path and the composites inside it. What is a module is known from the names
 * of the parameters; a scope of composites alone (`silu`) lies in the model itself.
 */
export interface Place {
  /** `blocks.0.attn`; '' for the model itself. */
  readonly path: string;
  /** `attention`, `softmax`. */
  readonly composites: readonly string[];
}

/** Every module path above the given parameters: of `a.b.weight`, `a` and `a.b`. */
export const modulePaths = (parameters: Iterable<string>): ReadonlySet<string> => {
  const paths = new Set<string>();
  for (const name of parameters) {
    const parts = name.split('.');
    for (let i = 1; i < parts.length; i++) paths.add(parts.slice(0, i).join('.'));
  }
  return paths;
};

/** The place that a scope names. */
export const placeOf = (scope: string, modules: ReadonlySet<string>): Place => {
  const [head = '', ...rest] = scope.split('/');
  return modules.has(head) ? { path: head, composites: rest } : { path: '', composites: scope === '' ? [] : [head, ...rest] };
};

/** The innermost module that all paths lie in. */
export const commonPath = (paths: readonly string[]): string => {
  const [first = [], ...others] = paths.map((path) => (path === '' ? [] : path.split('.')));
  let length = first.length;
  for (const other of others) {
    let shared = 0;
    while (shared < length && other[shared] === first[shared]) shared++;
    length = shared;
  }
  return first.slice(0, length).join('.');
};

/** The steps of a path, a number joined to the name that it counts: `blocks.0.attn` is `blocks.0`, `attn`. */
export const stepsOf = (path: string): readonly string[] => {
  const steps: string[] = [];
  for (const part of path === '' ? [] : path.split('.')) {
    if (/^\d+$/.test(part) && steps.length > 0) steps[steps.length - 1] += `.${part}`;
    else steps.push(part);
  }
  return steps;
};

/** A path for people. */
export const where = (path: string): string => (path === '' ? 'the model itself' : path);
