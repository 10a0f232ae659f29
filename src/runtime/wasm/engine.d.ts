/** What we use of WebAssembly and of browser workers: without the DOM's types, nobody declares them. */
declare namespace WebAssembly {
  interface Module {
    readonly __module?: never;
  }
  interface MemoryDescriptor {
    readonly initial: number;
    readonly maximum: number;
    readonly shared: boolean;
  }
  class Memory {
    constructor(descriptor: MemoryDescriptor);
    readonly buffer: ArrayBuffer | SharedArrayBuffer;
    grow(pages: number): number;
  }
  class Instance {
    constructor(module: Module, imports: Readonly<Record<string, unknown>>);
    readonly exports: Readonly<Record<string, unknown>>;
  }
  class CompileError extends Error {}
  interface Port {
    readonly name: string;
    readonly kind: string;
  }
  const Module: {
    exports(module: Module): readonly Port[];
    imports(module: Module): readonly (Port & { readonly module: string })[];
  };
  function validate(bytes: Uint8Array): boolean;
  function compile(bytes: Uint8Array): Promise<Module>;
  function instantiate(module: Module, imports: Readonly<Record<string, unknown>>): Promise<Instance>;
}
