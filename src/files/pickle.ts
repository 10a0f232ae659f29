/**
 * A reader of Python pickles as data: a stack machine that knows the opcodes of protocols 0 to 5 and can build numbers, strings, lists, maps and
 * the values of an explicit list of constructors. Nothing of the pickle is ever executed; what a name may build is decided by the `Constructors`
 * that the caller passes in (pickle-globals.ts).
 *
 * Invariant: work and memory are bounded by the number of opcodes, which has a limit: values are shared, never copied by an opcode.
 */
import { pickleBytes } from './pickle-bytes.ts';
import type { PickleBytes } from './pickle-bytes.ts';
import { PickleFault } from './pickle-fault.ts';

/** What a pickle can hold. Tuples and lists are arrays, dicts are Maps, integers beyond 2^53 are bigints. */
export type PickleValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | PickleValue[]
  | Map<PickleValue, PickleValue>
  | Set<PickleValue>
  | PickleGlobal
  | PickleObject;

/** A name of a Python module, not yet called. */
export interface PickleGlobal {
  readonly kind: 'global';
  readonly name: string;
}

/** The result of a constructor of the caller's list, or the inert remains of an unknown one. */
export interface PickleObject {
  readonly kind: string;
}

/** The caller's list: what a name, a call, a state and a persistent id become. Each may throw a PickleFault. */
export interface Constructors {
  readonly resolve: (module: string, name: string) => PickleValue;
  readonly call: (callee: PickleValue, args: readonly PickleValue[]) => PickleValue;
  readonly setState: (target: PickleValue, state: PickleValue) => void;
  readonly persistent: (id: PickleValue) => PickleValue;
}

/** Reads one pickle. Throws a PickleFault. */
export const parsePickle = (bytes: Uint8Array, constructors: Constructors): PickleValue => {
  const machine: Machine = { input: pickleBytes(bytes), stack: [], marks: [], memo: new Map(), constructors };
  for (let steps = 0; steps < mostSteps; steps++) {
    const opcode = machine.input.byte();
    if (opcode === stop) return pop(machine);
    const step = opcodes[opcode];
    if (step === undefined) throw new PickleFault(`unknown opcode 0x${opcode.toString(16)} at byte ${machine.input.position() - 1}`);
    step(machine);
  }
  throw new PickleFault(`more than ${mostSteps} opcodes are not believable`);
};

// about 32 opcodes describe a tensor; every one can make an empty dict, so this bounds the memory
const mostSteps = 4_000_000;

interface Machine {
  readonly input: PickleBytes;
  readonly stack: PickleValue[];
  /** Stack heights at the open marks. */
  readonly marks: number[];
  readonly memo: Map<number, PickleValue>;
  readonly constructors: Constructors;
}

type Step = (machine: Machine) => void;

const stop = 0x2e;

const pop = ({ stack, marks, input }: Machine): PickleValue => {
  if (stack.length <= (marks.at(-1) ?? 0)) throw new PickleFault(`the stack is empty at byte ${input.position()}`);
  return stack.pop()!; // not empty, and null is the only empty value
};

const top = ({ stack, input }: Machine): PickleValue => {
  if (stack.length === 0) throw new PickleFault(`the stack is empty at byte ${input.position()}`);
  return stack.at(-1)!; // as in pop
};

/** Everything above the last mark. */
const popMark = ({ stack, marks, input }: Machine): PickleValue[] => {
  const height = marks.pop();
  if (height === undefined) throw new PickleFault(`no mark is open at byte ${input.position()}`);
  return stack.splice(height);
};

const push =
  (read: (input: PickleBytes) => PickleValue): Step =>
  (machine) =>
    void machine.stack.push(read(machine.input));
const put =
  (index: (machine: Machine) => number): Step =>
  (machine) =>
    void machine.memo.set(index(machine), top(machine));

const get =
  (index: (input: PickleBytes) => number): Step =>
  ({ input, memo, stack }) => {
    const value = memo.get(index(input));
    if (value === undefined) throw new PickleFault(`nothing was memorised under the name used at byte ${input.position()}`);
    stack.push(value);
  };

const tuple =
  (length: number): Step =>
  (machine) => {
    const items: PickleValue[] = [];
    for (let i = 0; i < length; i++) items.unshift(pop(machine));
    machine.stack.push(items);
  };

const call = (machine: Machine, callee: PickleValue, args: PickleValue): void => {
  if (!Array.isArray(args)) throw new PickleFault(`a call without an argument tuple at byte ${machine.input.position()}`);
  machine.stack.push(machine.constructors.call(callee, args));
};

const reduce: Step = (machine) => {
  const args = pop(machine);
  call(machine, pop(machine), args);
};

const newObjectWithKeywords: Step = (machine) => {
  pop(machine); // keyword arguments: only inert objects are built that way
  reduce(machine);
};

const global = (machine: Machine, module: PickleValue, name: PickleValue): PickleValue => {
  if (typeof module !== 'string' || typeof name !== 'string') throw new PickleFault('a global whose name is not text');
  return machine.constructors.resolve(module, name);
};

const instance: Step = (machine) => {
  const callee = global(machine, machine.input.line(), machine.input.line());
  call(machine, callee, popMark(machine));
};

const objectOfClass: Step = (machine) => {
  const [callee, ...args] = popMark(machine);
  if (callee === undefined) throw new PickleFault('an object without a class');
  call(machine, callee, args);
};

const stackGlobal: Step = (machine) => {
  const name = pop(machine);
  machine.stack.push(global(machine, pop(machine), name));
};

const build: Step = (machine) => {
  const state = pop(machine);
  machine.constructors.setState(top(machine), state);
};

const addItems = (machine: Machine, items: readonly PickleValue[]): void => {
  const target = top(machine);
  if (Array.isArray(target)) for (const item of items) target.push(item);
  else if (target instanceof Set) for (const item of items) target.add(item);
  else if (!isInert(target)) throw new PickleFault(`items are added to something that is no list at byte ${machine.input.position()}`);
};

const addEntries = (machine: Machine, items: readonly PickleValue[]): void => {
  const target = top(machine);
  if (items.length % 2 !== 0) throw new PickleFault(`a key without a value at byte ${machine.input.position()}`);
  if (target instanceof Map) for (let i = 0; i < items.length; i += 2) target.set(items[i]!, items[i + 1]!);
  else if (!isInert(target)) throw new PickleFault(`entries are added to something that is no dict at byte ${machine.input.position()}`);
};

// list and dict subclasses of unknown classes: what they hold is not kept
const isInert = (value: PickleValue): boolean => typeof value === 'object' && value !== null && 'kind' in value;

const dictOfMark: Step = (machine) => {
  const items = popMark(machine);
  machine.stack.push(new Map());
  addEntries(machine, items);
};

const setItem: Step = (machine) => {
  const value = pop(machine);
  addEntries(machine, [pop(machine), value]);
};

const protocol: Step = ({ input }) => {
  const version = input.byte();
  if (version > 5) throw new PickleFault(`protocol ${version} is not known`);
};

const persistent =
  (read: (machine: Machine) => PickleValue): Step =>
  (machine) =>
    void machine.stack.push(machine.constructors.persistent(read(machine)));

const refuse =
  (what: string): Step =>
  () => {
    throw new PickleFault(`it uses ${what}, which no checkpoint does`);
  };

const opcodes: Readonly<Record<number, Step>> = {
  // frame and stack
  0x80: protocol,
  0x95: ({ input }) => void input.uint64(),
  0x28: ({ marks, stack }) => void marks.push(stack.length),
  0x30: (machine) => void (machine.stack.length > (machine.marks.at(-1) ?? 0) ? pop(machine) : popMark(machine)),
  0x31: (machine) => void popMark(machine),
  0x32: (machine) => void machine.stack.push(top(machine)),
  // memo
  0x70: put(({ input }) => Number(input.line())),
  0x71: put(({ input }) => input.byte()),
  0x72: put(({ input }) => input.uint32()),
  0x94: put(({ memo }) => memo.size),
  0x67: get((input) => Number(input.line())),
  0x68: get((input) => input.byte()),
  0x6a: get((input) => input.uint32()),
  // constants and numbers
  0x4e: push(() => null),
  0x88: push(() => true),
  0x89: push(() => false),
  0x49: push((input) => input.integerLine()),
  0x4c: push((input) => input.integerLine()),
  0x46: push((input) => input.floatLine()),
  0x4a: push((input) => input.int32()),
  0x4b: push((input) => input.byte()),
  0x4d: push((input) => input.uint16()),
  0x8a: push((input) => input.long(input.byte())),
  0x8b: push((input) => input.long(input.uint32())),
  0x47: push((input) => input.float64()),
  // bytes and text
  0x53: push((input) => input.quotedLine()),
  0x54: push((input) => input.latin1(input.uint32())),
  0x55: push((input) => input.latin1(input.byte())),
  0x56: push((input) => input.unicodeLine()),
  0x58: push((input) => input.text(input.uint32())),
  0x8c: push((input) => input.text(input.byte())),
  0x8d: push((input) => input.text(input.uint64())),
  0x42: push((input) => input.bytes(input.uint32())),
  0x43: push((input) => input.bytes(input.byte())),
  0x8e: push((input) => input.bytes(input.uint64())),
  0x96: push((input) => input.bytes(input.uint64())),
  // containers
  0x29: push(() => []),
  0x5d: push(() => []),
  0x7d: push(() => new Map()),
  0x8f: push(() => new Set()),
  0x85: tuple(1),
  0x86: tuple(2),
  0x87: tuple(3),
  0x74: (machine) => void machine.stack.push(popMark(machine)),
  0x6c: (machine) => void machine.stack.push(popMark(machine)),
  0x64: dictOfMark,
  0x91: (machine) => void machine.stack.push(new Set(popMark(machine))),
  0x61: (machine) => addItems(machine, [pop(machine)]),
  0x65: (machine) => addItems(machine, popMark(machine)),
  0x90: (machine) => addItems(machine, popMark(machine)),
  0x73: setItem,
  0x75: (machine) => addEntries(machine, popMark(machine)),
  // names, calls, objects
  0x63: (machine) => void machine.stack.push(global(machine, machine.input.line(), machine.input.line())),
  0x93: stackGlobal,
  0x52: reduce,
  0x81: reduce,
  0x92: newObjectWithKeywords,
  0x69: instance,
  0x6f: objectOfClass,
  0x62: build,
  0x50: persistent(({ input }) => input.line()),
  0x51: persistent(pop),
  // never written by torch.save
  0x82: refuse('the extension registry'),
  0x83: refuse('the extension registry'),
  0x84: refuse('the extension registry'),
  0x97: refuse('out-of-band buffers'),
  0x98: refuse('out-of-band buffers'),
};
