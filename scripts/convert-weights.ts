/**
 * Converts a training checkpoint into the safetensors file that the project ships. See models/weights/README.md for the command.
 * Usage: convert-weights FROM TO [--half] [KEY=VALUE ...]: f16 with --half; the pairs go into the file's metadata.
 */
import { argv, exit } from 'node:process';
import * as E from 'fp-ts/Either';
import { convertWeights } from '../src/files/convert-weights.ts';

const given = argv.slice(2), half = given.includes('--half'), [from, to, ...pairs] = given.filter((argument) => argument !== '--half');
if (from === undefined || to === undefined) {
  console.error('usage: convert-weights FROM TO [--half] [KEY=VALUE ...]');
  exit(2);
}

const metadata = Object.fromEntries(pairs.map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]));
const result = await convertWeights(from, to, { metadata, ...(half && { dtype: 'F16' }) })();
if (E.isLeft(result)) {
  console.error(result.left.message);
  exit(2);
}
console.log(`${to}: ${result.right} bytes`);
