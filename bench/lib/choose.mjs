/** Which workloads the command line asks for: names of the table, and shapes as JSON. */
import { makeWorkload, nameOf, WORKLOADS } from './workloads.mjs';

const named = (name) => {
  if (Object.hasOwn(WORKLOADS, name)) return [name, WORKLOADS[name]];
  throw new Error(`there is no workload ${name}; there is ${Object.keys(WORKLOADS).join(', ')}, or give shapes with --cfg JSON`);
};

const parsed = (json) => {
  try {
    return [JSON.parse(json)].flat();
  } catch (thrown) {
    throw new Error(`--cfg is no JSON (${thrown.message}); write --cfg '{"kind":"pixnerd","B":4,"img":[32,48]}', or an array of such`, { cause: thrown });
  }
};

/** name -> workload. `names` separated by commas (empty: none), `cfg` one object or an array of them; `all` where neither is given. */
export const chooseWorkloads = (names = '', cfg, all = Object.keys(WORKLOADS)) => {
  const listed = names.split(',').filter(Boolean), shapes = cfg === undefined ? [] : parsed(cfg);
  const wanted = listed.length + shapes.length === 0 ? all : listed;
  return Object.fromEntries([...wanted.map(named), ...shapes.map((shape) => [nameOf(shape), makeWorkload(shape)])]);
};
