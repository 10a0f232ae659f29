/**
 * The loop form as text, for people: what a kernel reads, its loops and stores, without the words of any target.
 * Example: `y[8*i0 + i1] = add(x0[i1], 1)`.
 */
import type { Atom, Index, Variable } from '../../dsl/scalar/index-expression.ts';
import type { LoopKernel, Statement } from '../../dsl/scalar/loop.ts';
import type { LocalArray, Scalar } from '../../dsl/scalar/scalar.ts';
import { showSchedule } from '../tuning/schedules.ts';
import type { KernelPlan, PlannedKernel } from './plan-kernels.ts';

interface Names {
  readonly variable: (variable: Variable) => string;
  readonly tensor: (tensor: number) => string;
}

const atomText = (atom: Atom, names: Names): string => {
  switch (atom.kind) {
    case 'variable':
      return names.variable(atom);
    case 'quotient':
      return `(${indexText(atom.of, names)} / ${atom.by})`;
    case 'remainder':
      return `(${indexText(atom.of, names)} % ${atom.by})`;
    case 'clamp':
      return `clamp(${indexText(atom.of, names)}, ${atom.min}, ${atom.max})`;
    case 'value':
      return `int(${scalarText(atom.of, names)})`;
  }
};

const indexText = ({ terms, constant }: Index, names: Names): string => {
  const parts = terms.map(({ atom, coefficient }) => (coefficient === 1 ? atomText(atom, names) : `${coefficient}*${atomText(atom, names)}`));
  return [...parts, ...(constant !== 0 || parts.length === 0 ? [String(constant)] : [])].join(' + ').replaceAll('+ -', '- ');
};

const arrayName = ({ space, id }: LocalArray): string => `${space === 'workgroup' ? 'shared' : 'own'}${id}`;

const wide = (text: string, lanes: number): string => (lanes === 1 ? text : `${text}x${lanes}`);

/** An element, or several neighbours: `x0[4*i1]x4`. */
const placeText = (tensor: number, index: Index, lanes: number, names: Names): string =>
  wide(`${names.tensor(tensor)}[${indexText(index, names)}]`, lanes);

const scalarText = (e: Scalar, names: Names): string => {
  const text = (part: Scalar): string => scalarText(part, names);
  switch (e.kind) {
    case 'constant':
      return String(e.value);
    case 'load':
      return placeText(e.tensor, e.index, e.lanes, names);
    case 'index':
      return `${e.type}(${indexText(e.index, names)})`;
    case 'unary':
      return `${e.op}(${text(e.a)})`;
    case 'binary':
      return `${e.op}(${text(e.a)}, ${text(e.b)})`;
    case 'select':
      return `select(${text(e.condition)}, ${text(e.a)}, ${text(e.b)})`;
    case 'cast':
      return `${e.type}(${text(e.a)})`;
    case 'local':
      return `l${e.local}`;
    case 'element':
      return `${arrayName(e.array)}[${indexText(e.index, names)}]`;
    case 'splat':
      return wide(text(e.a), e.lanes);
    case 'vector':
      return `[${e.parts.map(text).join(', ')}]`;
    case 'lane':
      return `${text(e.a)}.${e.lane}`;
    case 'dot':
      return `dot(${text(e.a)}, ${text(e.b)})`;
    case 'reduce':
      return `${e.monoid}{${e.over.map((v) => `${names.variable(v)} < ${v.extent}`).join(', ')}}(${text(e.body)})`;
  }
};

const statementLines = (statement: Statement, names: Names): readonly string[] => {
  const inner = (body: readonly Statement[]): readonly string[] => body.flatMap((s) => statementLines(s, names)).map((line) => `  ${line}`);
  switch (statement.kind) {
    case 'let':
      return [`let l${statement.local} = ${scalarText(statement.value, names)}`];
    case 'var':
      return [`var l${statement.local} = ${scalarText(statement.value, names)}`];
    case 'assign':
      return [`l${statement.local} = ${scalarText(statement.value, names)}`];
    case 'for': {
      const { variable, start, end } = statement;
      const from = start === undefined ? '' : `${scalarText(start, names)} <= `;
      return [`for ${from}${names.variable(variable)} < ${end === undefined ? variable.extent : scalarText(end, names)}`, ...inner(statement.body)];
    }
    case 'put':
      return [`${arrayName(statement.array)}[${indexText(statement.index, names)}] = ${scalarText(statement.value, names)}`];
    case 'barrier':
      return ['barrier'];
    case 'share':
      return [`let l${statement.local} = ${scalarText(statement.value, names)} of thread ${statement.lane} of the subgroup`];
    case 'if':
      return [`if ${scalarText(statement.condition, names)}`, ...inner(statement.body)];
    case 'store':
      return [`${placeText(statement.tensor, statement.index, statement.value.lanes, names)} = ${scalarText(statement.value, names)}`];
    case 'combine':
      return [`l${statement.local} = ${statement.monoid} of l${statement.local} over the workgroup`];
  }
};

/** Variables and tensors get short names in the order in which they are met. */
const namesFor = (kernel: LoopKernel): Names => {
  const numbers = new Map<number, string>();
  const letters = new Map(kernel.tensors.map(({ tensor, access }, i) => [tensor, access === 'read_write' ? 'y' : `x${i}`]));
  return {
    variable: ({ id }) => {
      const known = numbers.get(id) ?? `i${numbers.size}`;
      numbers.set(id, known);
      return known;
    },
    tensor: (tensor) => letters.get(tensor) ?? `t${tensor}`,
  };
};

/** The lines of a kernel's loop form. */
export const printLoop = (kernel: LoopKernel): readonly string[] => {
  const names = namesFor(kernel);
  const threads = kernel.thread.map((variable) => `${names.variable(variable)} < ${variable.extent}`).join(', ');
  const lane = kernel.lane === undefined ? '' : `, ${names.variable(kernel.lane)} < ${kernel.lane.extent} together${kernel.subgroup === undefined ? '' : `, ${names.variable(kernel.subgroup)} < ${kernel.subgroup.extent} in a subgroup`}`;
  return [
    `parallel ${threads}${lane} by ${kernel.workgroupSize.join(' x ')}`,
    ...kernel.body.flatMap((s) => statementLines(s, names)).map((line) => `  ${line}`),
  ];
};

/** Why the tensor that a kernel writes has memory of its own. */
const reasonOf = (plan: KernelPlan, { loop, bindings }: PlannedKernel): string => {
  const written = bindings[loop.tensors.findIndex(({ access }) => access === 'read_write')];
  const node = written === undefined ? undefined : plan.tensors.get(written.tensor)?.node;
  return (node === undefined ? undefined : plan.fusion.reasons.get(node)) ?? 'a copy';
};

/** The schedule that was chosen, for which key and by whom. */
const scheduleLines = ({ choice }: PlannedKernel): readonly string[] =>
  choice === undefined ? [] : [`  schedule: ${showSchedule(choice)}  # ${choice.key}, ${choice.by}`];

const printOne = (plan: KernelPlan, kernel: PlannedKernel): string => {
  const { name, label, loop, workgroups, bindings } = kernel,
    names = namesFor(loop);
  const ports = loop.tensors.map(({ tensor, access, lanes }, i) => {
    const stored = plan.tensors.get(bindings[i]!.tensor)!; // a kernel has a binding for each of its loop's tensors, all of them stored
    const notes = `${lanes === 1 ? '' : ` by ${lanes}`}${access === 'read_write' ? ' (written)' : ''}`;
    return `  ${names.tensor(tensor)}: ${stored.dtype}[${stored.shape.join(', ')}]${notes}`;
  });
  return [
    `${name}  # ${label}; ${workgroups.join(' x ')} workgroups; ${reasonOf(plan, kernel)}`,
    ...scheduleLines(kernel),
    ...ports,
    ...printLoop(loop).map((line) => `  ${line}`),
  ].join('\n');
};

/** All kernels of a plan, in the order in which they run. */
export const printKernels = (plan: KernelPlan): string => `${plan.kernels.map((kernel) => printOne(plan, kernel)).join('\n\n')}\n`;
