/** Which tuning tables count for an adapter: first the one that comes with the package, then the user's. No files here: browsers do this too. */
import * as E from 'fp-ts/Either';
import { type AdapterTuning, readTable, schedulesFor, type TuningTable } from '../../compiler/tuning/table.ts';
import { profileOf } from '../../compiler/profile.ts';
import type { AdapterProfile } from '../runtime/adapter-profile.ts';
import database from './database.json' with { type: 'json' };
import { fingerprintOf } from './fingerprint.ts';

/** The table of the package. */
export const SHIPPED: TuningTable = ((): TuningTable => {
  const read = readTable(database);
  if (E.isLeft(read)) throw new Error(`invariant: the shipped tuning table is wrong: ${read.left.join('; ')}`);
  return read.right;
})();

/** Schedules for an adapter: shipped ones, else those of the user's table. What it cannot run is left out, with the reason. */
export const tuningFor = (adapter: AdapterProfile, own?: TuningTable, shipped: TuningTable = SHIPPED): AdapterTuning => {
  const profile = profileOf(adapter.class, adapter.limits, adapter.features);
  return schedulesFor([{ by: 'shipped', table: shipped }, ...(own === undefined ? [] : [{ by: 'cache' as const, table: own }])], fingerprintOf(adapter), profile);
};
