/** The package's version; the build puts it in. */
declare const PIXNERD_VERSION: string | undefined;

export const VERSION: string = typeof PIXNERD_VERSION === 'string' ? PIXNERD_VERSION : 'unbuilt';
