#!/usr/bin/env node
/** The runtime bundle, which runs saved programs without the compiler, has at most 15 KB gzipped. Needs `npm run build`. */
import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';

const most = 15_000;
const bytes = gzipSync(readFileSync(new URL('../dist/runtime.js', import.meta.url)), { level: 9 }).length;
console.log(`runtime bundle: ${bytes} bytes gzipped; at most ${most}`);
process.exit(bytes <= most ? 0 : 1);
