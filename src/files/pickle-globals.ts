/**
 * The constructors that a PyTorch checkpoint may use, as a strict list. A name outside of it is never called: it becomes an inert object, because
 * Lightning files carry odd Python values (hyperparameters, callback states) beside the weights; a name that could run code ends the reading.
 */
import { PickleFault } from './pickle-fault.ts';
import type { Constructors, PickleObject, PickleValue } from './pickle.ts';
import { dtypeOfStorage, dtypeOfTorch } from './torch-dtypes.ts';

/** A storage that the checkpoint keeps as an entry of its own; `typeName` is torch's, `elements` are counted in it. */
export interface StorageRef extends PickleObject {
  readonly kind: 'storage';
  readonly typeName: string;
  readonly key: string;
  readonly elements: number;
}

/** A tensor: a strided window on a storage. Sizes are as the file gives them, unchecked. */
export interface TensorRef extends PickleObject {
  readonly kind: 'tensor';
  readonly storage: StorageRef;
  readonly dtypeName: string;
  readonly offset: number;
  readonly shape: readonly number[];
  readonly stride: readonly number[];
}

/** Whether a value is a tensor. */
export const isTensorRef = (value: PickleValue | undefined): value is TensorRef => hasKind(value) && value.kind === 'tensor';

const hasKind = (value: PickleValue | undefined): value is PickleObject => typeof value === 'object' && value !== null && 'kind' in value;

const inert: PickleObject = { kind: 'inert' };

/** The list. */
export const torchConstructors: Constructors = {
  resolve: (module, name) => {
    const full = `${module}.${name}`;
    if (isDangerous(module, name)) throw new PickleFault(`it calls ${full}, which could run code; nothing was executed`, true);
    return { kind: 'global', name: full };
  },
  call: (callee, args) => {
    if (!hasKind(callee)) throw new PickleFault('it calls something that is no constructor');
    const name = globalName(callee);
    return name !== undefined && constructors.has(name) ? constructors.get(name)!(args) : inert;
  },
  // attributes of dicts (state_dict's _metadata) and of unknown objects are not kept
  setState: () => {},
  persistent: (id) => storageRef(id),
};

const globalName = (value: PickleValue | undefined): string | undefined =>
  // the parser makes every 'global' with a name, see resolve
  hasKind(value) && value.kind === 'global' ? (value as { readonly name?: string }).name : undefined;

type Construct = (args: readonly PickleValue[]) => PickleValue;

// Arguments are shared, not copied: copies of one long list could fill the memory from a short pickle.
const first: Construct = ([value]) => value ?? [];
const firstMap: Construct = ([value]) => (value instanceof Map ? value : new Map());

const tensor: Construct = ([storage, offset, shape, stride]) => tensorRef(storage, offset, shape, stride, undefined);
const tensorWithDType: Construct = ([storage, offset, shape, stride, , , dtype]) => tensorRef(storage, offset, shape, stride, globalName(dtype));
const rebuildFromType: Construct = ([callee, , args]) => torchConstructors.call(callee ?? null, Array.isArray(args) ? args : []);

const constructors: ReadonlyMap<string, Construct> = new Map<string, Construct>([
  ['collections.OrderedDict', firstMap],
  ['collections.defaultdict', () => new Map()],
  ['collections.Counter', firstMap],
  ...['__builtin__', 'builtins'].flatMap((module): [string, Construct][] => [
    ...['set', 'frozenset', 'list', 'tuple'].map((name): [string, Construct] => [`${module}.${name}`, first]),
    [`${module}.dict`, firstMap],
  ]),
  // protocol 2 writes bytes as encode(text, 'latin1')
  ['_codecs.encode', first],
  ['torch.Size', first],
  ['torch._utils._rebuild_tensor', tensor],
  ['torch._utils._rebuild_tensor_v2', tensor],
  ['torch._utils._rebuild_tensor_v3', tensorWithDType],
  ['torch._utils._rebuild_parameter', first],
  ['torch._utils._rebuild_parameter_with_state', first],
  ['torch._tensor._rebuild_from_type', rebuildFromType],
  ['torch._tensor._rebuild_from_type_v2', rebuildFromType],
]);

const storageRef = (id: PickleValue): StorageRef => {
  const [tag, type, key, , elements] = Array.isArray(id) ? id : [];
  const typeName = globalName(type);
  if (tag !== 'storage' || typeName === undefined || typeof key !== 'string' || !isSize(elements))
    throw new PickleFault('a storage is not described as torch.save does');
  return { kind: 'storage', typeName, key, elements };
};

const tensorRef = (
  storage: PickleValue | undefined,
  offset: PickleValue | undefined,
  shape: PickleValue | undefined,
  stride: PickleValue | undefined,
  dtypeName: string | undefined,
): TensorRef => {
  if (!isStorage(storage) || !isSize(offset) || !isSizes(shape) || !isSizes(stride) || shape.length !== stride.length)
    throw new PickleFault('a tensor is not described as torch.save does');
  return { kind: 'tensor', storage, dtypeName: dtypeName ?? storage.typeName, offset, shape, stride };
};

const isStorage = (value: PickleValue | undefined): value is StorageRef => hasKind(value) && value.kind === 'storage';
const isSize = (value: PickleValue | undefined): value is number => typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
const isSizes = (value: PickleValue | undefined): value is number[] => Array.isArray(value) && value.every(isSize);

// Modules of which no name belongs into a file of weights: they run programs, load code or reach files and the network.
const dangerousModules: ReadonlySet<string> = new Set(
  (
    '_frozen_importlib _io _pickle _posixsubprocess _socket _thread aiohttp asyncio atexit bdb cProfile cloudpickle code codeop commands ' +
    'concurrent ctypes dill doctest distutils fileinput ftplib gc http httplib imaplib imp importlib io joblib linecache marshal mmap ' +
    'multiprocessing nt ntpath operator os paramiko pdb pickle pip pkgutil poplib popen2 posix posixpath profile pty pydoc requests runpy ' +
    'setuptools shelve shutil site smtplib socket socketserver sqlite3 ssl subprocess sys tempfile telnetlib thread threading timeit trace ' +
    'turtle urllib urllib2 venv webbrowser winreg xmlrpc zipimport zipfile'
  ).split(' '),
);

const dangerousNames = new RegExp(
  [
    'torch\\.(hub|load|jit|utils\\.cpp_extension|package|serialization\\.load|fx)\\b',
    'numpy\\.(load|f2py|testing|distutils|ctypeslib)\\b',
    'types\\.(CodeType|FunctionType|LambdaType|MethodType|ModuleType)$',
    '_?codecs\\.(open|decode|lookup)$',
    'functools\\.reduce$',
    'copy_?reg\\.',
  ]
    .map((name) => `^${name}`)
    .join('|'),
);

// exceptions from the two lists: what these build are plain objects
const harmlessNames: ReadonlySet<string> = new Set([
  ...['_reconstructor', '__newobj__', '__newobj_ex__'].flatMap((name) => [`copyreg.${name}`, `copy_reg.${name}`]),
  ...['BytesIO', 'StringIO'].flatMap((name) => [`io.${name}`, `_io.${name}`]),
]);

const plainBuiltins: ReadonlySet<string> = new Set(
  'bool bytearray bytes complex dict float frozenset int list long object range set slice str tuple unicode xrange'.split(' '),
);

/** Names that could run code, called or not; a dotted name may reach through a harmless module ("torch", "serialization.os.system"). */
const isDangerous = (module: string, name: string): boolean => {
  const [first, ...path] = name.split('.');
  if (module === '__builtin__' || module === 'builtins') return path.length > 0 || (!plainBuiltins.has(name) && !/^[A-Z]\w*$/.test(name));
  const full = `${module}.${name}`;
  if (harmlessNames.has(full)) return false;
  const throughModule = path.length > 0 && [first!, ...path].some((part) => dangerousModules.has(part));
  return throughModule || dangerousModules.has(module.split('.')[0]!) || dangerousNames.test(full) || /(^|\.)__/.test(name);
};

/** The number format of a tensor, or undefined where it is not read here. */
export const dtypeOf = (tensor: TensorRef) => dtypeOfTorch(tensor.dtypeName) ?? dtypeOfStorage(tensor.dtypeName);
