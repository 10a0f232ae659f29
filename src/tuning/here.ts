/** The schedules that count for an adapter in Node: of the shipped table, then of the user's file. */
import * as E from 'fp-ts/Either';
import type { TunedSchedules } from '../../compiler/tuning/table.ts';
import type { AdapterProfile } from '../runtime/adapter-profile.ts';
import { cachePath, readTableFile } from './cache.ts';
import { tuningFor } from './tables.ts';

export interface TuningHere {
  readonly tuned: TunedSchedules;
  /** What is wrong with the user's file, which is no reason to stop: the heuristics choose. */
  readonly problems: readonly string[];
}

export const tuningHere = async (adapter: AdapterProfile): Promise<TuningHere> => {
  const own = await readTableFile(cachePath())();
  const { tuned, refused } = tuningFor(adapter, E.isRight(own) ? own.right : undefined);
  return { tuned, problems: [...(E.isLeft(own) ? [own.left.message] : []), ...refused] };
};
