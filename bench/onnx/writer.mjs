/**
 * Builds an ONNX model (opset 17) node by node: every op is a method call that gives the name of its result.
 *
 * Invariant: tensors are written once, under the name that they are first used by.
 */
import { float, message } from './protobuf.mjs';

const ELEMENT = { Float32Array: 1, Int32Array: 6, BigInt64Array: 7 };
const ATTRIBUTE = { float: 1, int: 2, ints: 7 };

const tensorProto = (name, shape, data) =>
  message([...shape.map((size) => [1, size]), [2, ELEMENT[data.constructor.name]], [8, name], [9, new Uint8Array(data.buffer, data.byteOffset, data.byteLength)]]);

const valueInfo = (name, shape, element) => message([[1, name], [2, [[1, [[1, element], [2, shape.map((size) => [1, [[1, size]]])]]]]]]);

/** Whole numbers are ints, fractions floats, lists ints. */
const attributeProto = (name, value) =>
  Array.isArray(value) ? message([[1, name], ...value.map((item) => [8, item]), [20, ATTRIBUTE.ints]])
  : Number.isInteger(value) ? message([[1, name], [3, value], [20, ATTRIBUTE.int]])
  : message([[1, name], [2, float(value)], [20, ATTRIBUTE.float]]);

const OPSET = 17, IR_VERSION = 8;

export const makeWriter = () => {
  const nodes = [], initializers = new Map();
  const constant = (name, shape, data) => {
    if (!initializers.has(name)) initializers.set(name, tensorProto(name, shape, data));
    return name;
  };
  const result = (op) => `${op}_${nodes.length}`;
  const node = (op, inputs, attributes, outputs) => {
    nodes.push(message([
      ...inputs.map((name) => [1, name]), ...outputs.map((name) => [2, name]), [3, outputs[0]], [4, op],
      ...Object.entries(attributes).map(([name, value]) => [5, attributeProto(name, value)]),
    ]));
    return outputs;
  };
  return {
    /** A weight or table. */
    constant,
    /** A constant of one number. */
    number: (value) => constant(`number_${value}`, [], Float32Array.of(value)),
    /** A constant list of whole numbers: a shape, axes, sizes of parts. */
    list: (...values) => constant(`list_${values.join('_')}`, [values.length], BigInt64Array.from(values, BigInt)),
    /** One node with one result. */
    op: (op, inputs, attributes = {}) => node(op, inputs, attributes, [result(op)])[0],
    /** `count` equal parts along an axis of `size`. */
    split(input, count, size, axis) {
      const outputs = Array.from({ length: count }, (_, i) => `${result('Split')}_${i}`);
      return node('Split', [input, this.list(...Array(count).fill(size / count))], { axis }, outputs);
    },
    /** The file. `inputs` are [name, shape, data]. */
    finish: (inputs, output, shape) => {
      node('Identity', [output], {}, ['out']);
      const graph = [
        ...nodes.map((bytes) => [1, bytes]), [2, 'bench'], ...[...initializers.values()].map((bytes) => [5, bytes]),
        ...inputs.map(([name, size, data]) => [11, valueInfo(name, size, ELEMENT[data.constructor.name])]), [12, valueInfo('out', shape, ELEMENT.Float32Array)],
      ];
      return message([[1, IR_VERSION], [2, 'bench'], [7, graph], [8, [[1, ''], [2, OPSET]]]]);
    },
  };
};
