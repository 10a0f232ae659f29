/** What can be wrong with a program, as values. Our own bugs throw instead. */
export interface CompileError {
  /** 'program': a call that breaks a shape or dtype rule; 'size': a symbol without a value; 'limit': more than the adapter offers. */
  readonly kind: 'program' | 'size' | 'limit';
  readonly message: string;
  /** The line of the user's program, where known. */
  readonly at?: string;
}

export const showCompileError = ({ message, at }: CompileError): string => (at === undefined || at === '' ? message : `${message}\n    at ${at}`);

const mib = (bytes: number): string => (bytes >= 2 ** 20 ? `${(bytes / 2 ** 20).toFixed(1)} MiB` : `${bytes} bytes`);
export const limitError = (tensor: string, bytes: number, limit: string, offered: number, advice: string): CompileError =>
  ({ kind: 'limit', message: `${tensor} takes ${mib(bytes)}, more than the adapter's ${limit} of ${mib(offered)}; ${advice}` });
