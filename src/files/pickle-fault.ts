/** A pickle that is refused; `unsafe` when it names something that could run code. */
export class PickleFault extends Error {
  readonly unsafe: boolean;
  constructor(message: string, unsafe = false) {
    super(message);
    this.name = 'PickleFault';
    this.unsafe = unsafe;
  }
}
